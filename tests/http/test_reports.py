"""Programs that run their pipelines elsewhere report over the wire, and learn what their users ask for."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow.client import Client
from phaseflow.domain.errors import JobConflict
from phaseflow.domain.lease import Lease
from phaseflow.domain.vocabulary import PHASES
from phaseflow.flow import PhaseFlow
from phaseflow.store.clock import Clock
from tests.http.service import Service, end_leases, lease_end, serving
from tests.stopwatch import fail_soon

WITHIN_S = 20
JOBS = "/api/ingestion/jobs"
KB = "/api/ingestion/kb/mine"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db")) as service:
        yield service


async def _create(service: Service, **body: Any) -> dict[str, Any]:
    answer = await service.http.post(JOBS, json={"job_id": "j", "kb_id": "mine"} | body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def _report(service: Service, phase: str, what: str, **body: Any) -> dict[str, Any]:
    answer = await service.http.post(f"{JOBS}/j/phases/{phase}/{what}", json=body or None)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def _refusal(service: Service, phase: str, what: str) -> dict[str, Any]:
    answer = await service.http.post(f"{JOBS}/j/phases/{phase}/{what}")
    assert answer.status_code == 409, answer.text
    return dict(answer.json())


async def _ask(service: Service, verb: str) -> dict[str, Any]:
    answer = await service.http.post(f"{KB}/{verb}")
    assert answer.status_code in {200, 202}, answer.text
    return dict(answer.json())


async def _until(flow: PhaseFlow, holds: Callable[[Any], bool]) -> Any:
    """The first status that the feed tells of which something holds."""
    job = await flow.job("mine")
    with fail_soon(WITHIN_S):
        while True:
            hint = job.feed.hint()
            status = await job.status()
            if holds(status):
                return status
            await hint.wait()


async def test_a_pipeline_elsewhere_reports_from_its_start_to_its_end(service: Service) -> None:
    created = await _create(service)
    assert (created["status"], created["allowed_actions"]) == ("pending", ["pause", "cancel"])
    for phase in PHASES:
        await _report(service, phase, "start")
        shown = await _report(service, phase, "progress", items_processed=3, items_total=4)
        assert shown["phase_details"][phase.position]["progress"] == 75
        ended = await _report(service, phase, "complete")
    assert (ended["status"], ended["progress"], ended["allowed_actions"]) == ("completed", 100.0, ["start"])
    assert (await service.http.get(f"{KB}/status")).json()["job_id"] == "j"


async def test_a_pause_that_the_user_asks_for_is_requested_until_the_program_has_paused(service: Service) -> None:
    await _create(service)
    await _report(service, "loading", "start")
    assert (await _ask(service, "pause"))["requested"] == "pause"
    carried = await _report(service, "loading", "progress", items_processed=1)
    assert (carried["status"], carried["requested"]) == ("running", "pause")
    paused = await _report(service, "loading", "pause")
    assert (paused["status"], paused["requested"], paused["waiting_on"]) == ("paused", None, "pause")
    assert paused["allowed_actions"] == ["resume", "cancel"]


async def test_a_resume_is_requested_until_the_program_runs_again(service: Service) -> None:
    await _create(service)
    await _report(service, "loading", "start")
    await _ask(service, "pause")
    await _report(service, "loading", "pause")
    asked = await _ask(service, "resume")
    assert (asked["status"], asked["requested"]) == ("paused", "resume")
    assert asked["message"] == "Loading goes on when its program does"
    going_on = await _report(service, "loading", "resume")
    assert (going_on["status"], going_on["requested"], going_on["waiting_on"]) == ("running", None, None)


async def test_a_hold_of_a_phase_outlives_its_start_until_it_is_obeyed(service: Service) -> None:
    await _create(service)
    await _report(service, "loading", "start")
    await _ask(service, "phases/embedding/pause")
    assert (await _report(service, "embedding", "start"))["requested"] == "pause"
    assert (await _report(service, "embedding", "progress", items_processed=1))["requested"] == "pause"
    paused = await _report(service, "embedding", "pause")
    assert (paused["requested"], paused["phase_details"][2]["status"]) == (None, "paused")


async def test_a_pause_of_one_phase_is_said_of_that_phase(service: Service) -> None:
    await _create(service)
    await _report(service, "loading", "start")
    await _report(service, "embedding", "start")
    asked = await _ask(service, "phases/embedding/pause")
    assert (asked["requested"], asked["message"]) == ("pause", "Pausing while embedding: 0 chunks done")
    await _report(service, "embedding", "pause")
    asked = await _ask(service, "phases/embedding/resume")
    assert (asked["requested"], asked["message"]) == ("resume", "Loading 0 documents; embedding is paused")


async def test_a_hold_is_known_before_the_phase_starts(service: Service) -> None:
    await _create(service)
    async with Client(service.url) as client:
        wanted = client.tracker.wanted
        assert ((await _ask(service, "pause"))["requested"], await wanted("j")) == ("pause", "pause")
        await _ask(service, "resume")
        assert await wanted("j") == "resume"
        await _report(service, "loading", "start")
        await _ask(service, "pause")
        ended = await _report(service, "loading", "complete")  # between two phases: nothing is left to pause
        assert (ended["status"], ended["requested"], await wanted("j")) == ("paused", "pause", "pause")
        await _ask(service, "resume")
        assert (await _report(service, "chunking", "start"))["requested"] is None
        await _ask(service, "phases/embedding/pause")
        assert await wanted("j") is None  # it would not be begun next
        await _report(service, "chunking", "complete")
        assert await wanted("j") == "pause"


async def test_a_hold_of_a_phase_that_is_taken_back_asks_for_nothing(service: Service) -> None:
    await _create(service)
    await _report(service, "loading", "start")
    await _ask(service, "phases/embedding/pause")
    await _ask(service, "phases/embedding/resume")
    assert (await _report(service, "embedding", "start"))["requested"] is None


async def test_a_pause_before_the_first_phase_and_its_end_are_legal_moves(service: Service) -> None:
    await _create(service)
    assert (await _ask(service, "pause"))["status"] == "paused"
    assert (await _ask(service, "resume"))["requested"] == "resume"
    started = await _report(service, "loading", "start")
    assert (started["status"], started["requested"]) == ("running", None)


async def test_a_pause_can_be_taken_back_before_the_program_has_paused(service: Service) -> None:
    await _create(service)
    await _report(service, "loading", "start")
    await _ask(service, "pause")
    assert "resume" in (await service.http.get(f"{KB}/status")).json()["allowed_actions"]
    assert (await _ask(service, "resume"))["requested"] is None
    assert (await _report(service, "loading", "complete"))["status"] == "running"


async def test_a_cancel_takes_effect_at_once_and_later_reports_say_so(service: Service) -> None:
    await _create(service)
    await _report(service, "loading", "start")
    cancelled = await _ask(service, "cancel")
    assert (cancelled["status"], cancelled["allowed_actions"]) == ("cancelled", ["start"])
    for what in ("complete", "pause"):
        refused = await _refusal(service, "loading", what)
        assert (refused["job_status"], refused["status"]) == ("cancelled", 409)
    progress = await service.http.post(f"{JOBS}/j/phases/loading/progress", json={"items_processed": 1})
    assert (progress.status_code, progress.json()["job_status"]) == (409, "cancelled")


async def test_an_illegal_report_names_the_status_and_changes_nothing(service: Service) -> None:
    await _create(service)
    before = (await service.http.get(f"{JOBS}/j")).json()
    refused = await _refusal(service, "chunking", "complete")
    assert (refused["code"], refused["job_status"]) == ("invalid_transition", "pending")
    assert (await service.http.get(f"{JOBS}/j")).json() == before


async def test_reports_on_the_job_of_an_engine_are_refused(service: Service, tmp_path: Path) -> None:
    job = await service.flow.start("docs", tmp_path, hold=["loading"])
    refused = await service.http.post(f"{JOBS}/{job.job_id}/phases/loading/start")
    assert (refused.status_code, refused.json()["code"]) == (409, "job_conflict")
    assert refused.json()["job_status"] == "paused"


async def test_a_job_that_cannot_be_is_refused_with_the_field(service: Service) -> None:
    for body, field in (
        ({"job_id": "a/b", "kb_id": "mine"}, "job_id"),
        ({"job_id": "j", "kb_id": "No"}, "kb_id"),
        ({"job_id": "j", "kb_id": "mine", "lease_s": 0}, "lease_s"),
        ({"job_id": "j", "kb_id": "mine", "lease_s": 1e9}, "lease_s"),
        ({"job_id": "j"}, "kb_id"),
    ):
        answer = await service.http.post(JOBS, json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, field), body


async def test_a_failed_job_is_retried_by_a_program_that_can(service: Service) -> None:
    await _create(service, can_retry=True)
    await _report(service, "loading", "start")
    failed = await _report(service, "loading", "fail", error="disk full")
    assert (failed["error"], failed["allowed_actions"]) == ("disk full", ["retry", "start"])
    assert (await _ask(service, "retry"))["requested"] == "retry"
    again = await _report(service, "loading", "retry")
    assert (again["status"], again["requested"], again["error"]) == ("running", None, None)


async def test_an_endless_error_is_cut_in_every_status(service: Service) -> None:
    await _create(service)
    await _report(service, "loading", "start")
    failed = await _report(service, "loading", "fail", error="x" * 3_000_000)
    shown = await service.http.get(f"{KB}/status")
    assert failed["error"] == "x" * 3_999 + "…"
    assert len(shown.text) < 20_000


async def test_a_job_that_is_over_makes_room_for_one_of_the_engine(service: Service, tmp_path: Path) -> None:
    await _create(service)
    await _ask(service, "cancel")
    refused = await service.http.post(f"{KB}/resume")
    assert (refused.status_code, refused.json()["allowed_actions"]) == (409, ["start"])
    assert "allowed now: start" in refused.json()["detail"]
    (tmp_path / "docs").mkdir()
    started = await service.flow.start("mine", tmp_path / "docs")
    assert started.job_id != "j"


async def test_a_retry_is_not_offered_for_a_program_that_cannot(service: Service) -> None:
    await _create(service)
    await _report(service, "loading", "start")
    assert (await _report(service, "loading", "fail", error="no"))["allowed_actions"] == ["start"]
    assert (await service.http.post(f"{KB}/retry")).status_code == 409


async def _leased(flow: PhaseFlow, seconds: float = 3600, *, can_retry: bool = False) -> None:
    await flow.tracker.initialize_phases("j", "mine", lease=Lease(seconds, can_retry))
    await flow.tracker.start_phase("j", "loading")


async def test_a_program_that_dies_leaves_a_job_that_is_interrupted(service: Service) -> None:
    await _leased(service.flow, 0.3)
    shown = await _until(service.flow, lambda status: status.status == "paused")
    assert (shown.waiting_on, shown.allowed_actions) == ("interrupted", ["cancel"])
    log = (await service.flow.transitions_of("j")).items
    assert [(t.phase, t.to_status, t.reason) for t in log[-2:]] == [
        ("loading", "paused", "interrupted"),
        (None, "paused", "interrupted"),
    ]
    with pytest.raises(JobConflict, match="has not been heard of"):
        await service.flow.resume("mine")


async def test_a_program_that_dies_between_two_phases_is_shown_too(service: Service) -> None:
    await _leased(service.flow)
    await service.flow.tracker.complete_phase("j", "loading")
    await end_leases(service.flow)
    shown = await _until(service.flow, lambda status: status.status == "paused")
    assert shown.waiting_on == "interrupted"
    assert (await service.flow.tracker.start_phase("j", "chunking")).status == "running"


async def test_a_program_that_was_only_silent_goes_on_with_its_next_report(service: Service) -> None:
    await _leased(service.flow)
    await service.flow.tracker.start_phase("j", "chunking")
    await end_leases(service.flow)
    await _until(service.flow, lambda status: status.status == "paused")
    alive = await service.flow.tracker.update_progress("j", "loading", 5)
    assert (alive.status, alive.phase_details[0].items_processed) == ("running", 5)
    assert alive.phase_details[1].status == "running", "with all that ran"
    await end_leases(service.flow)
    await _until(service.flow, lambda status: status.status == "paused")
    assert (await service.http.post(f"{JOBS}/j/renew")).json()["status"] == "running"


@pytest.mark.parametrize("verb", ["pause", "phases/loading/pause"])
async def test_a_pause_that_was_asked_for_before_a_silence_is_asked_for_after_it(service: Service, verb: str) -> None:
    await _leased(service.flow)
    assert (await _ask(service, verb))["requested"] == "pause"
    await end_leases(service.flow)
    await _until(service.flow, lambda status: status.status == "paused")
    carried = await _report(service, "loading", "progress", items_processed=5)
    assert (carried["status"], carried["requested"]) == ("running", "pause")
    await end_leases(service.flow)
    await _until(service.flow, lambda status: status.status == "paused")
    obeyed = await _report(service, "loading", "pause")
    assert (obeyed["status"], obeyed["requested"], obeyed["waiting_on"]) == ("paused", None, "pause")


async def _silence(service: Service) -> None:
    await end_leases(service.flow)
    silent = await _until(service.flow, lambda status: status.allowed_actions in (["cancel"], ["start"]))
    assert silent.requested is None


@pytest.mark.parametrize("verb", ["", "phases/loading/"])
async def test_a_resume_that_was_asked_for_before_a_silence_is_asked_for_after_it(service: Service, verb: str) -> None:
    await _leased(service.flow)
    await _ask(service, f"{verb}pause")
    await _report(service, "loading", "pause")
    assert (await _ask(service, f"{verb}resume"))["requested"] == "resume"
    await _silence(service)
    assert (await service.http.post(f"{JOBS}/j/renew")).json()["requested"] == "resume"
    await _silence(service)
    obeyed = await _report(service, "loading", "resume")
    assert (obeyed["status"], obeyed["requested"]) == ("running", None)


async def test_the_end_of_a_hold_before_a_silence_is_the_end_of_it(service: Service) -> None:
    await _leased(service.flow)
    await _ask(service, "phases/chunking/pause")
    await _report(service, "loading", "complete")
    await _ask(service, "phases/chunking/resume")
    await _silence(service)
    begun = await _report(service, "chunking", "start")
    assert (begun["status"], begun["requested"]) == ("running", None)


async def test_a_retry_that_was_asked_for_before_a_silence_is_asked_for_after_it_until_another_job(
    service: Service,
) -> None:
    await _leased(service.flow, can_retry=True)
    await _report(service, "loading", "fail", error="no")
    assert (await _ask(service, "retry"))["requested"] == "retry"
    await _silence(service)
    assert (await service.http.post(f"{JOBS}/j/renew")).json()["requested"] == "retry"
    await _silence(service)
    await service.flow.tracker.initialize_phases("next", "mine")
    assert (await service.http.post(f"{JOBS}/j/renew")).json()["requested"] is None


async def test_a_program_that_was_started_again_resumes_its_phase(service: Service) -> None:
    await _leased(service.flow)
    await end_leases(service.flow)
    await _until(service.flow, lambda status: status.status == "paused")
    assert (await _report(service, "loading", "resume"))["status"] == "running"


async def test_reports_and_renewals_keep_a_lease(service: Service) -> None:
    await _leased(service.flow)
    for path in ("renew", "phases/loading/progress"):
        before = await lease_end(service.flow)
        await anyio.sleep(0.002)  # times have milliseconds
        assert (await service.http.post(f"{JOBS}/j/{path}", json={"items_processed": 1})).is_success
        assert await lease_end(service.flow) > before


async def test_retry_is_offered_only_while_the_program_is_heard_of(service: Service) -> None:
    await _leased(service.flow, can_retry=True)
    await service.flow.tracker.fail_phase("j", "loading", "no")
    assert (await service.flow.status("mine")).allowed_actions == ["retry", "start"]
    await end_leases(service.flow)
    await _until(service.flow, lambda status: status.allowed_actions == ["start"])


async def test_a_lease_outlives_the_service_and_runs_out_after_its_restart(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        await _leased(flow)
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        assert (await flow.status("mine")).status == "running"
        assert flow.interrupted == []
        await end_leases(flow)
        await _until(flow, lambda status: status.status == "paused" and status.waiting_on == "interrupted")


async def test_a_wall_clock_that_is_set_ends_no_lease(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = service.flow._engine.hub
    await _leased(service.flow)
    before = await lease_end(service.flow)
    with monkeypatch.context() as set_forward:
        set_forward.setattr(Clock, "step", lambda _: timedelta(hours=1))
        await hub.follow_clock()
    after = await lease_end(service.flow)
    assert abs(after - before - timedelta(hours=1)) < timedelta(seconds=1)


async def test_a_pause_of_one_phase_is_told_with_the_reports_of_that_phase_alone(service: Service) -> None:
    await _create(service)
    await _report(service, "loading", "start")
    await _report(service, "embedding", "start")
    await _ask(service, "phases/embedding/pause")
    assert (await _report(service, "loading", "progress", items_processed=1))["requested"] is None
    assert (await _report(service, "embedding", "progress", items_processed=1))["requested"] == "pause"
    assert (await service.http.get(f"{KB}/status")).json()["requested"] == "pause", "of the job as a whole"
    assert (await _report(service, "chunking", "start"))["requested"] is None
    assert (await _report(service, "embedding", "pause"))["requested"] is None
    await _ask(service, "pause")
    assert (await _report(service, "loading", "progress", items_processed=2))["requested"] == "pause"
    assert (await _report(service, "loading", "complete"))["requested"] == "pause", "of the whole job"


async def test_a_resume_is_asked_of_each_paused_phase_until_that_one_runs(service: Service) -> None:
    await _create(service)
    async with Client(service.url) as client:
        tracker = client.tracker
        for phase in ("loading", "embedding"):
            await tracker.start_phase("j", phase)
        await client.pause("mine")
        for phase in ("loading", "embedding"):
            assert await tracker.wanted("j", phase) == "pause"
            assert (await tracker.pause_phase("j", phase)).requested is None
            assert await tracker.wanted("j", phase) is None
        await client.resume("mine")
        assert (await tracker.resume_phase("j", "loading")).requested is None
        assert await tracker.wanted("j", "embedding") == "resume", "though another runs again"
        assert await tracker.wanted("j", "indexing") is None
        assert (await tracker.resume_phase("j", "embedding")).requested is None
        assert await tracker.wanted("j") is None


async def test_a_resume_of_one_phase_is_asked_of_that_one_and_outlives_what_others_do(service: Service) -> None:
    await _create(service)
    async with Client(service.url) as client:
        tracker = client.tracker
        for phase in ("loading", "embedding"):
            await tracker.start_phase("j", phase)
            await client.pause("mine", phase)
            await tracker.pause_phase("j", phase)
        await client.resume("mine", "embedding")
        assert [await tracker.wanted("j", phase) for phase in ("loading", "embedding")] == [None, "resume"]
        assert (await tracker.start_phase("j", "chunking")).requested is None
        assert await tracker.wanted("j", "embedding") == "resume"
        assert (await tracker.get_consolidated_status("j", "loading")).requested is None


async def test_the_end_of_a_pause_that_one_phase_has_not_obeyed_yet_ends_no_other_pause(service: Service) -> None:
    await _create(service)
    await _report(service, "loading", "start")
    await _ask(service, "phases/embedding/pause")
    assert (await _ask(service, "phases/loading/resume"))["phase_details"][2]["waiting_on"] == "pause"
    await _report(service, "chunking", "start")
    await _ask(service, "phases/chunking/pause")
    await _report(service, "chunking", "pause")
    await _ask(service, "phases/loading/pause")
    assert (await _ask(service, "phases/loading/resume"))["requested"] is None, "it has been running all along"


async def test_a_retry_is_asked_of_each_phase_that_has_failed(service: Service) -> None:
    await _create(service, can_retry=True)
    async with Client(service.url) as client:
        for phase in ("loading", "chunking"):
            await client.tracker.start_phase("j", phase)
        for phase in ("loading", "chunking"):
            await client.tracker.fail_phase("j", phase, "no")
        await client.retry("mine")
        assert (await client.tracker.retry_phase("j", "loading")).requested is None
        assert [await client.tracker.wanted("j", phase) for phase in ("loading", "chunking")] == [None, "retry"]
        assert (await client.tracker.retry_phase("j", "chunking")).status == "running"
        await client.cancel("mine")
        assert await client.tracker.wanted("j", "chunking") == "cancel"


async def test_what_is_asked_of_no_phase_at_all_is_refused_by_its_name(service: Service) -> None:
    await _create(service)
    assert (await service.http.get(f"{JOBS}/j/phases/reading")).status_code == 422
    assert (await service.http.get(f"{JOBS}/none/phases/loading")).json()["code"] == "job_not_found"
