"""What search sees: the full-text index, and the passages of searchable documents with their vectors."""

from collections.abc import Sequence
from dataclasses import dataclass

from phaseflow.domain.status import IndexedDocument
from phaseflow.store import documents, knowledge_bases
from phaseflow.store.documents import StagedDocument
from phaseflow.store.transaction import Row, Transaction, json_array

_INSERT = (
    "INSERT INTO passages (rowid, text) SELECT (d.value ->> 0) + t.key, t.value"
    " FROM json_each(?) AS d, json_each(d.value, '$[1]') AS t"
)
_DELETE = "INSERT INTO passages (passages, rowid, text) SELECT 'delete', ?1 + key, value FROM json_each(?2)"


@dataclass(frozen=True, slots=True)
class Scope:
    """The documents of a knowledge base that search sees, or that a job writes."""

    kb_id: str
    epoch: int


def encoded(staged: Sequence[StagedDocument]) -> str:
    """The passages of documents as ``publish`` takes them; made before the transaction, so that the writer need not."""
    return json_array([[document.chunk_id(0), document.passages()] for document in staged])


def publish(tx: Transaction, scope: Scope, staged: Sequence[StagedDocument], passages: str) -> None:
    """Make embedded documents searchable, each in place of its older version, in this one transaction.

    ``passages`` is what ``encoded`` made of them.
    """
    generation = knowledge_bases.next_generation(tx, scope.kb_id)
    older = tx.rows(
        "SELECT id FROM documents WHERE kb_id = ? AND epoch = ? AND state = 4"
        " AND uri IN (SELECT value FROM json_each(?))",
        scope.kb_id, scope.epoch, json_array([d.uri for d in staged]),
    )  # fmt: skip
    withdraw(tx, [row[0] for row in older])
    tx.run(_INSERT, passages)
    tx.run(
        "UPDATE documents SET state = 4, generation = ? WHERE id IN (SELECT value FROM json_each(?))",
        generation, json_array([d.id for d in staged]),
    )  # fmt: skip


def withdraw(tx: Transaction, ids: Sequence[int]) -> None:
    """Take searchable documents out and delete them."""
    for document_id in ids:
        text = tx.value("SELECT text FROM texts WHERE document_id = ?", document_id)
        spans = tx.rows(
            "SELECT start, stop FROM chunks WHERE id >= ?1 << 20 AND id < (?1 + 1) << 20 ORDER BY id", document_id
        )
        passages = [text[start:stop] for start, stop in spans]
        tx.run(_DELETE, document_id << documents.CHUNK_BITS, json_array(passages))
    documents.remove(tx, ids)


def withdraw_missing(tx: Transaction, scope: Scope, job_seq: int, limit: int) -> list[str]:
    """Take out up to ``limit`` documents that the completed crawl of a job did not find; their uris."""
    rows = tx.rows(
        "SELECT id, uri FROM documents AS d WHERE kb_id = ? AND epoch = ? AND state = 4 AND NOT EXISTS"
        " (SELECT 1 FROM job_entries AS e WHERE e.job_seq = ? AND e.uri = d.uri AND e.state < 4) LIMIT ?",
        scope.kb_id, scope.epoch, job_seq, limit,
    )  # fmt: skip
    _withdraw_and_tell(tx, scope.kb_id, rows)
    return [row[1] for row in rows]


def withdraw_other_epochs(tx: Transaction, scope: Scope, limit: int) -> int:
    """Take out up to ``limit`` documents of any other epoch than this one; how many."""
    rows = tx.rows(
        "SELECT id, uri FROM documents WHERE kb_id = ? AND epoch <> ? AND state = 4 LIMIT ?",
        scope.kb_id, scope.epoch, limit,
    )  # fmt: skip
    _withdraw_and_tell(tx, scope.kb_id, rows)
    return len(rows)


