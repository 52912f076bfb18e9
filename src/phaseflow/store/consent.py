"""Whether a job may take out most of a source: what it has asked, who has answered, and what the source had before."""

from collections.abc import Collection
from typing import Final, NamedTuple

from phaseflow.domain.deletions import WOULD_DELETE, is_named
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.vocabulary import JobPhase, PhaseStatus
from phaseflow.store.transaction import Transaction

_ASKED: Final = (
    f"t.phase = '{JobPhase.INDEXING}' AND t.to_status = '{PhaseStatus.PAUSED}' AND t.reason LIKE '{WOULD_DELETE}%'"
)


class Consent(NamedTuple):
    """What jobs have asked, and what they were answered."""

    tx: Transaction

    def note(self, before: IngestionState, after: IngestionState) -> None:
        """Note with a change of a job whether it asks before taking out documents, or somebody who resumes it says
        yes."""
        is_answer = _asks(before) and not after[JobPhase.INDEXING].held and not after.cancelled
        if is_answer or (_asks(after) and not _asks(before)):
            self.tx.run("UPDATE ingestion_jobs SET allow_deletes = ? WHERE id = ?", is_answer, after.job_id)

    def given(self, job_id: str, names: Collection[str]) -> bool:
        """Whether a job may take out any number of documents of these sources. A yes that was said beforehand is for
        all sources, the answer to a question for those that it named."""
        if not self.tx.value("SELECT allow_deletes FROM ingestion_jobs WHERE id = ?", job_id):
            return False
        asked = self.tx.rows(f"SELECT t.reason FROM transitions AS t WHERE t.job_id = ? AND {_ASKED}", job_id)
        return not asked or all(any(is_named(name, reason) for (reason,) in asked) for name in names)

    def was_asked(self, job_id: str) -> bool:
        """Whether a job has waited for an answer, and its sources may have changed meanwhile."""
        asked = self.tx.row(f"SELECT 1 FROM transitions AS t WHERE t.job_id = ? AND {_ASKED} LIMIT 1", job_id)
        return asked is not None

    def counted_from(self, kb_key: str, job_seq: int) -> str:
        """The time before which a document must have been known to count as one that its source had before a job.

        That is when the job was created, whatever it has found since. If earlier jobs have asked the same and were
        cancelled instead, it is when the first of them was: else what they have added would make the share smaller, and
        the next job would not ask again.
        """
        return str(
            self.tx.value(
                "SELECT min(created_at) FROM ingestion_jobs AS j WHERE kb_id = ?1 AND seq <= ?2 AND seq > coalesce("
                " (SELECT seq FROM ingestion_jobs AS o WHERE kb_id = ?1 AND seq < ?2 AND lists = 1 AND EXISTS"
                "  (SELECT 1 FROM ingestion_phase_status AS p WHERE p.job_id = o.id"
                f"   AND p.phase_name = '{JobPhase.INDEXING}' AND p.status = '{PhaseStatus.COMPLETED}')"
                "  ORDER BY seq DESC LIMIT 1), 0)"
                f" AND (seq = ?2 OR EXISTS (SELECT 1 FROM transitions AS t WHERE t.job_id = j.id AND {_ASKED}))",
                kb_key, job_seq,
            )
        )  # fmt: skip


def _asks(state: IngestionState) -> bool:
    phase = state[JobPhase.INDEXING]
    return phase.held and (phase.hold_reason or "").startswith(WOULD_DELETE)
