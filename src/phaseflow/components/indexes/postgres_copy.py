"""Bringing passages into a table by COPY, in its binary format."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from phaseflow.components.indexes.protocol import IndexDocument

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    Connection = AsyncConnection[Any]

_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END: Final = b"\xff\xff"


async def put(connection: "Connection", table: str, documents: Sequence[IndexDocument]) -> None:
    """Put passages into a table, in place of those at the same positions of the same documents. In a transaction."""
    spans = [(d.document_id, d.first, d.first + len(d.vectors)) for d in documents]
    if not spans:
        return
    async with connection.cursor() as cursor:
        # COPY knows no ON CONFLICT, and a put may be repeated.
        await cursor.execute(
            f"DELETE FROM {table} AS t USING unnest(%s::bigint[], %s::int[], %s::int[])"
            " AS n (id, first, behind) WHERE t.document_id = n.id AND position >= first AND position < behind",
            [list(each) for each in zip(*spans, strict=True)],
        )
        async with cursor.copy(f"COPY {table} (document_id, position, vector) FROM STDIN (FORMAT binary)") as copy:
            await copy.write(_copied(documents))


def _copied(documents: Sequence[IndexDocument]) -> bytes:
    """Rows of (document id, position, vector in half precision): a vector is its length, two empty bytes, and its
    numbers."""
    import numpy as np

    dimension = documents[0].vectors.shape[1]
    row = np.dtype(
        [
            ("fields", ">i2"), ("l1", ">i4"), ("document", ">i8"), ("l2", ">i4"), ("position", ">i4"), ("l3", ">i4"),
            ("dimension", ">i2"), ("unused", ">i2"), ("vector", ">f2", (dimension,)),
        ]
    )  # fmt: skip
    rows = np.zeros(sum(len(d.vectors) for d in documents), row)
    rows["fields"], rows["l1"], rows["l2"] = 3, 8, 4
    rows["l3"], rows["dimension"] = 4 + 2 * dimension, dimension
    at = 0
    for document in documents:
        behind = at + len(document.vectors)
        rows["document"][at:behind] = document.document_id
        rows["position"][at:behind] = np.arange(document.first, document.first + len(document.vectors))
        rows["vector"][at:behind] = document.vectors
        at = behind
    return _HEADER + rows.tobytes() + _END