def withdraw_all(tx: Transaction, kb_id: str, limit: int) -> int:
    """Take out up to ``limit`` documents of a knowledge base in any state; how many."""
    rows = tx.rows("SELECT id, state FROM documents WHERE kb_id = ? LIMIT ?", kb_id, limit)
    withdraw(tx, [row[0] for row in rows if row[1] == documents.SEARCHABLE])
    documents.remove(tx, [row[0] for row in rows if row[1] != documents.SEARCHABLE])
    return len(rows)


def _withdraw_and_tell(tx: Transaction, kb_id: str, rows: list[Row]) -> None:
    if rows:
        knowledge_bases.next_generation(tx, kb_id)
        withdraw(tx, [row[0] for row in rows])


def counts(tx: Transaction, scope: Scope) -> tuple[int, int]:
    """(documents, chunks) that search sees."""
    row = tx.row(
        "SELECT count(*), coalesce(sum(chunk_count), 0) FROM documents WHERE kb_id = ? AND epoch = ? AND state = 4",
        scope.kb_id, scope.epoch,
    )  # fmt: skip
    return (row[0], row[1]) if row else (0, 0)


def page(tx: Transaction, scope: Scope, limit: int, after: str | None, part: str) -> list[IndexedDocument]:
    """The documents that search sees, by uri: those behind ``after`` whose uri contains ``part``, whatever its case."""
    rows = tx.rows(
        "SELECT uri, title, media_type, chunk_count FROM documents WHERE kb_id = ?1 AND epoch = ?2 AND state = 4"
        " AND uri > coalesce(?3, '') AND (?4 = '' OR holds(uri, ?4)) ORDER BY uri LIMIT ?5",
        scope.kb_id, scope.epoch, after, part, limit,
    )  # fmt: skip
    return [IndexedDocument(uri=row[0], title=row[1], media_type=row[2], chunks=row[3]) for row in rows]


def live_documents(tx: Transaction, scope: Scope) -> list[int]:
    """The ids of the documents that search sees."""
    rows = tx.rows("SELECT id FROM documents WHERE kb_id = ? AND epoch = ? AND state = 4", scope.kb_id, scope.epoch)
    return [row[0] for row in rows]


def vectors_since(tx: Transaction, scope: Scope, generation: int) -> list[tuple[int, bytes]]:
    """(chunk id, vector) of the documents that became searchable after ``generation``."""
    rows = tx.rows(
        "SELECT c.id, v.vector FROM documents AS d JOIN chunks AS c ON c.id >= d.id << 20 AND c.id < (d.id + 1) << 20"
        " JOIN vectors AS v ON v.id = c.vector_id"
        " WHERE d.kb_id = ? AND d.epoch = ? AND d.state = 4 AND d.generation > ?",
        scope.kb_id, scope.epoch, generation,
    )  # fmt: skip
    return [(row[0], row[1]) for row in rows]


def best_by_words(tx: Transaction, scope: Scope, query: str, limit: int) -> list[int]:
    """The chunks that an FTS5 query finds, best BM25 first."""
    rows = tx.rows(
        "SELECT p.rowid FROM passages AS p JOIN documents AS d ON d.id = p.rowid >> 20"
        " WHERE passages MATCH ?1 AND d.kb_id = ?2 AND d.epoch = ?3 AND d.state = 4 ORDER BY rank LIMIT ?4",
        query, scope.kb_id, scope.epoch, limit,
    )  # fmt: skip
    return [row[0] for row in rows]


def fetch(tx: Transaction, scope: Scope, chunk_ids: Sequence[int]) -> dict[int, Row]:
    """(uri, title, text, start, end, parts as JSON) of those chunks that search still sees."""
    rows = tx.rows(
        "SELECT c.id, d.uri, d.title, substr(t.text, c.start + 1, c.stop - c.start), c.start, c.stop, t.parts"
        " FROM chunks AS c JOIN documents AS d ON d.id = c.id >> 20 JOIN texts AS t ON t.document_id = d.id"
        " WHERE c.id IN (SELECT value FROM json_each(?)) AND d.kb_id = ? AND d.epoch = ? AND d.state = 4",
        json_array(chunk_ids), scope.kb_id, scope.epoch,
    )  # fmt: skip
    return {row[0]: row[1:] for row in rows}
