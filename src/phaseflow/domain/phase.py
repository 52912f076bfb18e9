"""The state of one phase of one job: immutable, each method returns a new state."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from phaseflow.domain.errors import InvalidRequest, InvalidTransition
from phaseflow.domain.identifiers import sayable
from phaseflow.domain.transitions import PHASE_MOVES, PhaseMove, move_phase
from phaseflow.domain.vocabulary import JobPhase, PhaseStatus, WaitingOn

MOST_BEFORE_THE_END = 99
"""A phase shows at most this until it is completed (percent)."""
BY_USER = "user"
"""The reason of a hold that the user asked for; every other one is a guard's, in words."""
BY_INTERRUPTION = "interrupted"
"""The reason of a hold that says that the process which ran the job has ended."""
BY_START = "Ended for a job that was started"
"""Why a job that nobody started was cancelled: as the error of its phases, and as the reason that the job is held for
no more."""
LARGEST_COUNT = 2**53
"""Of items: what every reader of JSON holds exactly."""
LONGEST_ERROR = 4_000
"""Characters of an error that are kept: every status holds it three times."""


@dataclass(frozen=True, slots=True)
class PhaseState:
    """One phase. Counts are items; times are UTC; ``active_s`` is closed running time in seconds.

    ``items_available`` is what the phase before has handed over so far; ``items_total`` stays None until it is final.
    ``held`` means that someone wants it not to run; ``note`` says what takes long in a running one.
    The moves take the time they happen at.
    """

    name: JobPhase
    status: PhaseStatus = PhaseStatus.NOT_STARTED
    progress: int = 0
    items_processed: int = 0
    items_total: int | None = None
    items_failed: int = 0
    items_reused: int = 0
    items_available: int = 0
    started_at: datetime | None = None
    completed_at: datetime | None = None
    active_s: float = 0.0
    running_since: datetime | None = None
    waiting_on: WaitingOn | None = None
    held: bool = False
    hold_reason: str | None = None
    error: str | None = None
    note: str | None = None

    def start(self, at: datetime | None = None) -> Self:
        """not_started → running."""
        return replace(self._run(PhaseMove.START, at), started_at=at)

    def resume(self, at: datetime | None = None) -> Self:
        """paused → running; a hold ends."""
        return self._run(PhaseMove.RESUME, at)

    def retry(self, at: datetime | None = None) -> Self:
        """failed → running: a new run of the phase, whose progress starts from what is done."""
        state = self._run(PhaseMove.RETRY, at)
        return replace(state, error=None, completed_at=None, progress=state._fraction())

    def pause(self, at: datetime | None = None) -> Self:
        """running → paused."""
        return self._rest(PhaseMove.PAUSE, at)

    def complete(self, at: datetime | None = None) -> Self:
        """running → completed; progress is 100 and the total is what was done."""
        total = self.items_processed + self.items_failed
        return replace(
            self._rest(PhaseMove.COMPLETE, at),
            completed_at=at,
            progress=100,
            items_total=total if self.items_total is None else self.items_total,
            held=False,
            hold_reason=None,
        )

    def fail(self, error: str, at: datetime | None = None) -> Self:
        """running or paused → failed. The error is kept as ``kept_error`` says."""
        return replace(self._rest(PhaseMove.FAIL, at), completed_at=at, error=kept_error(error))

    def hold(self, reason: str) -> Self:
        """Ask it not to run. Raises InvalidTransition when it never will again."""
        if self.is_terminal():
            raise InvalidTransition(f"phase {self.name}", self.status, "be held")
        return self if self.held else replace(self, held=True, hold_reason=reason)

    def release(self) -> Self:
        """End a hold."""
        return replace(self, held=False, hold_reason=None)

    def update_progress(
        self,
        items_processed: int,
        items_total: int | None = None,
        *,
        items_failed: int = 0,
        items_reused: int = 0,
    ) -> Self:
        """Set the counts of a running phase. A total of None leaves the total as it is.

        Counts and progress never go back; progress stays under 100 until the phase is completed. A total that is known
        is never less than what was processed and failed. Raises InvalidTransition unless it is running, InvalidRequest
        for what is no number or a negative one.
        """
        if self.status is not PhaseStatus.RUNNING:
            raise InvalidTransition(f"phase {self.name}", self.status, "progress")
        state = replace(
            self,
            items_processed=max(self.items_processed, _count("items_processed", items_processed)),
            items_failed=max(self.items_failed, _count("items_failed", items_failed)),
            items_reused=max(self.items_reused, _count("items_reused", items_reused)),
        )
        total = self.items_total if items_total is None else _count("items_total", items_total)
        return state.with_total(total) if total is not None else state

    def with_total(self, items_total: int) -> Self:
        """The same phase once its total is known, whatever its status: never less than what is done.

        Progress follows at once, not with the next batch. It is kept because it must not go back when a total grows.
        """
        state = replace(self, items_total=max(items_total, self.items_done))
        return replace(state, progress=max(self.progress, state._fraction()))

    def is_terminal(self) -> bool:
        """No move leads on from here."""
        return not PHASE_MOVES[self.status]

    def is_active(self) -> bool:
        """Begun, and neither completed nor failed."""
        return self.status in {PhaseStatus.RUNNING, PhaseStatus.PAUSED}

    @property
    def items_done(self) -> int:
        """Items that need no more work: those that succeeded and those that failed."""
        return self.items_processed + self.items_failed

    def active_seconds(self, now: datetime) -> float:
        """Seconds spent running up to ``now``, in whole microseconds; paused time is not in it."""
        if self.running_since is None:
            return self.active_s
        # SQLite writes 15 digits of a number into JSON, in which states are read. What a sum of binary fractions has
        # beyond microseconds would be shown now and gone then: 0.2075 and a little is 0.208, and 0.2075 is 0.207.
        return round(self.active_s + max(0.0, (now - self.running_since).total_seconds()), 6)

    def measured(self, before: Self, now: datetime) -> Self:
        """The same state, come from ``before``, with the running time that ``now`` says has passed or begins.

        The moments that moves take follow the clock on the wall, which steps; ``now`` is of one that does not.
        """
        if before.running_since == self.running_since:
            return self
        active_s = before.active_seconds(now)
        return replace(self, active_s=active_s, running_since=None if self.running_since is None else now)

    def _fraction(self) -> int:
        if not self.items_total:
            return 0
        return min(MOST_BEFORE_THE_END, 100 * self.items_done // self.items_total)

    def _run(self, move: PhaseMove, at: datetime | None) -> Self:
        status = move_phase(self.name, self.status, move)
        return replace(self.release(), status=status, running_since=at, waiting_on=None, note=None)

    def _rest(self, move: PhaseMove, at: datetime | None) -> Self:
        status = move_phase(self.name, self.status, move)
        active_s = self.active_seconds(at) if at else self.active_s
        return replace(self, status=status, active_s=active_s, running_since=None, waiting_on=None, note=None)


def kept_error(error: str) -> str:
    """An error as it is stored: of a long one the first ``LONGEST_ERROR`` characters, ending with an ellipsis, and with
    U+FFFD for halves of characters and NUL."""
    return sayable(error if len(error) <= LONGEST_ERROR else f"{error[: LONGEST_ERROR - 1]}…")


def _count(field: str, value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_COUNT:
        raise InvalidRequest(field, f"must be a whole number, 0 to {LARGEST_COUNT}, not {value!r:.40}")
    return value
