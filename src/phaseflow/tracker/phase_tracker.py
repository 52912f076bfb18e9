"""``PhaseTracker``: moves of a job's phases, for a program that has a pipeline of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import anyio

from phaseflow.background_task import BackgroundTask
from phaseflow.domain import reports
from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.exception_text import text_of
from phaseflow.domain.identifiers import check_job_id, check_kb_id
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.lease import Lease
from phaseflow.domain.phase import BY_USER, PhaseState
from phaseflow.domain.settings import Settings
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.transitions import PhaseMove
from phaseflow.domain.values import kind_of
from phaseflow.domain.vocabulary import PHASES, JobPhase
from phaseflow.feed import Feed
from phaseflow.store.jobs import Jobs
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.leases import Leases
from phaseflow.store.leftovers import Leftovers
from phaseflow.store.session import open_session
from phaseflow.store.transaction import Transaction
from phaseflow.tracker.admission import NextJob
from phaseflow.tracker.state_hub import Changed, StateHub, change_in

_HEARD_OF = "reported again"
"""The reason in the log when a program reports that was taken for dead."""


class PhaseTracker:
    """Moves the phases of jobs, on its own or inside an engine.

    For a program that has its own pipeline: ``async with PhaseTracker.open("kb.db") as tracker``, then
    ``initialize_phases`` and one call per move. Each call is committed when it returns, and published after that. An
    illegal move raises InvalidTransition and changes nothing. It returns the status, in which ``requested`` is what is
    asked of the phase that it is about. Cancelling a call does not undo it once it was accepted.
    """

    def __init__(self, hub: StateHub) -> None:
        self._hub = hub

    @property
    def feed(self) -> Feed:
        """What is committed, live: ``transitions`` and ``statuses``."""
        return self._hub.feed

    @classmethod
    @asynccontextmanager
    async def open(cls, path: str | Path) -> AsyncIterator[Self]:
        """A tracker on a database file of its own, created when it does not exist. Raises DatabaseHeld and others."""
        if not isinstance(path, str | Path):
            raise InvalidRequest("path", f"must be a path, not {kind_of(path)}")
        absolute = Path(path).absolute()  # noqa: ASYNC240  # asks the system for the working directory only

        async def main(started: Callable[[Self], None], stop: anyio.Event) -> None:
            async with open_session(absolute) as database:
                hub = await StateHub.attach(database)
                started(cls(hub))
                await stop.wait()
                hub.feed.close()

        service: BackgroundTask[Self] = BackgroundTask(main)
        async with service as tracker:
            yield tracker

    async def initialize_phases(
        self, job_id: str, kb_id: str = "default", *, lease: Lease | None = None
    ) -> JobStatusResponse:
        """Create a job with four phases, none started, and its knowledge base if needed.

        ``job_id`` has 1 to 200 characters that fit into a URL path: no ``/``, and no ``.`` at the start. With a
        ``lease``, its running phases are paused when nothing is reported for so long. Raises JobConflict when the
        knowledge base has a job that is not over, InvalidRequest when the job exists.
        """
        check_kb_id(kb_id)
        check_job_id(job_id)
        at = self._hub.clock.now()

        def create(tx: Transaction) -> None:
            Leftovers(tx).free_job_id(job_id)
            if tx.row("SELECT 1 FROM ingestion_jobs WHERE id = ?", job_id):
                raise InvalidRequest("job_id", f"a job {job_id!r} exists already; choose another id")
            NextJob(tx, kb_id).make_room(at)
            if KnowledgeBases(tx).find(kb_id) is None:
                KnowledgeBases(tx).put(kb_id, None, Settings().model_dump_json(), at)
            state = IngestionState(job_id, kb_id, managed=False, lease=lease)
            Jobs(tx).create(state, sources=None, settings="{}", full=False, at=at)
            Leases(tx).renew(job_id, self._hub.clock.running_now())

        def created(_: None) -> None:
            self._hub.feed.touch(kb_id)
            self._hub.tell_lease()

        await self._hub.database.write(create, durable=True, then=created)
        return await self.get_consolidated_status(job_id)

    async def start_phase(self, job_id: str, phase: JobPhase | str) -> JobStatusResponse:
        """not_started → running."""
        return await self._move(job_id, phase, PhaseMove.START, lambda p: p.start(self._hub.clock.now()))

    async def pause_phase(self, job_id: str, phase: JobPhase | str) -> JobStatusResponse:
        """running → paused."""
        return await self._move(job_id, phase, PhaseMove.PAUSE, lambda p: p.pause(self._hub.clock.now()), BY_USER)

    async def resume_phase(self, job_id: str, phase: JobPhase | str) -> JobStatusResponse:
        """paused → running."""
        return await self._move(job_id, phase, PhaseMove.RESUME, lambda p: p.resume(self._hub.clock.now()), BY_USER)

    async def complete_phase(self, job_id: str, phase: JobPhase | str) -> JobStatusResponse:
        """running → completed."""
        return await self._move(job_id, phase, PhaseMove.COMPLETE, lambda p: p.complete(self._hub.clock.now()))

    async def fail_phase(self, job_id: str, phase: JobPhase | str, error: str | BaseException) -> JobStatusResponse:
        """running or paused → failed. ``error`` is a text for people, or an exception; 4,000 characters are kept."""
        if not isinstance(error, str | BaseException):
            raise InvalidRequest("error", f"a text or an exception says why, not {error!r:.100}")
        text = error if isinstance(error, str) else text_of(error)
        return await self._move(job_id, phase, PhaseMove.FAIL, lambda p: p.fail(text, self._hub.clock.now()))

    async def retry_phase(self, job_id: str, phase: JobPhase | str) -> JobStatusResponse:
        """failed → running."""
        return await self._move(job_id, phase, PhaseMove.RETRY, lambda p: p.retry(self._hub.clock.now()), "retry")

    async def update_progress(
        self, job_id: str, phase: JobPhase | str, items_processed: int, items_total: int | None = None
    ) -> JobStatusResponse:
        """Set the counts of a running phase. Progress never goes back, and stays below 100 until completion.

        ``items_total`` None keeps the total; more items than the total raise it. Raises InvalidRequest, naming the
        parameter, for anything but a number from 0.
        """
        return await self._move(job_id, phase, None, lambda p: p.update_progress(items_processed, items_total))

    async def renew_lease(self, job_id: str) -> JobStatusResponse:
        """Say that the program of a job is alive, as each of its reports does. Raises JobNotFound.

        Phases that it was taken for dead over are running again.
        """

        def write(tx: Transaction) -> Changed:
            clock, at = self._hub.clock, self._hub.clock.now()
            changed = change_in(tx, job_id, lambda state: reports.heard_of(state, at), clock, _HEARD_OF)
            Leases(tx).renew(job_id, clock.running_now())
            return changed

        await self._hub.database.write(write, durable=True, then=lambda c: self._tell_report(c, progress_only=False))
        return await self.get_consolidated_status(job_id)

    async def get_consolidated_status(self, job_id: str, phase: JobPhase | str | None = None) -> JobStatusResponse:
        """The status of the job with all four phases. Raises JobNotFound.

        With a ``phase``, ``requested`` in it is what the user asks of that phase, as in the answer to its reports.
        """
        name = None if phase is None else _phase(phase)
        status = await self._hub.feed.status_of(check_job_id(job_id), name)
        self._hub.feed.note_told(status.kb_id)
        return status

    async def _move(
        self,
        job_id: str,
        phase: JobPhase | str,
        move: PhaseMove | None,
        change: Callable[[PhaseState], PhaseState],
        reason: str | None = None,
    ) -> JobStatusResponse:
        name = _phase(phase)
        runs = move in {PhaseMove.START, PhaseMove.RESUME, PhaseMove.RETRY}
        check_job_id(job_id)

        def write(tx: Transaction) -> Changed:
            clock, at = self._hub.clock, self._hub.clock.now()
            # A report of what runs says that its program lives, and with it all that ran; one that begins something may
            # come from a program that was started again.
            known, started = ((), at) if runs else (PHASES, None)
            # Two entries in the log, one commit: a program that was taken for dead is running again before its report
            # is judged, else a report that comes a second late would be refused as illegal.
            heard_of = change_in(tx, job_id, lambda s: reports.heard_of(s, at, known), clock, _HEARD_OF)
            Leases(tx).renew(job_id, clock.running_now())
            moved = change_in(tx, job_id, lambda s: reports.moved(s, name, change, started), clock, reason)
            NextJob.check_not_followed(tx, moved)
            return Changed(heard_of.before, moved.after, heard_of.logged + moved.logged)

        await self._hub.follow_clock()
        await self._hub.database.write(
            write, durable=True, then=lambda c: self._tell_report(c, progress_only=move is None)
        )
        return await self.get_consolidated_status(job_id, name)

    def _tell_report(self, changed: Changed, *, progress_only: bool) -> None:
        self._hub.tell(changed, progress_only=progress_only)
        if changed.before.lease != changed.after.lease:
            self._hub.tell_lease()


def _phase(name: JobPhase | str) -> JobPhase:
    try:
        return JobPhase(name)
    except ValueError:
        raise InvalidRequest("phase", f"{name!r} is none of {', '.join(JobPhase)}") from None
