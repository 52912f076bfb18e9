"""Jobs, their phases and the transition log. State and log change in one transaction, by compare-and-set."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from phaseflow.domain.errors import JobNotFound, StaleRun
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.lease import Lease
from phaseflow.domain.phase import PhaseState
from phaseflow.domain.status import Transition, timestamp
from phaseflow.domain.transitions import check_job_move
from phaseflow.domain.vocabulary import PHASES, Intent, JobPhase, JobStatus, PhaseStatus, WaitingOn
from phaseflow.store.consent import Consent
from phaseflow.store.job_sources import NOTES, SourceNotes
from phaseflow.store.knowledge_bases import IS_LIVE, KEY_OF, name_of
from phaseflow.store.transaction import Row, Transaction, json_array
from phaseflow.store.transitions import TransitionLog


class JobRecord(NamedTuple):
    """A job as the database holds it. ``newest``: no later job of its knowledge base exists.
    ``notes``: what is to be said of its sources. ``lists``: it lists them, and does not only take what is asked for.

    ``made_again``: what of the index it makes again, and why. ``last_signs``: when each phase was written last.
    """

    seq: int
    state: IngestionState
    sources: str | None
    settings: str
    full: bool
    lists: bool
    attempt: int
    index_version: int | None
    model: str | None
    listed: bool
    documents_deleted: int
    documents_failed: int
    characters_sent: int
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    newest: bool
    made_again: str | None = None
    notes: SourceNotes = SourceNotes()
    last_signs: Mapping[JobPhase, datetime] = MappingProxyType({})


_PHASE = (
    "status, progress, items_processed, items_total, items_failed, items_reused, items_available, started_at,"
    " completed_at, active_seconds, running_since, waiting_on, held, hold_reason, error, note"
)
_JOB = (
    "seq, id, (SELECT name FROM knowledge_bases AS k WHERE k.id = ingestion_jobs.kb_id), managed, sources, settings,"
    " full_run, lists, attempt, index_version, model, held, hold_reason, intent, intent_phases,"
    " queued_at, listed, documents_deleted, documents_failed, characters_sent, cancelled_at, created_at, started_at,"
    " completed_at, lease_s, lease_until, can_retry, made_again,"
    " seq = (SELECT max(seq) FROM ingestion_jobs AS other WHERE other.kb_id = ingestion_jobs.kb_id),"
    f" {NOTES},"
    f" (SELECT json_group_array(json_array(phase_name, updated_at, {_PHASE})) FROM"
    "  (SELECT * FROM ingestion_phase_status WHERE job_id = ingestion_jobs.id ORDER BY id))"
)
"""With its phases in one statement: each is a step to SQLite, and the status is what is read most."""
_SET_PHASE = ", ".join(f"{column.strip()} = ?" for column in _PHASE.split(","))


def parse_time(text: str | None) -> datetime | None:
    """A stored time, or None."""
    return None if text is None else datetime.fromisoformat(text)


def format_time(at: datetime | None) -> str | None:
    """A time as it is stored, or None."""
    return None if at is None else timestamp(at)


class Jobs(NamedTuple):
    """All jobs: each with its phases, in its knowledge base."""

    tx: Transaction

    def create(
        self,
        state: IngestionState,
        *,
        sources: str | None,
        settings: str,
        full: bool,
        at: datetime,
        allow_deletes: bool = False,
        lists: bool = True,
        made_again: str | None = None,
    ) -> None:
        """Store a new job with its four phases, none of them started. No transition: it comes from nowhere."""
        self.tx.run(
            "INSERT INTO ingestion_jobs (id, kb_id, managed, sources, settings, full_run, created_at, made_again,"
            f" lease_s, can_retry, allow_deletes, lists) VALUES (?, {KEY_OF}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            state.job_id, state.kb_id, state.managed, sources, settings, full, timestamp(at), made_again,
            state.lease and state.lease.seconds, bool(state.lease and state.lease.can_retry), allow_deletes, lists,
        )  # fmt: skip
        self.tx.run(
            "INSERT INTO ingestion_phase_status (job_id, phase_name, status, created_at, updated_at)"
            " SELECT ?1, value, 'not_started', ?2, ?2 FROM json_each(?3)",
            state.job_id, timestamp(at), json_array(PHASES),
        )  # fmt: skip
        for phase in state.phases:
            _save_phase(self.tx, state.job_id, PhaseState(phase.name), phase, at)
        _save_job(self.tx, state, at)

    def record(self, job_id: str) -> JobRecord:
        """One job. Raises JobNotFound."""
        row = self.tx.row(f"SELECT {_JOB} FROM ingestion_jobs WHERE id = ? AND {IS_LIVE}", job_id)
        if row is None:
            raise JobNotFound(job_id)
        return _record(row)

    def latest(self, kb_id: str) -> JobRecord | None:
        """The newest job of a knowledge base, or None when it has never run."""
        row = self.tx.row(f"SELECT {_JOB} FROM ingestion_jobs WHERE kb_id = {KEY_OF} ORDER BY seq DESC LIMIT 1", kb_id)
        return None if row is None else _record(row)

    def newest(self) -> list[JobRecord]:
        """The newest job of each knowledge base."""
        rows = self.tx.rows(
            f"SELECT {_JOB} FROM ingestion_jobs WHERE seq IN"
            " (SELECT (SELECT max(seq) FROM ingestion_jobs WHERE kb_id = k.id) FROM knowledge_bases AS k"
            "  WHERE k.name IS NOT NULL)"
        )
        return [_record(row) for row in rows]

    def history(self, kb_id: str, limit: int, before: int | None) -> list[JobRecord]:
        """Jobs of a knowledge base, newest first, older than the job number ``before``."""
        rows = self.tx.rows(
            f"SELECT {_JOB} FROM ingestion_jobs WHERE kb_id = (SELECT id FROM knowledge_bases WHERE name = ?1)"
            " AND (?2 IS NULL OR seq < ?2) ORDER BY seq DESC LIMIT ?3",
            kb_id, before, limit,
        )  # fmt: skip
        return [_record(row) for row in rows]

    def unfinished(self) -> list[JobRecord]:
        """Jobs that are not over, or wait in the queue, or have a phase that is said to run, oldest first."""
        rows = self.tx.rows(
            f"SELECT {_JOB} FROM ingestion_jobs WHERE {IS_LIVE} AND (completed_at IS NULL OR intent IS NOT NULL"
            " OR id IN (SELECT job_id FROM ingestion_phase_status WHERE status = 'running')) ORDER BY seq"
        )
        return [_record(row) for row in rows]

    def count_unfinished(self) -> int:
        """How many jobs are not over, or wait in the queue."""
        return int(
            self.tx.value("SELECT count(*) FROM ingestion_jobs WHERE completed_at IS NULL OR intent IS NOT NULL")
        )

    def queued(self) -> list[tuple[str, str]]:
        """(job id, KB id) of the jobs that wait for a slot, first come first."""
        rows = self.tx.rows(
            "SELECT id, kb_id FROM ingestion_jobs WHERE intent IS NOT NULL AND managed ORDER BY queued_at, seq"
        )
        return [(row[0], name_of(row[1])) for row in rows]

    def save(
        self, before: IngestionState, after: IngestionState, *, reason: str | None, at: datetime
    ) -> list[Transition]:
        """Store what changed and log the transitions, phases first, then the job.

        Raises InvalidTransition for a change of the job's status that the table forbids, StaleRun when the database
        holds another status than ``before``.
        """
        status, was = after.get_overall_status(), before.get_overall_status()
        check_job_move(was, status)
        logged = []
        for old, new in zip(before.phases, after.phases, strict=True):
            if old != new:
                _save_phase(self.tx, after.job_id, old, new, at)
            if old.status != new.status:
                logged.append(
                    TransitionLog(self.tx).append(after, new.name, (old.status, new.status), (reason, new.error), at)
                )
        if after != before:
            _save_job(self.tx, after, at)
        Consent(self.tx).note(before, after)
        if is_released(before, after):
            self.tx.run("UPDATE ingestion_jobs SET characters_sent = 0 WHERE id = ?", after.job_id)
        if status != was:
            error = next((p.error for p in after.phases if p.status is PhaseStatus.FAILED), None)
            if status is JobStatus.PAUSED:  # what led to it may have no reason: the end of the phase before a held one
                reason = reason or after.why_paused(after.get_current_phase())
            logged.append(TransitionLog(self.tx).append(after, None, (was, status), (reason, error), at))
        return logged

    def begin_attempt(self, job_id: str, made_again: str | None = None) -> int:
        """A new attempt of the job, whose number its writes carry; the one before can write no more."""
        sql = "UPDATE ingestion_jobs SET attempt = attempt + 1, made_again = ?2 WHERE id = ?1 RETURNING attempt"
        return int(self.tx.value(sql, job_id, made_again))

    def set_target(self, job_id: str, index_version: int, model: str) -> None:
        """Note which documents and which vectors the job writes."""
        self.tx.run(
            "UPDATE ingestion_jobs SET index_version = ?2, model = ?3 WHERE id = ?1", job_id, index_version, model
        )

    def let_list(self, job_id: str) -> None:
        """Let a job that was made for what is asked for list its sources after all."""
        self.tx.run("UPDATE ingestion_jobs SET lists = 1 WHERE id = ?", job_id)

    def newest_seq(self, kb_key: str) -> int:
        """The number of the newest job of a knowledge base, 0 when it has never run."""
        return int(self.tx.value("SELECT max(seq) FROM ingestion_jobs WHERE kb_id = ?", kb_key) or 0)

    def latest_id(self, kb_id: str) -> str | None:
        """The id of the newest job of a knowledge base."""
        found = self.tx.value(f"SELECT id FROM ingestion_jobs WHERE kb_id = {KEY_OF} ORDER BY seq DESC LIMIT 1", kb_id)
        return None if found is None else str(found)


def is_released(before: IngestionState, after: IngestionState) -> bool:
    """Someone has ended a hold on embedding: its budget of characters begins anew."""
    return before[JobPhase.EMBEDDING].held and not after[JobPhase.EMBEDDING].held


def _save_phase(tx: Transaction, job_id: str, old: PhaseState, new: PhaseState, at: datetime) -> None:
    row = tx.row(
        f"UPDATE ingestion_phase_status SET {_SET_PHASE}, updated_at = ?"
        " WHERE job_id = ? AND phase_name = ? AND status = ? RETURNING 1",
        new.status, new.progress, new.items_processed, new.items_total, new.items_failed, new.items_reused,
        new.items_available, format_time(new.started_at), format_time(new.completed_at), new.active_s,
        format_time(new.running_since), new.waiting_on, new.held, new.hold_reason, new.error, new.note,
        timestamp(at), job_id, new.name, old.status,
    )  # fmt: skip
    if row is None:
        raise StaleRun(f"phase {new.name} of job {job_id} is no longer {old.status}")


def _save_job(tx: Transaction, state: IngestionState, at: datetime) -> None:
    started = any(phase.started_at for phase in state.phases)
    tx.run(
        "UPDATE ingestion_jobs SET held = ?2, hold_reason = ?3, intent = ?4, intent_phases = ?5, queued_at = ?6,"
        " cancelled_at = CASE WHEN ?7 THEN coalesce(cancelled_at, ?10) END,"
        " started_at = CASE WHEN ?8 THEN coalesce(started_at, ?10) END,"
        " completed_at = CASE WHEN ?9 THEN coalesce(completed_at, ?10) END,"
        " lease_until = CASE WHEN ?11 THEN NULL ELSE lease_until END WHERE id = ?1",
        state.job_id, state.held, state.hold_reason, state.intent, json_array(state.intent_phases),
        format_time(state.queued_at), state.cancelled, started, state.get_overall_status().is_terminal, timestamp(at),
        bool(state.lease and state.lease.expired),
    )  # fmt: skip


def _record(row: Row) -> JobRecord:
    (
        seq, job_id, kb_id, managed, sources, settings, full, lists, attempt, index_version, model, held, hold_reason,
        intent, intent_phases, queued_at, listed, deleted, failed, characters, cancelled_at, created_at, started_at,
        completed_at, lease_s, lease_until, can_retry, made_again, newest, notes, phases,
    ) = row  # fmt: skip
    found = json.loads(phases)
    state = IngestionState(
        job_id=job_id,
        kb_id=kb_id,
        phases=tuple(_phase([name, *values]) for name, _, *values in found),
        cancelled=cancelled_at is not None,
        held=bool(held),
        hold_reason=hold_reason,
        intent=None if intent is None else Intent(intent),
        intent_phases=tuple(JobPhase(name) for name in json.loads(intent_phases)),
        queued_at=parse_time(queued_at),
        managed=bool(managed),
        lease=None if lease_s is None else Lease(lease_s, bool(can_retry), expired=lease_until is None),
    )
    return JobRecord(
        seq=seq, state=state, sources=sources, settings=settings, full=bool(full), lists=bool(lists), attempt=attempt,
        index_version=index_version, model=model, listed=bool(listed), documents_deleted=deleted,
        documents_failed=failed, characters_sent=characters, created_at=datetime.fromisoformat(created_at),
        started_at=parse_time(started_at), completed_at=parse_time(completed_at), newest=bool(newest),
        made_again=made_again, notes=SourceNotes.parse(notes),
        last_signs={JobPhase(name): datetime.fromisoformat(at) for name, at, *_ in found},
    )  # fmt: skip


def _phase(row: Sequence[Any]) -> PhaseState:
    (
        name, status, progress, processed, total, failed, reused, available, started_at, completed_at, active_s,
        running_since, waiting_on, held, hold_reason, error, note,
    ) = row  # fmt: skip
    return PhaseState(
        name=JobPhase(name), status=PhaseStatus(status), progress=progress, items_processed=processed,
        items_total=total, items_failed=failed, items_reused=reused, items_available=available,
        started_at=parse_time(started_at), completed_at=parse_time(completed_at), active_s=active_s,
        running_since=parse_time(running_since), waiting_on=None if waiting_on is None else WaitingOn(waiting_on),
        held=bool(held), hold_reason=hold_reason, error=error, note=note,
    )  # fmt: skip
