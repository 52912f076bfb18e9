"""What search sees: the full-text index, and the passages of searchable documents with their vectors."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from phaseflow.domain.errors import StaleRun
from phaseflow.domain.status import timestamp
from phaseflow.store import carried_over, knowledge_bases, postings
from phaseflow.store.catalogue import EFFECTIVE_METADATA
from phaseflow.store.documents import StagedDocument, StagedDocuments
from phaseflow.store.job_sources import was_found_gone
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.pieces import document_of, pieces_of
from phaseflow.store.postings import Packed, Passage, WordIndex
from phaseflow.store.states import IS_ON_ITS_WAY, IS_SEARCHABLE, DocumentState, EntryState
from phaseflow.store.taken_out import UNWANTED
from phaseflow.store.texts import Texts
from phaseflow.store.transaction import Transaction, json_array, next_after
from phaseflow.store.unlisted import is_hidden

_SOURCE: Final = "coalesce((SELECT source FROM catalogue AS c WHERE c.kb_id = ?1 AND c.uri = d.uri), d.source)"
_FOUND: Final = (
    f"EXISTS (SELECT 1 FROM job_entries AS e WHERE e.job_seq = ?3 AND e.uri = d.uri"
    f" AND (e.state < {EntryState.SKIPPED} OR e.state = {EntryState.RETURNED:d}))"
    " AND NOT EXISTS (SELECT 1 FROM catalogue AS c WHERE c.kb_id = ?1 AND c.uri = d.uri AND c.skipped = 1)"
)
_STAYS: Final = (
    f"({_FOUND} OR ({_SOURCE} IN (SELECT value FROM json_each(?6)) OR {is_hidden('d.uri', _SOURCE, '?3')})"
    " AND NOT EXISTS (SELECT 1 FROM job_entries AS e"
    f"  WHERE e.job_seq = ?3 AND e.uri = d.uri AND {was_found_gone('e', _SOURCE)}))"
)
"""SQL: nothing says that the source of a searchable document does not have it any more. ?6: ``uncertain`` ones."""

_SIZES: Final = "group_concat(c.id), group_concat(c.stop - c.start)"


class Scope(NamedTuple):
    """The documents of a knowledge base (by its key) that search sees, or that a job writes."""

    kb_key: str
    index_version: int


def packed(document: StagedDocument, first: int = 0, last: int | None = None) -> Packed:
    """The passages of a document from ``first`` up to ``last``, as ``index`` takes them.

    Made before the transaction, so that the writer need not.
    """
    return postings.packed(_passages(document, first, last))


def packed_rest(documents: Iterable[StagedDocument]) -> Packed:
    """The passages of documents that are not in the full-text index yet."""
    return postings.packed(passage for document in documents for passage in _passages(document, document.indexed, None))


def _passages(document: StagedDocument, first: int, last: int | None) -> Iterator[Passage]:
    for n, (start, end) in enumerate(document.spans[first:last], first):
        yield Passage(document.chunk_id(n), document.text[start:end], document.context(n), document.title, document.uri)


class Census(NamedTuple):
    """Of a source: how many searchable documents there are, how many of them are ``gone`` (``missing`` names them), and
    how many are ``kept`` though the crawl has not found them."""

    source: str
    documents: int
    gone: int
    kept: int


class Found(NamedTuple):
    """A passage as it is shown. ``parts`` (JSON) are those around it, ``metadata`` (JSON) its document's."""

    uri: str
    title: str
    text: str
    start: int
    end: int
    parts: str
    metadata: str


