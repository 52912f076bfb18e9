"""Documents on their way: what one phase hands over to the next is the rows in its state, by id."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from phaseflow.store.transaction import Row, Transaction, json_array

LOADED, CHUNKED, EMBEDDED, SEARCHABLE, FAILED = 1, 2, 3, 4, 9
CHUNK_BITS = 20
"""A document has at most 2^20 chunks; the id of a chunk is the document's, shifted, plus its position."""
HASH_BYTES = 16


def text_hash(text: str) -> bytes:
    """BLAKE2b-128 of the UTF-8 bytes: what vectors are kept under."""
    return hashlib.blake2b(text.encode(), digest_size=HASH_BYTES).digest()


@dataclass(frozen=True, slots=True)
class LoadedText:
    """A document to be stored by loading. ``content_hash`` is hex; ``parts`` is JSON."""

    entry_id: int
    uri: str
    title: str
    media_type: str
    content_hash: str
    stamp: str | None
    text: str
    parts: str = "[]"


@dataclass(frozen=True, slots=True)
class StagedDocument:
    """A document as one phase hands it to the next: its text, and its chunks once it has any.

    ``spans`` are (start, end) in characters, ``hashes`` those of the passages; ``embedded``: has a chunk its vector.
    """

    id: int
    uri: str
    title: str
    media_type: str
    text: str
    spans: Sequence[tuple[int, int]] = ()
    hashes: Sequence[bytes] = ()
    embedded: Sequence[bool] = ()

    def chunk_id(self, position: int) -> int:
        """The id of the chunk at ``position``."""
        return (self.id << CHUNK_BITS) + position

    def passages(self) -> list[str]:
        """The texts of all chunks."""
        return [self.text[start:end] for start, end in self.spans]


@dataclass(frozen=True, slots=True)
class Staging:
    """Where a job's documents go: its number, its knowledge base, the epoch, and the recipe they are made by."""

    job_seq: int
    kb_id: str
    epoch: int
    recipe: str


def add(tx: Transaction, where: Staging, loaded: Sequence[LoadedText]) -> list[StagedDocument]:
    """Store texts; ids ascend in the order given."""
    rows = json_array([[d.uri, d.title, d.media_type, d.content_hash, d.stamp] for d in loaded])
    ids = tx.rows(
        "INSERT INTO documents (kb_id, job_seq, epoch, recipe, uri, title, media_type, content_hash, stamp)"
        " SELECT ?1, ?2, ?3, ?4, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4"
        " FROM json_each(?5) ORDER BY key RETURNING uri, id",
        where.kb_id, where.job_seq, where.epoch, where.recipe, rows,
    )  # fmt: skip
    by_uri = {row[0]: row[1] for row in ids}
    tx.many(
        "INSERT INTO texts (document_id, text, parts) VALUES (?, ?, ?)",
        [(by_uri[d.uri], d.text, d.parts) for d in loaded],
    )
    return [StagedDocument(by_uri[d.uri], d.uri, d.title, d.media_type, d.text) for d in loaded]


def cut(tx: Transaction, documents: Sequence[StagedDocument]) -> None:
    """Store the chunks of loaded documents, which thereby are chunked."""
    spans = [[d.chunk_id(n), *span] for d in documents for n, span in enumerate(d.spans)]
    hashes = b"".join(b"".join(d.hashes) for d in documents)
    tx.run(
        "INSERT INTO chunks (id, start, stop, text_hash)"
        " SELECT value ->> 0, value ->> 1, value ->> 2, substr(?2, 1 + ?3 * key, ?3) FROM json_each(?1)",
        json_array(spans), hashes, HASH_BYTES,
    )  # fmt: skip
    tx.run(
        "UPDATE documents SET state = 2, chunk_count = c.n"
        " FROM (SELECT value ->> 0 AS id, value ->> 1 AS n FROM json_each(?)) AS c"
        " WHERE documents.id = c.id AND state = 1",
        json_array([[d.id, len(d.spans)] for d in documents]),
    )


def move(tx: Transaction, ids: Iterable[int], before: int, after: int) -> None:
    """Take documents from one state to another."""
    tx.run(
        "UPDATE documents SET state = ? WHERE id IN (SELECT value FROM json_each(?)) AND state = ?",
        after, json_array(ids), before,
    )  # fmt: skip


