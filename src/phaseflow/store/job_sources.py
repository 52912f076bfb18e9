"""The sources of a job: which have been listed to their end, which could not be, and what is said of them."""

import json
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, Self

from phaseflow.domain.phase import kept_error
from phaseflow.store.states import EntryState
from phaseflow.store.transaction import Transaction, json_array


def was_found_gone(entry: str, source: str) -> str:
    """SQL: a job has asked ``source`` for the document of ``entry`` (an alias of ``job_entries``), and it is one no
    longer. So it goes, whatever of the source could not be read. That something is not there says so only of a source
    that was there to the end."""
    return (
        f"({entry}.source IS {source} AND ({entry}.state IS {EntryState.SKIPPED} OR {entry}.state IS {EntryState.GONE}"
        f" AND EXISTS (SELECT 1 FROM job_sources AS js WHERE js.job_seq = {entry}.job_seq AND js.name = {source}"
        "  AND js.listed = 1 AND js.error IS NULL)))"
    )


class Kept(NamedTuple):
    """How many searchable documents of a source were not found, and stay, and because of what: ``pages`` that could not
    be read and may lead to them, the first two, or ``why`` the source could not; neither where its own error says so.
    """

    number: int
    pages: tuple[str, ...] = ()
    why: str | None = None


class SourceNotes(NamedTuple):
    """What a status says of the sources of a job, by name. ``errors``: why they could not be read; ``displaced``: how
    many documents are left out, by the source that holds their uris, and one of them; ``canonical``: the same of those
    that name another as the one that stands for them; ``kept``: what stays though it was not found."""

    errors: Mapping[str, str] = MappingProxyType({})
    displaced: Mapping[str, Mapping[str, tuple[int, str]]] = MappingProxyType({})
    canonical: Mapping[str, tuple[int, str]] = MappingProxyType({})
    kept: Mapping[str, Kept] = MappingProxyType({})

    @classmethod
    def parse(cls, notes: str) -> Self:
        """From what ``NOTES`` selects."""
        found = json.loads(notes)
        if not found:
            return cls()
        return cls(
            errors={name: error for name, error, *_ in found if error is not None},
            displaced={name: some for name, _, some, *_ in found if some},
            canonical={name: tuple(some) for name, _, _, some, _ in found if some},
            kept={name: Kept(some[0], tuple(some[1]), some[2]) for name, *_, some in found if some},
        )


NOTES: Final = (
    "(SELECT json_group_array(json_array(name, error, json(displaced), json(canonical), json(kept)))"
    "  FROM job_sources WHERE job_seq = seq)"
)
"""SQL: the notes on the sources of a job ``seq``."""


class JobSources(NamedTuple):
    """The sources of one job."""

    tx: Transaction
    job_seq: int

    def finish(self, name: str) -> None:
        """A source has been listed to its end: what it does not have any more is known."""
        self.tx.run(
            "INSERT INTO job_sources (job_seq, name, listed) VALUES (?, ?, 1)"
            " ON CONFLICT (job_seq, name) DO UPDATE SET listed = 1",
            self.job_seq, name,
        )  # fmt: skip

    def fail(self, name: str, error: str) -> None:
        """A source cannot be listed, or read, any further in this job. The first error stays."""
        self.tx.run(
            "INSERT INTO job_sources (job_seq, name, error) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (job_seq, name) DO UPDATE SET error = coalesce(error, ?3)",
            self.job_seq, name, kept_error(error),
        )  # fmt: skip

    def add_canonical(self, name: str, uris: Sequence[str]) -> None:
        """These of the source are left out, too, in favour of the documents that they name as standing for them."""
        self.tx.run(
            "INSERT INTO job_sources (job_seq, name, canonical) VALUES (?1, ?2, json_array(?3, ?4))"
            " ON CONFLICT (job_seq, name) DO UPDATE SET canonical ="
            "  json_array(coalesce(canonical ->> 0, 0) + ?3, coalesce(canonical ->> 1, ?4))",
            self.job_seq, name, len(uris), uris[0],
        )  # fmt: skip

    def set_kept(self, kept: Mapping[str, Kept]) -> None:
        """What is known now of documents that stay: it takes the place of what was known before."""
        self.tx.run("UPDATE job_sources SET kept = NULL WHERE job_seq = ? AND kept IS NOT NULL", self.job_seq)
        for name, (number, pages, why) in kept.items():
            self.tx.run(
                "INSERT INTO job_sources (job_seq, name, kept) VALUES (?1, ?2, ?3)"
                " ON CONFLICT (job_seq, name) DO UPDATE SET kept = excluded.kept",
                self.job_seq, name, json_array([number, pages, None if why is None else kept_error(why)]),
            )  # fmt: skip

    def has_kept(self) -> bool:
        """Whether a document of any of them is said to stay."""
        sql = "SELECT 1 FROM job_sources WHERE job_seq = ? AND kept IS NOT NULL LIMIT 1"
        return self.tx.row(sql, self.job_seq) is not None

    def forget_failures(self) -> None:
        """Let the sources that failed be tried again."""
        self.tx.run("UPDATE job_sources SET error = NULL WHERE job_seq = ?", self.job_seq)

    def listed(self) -> set[str]:
        """Those that have been listed to their end."""
        return {
            row[0]
            for row in self.tx.rows("SELECT name FROM job_sources WHERE job_seq = ? AND listed = 1", self.job_seq)
        }

    def failed(self) -> dict[str, str]:
        """Those that could not be listed or read, and why."""
        return dict(
            self.tx.rows(
                "SELECT name, error FROM job_sources WHERE job_seq = ? AND error IS NOT NULL ORDER BY name",
                self.job_seq,
            )
        )

    def uncertain(self, names: Collection[str]) -> list[str]:
        """Those of the job's sources of which nobody knows what they do not have any more: nothing of them is gone."""
        return [
            row[0]
            for row in self.tx.rows(
                "SELECT value FROM json_each(?2) WHERE value NOT IN"
                " (SELECT name FROM job_sources WHERE job_seq = ?1 AND listed = 1 AND error IS NULL)",
                self.job_seq, json_array(sorted(names)),
            )
        ]  # fmt: skip


def are_kept_from(tx: Transaction, kb_key: str, others: Collection[str], holders: Collection[str]) -> bool:
    """Whether any of the sources ``others``, when it was listed last, had documents under uris that ``holders`` have:
    once these do not have them any more, nobody sees them before the others are listed, too."""
    found: list[str | None] = [
        tx.value(
            "SELECT s.displaced FROM ingestion_jobs AS j JOIN job_sources AS s ON s.job_seq = j.seq AND s.name = ?2"
            " AND s.listed = 1 WHERE j.kb_id = ?1 ORDER BY j.seq DESC LIMIT 1",
            kb_key, name,
        )
        for name in sorted(others)
    ]  # fmt: skip
    return any(set(holders) & json.loads(each).keys() for each in found if each is not None)
