"""Why nothing moves, and what happens, in words."""

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseflow.domain import verbs
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.messages import by_canonical, displaced, job_waiting_on, kept, message, notes, phase_waiting_on
from phaseflow.domain.phase import BY_USER, PhaseState
from phaseflow.domain.vocabulary import PHASES, Intent, JobPhase, JobStatus, PhaseStatus, WaitingOn
from tests.domain.walks import T0, fresh, states, walk
from tests.matrices import examples, together

LATER = T0 + timedelta(days=1)
AWAY = st.sampled_from([None, *WaitingOn])


@given(state=states(), managed=st.booleans(), reasons=st.tuples(AWAY, AWAY, AWAY, AWAY))
@settings(max_examples=examples(300), deadline=None)
def test_every_state_has_one_sentence_and_no_untrue_reason(
    state: IngestionState, managed: bool, reasons: tuple[WaitingOn | None, ...]
) -> None:
    phases = tuple(replace(p, waiting_on=reason) for p, reason in zip(state.phases, reasons, strict=True))
    given_state = replace(state, phases=phases, managed=managed)
    assert message(given_state)
    assert "\n" not in message(given_state)
    for phase in given_state.phases:
        if phase_waiting_on(given_state, phase) is not None:
            assert phase.status not in {PhaseStatus.COMPLETED, PhaseStatus.FAILED}
    if given_state.get_overall_status().is_terminal and given_state.intent is None:
        assert job_waiting_on(given_state) is None


def test_any_four_statuses_have_a_sentence() -> None:
    for statuses in product(PhaseStatus, repeat=4):
        phases = (PhaseState(n, s, error=None) for n, s in zip(PHASES, statuses, strict=True))
        assert message(IngestionState("job", "kb", tuple(phases)))


def running(*names: JobPhase) -> IngestionState:
    steps = [("take_turn", None), *(("start", name) for name in names)]
    return walk(steps)[-1]


def test_a_job_that_waits_for_a_slot_waits_on_the_queue() -> None:
    state = fresh()
    assert job_waiting_on(state) is WaitingOn.QUEUE
    assert phase_waiting_on(state, state[JobPhase.LOADING]) is WaitingOn.QUEUE
    assert phase_waiting_on(state, state[JobPhase.CHUNKING]) is WaitingOn.UPSTREAM
    assert message(state) == "Waiting for a free slot"


def test_a_new_job_of_another_pipeline_waits_for_nothing_of_ours() -> None:
    state = IngestionState("job", "kb", managed=False)
    assert job_waiting_on(state) is None
    assert [phase_waiting_on(state, phase) for phase in state.phases] == [None] * 4
    assert message(state) == "Not started"


def test_a_held_phase_that_has_not_started_waits_on_its_pause() -> None:
    state = verbs.take_turn(fresh(JobPhase.EMBEDDING).queue(Intent.START, T0), T0)
    assert phase_waiting_on(state, state[JobPhase.EMBEDDING]) is WaitingOn.PAUSE
    assert phase_waiting_on(state, state[JobPhase.INDEXING]) is WaitingOn.UPSTREAM
    assert job_waiting_on(state) is None


def test_a_phase_that_has_done_all_that_was_handed_over_waits_on_upstream() -> None:
    state = running(JobPhase.CHUNKING)
    assert phase_waiting_on(state, state[JobPhase.CHUNKING]) is WaitingOn.UPSTREAM
    fed = state.with_phase(replace(state[JobPhase.CHUNKING], items_available=1))
    assert phase_waiting_on(fed, fed[JobPhase.CHUNKING]) is None
    assert phase_waiting_on(fed, fed[JobPhase.LOADING]) is None


def test_a_paused_job_waits_on_its_pause_until_it_is_queued() -> None:
    held = verbs.pause(running())
    paused = held.each(lambda p: p.pause(LATER) if p.status is PhaseStatus.RUNNING else p)
    assert job_waiting_on(paused) is WaitingOn.PAUSE
    queued = verbs.resume(paused, LATER)
    assert job_waiting_on(queued) is WaitingOn.QUEUE
    assert message(queued) == "Loading goes on when a slot is free"


