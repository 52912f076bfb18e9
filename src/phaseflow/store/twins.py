"""Documents that a source has under several uris: one is the document, and names the others.

While a crawl goes on it is the one that was known, or read first; when it ends, the document takes the shortest uri
that has the same bytes. Then no phase has it in hand, and nothing is to be loaded, cut or embedded again.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from posixpath import basename

from phaseflow.domain.identifiers import document_id, name_in
from phaseflow.domain.status import timestamp
from phaseflow.store import knowledge_bases, postings
from phaseflow.store.catalogue import EFFECTIVE_METADATA, PUSH, Catalogue
from phaseflow.store.documents import Target
from phaseflow.store.failures import Failures
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.passages import Scope
from phaseflow.store.pieces import piece_id
from phaseflow.store.postings import Passage, WordIndex
from phaseflow.store.states import IS_IN_HAND, IS_ON_ITS_WAY, IS_SEARCHABLE, DocumentState, EntryState
from phaseflow.store.texts import Texts
from phaseflow.store.transaction import Transaction, next_after
from phaseflow.store.unlisted import is_hidden

MOST = 50
"""Of the other uris that a document names: metadata are bounded."""


Naming = tuple[str, int]
"""(an address, the number of the document that names it as another of its own)."""
_NAMED = "WHERE kb_id = ?1 AND key = 'also_at'"
"""Of ``document_fields``, with the index ``document_fields_by_text``: it holds what search sees."""
_ALONE = (EntryState.LOADED, EntryState.UNCHANGED, EntryState.GONE)


@dataclass(frozen=True, slots=True)
class Twins:
    """The other uris of documents."""

    tx: Transaction

    def documents_of(
        self, kb_key: str, source: str, after: str, limit: int
    ) -> tuple[list[tuple[str, bytes]], str | None]:
        """Of the next ``limit`` documents that search sees by uri, those of a source: (uri, content hash); and the uri
        to go on after, None at the end."""
        rows = self.tx.rows(
            "SELECT d.uri, d.content_hash, d.source FROM knowledge_bases AS k"
            f" JOIN documents AS d ON d.kb_id = k.id AND d.index_version = k.index_version AND d.{IS_SEARCHABLE}"
            " WHERE k.id = ?1 AND d.uri > ?2 ORDER BY d.uri LIMIT ?3",
            kb_key, after, limit,
        )  # fmt: skip
        found = [(uri, bytes.fromhex(digest)) for uri, digest, held_by in rows if held_by == source]
        return found, next_after(rows, limit)

    def documents_in_hand(
        self, kb_key: str, job_seq: int, source: str, after: str, limit: int
    ) -> tuple[list[tuple[str, bytes]], str | None]:
        """The same of those that a job has loaded, and search does not see yet."""
        rows = self.tx.rows(
            f"SELECT uri, content_hash, source FROM documents WHERE kb_id = ?1 AND uri > ?3 AND job_seq = ?2"
            f" AND {IS_IN_HAND} AND state >= {DocumentState.LOADED} ORDER BY uri LIMIT ?4",
            kb_key, job_seq, after, limit,
        )  # fmt: skip
        found = [(uri, bytes.fromhex(digest)) for uri, digest, held_by in rows if held_by == source]
        return found, next_after(rows, limit)

    def note(self, where: Target, twins: Sequence[tuple[str, str]]) -> None:
        """Have the metadata of documents name the other addresses that have the same bytes, at most ``MOST`` each.

        ``twins`` are (uri of the document, the other one).
        """
        for uri, other in twins:
            self.tx.run(
                "UPDATE documents SET"
                " own_metadata = json_set(own_metadata, '$.also_at',"
                "  json_insert(coalesce(own_metadata -> '$.also_at', json('[]')), '$[#]', ?4)),"
                f" metadata = iif({IS_SEARCHABLE}, json_set(metadata, '$.also_at',"
                "  json_insert(coalesce(metadata -> '$.also_at', json('[]')), '$[#]', ?4)), metadata)"
                f" WHERE kb_id = ?1 AND index_version = ?2 AND uri = ?3 AND ({IS_SEARCHABLE} OR {IS_ON_ITS_WAY})"
                "  AND json_array_length(coalesce(own_metadata -> '$.also_at', '[]')) < ?5"
                "  AND NOT EXISTS (SELECT 1 FROM json_each(own_metadata, '$.also_at') WHERE value = ?4)",
                where.kb_key, where.index_version, uri, other, MOST,
            )  # fmt: skip

    def are_named(self, kb_key: str) -> bool:
        """Whether the metadata of any document that search sees name other addresses of it."""
        return self.tx.row(f"SELECT 1 FROM document_fields {_NAMED} AND text IS NOT NULL LIMIT 1", kb_key) is not None

    def misnamed(
        self, kb_key: str, job_seq: int, uncertain: Sequence[str], after: Naming, limit: int
    ) -> tuple[list[Naming], Naming | None]:
        """Of the next ``limit`` addresses that documents name as theirs, those that a crawl has found to be documents
        of their own, the copies of others, or gone, unless their source is ``uncertain``; and the one to go on after,
        None at the end."""
        rows = self.tx.rows(
            "SELECT f.text, f.document_id, d.uri, d.source, e.state, e.twin,"
            f" {is_hidden('f.text', 'd.source', '?2')} FROM"
            f" (SELECT text, document_id FROM document_fields {_NAMED} AND text IS NOT NULL"
            "   AND (text, document_id) > (?3, ?4) ORDER BY text, document_id LIMIT ?5) AS f"
            " JOIN documents AS d ON d.id = f.document_id"
            " LEFT JOIN job_entries AS e ON e.job_seq = ?2 AND e.uri = f.text ORDER BY f.text, f.document_id",
            kb_key, job_seq, *after, limit,
        )  # fmt: skip
        found = [
            (other, document)
            for other, document, uri, source, state, twin, is_in_unlisted in rows
            if state in _ALONE
            or (state is None and source not in uncertain and not is_in_unlisted)
            or (twin is not None and _document_of(self.tx, job_seq, twin) != uri)
        ]
        return found, (rows[-1][0], rows[-1][1]) if len(rows) >= limit else None

    def take_back(self, named: Sequence[Naming]) -> None:
        """Have documents not name these addresses any more as others of their own."""
        for other, document in named:
            self.tx.run(
                "UPDATE documents SET own_metadata ="
                " (SELECT iif(count(*), json_set(own_metadata, '$.also_at', json_group_array(value)),"
                "   json_remove(own_metadata, '$.also_at'))"
                "  FROM json_each(own_metadata, '$.also_at') WHERE value <> ?2) WHERE id = ?1",
                document, other,
            )  # fmt: skip
            self.tx.run(
                f"UPDATE documents AS d SET metadata = {EFFECTIVE_METADATA} FROM catalogue AS c"
                " WHERE d.id = ?1 AND c.kb_id = d.kb_id AND c.uri = d.uri",
                document,
            )

    def mark_same(self, job_seq: int, twins: Sequence[tuple[str, str]]) -> int:
        """Note which entries of a crawl have the same bytes as a document (uri of the document, the other one), and
        have the document read in any event: room or not, it must not be lost in favour of nothing. How many are new."""
        added = 0
        for uri, other in twins:
            self.tx.run("UPDATE job_entries SET twin = ?3 WHERE job_seq = ?1 AND uri = ?2", job_seq, other, uri)
            rows = self.tx.rows(
                "INSERT INTO job_entries (job_seq, uri, depth, source) SELECT job_seq, ?3, depth, source FROM"
                " job_entries"
                " WHERE job_seq = ?1 AND uri = ?2 AND NOT EXISTS (SELECT 1 FROM displaced_entries AS d"
                "  WHERE d.job_seq = ?1 AND d.source = job_entries.source AND d.uri = ?3)"
                " ON CONFLICT (job_seq, uri) DO NOTHING RETURNING 1",
                job_seq, other, uri,
            )  # fmt: skip
            added += len(rows)
        return added

    def settle(self, scope: Scope, job_seq: int, after: str, limit: int, at: datetime) -> str | None:
        """Give the documents of a crawl that is over the shortest of the uris that have the same bytes, by characters,
        then by alphabet. Looks at the next ``limit`` such uris; the one to go on after, None at the end."""
        rows = self.tx.rows(
            "SELECT uri, twin FROM job_entries WHERE job_seq = ? AND twin IS NOT NULL AND uri > ? ORDER BY uri LIMIT ?",
            job_seq, after, limit,
        )  # fmt: skip
        for uri, twin in rows:
            now = _document_of(self.tx, job_seq, twin)
            if (len(uri), uri) < (len(now), now):
                _rename(self.tx, scope, job_seq, now, uri, at)
        following: str | None = next_after(rows, limit)
        return following

    def are_there(self, job_seq: int) -> bool:
        """Whether a crawl has found documents of the same bytes under several uris."""
        sql = "SELECT 1 FROM job_entries WHERE job_seq = ? AND twin IS NOT NULL LIMIT 1"
        return self.tx.row(sql, job_seq) is not None


def _document_of(tx: Transaction, job_seq: int, uri: str) -> str:
    """The uri that a document has now: it may have taken a shorter one since, and that one another."""
    while True:
        taken = tx.value("SELECT twin FROM job_entries WHERE job_seq = ? AND uri = ?", job_seq, uri)
        # Only ever a shorter one, so that no circle of entries can hold the writer.
        if taken is None or (len(taken), taken) >= (len(uri), uri):
            return uri
        uri = str(taken)


_MAY_TAKE = (
    f"SELECT d.id, d.title, d.chunk_count, d.own_metadata, e.state FROM documents AS d"
    f" JOIN job_entries AS e ON e.job_seq = ?3 AND e.uri = d.uri AND e.state < {EntryState.FAILED}"
    f" JOIN job_entries AS s ON s.job_seq = ?3 AND s.uri = ?5 AND s.state = {EntryState.SKIPPED}"
    " AND s.source = e.source"
    f" WHERE d.kb_id = ?1 AND d.index_version = ?2 AND d.uri = ?4 AND d.{IS_SEARCHABLE}"
    f" AND NOT EXISTS (SELECT 1 FROM documents AS o WHERE o.kb_id = ?1 AND o.index_version = ?2 AND o.uri = ?5"
    f"  AND o.{IS_SEARCHABLE})"
    f" AND NOT EXISTS (SELECT 1 FROM documents AS o WHERE o.kb_id = ?1 AND o.uri IN (?4, ?5) AND o.{IS_IN_HAND})"
    " AND NOT EXISTS (SELECT 1 FROM failures AS f WHERE f.kb_id = ?1 AND f.uri = ?4)"
    " AND NOT EXISTS (SELECT 1 FROM requests AS r WHERE r.kb_id = ?1 AND r.uri IN (?4, ?5))"
    " AND NOT EXISTS (SELECT 1 FROM pushed AS p WHERE p.kb_id = ?1 AND p.uri IN (?4, ?5))"
    " AND NOT EXISTS (SELECT 1 FROM catalogue AS c WHERE c.kb_id = ?1 AND c.uri IN (?4, ?5)"
    f"  AND (c.skipped = 1 OR c.source = '{PUSH}'))"
)
"""Only what nobody has in hand, waits for, or has put there: what is not renamed now is looked at in the next crawl."""


def _rename(tx: Transaction, scope: Scope, job_seq: int, old: str, new: str, at: datetime) -> None:
    """Let a searchable document have another uri, with what was given to it."""
    key = scope.kb_key
    row = tx.row(_MAY_TAKE, key, scope.index_version, job_seq, old, new)
    if row is None:
        return
    document, title, chunk_count, own_metadata, state = row
    # What has no title is called by its address, and so from now on by the new one.
    titles = (title, _name(new) if title == _name(old) else title)
    if chunk_count:
        _index_anew(tx, scope, document, titles, (old, new))
    own = json.loads(own_metadata)
    named = [uri for uri in own.get("also_at", ()) if uri not in {old, new}]
    own["also_at"] = [*named[: MOST - 1], old]
    # Touched under both names, for those who follow the changes of documents.
    tx.run(
        "UPDATE documents SET own_metadata = ?2, title = ?3, metadata = metadata WHERE id = ?1",
        document, json.dumps(own), titles[1],
    )  # fmt: skip
    _move_catalogue(tx, key, old, new, at)
    tx.run(
        # Without its stamp, which the server has given for the other address.
        f"UPDATE documents AS d SET uri = ?3, stamp = NULL, changed_at = ?4, metadata = {EFFECTIVE_METADATA}"
        " FROM catalogue AS c WHERE c.kb_id = ?1 AND c.uri = ?3 AND d.id = ?2",
        key, document, new, timestamp(at),
    )  # fmt: skip
    for uri, its_state, twin in ((new, state, None), (old, EntryState.SKIPPED, new)):
        tx.run(
            "UPDATE job_entries SET state = ?3, twin = ?4 WHERE job_seq = ?1 AND uri = ?2",
            job_seq, uri, its_state, twin,
        )  # fmt: skip
    Failures(tx, key).clear([new])
    KnowledgeBases(tx).next_search_revision(key)


def _name(uri: str) -> str:
    """What a page without a title is called."""
    return basename(name_in(uri)) or uri


def _index_anew(tx: Transaction, scope: Scope, document: int, titles: tuple[str, str], uris: tuple[str, str]) -> None:
    """The words of title and uri stand with the first passage: it is taken out with the old ones and put in with the
    new."""
    first = piece_id(document, 0)
    start, stop, context = tx.rows("SELECT start, stop, context FROM chunks WHERE id = ?", first)[0]
    text = Texts(tx).slices([(document, start, stop)])[0][0]
    before, after = (
        postings.packed([Passage(first, text, context, title, uri)]) for title, uri in zip(titles, uris, strict=True)
    )
    WordIndex(tx, scope.kb_key, scope.index_version).take_out(before)
    WordIndex(tx, scope.kb_key, scope.index_version).put(after)


def _move_catalogue(tx: Transaction, key: str, old: str, new: str, at: datetime) -> None:
    """What was given to the document goes along; what the new uri has been given goes before it."""
    there = tx.row("SELECT metadata, replaces FROM catalogue WHERE kb_id = ? AND uri = ?", key, new)
    metadata, replaces = there or (None, 0)
    Catalogue(tx, key).remove(new)
    tx.run(
        "UPDATE catalogue SET uri = ?3, document_id = ?4, changed_at = ?5, replaces = max(replaces, ?7), metadata ="
        " iif(?6 IS NULL, metadata, json_patch(coalesce(metadata, '{}'), ?6)) WHERE kb_id = ?1 AND uri = ?2",
        key, old, new, document_id(knowledge_bases.name_of(key), new), timestamp(at), metadata, replaces,
    )  # fmt: skip
