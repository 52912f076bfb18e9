"""The moves of a supervisor are right for the state they were made for, and do nothing to any other."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from phaseflow.domain import verbs
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.phase import BY_USER
from phaseflow.domain.vocabulary import Intent, JobPhase, JobStatus, PhaseStatus
from phaseflow.supervisor.moves import Move, failing, on, pausing, unless_changed

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(seconds=1)
LOADING, CHUNKING, EMBEDDING, _ = JobPhase
QUIET = [LOADING, CHUNKING]


def running() -> IngestionState:
    """A job of which three phases run."""
    state = verbs.take_turn(IngestionState("job", "kb").queue(Intent.START, AT), AT)
    return state.each(lambda p: p.start(AT), [CHUNKING, EMBEDDING])


def made(move: Move, state: IngestionState) -> IngestionState:
    for change, _ in move:
        state = change(state)
    return state


def statuses(state: IngestionState) -> list[PhaseStatus]:
    return [phase.status for phase in state.phases]


async def test_a_phase_that_fails_pauses_those_that_are_quiet_in_the_same_move() -> None:
    after = made(failing(EMBEDDING, "no room", QUIET, LATER), running())
    assert statuses(after) == [PhaseStatus.PAUSED, PhaseStatus.PAUSED, PhaseStatus.FAILED, PhaseStatus.NOT_STARTED]
    assert after[EMBEDDING].error == "no room"


async def test_a_neighbour_that_is_not_quiet_goes_on_for_now() -> None:
    after = made(failing(EMBEDDING, "no room", [LOADING], LATER), running())
    assert statuses(after)[:2] == [PhaseStatus.PAUSED, PhaseStatus.RUNNING]


@pytest.mark.parametrize(
    "verb", [verbs.pause, lambda s: verbs.pause(s, LOADING), lambda s: verbs.cancel(s, LATER)],
    ids=["pause", "pause of a phase", "cancel"],
)  # fmt: skip
@pytest.mark.parametrize(
    "move",
    [failing(EMBEDDING, "no room", QUIET, LATER), pausing(QUIET, BY_USER, LATER), on(CHUNKING, lambda p: p.hold("x"))],
    ids=["failing", "pausing", "holding"],
)
async def test_a_verb_in_between_makes_a_move_of_nothing(
    verb: Callable[[IngestionState], IngestionState], move: Move
) -> None:
    seen = running()
    now = verb(seen)
    assert made(unless_changed(move, seen, LATER), now) == now


async def test_counts_in_between_are_no_reason_to_make_no_move() -> None:
    seen = running()
    now = seen.with_phase(seen[LOADING].with_total(7))
    after = made(unless_changed(pausing(QUIET, BY_USER, LATER), seen, LATER), now)
    assert statuses(after)[:2] == [PhaseStatus.PAUSED, PhaseStatus.PAUSED]
    assert after.get_overall_status() is JobStatus.RUNNING
