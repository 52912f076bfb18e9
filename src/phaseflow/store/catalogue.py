"""The documents that a knowledge base knows: a row each, which stays the same from version to version."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from phaseflow.domain.identifiers import document_id
from phaseflow.domain.status import timestamp
from phaseflow.store.job_sources import was_found_gone
from phaseflow.store.knowledge_bases import VERSIONS_IN_USE, name_of
from phaseflow.store.states import IS_A_DOCUMENT, IS_IN_HAND, IS_SEARCHABLE
from phaseflow.store.transaction import Row, Transaction, json_array, next_after
from phaseflow.store.unlisted import is_hidden

PUSH: Final = "push"
"""The name of the source of what was pushed."""

_COLUMNS: Final = "uri, document_id, source, skipped, metadata"
EFFECTIVE_METADATA: Final = (
    "iif(c.replaces, coalesce(c.metadata, '{}'), json_patch(d.own_metadata, coalesce(c.metadata, '{}')))"
)
"""SQL for the metadata of a version ``d`` of the document ``c``: what was given goes before what is found in it."""
_HELD: Final = (
    "EXISTS (SELECT 1 FROM failures AS f WHERE f.kb_id = c.kb_id AND f.uri = c.uri)"
    " OR EXISTS (SELECT 1 FROM requests AS r WHERE r.kb_id = c.kb_id AND r.uri = c.uri)"
    " OR EXISTS (SELECT 1 FROM pushed AS p WHERE p.kb_id = c.kb_id AND p.uri = c.uri)"
    " OR EXISTS (SELECT 1 FROM documents AS d JOIN knowledge_bases AS k ON k.id = d.kb_id"
    f"  WHERE d.kb_id = c.kb_id AND d.index_version = k.index_version AND d.uri = c.uri AND d.{IS_SEARCHABLE})"
)
"""What keeps a document known that its source does not have (any more)."""


class KnownDocument(NamedTuple):
    """A document that a knowledge base knows. ``metadata`` is the JSON that was given, None when none was."""

    uri: str
    id: str
    source: str
    is_skipped: bool
    metadata: str | None


class Catalogue(NamedTuple):
    """The documents that one knowledge base knows."""

    tx: Transaction
    kb_key: str

    def of(self, uris: Sequence[str]) -> dict[str, KnownDocument]:
        """Those of these documents that it knows, by uri."""
        rows = self.tx.rows(
            f"SELECT {_COLUMNS} FROM catalogue WHERE kb_id = ? AND uri IN (SELECT value FROM json_each(?))",
            self.kb_key, json_array(uris),
        )  # fmt: skip
        return {row[0]: _known(row) for row in rows}

    def find(self, id_or_uri: str) -> KnownDocument | None:
        """One document by its id, or by its uri."""
        row = self.tx.row(
            f"SELECT {_COLUMNS} FROM catalogue WHERE kb_id = ?1 AND document_id = ?2", self.kb_key, id_or_uri
        )
        return self.named(id_or_uri) if row is None else _known(row)

    def named(self, uri: str) -> KnownDocument | None:
        """One document by its uri alone, which may have the form of another one's id."""
        row = self.tx.row(f"SELECT {_COLUMNS} FROM catalogue WHERE kb_id = ?1 AND uri = ?2", self.kb_key, uri)
        return None if row is None else _known(row)

    def holders(self) -> set[str]:
        """The sources that hold documents: those of the knowledge base, and those that its open job reads."""
        rows = self.tx.rows(
            "SELECT s.key FROM (SELECT sources FROM knowledge_bases WHERE id = ?1 UNION ALL"
            " SELECT sources FROM (SELECT sources, completed_at FROM ingestion_jobs WHERE kb_id = ?1 ORDER BY seq DESC"
            "  LIMIT 1) WHERE completed_at IS NULL) AS k, json_each(coalesce(k.sources, '{}')) AS s"
            " WHERE s.value ->> '$.type' <> 'upload'",
            self.kb_key,
        )
        return {row[0] for row in rows}

    def knows_any(self, source: str, uris: Sequence[str]) -> bool:
        """Whether a source holds any of these documents, or any in a folder of that name."""
        mine = "SELECT 1 FROM catalogue AS c WHERE c.kb_id = ?1 AND c.source = ?2"
        row = self.tx.row(
            f"SELECT 1 FROM json_each(?3) AS u WHERE EXISTS ({mine} AND c.uri = u.value)"
            f" OR EXISTS ({mine} AND c.uri > u.value || '/' AND c.uri < u.value || '0') LIMIT 1",
            self.kb_key, source, json_array(uris),
        )  # fmt: skip
        return row is not None

    def set_skipped(self, uri: str, *, skipped: bool, at: datetime) -> None:
        """Leave a document out from now on, or no longer."""
        self.tx.run(
            "UPDATE catalogue SET skipped = ?3, changed_at = ?4 WHERE kb_id = ?1 AND uri = ?2 AND skipped <> ?3",
            self.kb_key, uri, skipped, timestamp(at),
        )  # fmt: skip

    def set_metadata(self, uri: str, metadata: str | None, *, replaces: bool, at: datetime) -> None:
        """Give a document metadata (JSON), over what is found in it or in place of that.

        Its searchable version has it at once.
        """
        self.tx.run(
            "UPDATE catalogue SET metadata = ?3, replaces = ?4, changed_at = ?5 WHERE kb_id = ?1 AND uri = ?2"
            " AND (metadata IS NOT ?3 OR replaces IS NOT ?4)",
            self.kb_key, uri, metadata, replaces, timestamp(at),
        )  # fmt: skip
        self.tx.run(
            f"UPDATE documents AS d SET metadata = {EFFECTIVE_METADATA}, changed_at = ?3 FROM catalogue AS c"
            f" WHERE c.kb_id = ?1 AND c.uri = ?2 AND d.kb_id = ?1 AND d.uri = ?2 AND d.{IS_SEARCHABLE}"
            f" AND d.index_version IN {VERSIONS_IN_USE} AND d.metadata IS NOT {EFFECTIVE_METADATA}",
            self.kb_key, uri, timestamp(at),
        )  # fmt: skip

    def keep_details(self, job_seq: int, uris: Sequence[str]) -> None:
        """Keep what the newest versions of these documents, or the crawl of a job, say of them: title, media type, size
        and metadata. Call it before the versions go."""
        self.tx.run(
            "UPDATE catalogue AS c SET title = coalesce(d.title, c.title), size = coalesce(d.size, e.size, c.size),"
            " media_type = coalesce(d.media_type, c.media_type),"
            " own_metadata = coalesce(d.own_metadata, c.own_metadata)"
            " FROM json_each(?2) AS n LEFT JOIN job_entries AS e ON e.job_seq = ?3 AND e.uri = n.value"
            " LEFT JOIN documents AS d ON d.id = coalesce("
            f"  (SELECT max(id) FROM documents AS o WHERE o.kb_id = ?1 AND o.uri = n.value AND o.{IS_IN_HAND}),"
            f"  (SELECT max(id) FROM documents AS l WHERE l.kb_id = ?1 AND l.uri = n.value AND l.{IS_SEARCHABLE}"
            f"   AND l.index_version IN {VERSIONS_IN_USE}))"
            " WHERE c.kb_id = ?1 AND c.uri = n.value",
            self.kb_key, json_array(uris), job_seq,
        )  # fmt: skip

    def remove(self, uri: str) -> None:
        """Know a document no more."""
        self.tx.run("DELETE FROM catalogue WHERE kb_id = ? AND uri = ?", self.kb_key, uri)

    def note(self, source: str, uris: Sequence[str], at: datetime) -> None:
        """Know these documents, which ``source`` holds now. One that was skipped before it went is skipped again."""
        if not uris:
            return
        known: dict[str, str] = dict(
            self.tx.rows(
                "SELECT uri, source FROM catalogue WHERE kb_id = ? AND uri IN (SELECT value FROM json_each(?))",
                self.kb_key, json_array(uris),
            )
        )  # fmt: skip
        name = name_of(self.kb_key)
        new = json_array([[uri, document_id(name, uri)] for uri in uris if uri not in known])
        self.tx.run(
            "INSERT INTO catalogue (kb_id, uri, document_id, source, skipped, created_at)"
            " SELECT ?1, value ->> 0, value ->> 1, ?2,"
            " EXISTS (SELECT 1 FROM left_out WHERE kb_id = ?1 AND uri = value ->> 0), ?3 FROM json_each(?4)",
            self.kb_key, source, timestamp(at), new,
        )  # fmt: skip
        self.tx.run(
            "DELETE FROM left_out WHERE kb_id = ?1 AND uri IN (SELECT value ->> 0 FROM json_each(?2))", self.kb_key, new
        )
        if moved := [uri for uri, held_by in known.items() if held_by != source]:
            self.tx.run(
                "UPDATE catalogue SET source = ?2 WHERE kb_id = ?1 AND uri IN (SELECT value FROM json_each(?3))",
                self.kb_key, source, json_array(moved),
            )  # fmt: skip

    def note_change(self, uris: Sequence[str], at: datetime) -> None:
        """Something was asked of these documents. Of those that are new, it is known already."""
        self.tx.run(
            "UPDATE catalogue SET changed_at = ?3 WHERE kb_id = ?1 AND uri IN (SELECT value FROM json_each(?2))"
            " AND created_at < ?3",
            self.kb_key, json_array(uris), timestamp(at),
        )  # fmt: skip

    def count_attempts(self, uris: Sequence[str]) -> None:
        """These documents have been loaded, or could not be, once more."""
        if uris:
            self.tx.run(
                "UPDATE catalogue SET attempts = attempts + 1"
                " WHERE kb_id = ?1 AND uri IN (SELECT value FROM json_each(?2))",
                self.kb_key, json_array(uris),
            )  # fmt: skip

    def forget(self, uris: Sequence[str]) -> None:
        """Know these documents no more, unless one is searchable, failed, pushed or asked for.

        That one was skipped is remembered, for the case that it comes back.
        """
        if uris:
            which = f"kb_id = ?1 AND uri IN (SELECT value FROM json_each(?2)) AND NOT ({_HELD})"
            values = (self.kb_key, json_array(uris))
            self.tx.run(
                f"INSERT INTO left_out SELECT kb_id, uri FROM catalogue AS c WHERE {which} AND skipped = 1", *values
            )
            self.tx.run(f"DELETE FROM catalogue AS c WHERE {which}", *values)

    def missing(self, job_seq: int, uncertain: Sequence[str], after: str, limit: int) -> tuple[list[str], str | None]:
        """Of the next ``limit`` documents by uri, those that the completed crawl of a job did not find and nothing else
        keeps; and the uri to go on after, None at the end. Of ``uncertain`` sources, only those are missing that it
        has asked for (``was_found_gone``)."""
        rows = self.tx.rows(
            "SELECT c.uri, c.source, EXISTS"
            f" (SELECT 1 FROM job_entries AS e WHERE e.job_seq = ?2 AND e.uri = c.uri AND e.{IS_A_DOCUMENT})"
            f" OR {_HELD} OR {is_hidden('c.uri', 'c.source', '?2')},"
            " EXISTS (SELECT 1 FROM job_entries AS e WHERE e.job_seq = ?2 AND e.uri = c.uri"
            f"  AND {was_found_gone('e', 'c.source')})"
            " FROM catalogue AS c WHERE c.kb_id = ?1 AND c.uri > ?3 ORDER BY c.uri LIMIT ?4",
            self.kb_key, job_seq, after, limit,
        )  # fmt: skip
        gone = [uri for uri, source, is_held, is_gone in rows if not is_held and (is_gone or source not in uncertain)]
        return gone, next_after(rows, limit)


def _known(row: Row) -> KnownDocument:
    uri, key, source, skipped, metadata = row
    return KnownDocument(uri, key, source, bool(skipped), metadata)