@dataclass(frozen=True, slots=True)
class SearchablePassages:
    """What search sees of one version of an index, and how that changes."""

    tx: Transaction
    scope: Scope

    def index(self, passages: Packed) -> None:
        """Put passages into the full-text index. Those of a document that is not searchable are seen by nobody."""
        WordIndex(self.tx, self.scope.kb_key, self.scope.index_version).put(passages)

    def publish(self, staged: Sequence[StagedDocument], at: datetime) -> None:
        """Make embedded documents, whose passages are indexed, searchable: each in place of its older version.

        One that was skipped or deleted while it was on its way is gone instead. One step that writes no more than a
        few rows a document.
        """
        search_revision = KnowledgeBases(self.tx).next_search_revision(self.scope.kb_key)
        if carried := [d.id for d in staged if d.is_carried]:
            dropped = carried_over.drop_superseded(self.tx, carried)
            staged = [d for d in staged if d.id not in dropped]
        ids = json_array([d.id for d in staged])
        older = self.tx.rows(
            f"SELECT id FROM documents WHERE kb_id = ? AND index_version = ? AND {IS_SEARCHABLE}"
            " AND uri IN (SELECT value FROM json_each(?))",
            self.scope.kb_key, self.scope.index_version, json_array([d.uri for d in staged]),
        )  # fmt: skip
        StagedDocuments(self.tx).withdraw([row[0] for row in older])
        self.tx.run(
            f"UPDATE documents AS d SET state = {DocumentState.SEARCHABLE}, search_revision = ?1,"
            " indexed = chunk_count, turn = NULL,"
            " changed_at = iif(carried_from IS NULL, ?2, changed_at),"
            " indexed_at = iif(carried_from IS NULL, ?2, indexed_at),"
            f" metadata = coalesce((SELECT {EFFECTIVE_METADATA}"
            "  FROM catalogue AS c WHERE c.kb_id = d.kb_id AND c.uri = d.uri), own_metadata)"
            " WHERE id IN (SELECT value FROM json_each(?3))",
            search_revision, timestamp(at), ids,
        )  # fmt: skip
        self.tx.run(
            f"UPDATE documents AS d SET state = {DocumentState.GONE}, search_revision = NULL"
            f" WHERE id IN (SELECT value FROM json_each(?1)) AND {UNWANTED}",
            ids,
        )

    def census(
        self, job_seq: int, since: str, uncertain: Sequence[str], after: str, limit: int
    ) -> tuple[list[Census], str | None]:
        """Of the next ``limit`` searchable documents by uri: how many there are of each source, without those found
        that were not known before ``since``; and the uri to go on after, None at the end."""
        rows = self.tx.rows(
            f"SELECT d.uri, {_SOURCE}, {_FOUND}, {_STAYS}, EXISTS"
            " (SELECT 1 FROM catalogue AS c WHERE c.kb_id = ?1 AND c.uri = d.uri AND c.created_at >= ?7)"
            " FROM documents AS d"
            f" WHERE kb_id = ?1 AND index_version = ?2 AND {IS_SEARCHABLE} AND uri > ?4 ORDER BY uri LIMIT ?5",
            self.scope.kb_key, self.scope.index_version, job_seq, after, limit, json_array(uncertain), since,
        )  # fmt: skip
        had = Counter(source for _, source, found, _, is_new in rows if not (found and is_new))
        gone = Counter(source for _, source, _, stays, _ in rows if not stays)
        kept = Counter(source for _, source, found, stays, _ in rows if stays and not found)
        return [Census(name, count, gone[name], kept[name]) for name, count in had.items()], next_after(rows, limit)

    def missing(
        self, job_seq: int, uncertain: Sequence[str], after: str, limit: int
    ) -> tuple[list[tuple[int, str, str]], str | None]:
        """Of the next ``limit`` searchable documents by uri: (id, uri, source) of those that the completed crawl of a
        job did not find; and the uri to go on after, None at the end. Of ``uncertain`` sources, only those are missing
        that it has asked for (``was_found_gone``)."""
        rows = self.tx.rows(
            f"SELECT d.id, d.uri, {_SOURCE}, {_STAYS} FROM documents AS d"
            f" WHERE kb_id = ?1 AND index_version = ?2 AND {IS_SEARCHABLE} AND uri > ?4 ORDER BY uri LIMIT ?5",
            self.scope.kb_key, self.scope.index_version, job_seq, after, limit, json_array(uncertain),
        )  # fmt: skip
        gone = [(key, uri, source) for key, uri, source, stays in rows if not stays]
        return gone, next_after(rows, limit, 1)

    def any_not_made_by(self, job_seq: int, recipes: Sequence[str], after: str, limit: int) -> tuple[bool, str | None]:
        """Whether one of the next ``limit`` searchable documents by uri was neither made by one of these recipes nor by
        a job; and the uri to go on after, None at the end."""
        rows = self.tx.rows(
            "SELECT uri, recipe, job_seq = ? AND carried_from IS NULL FROM documents"
            f" WHERE kb_id = ? AND index_version = ? AND {IS_SEARCHABLE} AND uri > ? ORDER BY uri LIMIT ?",
            job_seq, self.scope.kb_key, self.scope.index_version, after, limit,
        )  # fmt: skip
        return any(not (mine or recipe in recipes) for _, recipe, mine in rows), next_after(rows, limit)

    def withdraw(self, ids: Sequence[int]) -> None:
        """Take searchable documents out."""
        if ids:
            KnowledgeBases(self.tx).next_search_revision(self.scope.kb_key)
            StagedDocuments(self.tx).withdraw(ids)

    def has_other_versions(self) -> bool:
        """Whether documents of other index versions are left for ``withdraw_other_versions``."""
        row = self.tx.row(
            f"SELECT 1 FROM documents WHERE kb_id = ?1 AND index_version < ?2 AND {IS_SEARCHABLE} UNION ALL"
            f" SELECT 1 FROM documents WHERE kb_id = ?1 AND index_version > ?2 AND {IS_SEARCHABLE} LIMIT 1",
            self.scope.kb_key, self.scope.index_version,
        )  # fmt: skip
        return row is not None

    def withdraw_other_versions(self, limit: int) -> int:
        """Take out up to ``limit`` documents of any other index version than this one; how many."""
        rows = self.tx.rows(
            f"SELECT id FROM documents WHERE kb_id = ?1 AND index_version < ?2 AND {IS_SEARCHABLE} UNION ALL"
            f" SELECT id FROM documents WHERE kb_id = ?1 AND index_version > ?2 AND {IS_SEARCHABLE} LIMIT ?3",
            self.scope.kb_key, self.scope.index_version, limit,
        )  # fmt: skip
        self.withdraw([row[0] for row in rows])
        return len(rows)

    def has_documents(self) -> bool:
        """Whether search sees any document."""
        sql = f"SELECT 1 FROM documents WHERE kb_id = ? AND index_version = ? AND {IS_SEARCHABLE} LIMIT 1"
        return self.tx.row(sql, self.scope.kb_key, self.scope.index_version) is not None

    def live_documents(self) -> tuple[int, str]:
        """The search revision of a knowledge base, and the ids of the documents that search sees then, with commas
        between them."""
        found = self.tx.value(
            f"SELECT group_concat(id) FROM documents WHERE kb_id = ? AND index_version = ? AND {IS_SEARCHABLE}",
            self.scope.kb_key, self.scope.index_version,
        )  # fmt: skip
        return self.revision(), found or ""

    def revision(self) -> int:
        """The search revision of a knowledge base: while it is the same, search sees the same passages."""
        return int(self.tx.value("SELECT search_revision FROM knowledge_bases WHERE id = ?", self.scope.kb_key) or 0)

    def sizes_since(self, search_revision: int) -> tuple[str, str]:
        """The chunks of the documents that became searchable after ``search_revision``, and their characters: numbers
        with commas between them. One row, so that the GIL is taken once."""
        ids, sizes = self.tx.rows(
            f"SELECT {_SIZES} FROM documents AS d JOIN chunks AS c ON {pieces_of('c.id', 'd.id')}"
            f" WHERE d.kb_id = ? AND d.index_version = ? AND d.{IS_SEARCHABLE} AND d.search_revision > ?",
            self.scope.kb_key, self.scope.index_version, search_revision,
        )[0]  # fmt: skip
        return ids or "", sizes or ""

    def fetch(self, chunk_ids: Sequence[int]) -> dict[int, Found]:
        """Those of these chunks that search still sees."""
        rows = self.tx.rows(
            "SELECT c.id, d.id, d.uri, d.title, c.start, c.stop, d.metadata FROM json_each(?) AS p"
            f" CROSS JOIN chunks AS c ON c.id = p.value CROSS JOIN documents AS d ON d.id = {document_of('c.id')}"
            f" WHERE +d.kb_id = ? AND d.index_version = ? AND +d.{IS_SEARCHABLE}",
            json_array(chunk_ids), self.scope.kb_key, self.scope.index_version,
        )  # fmt: skip
        slices = Texts(self.tx).slices([(document, start, stop) for _, document, _, _, start, stop, _ in rows])
        return {
            chunk: Found(uri, title, text, start, stop, parts, metadata)
            for (chunk, _, uri, title, start, stop, metadata), (text, parts) in zip(rows, slices, strict=True)
        }

    def note_indexed(self, document_id: int, before: int, after: int) -> None:
        """So many passages of a document are in the full-text index now. In the transaction of ``index``, so that it
        can be gone on with, or undone, exactly. Raises StaleRun when it is not ``before``."""
        row = self.tx.row(
            f"UPDATE documents SET indexed = ?3 WHERE id = ?1 AND indexed = ?2 AND {IS_ON_ITS_WAY} RETURNING 1",
            document_id, before, after,
        )  # fmt: skip
        if row is None:
            raise StaleRun(f"document {document_id} is in other hands")


