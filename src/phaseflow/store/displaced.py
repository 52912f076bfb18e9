"""Documents that sources have under uris that others hold: a uri is one document, and it stays with its holder.

Beside them, those that a source holds itself and has to read once more for their links (``holder`` is ``source``).

What was pushed goes before what any source has. Between sources, the one that the catalogue names keeps a uri for as
long as it is a source of the knowledge base: which of two lists first differs from job to job.
"""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from phaseflow.store.catalogue import PUSH
from phaseflow.store.crawl_frontier import ListedEntry
from phaseflow.store.states import IS_TO_BE_FOLLOWED, WAS_READ, Reading
from phaseflow.store.transaction import Transaction, json_array

Found = tuple[str, int | None, str | None, int]
"""(uri, size, stamp, depth) as a source has listed it."""


class DisplacedEntry(NamedTuple):
    """A document of a source that is left out of a job."""

    source: str
    uri: str
    size: int | None
    stamp: str | None
    depth: int


@dataclass(frozen=True, slots=True)
class DisplacedEntries:
    """What the sources of one job have, and others hold."""

    tx: Transaction
    job_seq: int

    def keep_out(
        self,
        source: str,
        found: Sequence[Found],
        kb_key: str,
        others: Collection[str],
        over: Collection[str],
        *,
        follow: int = 0,
    ) -> list[Found]:
        """Of what a source has listed, what may come into the job; the rest is noted as left out.

        ``others`` are the sources whose documents stay theirs, ``over`` those that have nothing more to list in this
        job. Of what is left out, the first ``follow`` are to be read for what they lead to.
        """
        uris = json_array([row[0] for row in found])
        before = set(
            self.tx.rows(
                "SELECT holder, uri FROM displaced_entries WHERE job_seq = ?1 AND source = ?2 AND holder <> ?2"
                " AND uri IN (SELECT value FROM json_each(?3))",
                self.job_seq, source, uris,
            )
        )  # fmt: skip
        held = {} if source == PUSH else self._holders(source, uris, kb_key, set(others), set(over))
        now = {(holder, uri) for uri, holder in held.items()}
        more, less = now - before, before - now
        if less:
            self.tx.run(
                "DELETE FROM displaced_entries WHERE job_seq = ?1 AND source = ?2"
                " AND uri IN (SELECT value FROM json_each(?3))",
                self.job_seq, source, json_array([uri for _, uri in less]),
            )  # fmt: skip
        if more:
            rows = {row[0]: row for row in found}
            self.tx.run(
                "INSERT INTO displaced_entries (job_seq, source, holder, uri, size, stamp, depth, reading)"
                " SELECT ?1, ?2, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,"
                f" iif(key < ?4, {Reading.LISTED}, {Reading.NOT:d}) FROM json_each(?3) WHERE true"
                " ON CONFLICT (job_seq, source, uri)"
                " DO UPDATE SET holder = excluded.holder, reading = excluded.reading",
                self.job_seq, source, json_array([(holder, *rows[uri]) for holder, uri in sorted(more)]), follow,
            )  # fmt: skip
        if more or less:
            self._count(source, Counter(holder for holder, _ in more), Counter(holder for holder, _ in less))
        return [row for row in found if row[0] not in held]

    def read_again(self, source: str, found: Sequence[Found]) -> None:
        """Have pages of a source be read for what they lead to once more, where a shorter way to them was ``found``
        after they had been read: how far a crawl of limited depth goes from a page follows from its own depth."""
        rows, again = json_array(found), "DO UPDATE SET depth = excluded.depth, reading = excluded.reading"
        self.tx.run(
            "INSERT INTO displaced_entries (job_seq, source, holder, uri, depth, reading)"
            f" SELECT ?1, ?2, d.holder, d.uri, f.value ->> 3, {Reading.LISTED:d} FROM json_each(?3) AS f"
            " CROSS JOIN displaced_entries AS d ON d.job_seq = ?1 AND d.source = ?2 AND d.uri = f.value ->> 0"
            f" WHERE d.depth > f.value ->> 3 AND d.reading <> {Reading.NOT:d}"
            f" ON CONFLICT (job_seq, source, uri) {again}",
            self.job_seq, source, rows,
        )  # fmt: skip
        nearer = self.tx.rows(
            "INSERT INTO displaced_entries (job_seq, source, holder, uri, depth, reading)"
            f" SELECT ?1, ?2, ?2, e.uri, f.value ->> 3, {Reading.LISTED:d} FROM json_each(?3) AS f"
            " CROSS JOIN job_entries AS e ON e.job_seq = ?1 AND e.uri = f.value ->> 0"
            f" WHERE e.source = ?2 AND e.{WAS_READ} AND e.depth > f.value ->> 3"
            "  AND NOT EXISTS (SELECT 1 FROM ingestion_jobs AS j JOIN catalogue AS c ON c.kb_id = j.kb_id"
            "   AND c.uri = e.uri AND c.skipped WHERE j.seq = ?1)"
            f" ON CONFLICT (job_seq, source, uri) {again} RETURNING uri, depth",
            self.job_seq, source, rows,
        )  # fmt: skip
        if nearer:
            self.tx.run(
                "INSERT INTO job_entries (job_seq, uri, depth) SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2)"
                " WHERE true ON CONFLICT (job_seq, uri) DO UPDATE SET depth = excluded.depth",
                self.job_seq, json_array(nearer),
            )  # fmt: skip

    def has_any(self, holder: str) -> bool:
        """Whether anything of other sources is left out because of this one."""
        sql = "SELECT 1 FROM displaced_entries WHERE job_seq = ? AND holder = ? AND source <> holder LIMIT 1"
        return self.tx.row(sql, self.job_seq, holder) is not None

    def open_page(
        self, source: str, limit: int, *, aside: Sequence[int], only: Sequence[int] | None
    ) -> list[ListedEntry]:
        """The first pages of a source that others hold and that are still to be read for what they lead to, without
        those ``aside``, or of ``only`` these. Their ids are negative."""
        which = "NOT IN" if only is None else "IN"
        rows = self.tx.rows(
            "SELECT -id, uri, size, stamp, depth FROM displaced_entries WHERE job_seq = ?1 AND source = ?2"
            f" AND {IS_TO_BE_FOLLOWED} AND -id {which} (SELECT value FROM json_each(?4)) ORDER BY depth, id LIMIT ?3",
            self.job_seq, source, limit, json_array(aside if only is None else only),
        )  # fmt: skip
        return [
            ListedEntry(key, uri, size, stamp, depth, source=source, is_held=True)
            for key, uri, size, stamp, depth in rows
        ]

    def settle(self, ids: Sequence[int]) -> None:
        """Note that pages have been read for what they lead to."""
        if ids:
            self.tx.run(
                f"UPDATE displaced_entries SET reading = {Reading.READ} WHERE id IN (SELECT -value FROM json_each(?))",
                json_array(ids),
            )

    def given_up(
        self, holder: str, after: tuple[str, str], limit: int
    ) -> tuple[list[DisplacedEntry], tuple[str, str] | None]:
        """Of the next ``limit`` documents left out because of a source, by (source, uri), those that it does not have
        in this job; and what to go on after, None at the end."""
        rows = self.tx.rows(
            "SELECT d.source, d.uri, d.size, d.stamp, d.depth,"
            " EXISTS (SELECT 1 FROM job_entries AS e WHERE e.job_seq = ?1 AND e.uri = d.uri)"
            " FROM displaced_entries AS d WHERE d.job_seq = ?1 AND d.holder = ?2 AND d.source <> ?2"
            "  AND (d.source, d.uri) > (?3, ?4)"
            " ORDER BY d.source, d.uri LIMIT ?5",
            self.job_seq, holder, *after, limit,
        )  # fmt: skip
        free = [DisplacedEntry(source, *found) for source, *found, is_there in rows if not is_there]
        return free, (rows[-1][0], rows[-1][1]) if rows else None

    def _holders(self, source: str, uris: str, kb_key: str, others: set[str], over: set[str]) -> dict[str, str]:
        """Who holds these uris, where it is not ``source``."""
        rows = self.tx.rows(
            "SELECT f.value, c.source, e.source, p.id FROM json_each(?3) AS f"
            " LEFT JOIN pushed AS p ON p.kb_id = ?2 AND p.uri = f.value"
            " LEFT JOIN catalogue AS c ON c.kb_id = ?2 AND c.uri = f.value"
            " LEFT JOIN job_entries AS e ON e.job_seq = ?1 AND e.uri = f.value"
            " WHERE p.id IS NOT NULL OR c.source <> ?4 OR e.source <> ?4",
            self.job_seq, kb_key, uris, source,
        )  # fmt: skip
        held = {}
        for uri, known, listed, pushed in rows:
            if pushed is not None:
                held[uri] = PUSH
            elif listed in others - {source}:
                held[uri] = listed
            elif listed is None and known in others - over - {source}:
                held[uri] = known
        return held

    def _count(self, source: str, more: Counter[str], less: Counter[str]) -> None:
        """Keep the numbers that the status tells, with one uri for each holder."""
        stored = self.tx.value("SELECT displaced FROM job_sources WHERE job_seq = ? AND name = ?", self.job_seq, source)
        numbers: dict[str, tuple[int, str]] = json.loads(stored or "{}")
        for holder in {*more, *less}:
            number = numbers.pop(holder, (0, ""))[0] + more[holder] - less[holder]
            if number > 0:
                numbers[holder] = (number, self._first(holder, source))
        self.tx.run(
            "INSERT INTO job_sources (job_seq, name, displaced) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (job_seq, name) DO UPDATE SET displaced = ?3",
            self.job_seq, source, json.dumps(numbers, sort_keys=True) if numbers else None,
        )  # fmt: skip

    def _first(self, holder: str, source: str) -> str:
        sql = "SELECT min(uri) FROM displaced_entries WHERE job_seq = ? AND holder = ? AND source = ?"
        return str(self.tx.value(sql, self.job_seq, holder, source))
