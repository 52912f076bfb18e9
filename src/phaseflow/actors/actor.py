"""What every actor is: a gate, an end, and its report."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

from phaseflow.actors.context import PhaseFailed, RunContext
from phaseflow.actors.gate import Gate
from phaseflow.actors.handoff import Receiver, Sender
from phaseflow.background_task import only_error
from phaseflow.components.contained import not_cancelled_by
from phaseflow.domain import tracing
from phaseflow.domain.errors import StaleRun
from phaseflow.domain.policy import ErrorBudget
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store.progress import PhaseProgress

_SEVERAL = 2
"""Documents that failed, and none passed: from so many on it is the phase, also where few were asked for."""


class Actor(ABC):
    """Does the work of one phase in one run of a job. It decides no transition: it reports, by calling ``report``.

    ``has_finished`` means that every item is done and stored; ``failure`` is what ended it otherwise.
    """

    phase: ClassVar[JobPhase]

    def __init__(
        self, context: RunContext, report: Callable[[], None], receiver: Receiver | None, sender: Sender | None
    ) -> None:
        self.context = context
        self.gate = Gate(report, self.phase)
        self.budget = ErrorBudget(context.plan.policies.budget)
        self.has_finished = False
        self.failure: BaseException | None = None
        self.hold_reason: str | None = None
        self._report = report
        self._receiver = receiver
        self._sender = sender
        self._last_error = ""
        self._succeeded = 0
        self._failed = 0

    async def perform(self) -> None:
        """Work until all is done, or until it fails. Cancelling drops what is not committed."""
        try:
            with tracing.span("phase", phase=self.phase, job=self.context.plan.attempt.job_id):
                await self._work()
        finally:
            self.close()
            self._report()

    async def _work(self) -> None:
        try:
            with not_cancelled_by("a component"):
                await self.work()
            self.has_finished = self._receiver is None or self._receiver.is_complete
        except Exception as error:  # noqa: BLE001  # the supervisor makes it a failed phase
            cause = only_error(error)
            if not isinstance(cause, StaleRun):  # else the run is over, and somebody has said why
                self.failure = cause
                tracing.failed(cause)

    async def tell_what_hangs(self) -> None:
        """While nothing moves because a component does not answer, have the status say so; until cancelled."""
        calls = self.gate.calls
        with suppress(StaleRun):
            while True:
                await calls.until_still()
                if not self.gate.is_open:  # not entered where it is closed: who waits there has work to do
                    await self.gate.until_opened()
                    continue
                async with self.gate:
                    if not calls.are_still():
                        continue
                    await self._write_hangs(is_so=True)
                await calls.until_changed()
                if self.gate.is_open:  # what closes it takes that away, as soon as the call ends
                    async with self.gate:
                        await self._write_hangs(is_so=False)

    async def _write_hangs(self, *, is_so: bool) -> None:
        attempt = self.context.plan.attempt
        await self.context.write(lambda tx: PhaseProgress(tx, attempt, self.phase).wait_on_component(is_so))

    def close(self) -> None:
        """Let go of its ends of the channels: one that was cancelled before its first step has not done so itself."""
        if self._receiver is not None:
            self._receiver.close()
        if self._sender is not None:
            self._sender.close(complete=self.has_finished)

    @abstractmethod
    async def work(self) -> None:
        """The phase itself."""

    def hold(self, reason: str) -> None:
        """Ask to be paused: nobody enters the gate until someone resumes the phase."""
        self.hold_reason = reason
        self.gate.close()
        self._report()

    def spend(self, error: str | None, *, is_known: bool = False) -> None:
        """Count one document against the error budget. Raises PhaseFailed when it is spent.

        ``is_known``: it failed in an earlier job, so that it says nothing new about the phase: whoever has a dozen
        broken documents retried learns that they are still broken, and the others go on.
        """
        self._succeeded += error is None
        self._failed += error is not None
        self._last_error = error or self._last_error
        if is_known:
            return
        why = self.budget.spend(error is not None)
        if why is not None:
            raise PhaseFailed(f"{why}; the last one: {self._last_error}")

    async def refuse_only_failures(self) -> None:
        """Raise PhaseFailed when every single document failed: then it is not the documents.

        What earlier runs of the job did counts, and what the source has unchanged. In a job that lists no source, one
        document that fails alone may be bad, and so may all that cannot be read.
        """
        enough = 1 if self.context.plan.lists else _SEVERAL
        if self._succeeded or self._failed < enough:
            return
        if await self.context.reads.read(
            lambda tx: PhaseProgress(tx, self.context.plan.attempt, self.phase).has_succeeded()
        ):
            return
        raise PhaseFailed(f"every document failed; the last one: {self._last_error}")
