"""The status as the world sees it: the fields of the contract, from any state there can be."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import PHASES, Action, JobPhase, JobStatus, PhaseStatus
from phaseflow.snapshot import compose
from phaseflow.store.jobs import JobRecord
from tests.domain.walks import T0, fresh, states, walk
from tests.matrices import examples, together

NOW = T0 + timedelta(seconds=60)
FIELDS = [
    "job_id", "kb_id", "status", "phase", "progress", "message", "error", "requested", "waiting_on",
    "allowed_actions", "eta_seconds", "metrics", "created_at", "started_at", "completed_at", "phase_details",
]  # fmt: skip
METRICS = [
    "documents_found", "documents_loaded", "documents_unchanged", "documents_deleted", "documents_failed",
    "chunks_created", "embeddings_computed", "embeddings_reused", "chunks_indexed",
]  # fmt: skip
DETAILS = [
    "name", "status", "progress", "items_processed", "items_total", "items_failed", "items_reused", "started_at",
    "completed_at", "active_seconds", "items_per_second", "waiting_on", "error",
]  # fmt: skip


def record(state: IngestionState, *, newest: bool = True) -> JobRecord:
    return JobRecord(
        seq=1, state=state, sources=None, settings="{}", full=False, lists=True, attempt=1, index_version=1, model="m",
        listed=True, documents_deleted=4, documents_failed=3, characters_sent=0, created_at=T0, started_at=T0,
        completed_at=None, newest=newest,
    )  # fmt: skip


def _waits(status: JobStatusResponse) -> list[tuple[str, str | None]]:
    return [(status.status, status.waiting_on), *((p.status, p.waiting_on) for p in status.phase_details)]


@given(state=states())
@settings(max_examples=examples(200), deadline=None)
def test_what_runs_waits_while_the_database_cannot_be_written(state: IngestionState) -> None:
    usual, full = (compose(record(state), NOW, unwritable) for unwritable in (None, "the disk is full"))
    for before, after in zip(_waits(usual), _waits(full), strict=True):
        assert after == ((before[0], "retry") if before == ("running", None) else before)
    assert full.status != "running" or full.waiting_on is not None


@given(state=states(), seconds=st.floats(0, 1e7))
@settings(max_examples=examples(200), deadline=None)
def test_any_state_has_exactly_the_fields_of_the_contract(state: IngestionState, seconds: float) -> None:
    composed = compose(record(state), T0 + timedelta(seconds=seconds))
    status = composed.model_dump(mode="json")
    assert list(status) == FIELDS
    assert list(status["metrics"]) == METRICS
    assert [list(phase) for phase in status["phase_details"]] == [DETAILS] * 4
    assert [phase["name"] for phase in status["phase_details"]] == list(PHASES)
    assert JobStatusResponse.model_validate_json(json.dumps(status)) == composed


@given(state=states())
def test_the_parts_of_a_status_agree_with_each_other(state: IngestionState) -> None:
    status = compose(record(state), NOW)
    phases = status.phase_details
    assert status.progress == sum(phase.progress for phase in phases) / 4
    failed = [phase.error for phase in phases if phase.status is PhaseStatus.FAILED]
    assert status.error == (failed[0] if failed else None)
    assert all(0 <= phase.progress <= (100 if phase.status is PhaseStatus.COMPLETED else 99) for phase in phases)
    assert status.requested in {None, Action.PAUSE}


def test_times_end_in_z_and_carry_milliseconds() -> None:
    state = walk([("take_turn", None)])[-1]
    at = datetime(2025, 12, 3, 10, 0, 0, 123456, tzinfo=UTC)
    status = compose(record(state)._replace(created_at=at), NOW).model_dump(mode="json")
    assert status["created_at"] == "2025-12-03T10:00:00.123Z"
    assert status["completed_at"] is None


def test_metrics_tell_what_is_new_from_what_was_there() -> None:
    state = fresh().each(lambda p: p.start(T0))
    counts = {
        JobPhase.LOADING: {"items_processed": 10, "items_reused": 4, "items_total": 12, "items_failed": 1},
        JobPhase.EMBEDDING: {"items_processed": 30, "items_reused": 5, "items_available": 44},
        JobPhase.INDEXING: {"items_processed": 22},
    }
    for phase, fields in counts.items():
        state = state.with_phase(replace(state[phase], **fields))  # type: ignore[arg-type]  # counts by their names
    assert compose(record(state), NOW).model_dump(mode="json")["metrics"] == {
        "documents_found": 12, "documents_loaded": 6, "documents_unchanged": 4, "documents_deleted": 4,
        "documents_failed": 3, "chunks_created": 44, "embeddings_computed": 25, "embeddings_reused": 5,
        "chunks_indexed": 22,
    }  # fmt: skip


def test_only_the_newest_job_can_be_retried() -> None:
    state = walk([("take_turn", None), ("fail", JobPhase.LOADING)])[-1]
    assert state.get_overall_status() is JobStatus.FAILED
    assert compose(record(state), NOW).allowed_actions == [Action.RETRY, Action.START]
    assert compose(record(state, newest=False), NOW).allowed_actions == [Action.START]


@together(("seconds", "expected"), [(0, None), (0.5, None), (10, 90.0)])
def test_an_estimate_is_given_when_it_is_honest(seconds: float, expected: float | None) -> None:
    state = fresh().each(lambda p: p.start(T0).update_progress(10, 100))
    assert compose(record(state.queue(None, T0)), T0 + timedelta(seconds=seconds)).eta_seconds == expected