def staged(
    tx: Transaction, job_seq: int, state: int, after_id: int, limit: int, characters: int
) -> list[StagedDocument]:
    """The next documents of a job in a state, by id: at most ``limit``, and about ``characters`` of text."""
    rows = tx.rows(
        "SELECT id, uri, title, media_type, text FROM ("
        " SELECT d.id, d.uri, d.title, d.media_type, t.text,"
        "  sum(length(t.text)) OVER (ORDER BY d.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"
        " FROM (SELECT * FROM documents WHERE job_seq = ?1 AND state = ?2 AND state <> 4 AND id > ?3"
        "  ORDER BY id LIMIT ?4)"
        "  AS d JOIN texts AS t ON t.document_id = d.id)"
        " WHERE before IS NULL OR before < ?5 ORDER BY id",
        job_seq, state, after_id, limit, characters,
    )  # fmt: skip
    if state == LOADED or not rows:
        return [StagedDocument(*row) for row in rows]
    return _with_chunks(tx, rows)


def _with_chunks(tx: Transaction, rows: Sequence[Row]) -> list[StagedDocument]:
    chunks: dict[int, list[Row]] = {row[0]: [] for row in rows}
    for chunk in tx.rows(
        "SELECT c.id >> 20, start, stop, text_hash, vector_id IS NOT NULL FROM json_each(?) AS d"
        " JOIN chunks AS c ON c.id >= d.value << 20 AND c.id < (d.value + 1) << 20 ORDER BY c.id",
        json_array(list(chunks)),
    ):
        chunks[chunk[0]].append(chunk)
    return [_staged(row, chunks[row[0]]) for row in rows]


def _staged(row: Row, chunks: Sequence[Row]) -> StagedDocument:
    document_id, uri, title, media_type, text = row
    return StagedDocument(
        document_id,
        uri,
        title,
        media_type,
        text,
        spans=[(chunk[1], chunk[2]) for chunk in chunks],
        hashes=[chunk[3] for chunk in chunks],
        embedded=[bool(chunk[4]) for chunk in chunks],
    )


def discard_staged(tx: Transaction, kb_id: str, before_job: int, limit: int) -> int:
    """Remove up to ``limit`` documents that older jobs left on their way; how many were removed."""
    rows = tx.rows(
        "SELECT d.id FROM documents AS d JOIN ingestion_jobs AS j ON j.seq = d.job_seq"
        " WHERE j.kb_id = ? AND j.seq < ? AND d.state <> 4 LIMIT ?",
        kb_id, before_job, limit,
    )  # fmt: skip
    remove(tx, [row[0] for row in rows])
    return len(rows)


def remove(tx: Transaction, ids: Sequence[int]) -> None:
    """Delete documents with their texts and chunks. Vectors stay: they are paid for."""
    for document_id in ids:
        tx.run("DELETE FROM chunks WHERE id >= ?1 << 20 AND id < (?1 + 1) << 20", document_id)
    tx.run("DELETE FROM documents WHERE id IN (SELECT value FROM json_each(?))", json_array(ids))


def forgive(tx: Transaction, job_seq: int, phase: str, state: int) -> tuple[int, int, int]:
    """Give documents that failed in a phase back to it, in ``state``: (documents, chunks without a vector, chunks).

    They get new ids, above all others: cursors go by id, and the documents behind them have gone on meanwhile.
    """
    failed = tx.rows(
        "SELECT id FROM documents WHERE job_seq = ?1 AND state = 9 AND EXISTS"
        " (SELECT 1 FROM failures AS f WHERE f.kb_id = documents.kb_id AND f.uri = documents.uri AND f.job_seq = ?1"
        "  AND f.phase = ?2) ORDER BY id",
        job_seq, phase,
    )  # fmt: skip
    ids = [_renumber(tx, row[0], state) for row in failed]
    chunks = tx.row(
        "SELECT count(*) FILTER (WHERE c.vector_id IS NULL), count(*) FROM json_each(?1) AS d"
        " JOIN chunks AS c ON c.id >= d.value << 20 AND c.id < (d.value + 1) << 20",
        json_array(ids),
    )
    return (len(ids), chunks[0], chunks[1]) if chunks else (len(ids), 0, 0)


def _renumber(tx: Transaction, old: int, state: int) -> int:
    new = int(
        tx.value(
            "INSERT INTO documents"
            " (kb_id, job_seq, epoch, uri, title, media_type, content_hash, stamp, recipe, chunk_count, state)"
            " SELECT kb_id, job_seq, epoch, uri, title, media_type, content_hash, stamp, recipe, chunk_count, ?2"
            " FROM documents WHERE id = ?1 RETURNING id",
            old, state,
        )
    )  # fmt: skip
    tx.run("UPDATE texts SET document_id = ?2 WHERE document_id = ?1", old, new)
    tx.run("UPDATE chunks SET id = id + ((?2 - ?1) << 20) WHERE id >= ?1 << 20 AND id < (?1 + 1) << 20", old, new)
    tx.run("DELETE FROM documents WHERE id = ?", old)
    return new
