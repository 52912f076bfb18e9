"""The vector of a query, or the reason why there is none."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from phaseflow.domain.errors import ComponentError
from phaseflow.domain.exception_text import named, text_of
from phaseflow.domain.log import get_logger
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from phaseflow.components.embedders import EmbedderAdapter

EMBEDDING_S = 3.0
"""What embedding a query may take, seconds: a search that has waited longer goes by words alone."""
_REASON_LENGTH = 300


@dataclass(frozen=True, slots=True)
class QueryVector:
    """``vector`` is float32, (d,). Without it ``degraded`` says why, or there is nothing to compare it with."""

    vector: "npt.NDArray[np.float32] | None" = None
    degraded: str | None = None


async def embedded_query(
    kb: KnowledgeBaseRecord,
    query: str,
    embedder_of: Callable[[KnowledgeBaseRecord], Awaitable["EmbedderAdapter | None"]],
    dimension: int | None,
) -> QueryVector:
    """Embed a query for the vectors of a knowledge base, which have ``dimension`` numbers.

    Whatever the embedder raises, and whatever takes too long, is a reason to search by words alone.
    A cancel drops the call.
    """
    if kb.model is None:
        return QueryVector()
    try:
        embedder = await embedder_of(kb)
        if embedder is None:
            return without_vector(kb, f"its vectors are those of {kb.model}, and this process has no such embedder")
        with anyio.move_on_after(EMBEDDING_S) as limit:
            vector = await embedder.embed_query(query)
        if limit.cancelled_caught:
            return without_vector(kb, f"the embedder did not answer within {EMBEDDING_S:g} s")
    except ComponentError as error:
        return without_vector(kb, text_of(error))
    except Exception as error:  # noqa: BLE001  # a program's own embedder may raise anything; the answer says what
        return without_vector(kb, f"the embedder failed: {named(error)}")
    if dimension is not None and len(vector) != dimension:
        return without_vector(
            kb,
            f"the embedder answers with vectors of {len(vector)} numbers, and those stored have {dimension}: "
            "it has another model now; name that model in the settings and start a job",
        )
    return QueryVector(vector)


def without_vector(kb: KnowledgeBaseRecord, why: str) -> QueryVector:
    """Note that a search goes by words alone."""
    reason = " ".join(why.split())
    reason = reason if len(reason) <= _REASON_LENGTH else f"{reason[: _REASON_LENGTH - 1]}…"
    get_logger().warning("searching by words only", kb=kb.id, error=reason)
    return QueryVector(degraded=f"searched by words alone: {reason}")