def withdraw_live(tx: Transaction, kb_key: str, uri: str) -> bool:
    """Take the searchable version of one document out; whether there was any."""
    rows = tx.rows(
        f"SELECT id FROM documents WHERE kb_id = ?1 AND uri = ?2 AND {IS_SEARCHABLE}"
        f" AND index_version IN {knowledge_bases.VERSIONS_IN_USE}",
        kb_key, uri,
    )  # fmt: skip
    if rows:
        KnowledgeBases(tx).next_search_revision(kb_key)
        StagedDocuments(tx).withdraw([row[0] for row in rows])
    return bool(rows)


def sizes_of(tx: Transaction, document_ids: Sequence[int]) -> tuple[str, str]:
    """The chunks of documents, and their characters: numbers with commas between them."""
    ids, sizes = tx.rows(
        f"SELECT {_SIZES} FROM json_each(?) AS p CROSS JOIN chunks AS c ON {pieces_of('c.id', 'p.value')}",
        json_array(document_ids),
    )[0]
    return ids or "", sizes or ""


def names(tx: Transaction, chunk_ids: Sequence[int]) -> list[tuple[int, str, str]]:
    """(chunk id, title, uri) of the documents of these chunks."""
    rows = tx.rows(
        f"SELECT p.value, d.title, d.uri FROM json_each(?) AS p JOIN documents AS d ON d.id = {document_of('p.value')}",
        json_array(chunk_ids),
    )
    return [(row[0], row[1], row[2]) for row in rows]