def test_a_resume_ends_the_hold_of_a_phase_and_a_pause_of_it_the_resume() -> None:
    queued = verbs.resume(fresh(JobPhase.LOADING), LATER)
    assert phase_waiting_on(queued, queued[JobPhase.LOADING]) is WaitingOn.QUEUE
    held = verbs.pause(queued, JobPhase.LOADING)
    assert held.get_overall_status() is JobStatus.PAUSED
    assert phase_waiting_on(held, held[JobPhase.LOADING]) is WaitingOn.PAUSE
    assert job_waiting_on(held) is WaitingOn.PAUSE
    assert message(held) == "Paused in loading: 0 documents done"


def test_a_resume_of_one_phase_leaves_the_others_waiting_on_their_pause() -> None:
    held = verbs.pause(running(JobPhase.CHUNKING)).each(
        lambda p: p.pause(LATER) if p.status is PhaseStatus.RUNNING else p
    )
    queued = verbs.resume(held, LATER, JobPhase.CHUNKING)
    waits = [phase_waiting_on(queued, phase) for phase in queued.phases]
    assert waits == [WaitingOn.PAUSE, WaitingOn.QUEUE, WaitingOn.PAUSE, WaitingOn.PAUSE]
    assert message(queued) == "Chunking goes on when a slot is free"


def test_a_failed_job_that_is_to_be_retried_waits_on_the_queue() -> None:
    state = running()
    failed = state.with_phase(state[JobPhase.LOADING].fail("it broke", LATER))
    assert job_waiting_on(failed) is None
    assert job_waiting_on(verbs.retry(failed, LATER)) is WaitingOn.QUEUE
    assert message(failed) == "Loading failed: it broke"


@pytest.mark.parametrize(
    ("reason", "words"),
    [(WaitingOn.RATE_LIMIT, "the source asked us to slow down"), (WaitingOn.RETRY, "a temporary fault")],
)
def test_a_job_says_why_its_only_running_phase_does_not_move(reason: WaitingOn, words: str) -> None:
    state = running()
    state = state.with_phase(replace(state[JobPhase.LOADING], waiting_on=reason))
    assert job_waiting_on(state) is reason
    assert words in message(state)


def test_a_pause_under_way_is_said() -> None:
    assert message(verbs.pause(running())).startswith("Pausing while loading: ")


def test_the_reason_of_a_guard_stands_in_the_message() -> None:
    state = running().with_phase(running()[JobPhase.LOADING].hold("the budget is used up"))
    paused = state.with_phase(state[JobPhase.LOADING].pause(LATER))
    assert paused.get_overall_status() is JobStatus.PAUSED
    assert message(paused) == "Paused in loading (the budget is used up): 0 documents done"


def test_the_reason_of_a_guard_is_said_while_other_phases_run() -> None:
    chunking = running()[JobPhase.CHUNKING].start(LATER).hold("the budget is used up").pause(LATER)
    state = running().with_phase(chunking)
    assert state.get_overall_status() is JobStatus.RUNNING
    assert message(state).endswith("; chunking is paused (the budget is used up)")


def _two_done(*paused: JobPhase, held: tuple[JobPhase, ...] = ()) -> IngestionState:
    """Loading and chunking are completed, the others run unless they are paused or held."""
    state = running(*PHASES[1:])
    state = state.each(
        lambda p: p.update_progress(10, 10).complete(LATER), (JobPhase.LOADING, JobPhase.CHUNKING)
    ).with_phase(replace(state[JobPhase.EMBEDDING], items_available=10, items_total=10, items_processed=3))
    state = state.each(lambda p: p.hold(BY_USER).pause(LATER), paused)
    return state.each(lambda p: replace(p, status=PhaseStatus.NOT_STARTED, held=True, hold_reason=BY_USER), held)


def test_a_paused_phase_that_holds_up_the_rest_is_named_with_what_to_do() -> None:
    state = _two_done(JobPhase.EMBEDDING)
    assert state.get_overall_status() is JobStatus.RUNNING
    assert job_waiting_on(state) is WaitingOn.PAUSE
    assert message(state) == "Embedding is paused at 3 of 10 chunks; resume it to go on"
    assert phase_waiting_on(state, state[JobPhase.INDEXING]) is WaitingOn.UPSTREAM


def test_a_phase_on_hold_that_holds_up_the_rest_is_named_with_what_to_do() -> None:
    state = _two_done(held=(JobPhase.EMBEDDING,))
    assert message(state) == "Embedding is on hold; resume it to go on"


