"""What the source of a job has: the frontier of its crawl."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from phaseflow.store.catalogue import Catalogue
from phaseflow.store.states import (
    HAS_FAILED,
    IS_A_DOCUMENT,
    IS_LISTED,
    IS_SEARCHABLE,
    IS_TO_BE_FOLLOWED,
    EntryState,
    Reading,
)
from phaseflow.store.transaction import Transaction, json_array

_NO_PAGES = ("pdf", "docx", "doc", "xlsx", "xls", "pptx", "ppt", "odt", "ods", "odp", "epub", "rtf", "csv", "zip")
_LEADS_NOWHERE = " OR ".join(f"uri LIKE '%.{name}'" for name in _NO_PAGES)
"""SQL: the address is that of a file without links, as its name says. Whatever became of it, it hides no page."""


def leads_nowhere(uri: str) -> bool:
    """Whether an address names a file that has no links to other pages."""
    return uri.lower().endswith(tuple(f".{name}" for name in _NO_PAGES))


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """A document that the source has, and what the knowledge base holds of it: its content hash (hex) and stamp.

    ``is_skipped``: 1 when it is left out on request. ``has_failed``: 1 when it failed in an earlier job.
    ``is_held``: another source holds it; its links count. ``request``: the number of the request for it.
    """

    id: int
    uri: str
    size: int | None
    stamp: str | None
    depth: int
    known_hash: str | None = None
    known_stamp: str | None = None
    source: str = "default"
    is_skipped: int = 0
    has_failed: int = 0
    is_held: bool = False
    request: int | None = None


@dataclass(frozen=True, slots=True)
class Frontier:
    """What the sources of one job have, as far as they were listed."""

    tx: Transaction
    job_seq: int

    def add(
        self,
        found: list[tuple[str, int | None, str | None, int]],
        trust: tuple[str, int, str, str] | None,
        most: int | None = None,
        *,
        at: datetime,
        source: str = "default",
    ) -> tuple[int, int]:
        """Add (uri, size, stamp, depth) rows that are new to the crawl.

        Returns how many are new, and how many of them are unchanged. Each uri may stand there once. One that is known
        and was not read yet takes the lower depth. Of the new ones the first are added, as many as a crawl of at most
        ``most`` has room for. ``trust`` is (KB key, index version, recipe, its mark): a document whose stamp is that
        of its searchable version, which came from the same source, is unchanged and will not be read. None trusts none.
        From here on the knowledge base knows them, as held by ``source``: what another holds was taken out of them
        before (``DisplacedEntries.keep_out``).
        """
        rows = json_array(found)
        kb_key = self.tx.value("SELECT kb_id FROM ingestion_jobs WHERE seq = ?", self.job_seq)
        self.tx.run(
            # An insert that never adds: UPDATE … FROM would go through all that is open.
            "INSERT INTO job_entries (job_seq, uri, depth) SELECT ?1, value ->> 0, value ->> 3 FROM json_each(?2) AS f"
            " WHERE EXISTS (SELECT 1 FROM job_entries"
            "  WHERE job_seq = ?1 AND uri = f.value ->> 0 AND +source = ?3"
            f"  AND +{IS_LISTED} AND depth > f.value ->> 3)"
            " ON CONFLICT (job_seq, uri) DO UPDATE SET depth = excluded.depth",
            self.job_seq, rows, source,
        )  # fmt: skip
        added = self.tx.rows(
            "INSERT INTO job_entries (job_seq, uri, size, stamp, depth, source)"
            " SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, ?4 FROM json_each(?2) AS f"
            " WHERE NOT EXISTS (SELECT 1 FROM job_entries WHERE job_seq = ?1 AND uri = f.value ->> 0)"
            " LIMIT ?3 RETURNING id, uri",
            self.job_seq, rows, -1 if most is None else self.room(source, most), source,
        )  # fmt: skip
        Catalogue(self.tx, kb_key).note(source, [row[1] for row in added], at)
        if trust is None or not added:
            return len(added), 0
        unchanged = self.tx.rows(
            # The plus: by id, never through all that is listed and unread.
            f"UPDATE job_entries SET state = {EntryState.UNCHANGED}"
            f" WHERE id >= ?1 AND +job_seq = ?2 AND {IS_LISTED} AND stamp IS NOT NULL"
            " AND EXISTS (SELECT 1 FROM documents AS d WHERE d.kb_id = ?3 AND d.index_version = ?4"
            f"  AND d.uri = job_entries.uri AND d.{IS_SEARCHABLE} AND d.stamp = job_entries.stamp"
            "  AND d.source = job_entries.source"
            "  AND d.recipe IN (?5, ?5 || ?6))"
            " RETURNING 1",
            added[0][0], self.job_seq, *trust,
        )  # fmt: skip
        return len(added), len(unchanged)

    def add_returned(self, source: str, uris: Sequence[str]) -> int:
        """Note which documents of a source, that the crawl did not find, are there again; how many. They are not read
        and not counted, and what search sees of them stays."""
        rows = self.tx.rows(
            "INSERT INTO job_entries (job_seq, uri, source, state)"
            f" SELECT ?1, value, ?2, {EntryState.RETURNED} FROM json_each(?3) AS f WHERE EXISTS"
            " (SELECT 1 FROM catalogue AS c WHERE c.kb_id = (SELECT kb_id FROM ingestion_jobs WHERE seq = ?1)"
            "  AND c.uri = f.value AND c.source = ?2)"
            " ON CONFLICT (job_seq, uri) DO UPDATE SET state = excluded.state"
            f" WHERE state = {EntryState.GONE} AND source = excluded.source RETURNING 1",
            self.job_seq, source, json_array(list(uris)),
        )  # fmt: skip
        return len(rows)

    def add_found_again(self, source: str, uris: Sequence[str], at: datetime) -> None:
        """Note pages that a source has again which were no documents, or were not found, when the crawl came by. As in
        ``add_returned``, what search sees of them stays."""
        Catalogue(self.tx, self.tx.value("SELECT kb_id FROM ingestion_jobs WHERE seq = ?", self.job_seq)).note(
            source, list(uris), at
        )
        self.tx.run(
            "INSERT INTO job_entries (job_seq, uri, source, state)"
            f" SELECT ?1, value, ?2, {EntryState.RETURNED} FROM json_each(?3) WHERE true"
            " ON CONFLICT (job_seq, uri) DO UPDATE SET state = excluded.state"
            f" WHERE state IN ({EntryState.GONE}, {EntryState.SKIPPED:d}) AND source = excluded.source",
            self.job_seq, source, json_array(list(uris)),
        )  # fmt: skip

    def among(self, uris: Sequence[str]) -> set[str]:
        """Those of some documents that the crawl has found."""
        rows = self.tx.rows(
            "SELECT uri FROM job_entries WHERE job_seq = ? AND uri IN (SELECT value FROM json_each(?))",
            self.job_seq, json_array(list(uris)),
        )  # fmt: skip
        return {row[0] for row in rows}

    def count(self) -> int:
        """How many documents the crawl has found so far, without those that turned out to be none."""
        sql = f"SELECT count(*) FROM job_entries WHERE job_seq = ? AND {IS_A_DOCUMENT}"
        return int(self.tx.value(sql, self.job_seq))

    def any_failed(self, source: str) -> bool:
        """Whether a document that the source has could not be read, and may lead to others."""
        return bool(self.failed(source, 1))

    def failed(self, source: str, most: int) -> list[str]:
        """The first of the documents of the source that could not be read, and may lead to others."""
        failed = f"{HAS_FAILED} AND state = {EntryState.FAILED} AND NOT ({_LEADS_NOWHERE})"  # the first, for the index
        rows = self.tx.rows(
            f"SELECT uri FROM job_entries WHERE job_seq = ? AND {failed} AND source = ? ORDER BY id LIMIT ?",
            self.job_seq, source, most,
        )  # fmt: skip
        return [row[0] for row in rows]

    def has_unread(self, source: str | None = None) -> bool:
        """Whether anything is still to be read, for its links too; of one source, or of all."""
        which = "job_seq = ?1" if source is None else "job_seq = ?1 AND source = ?2"
        found = self.tx.value(
            f"SELECT EXISTS (SELECT 1 FROM job_entries WHERE {which} AND {IS_LISTED})"
            f" OR EXISTS (SELECT 1 FROM displaced_entries WHERE {which} AND {IS_TO_BE_FOLLOWED})",
            self.job_seq, *([] if source is None else [source]),
        )  # fmt: skip
        return bool(found)

    def finish_listing(self) -> None:
        """All sources have been listed to their end, or cannot be."""
        self.tx.run("UPDATE ingestion_jobs SET listed = 1 WHERE seq = ?", self.job_seq)

    def open_page(
        self,
        source: str,
        limit: int,
        known: tuple[str, int, str, str],
        *,
        aside: Sequence[int] = (),
        only: Sequence[int] | None = None,
        passed: Sequence[int] = (),
    ) -> list[ListedEntry]:
        """The first documents of a source not read yet, all of the lowest depth there is: short ways come first.

        ``known`` is (KB key, index version, recipe, its mark) of what is searchable. Those with the ids ``aside`` are
        left out, but none is deeper than those of them that are not ``passed``. With ``only``, those with these ids
        are all that there is.
        """
        among = f"{'NOT IN' if only is None else 'IN'} (SELECT value FROM json_each(?8))"
        lowest = "NOT IN (SELECT value FROM json_each(?9))" if only is None else among
        rows = self.tx.rows(
            "SELECT e.id, e.uri, e.size, e.stamp, e.depth, iif(r.anew, NULL, d.content_hash),"
            " iif(d.source = e.source, d.stamp, NULL), e.source,"
            " coalesce(c.skipped, 0),"
            " EXISTS (SELECT 1 FROM failures AS f WHERE f.kb_id = ?3 AND f.uri = e.uri AND abs(f.job_seq) <> ?1), 0,"
            " r.id"
            " FROM job_entries AS e"
            " LEFT JOIN requests AS r ON r.kb_id = ?3 AND r.uri = e.uri AND r.job_seq = ?1"
            " LEFT JOIN catalogue AS c ON c.kb_id = ?3 AND c.uri = e.uri"
            f" LEFT JOIN documents AS d ON d.kb_id = ?3 AND d.index_version = ?4 AND d.uri = e.uri"
            f"  AND d.{IS_SEARCHABLE} AND d.recipe IN (?5, ?5 || ?6)"
            f" WHERE e.job_seq = ?1 AND e.source = ?7 AND e.{IS_LISTED} AND e.id {among}"
            "  AND e.depth = (SELECT min(depth) FROM job_entries"
            f"   WHERE job_seq = ?1 AND source = ?7 AND {IS_LISTED} AND id {lowest})"
            " ORDER BY e.id LIMIT ?2",
            self.job_seq, limit, *known, source, json_array(aside if only is None else only), json_array(passed),
        )  # fmt: skip
        return [ListedEntry(*row) for row in rows]

    def settle(self, ids: list[int], state: EntryState) -> None:
        """Note what became of documents."""
        self.tx.run(
            # The plus: by id, never through all that the crawl has.
            "UPDATE job_entries SET state = ?3 WHERE +job_seq = ?1 AND id IN (SELECT value FROM json_each(?2))",
            self.job_seq, json_array(ids), state,
        )  # fmt: skip

    def requeue_failed(self, limit: int) -> list[str]:
        """Let up to ``limit`` failed documents be read again; their uris."""
        rows = self.tx.rows(
            f"UPDATE job_entries SET state = {EntryState.LISTED} WHERE id IN"
            f" (SELECT id FROM job_entries WHERE job_seq = ? AND {HAS_FAILED} LIMIT ?) RETURNING uri",
            self.job_seq, limit,
        )  # fmt: skip
        return [row[0] for row in rows]

    def room(self, source: str, most: int) -> int:
        """How many more documents of a source a crawl of at most ``most`` takes."""
        found = self.tx.value(
            "SELECT (SELECT count(*) FROM job_entries WHERE job_seq = ?1 AND source = ?2) + (SELECT count(*)"
            f" FROM displaced_entries WHERE job_seq = ?1 AND source = ?2 AND holder <> ?2"
            f" AND reading <> {Reading.NOT})",
            self.job_seq, source,
        )  # fmt: skip
        return max(0, most - int(found))


@dataclass(frozen=True, slots=True)
class KnownVersions:
    """The searchable versions of an index version, by which a crawl knows what it need not read again."""

    tx: Transaction
    kb_key: str
    index_version: int

    def of(self, uris: Sequence[str]) -> list[tuple[str, str, str | None]]:
        """(uri, content hash in hex, stamp) of the searchable versions of documents."""
        rows = self.tx.rows(
            "SELECT uri, content_hash, stamp FROM documents"
            " WHERE kb_id = ?1 AND index_version = ?2 AND uri IN (SELECT value FROM json_each(?3))"
            f" AND {IS_SEARCHABLE}",
            self.kb_key, self.index_version, json_array(list(uris)),
        )  # fmt: skip
        return [(uri, digest, stamp) for uri, digest, stamp in rows]

    def refresh_stamps(self, stamps: list[tuple[str, str | None]], source: str = "default") -> None:
        """Note the newest stamps of documents that were read and found unchanged, so that they need not be read again,
        and the source that has them now."""
        self.tx.run(
            "UPDATE documents SET stamp = s.stamp, source = ?4"
            " FROM (SELECT value ->> 0 AS uri, value ->> 1 AS stamp FROM json_each(?3)) AS s"
            f" WHERE kb_id = ?1 AND index_version = ?2 AND documents.uri = s.uri AND {IS_SEARCHABLE}",
            self.kb_key, self.index_version, json_array(stamps), source,
        )  # fmt: skip