def test_what_moves_comes_before_what_is_paused() -> None:
    state = _two_done(JobPhase.INDEXING)
    assert job_waiting_on(state) is None
    assert message(state) == "Embedding 3 of 10 chunks; indexing is paused"


def test_a_phase_that_waits_for_another_names_it() -> None:
    state = running(JobPhase.CHUNKING)
    state = state.with_phase(replace(state[JobPhase.LOADING], waiting_on=WaitingOn.UPSTREAM))
    assert message(state) == "Loading 0 documents: waiting for the source"
    starved = _two_done().with_phase(replace(_two_done()[JobPhase.EMBEDDING], waiting_on=WaitingOn.UPSTREAM))
    assert message(starved) == "Embedding 3 of 10 chunks: waiting for chunking"


def test_a_completed_job_says_how_many_documents_failed() -> None:
    done = running(*PHASES[1:]).each(lambda p: p.update_progress(2, 2).complete(LATER))
    assert message(done) == "Completed: 2 chunks indexed"
    assert message(done, 1) == "Completed: 2 chunks indexed; 1 document failed"


@together(("failed", "beside"), product([0, 1, 1200], ["", "the source 'a; b' could not be read: x; y"]))
def test_what_a_completed_job_says_beside_its_counts_is_told_from_them(failed: int, beside: str) -> None:
    done = running(*PHASES[1:]).each(lambda p: p.update_progress(2, 2).complete(LATER))
    assert notes("; ".join([message(done, failed), *([beside] if beside else [])])) == beside
    assert notes(message(running())) == ""


@together(
    ("number", "pages", "why", "told"),
    [
        (1, [], None, "1 document of the source 'docs' was not found and stays until all of it can be read"),
        (2, [], "gone", "2 documents of the source 'docs' were not found and stay until all of it can be read: gone"),
        (
            2,
            ["http://a/?b&c"],
            None,
            "stay until http://a/?b&c can be read, or is skipped: phaseflow skip k 'http://a/?b&c'",
        ),
        (2, ["a", "b"], None, "stay until a and others can be read, or are skipped: phaseflow failures k lists them,"),
    ],
)
def test_documents_that_stay_are_told_with_what_lets_them_go(
    number: int, pages: list[str], why: str | None, told: str
) -> None:
    assert told in kept("k", "docs", number, pages, why)


@together("told", [by_canonical("docs", 1, "a"), displaced("docs", "b", 1, "a"), displaced("docs", None, 1, "a")])
def test_one_that_is_left_out_is_no_example(told: str) -> None:
    assert told.endswith(": a")
    assert "for example" not in told


@together("told", [by_canonical("docs", 2, "a"), displaced("docs", "b", 2, "a"), displaced("docs", None, 2, "a")])
def test_one_of_several_that_are_left_out_is_an_example(told: str) -> None:
    assert told.endswith(", for example: a")


@pytest.mark.parametrize("reason", [WaitingOn.INDEX, WaitingOn.UPSTREAM])
def test_a_job_that_has_its_slot_waits_on_what_its_run_needs(reason: WaitingOn) -> None:
    new = fresh().waiting_before_its_run(reason)
    paused = verbs.pause(running()).each(lambda p: p.pause(LATER) if p.status is PhaseStatus.RUNNING else p)
    resumed = verbs.resume(paused, LATER).waiting_before_its_run(reason)
    for state in (new, resumed):
        assert (job_waiting_on(state), phase_waiting_on(state, state[JobPhase.LOADING])) == (reason, reason)
        assert message(state).startswith("Starting: ")
    failed = verbs.retry(running().each(lambda p: p.fail("x") if p.status is PhaseStatus.RUNNING else p), LATER)
    assert job_waiting_on(failed.waiting_before_its_run(reason)) is reason


@given(state=states())
@settings(max_examples=examples(200), deadline=None)
def test_what_a_run_needs_is_forgotten_with_the_turn_that_needed_it(state: IngestionState) -> None:
    waiting = state.waiting_before_its_run(WaitingOn.INDEX)
    assert waiting.without_preparation() == state
    if waiting == state:
        return
    for later in (
        verbs.take_turn(waiting, LATER),
        waiting.unqueued(),
        verbs.interrupt(waiting, LATER, go_on=True, reason="interrupted"),
        verbs.interrupt(waiting, LATER, go_on=False, reason="interrupted"),
    ):
        assert later.waits_before_its_run is None
