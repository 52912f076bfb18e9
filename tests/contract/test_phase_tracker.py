"""The tracker alone, for a program that has a pipeline of its own."""

import json
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from phaseflow import InvalidTransition, JobConflict, PhaseFlow, PhaseTracker
from tests.cli.commands import Shell
from tests.contract.outsiders import Complete
from tests.contract.watching import statuses
from tests.stopwatch import fail_soon

PHASES = ("loading", "chunking", "embedding", "indexing")


async def run_to_the_end(tracker: PhaseTracker, job_id: str) -> None:
    for phase in PHASES:
        await tracker.start_phase(job_id, phase)
        await tracker.update_progress(job_id, phase, 3, 3)
        await tracker.complete_phase(job_id, phase)


async def test_a_job_begins_with_four_phases_not_started(tmp_path: Path) -> None:
    async with PhaseTracker.open(str(tmp_path / "kb.db")) as tracker:
        await tracker.initialize_phases("job-1", "mine")
        status = await tracker.get_consolidated_status("job-1")
    assert (status.job_id, status.kb_id, status.status) == ("job-1", "mine", "pending")
    assert statuses(status) == ["not_started"] * 4
    assert [detail.items_total for detail in status.phase_details] == [None] * 4


async def test_the_job_follows_from_its_phases(tmp_path: Path) -> None:
    async with PhaseTracker.open(tmp_path / "kb.db") as tracker:
        await tracker.initialize_phases("job-1", "mine")
        await tracker.start_phase("job-1", "loading")
        assert (await tracker.get_consolidated_status("job-1")).status == "running"
        await tracker.pause_phase("job-1", "loading")
        assert (await tracker.get_consolidated_status("job-1")).status == "paused"
        await tracker.resume_phase("job-1", "loading")
        await tracker.complete_phase("job-1", "loading")
        between = await tracker.get_consolidated_status("job-1")
        assert (between.status, between.phase, between.progress) == ("running", "chunking", 25.0)
        await tracker.start_phase("job-1", "chunking")
        await tracker.fail_phase("job-1", "chunking", "no room")
        failed = await tracker.get_consolidated_status("job-1")
    assert (failed.status, failed.phase_details[1].status, failed.phase_details[1].error) == (
        "failed",
        "failed",
        "no room",
    )


async def test_all_completed_is_a_completed_job(tmp_path: Path) -> None:
    async with PhaseTracker.open(tmp_path / "kb.db") as tracker:
        await tracker.initialize_phases("job-1", "mine")
        await run_to_the_end(tracker, "job-1")
        status = await tracker.get_consolidated_status("job-1")
    assert (status.status, status.progress, status.phase) == ("completed", 100.0, "indexing")
    assert status.completed_at is not None


ILLEGAL: list[tuple[list[str], list[str]]] = [
    ([], ["pause_phase", "resume_phase", "complete_phase"]),
    (["start_phase"], ["start_phase", "resume_phase"]),
    (["start_phase", "pause_phase"], ["pause_phase", "complete_phase"]),
    (["start_phase", "complete_phase"], ["start_phase", "pause_phase"]),
]


async def test_an_illegal_move_raises_and_changes_nothing(tmp_path: Path) -> None:
    async with PhaseTracker.open(tmp_path / "kb.db") as tracker:
        for number, (before, moves) in enumerate(ILLEGAL):
            job = f"job-{number}"
            await tracker.initialize_phases(job, f"mine-{number}")
            for step in before:
                await getattr(tracker, step)(job, "loading")
            stood = (await tracker._hub.record(job)).state
            for move in moves:
                with pytest.raises(InvalidTransition):
                    await getattr(tracker, move)(job, "loading")
                assert (await tracker._hub.record(job)).state == stood, (before, move)


async def test_a_phase_not_started_cannot_fail(tmp_path: Path) -> None:
    async with PhaseTracker.open(tmp_path / "kb.db") as tracker:
        await tracker.initialize_phases("job-1", "mine")
        with pytest.raises(InvalidTransition):
            await tracker.fail_phase("job-1", "loading", "no")


async def test_progress_is_whole_never_goes_back_and_ends_at_99_until_completed(tmp_path: Path) -> None:
    seen = []
    async with PhaseTracker.open(tmp_path / "kb.db") as tracker:
        await tracker.initialize_phases("job-1", "mine")
        await tracker.start_phase("job-1", "loading")
        for done, total in ((1, 3), (2, 3), (2, 10), (10, 10)):
            await tracker.update_progress("job-1", "loading", done, total)
            seen.append((await tracker.get_consolidated_status("job-1")).phase_details[0].progress)
    assert seen == [33, 66, 66, 99]


async def test_a_knowledge_base_has_one_job_that_is_not_over(tmp_path: Path) -> None:
    async with PhaseTracker.open(tmp_path / "kb.db") as tracker:
        await tracker.initialize_phases("job-1", "mine")
        with pytest.raises(JobConflict):
            await tracker.initialize_phases("job-2", "mine")
        await run_to_the_end(tracker, "job-1")
        await tracker.initialize_phases("job-2", "mine")


async def test_a_tracked_job_outlives_its_program(tmp_path: Path) -> None:
    async with PhaseTracker.open(tmp_path / "kb.db") as tracker:
        await tracker.initialize_phases("job-1", "mine")
        await tracker.start_phase("job-1", "loading")
        await tracker.update_progress("job-1", "loading", 5, 10)
    async with PhaseTracker.open(tmp_path / "kb.db") as tracker:
        status = await tracker.get_consolidated_status("job-1")
        await tracker.update_progress("job-1", "loading", 6, 10)
    assert (status.phase_details[0].items_processed, status.phase_details[0].progress) == (5, 50)


async def test_a_job_of_the_tracker_shows_in_the_engine_beside_it(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            await flow.tracker.initialize_phases("job-1", "mine")
            await run_to_the_end(flow.tracker, "job-1")
            status = await flow.status("mine")
            log = []
            async for transition in flow.transitions(after=0, kb_id="mine"):
                log.append(transition)
                if transition.phase is None and transition.to_status == "completed":
                    break
    assert (status.job_id, status.status) == ("job-1", "completed")
    assert [one.to_status for one in log if one.phase is not None] == ["running", "completed"] * 4


async def test_a_job_of_the_tracker_shows_on_the_command_line_while_it_runs(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    async with PhaseTracker.open(tmp_path / "phaseflow.db") as tracker:
        await tracker.initialize_phases("job-1", "mine")
        await tracker.start_phase("job-1", "loading")
        await tracker.update_progress("job-1", "loading", 5, 10)
        done = await anyio.to_thread.run_sync(shell, "status", "mine", "--json")
    shown = json.loads(done.stdout)
    assert (done.returncode, shown["job_id"], shown["status"]) == (0, "job-1", "running")
    assert shown["phase_details"][0]["items_processed"] == 5


async def test_a_job_whose_program_is_gone_can_be_cancelled_and_makes_room(tmp_path: Path) -> None:
    async with PhaseTracker.open(tmp_path / "kb.db") as tracker:
        await tracker.initialize_phases("job-1", "mine")
        await tracker.start_phase("job-1", "loading")
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            assert (await flow.status("mine")).allowed_actions == ["cancel"]
            ended = await flow.cancel("mine")
            with pytest.raises(InvalidTransition):
                await flow.tracker.start_phase("job-1", "chunking")
            await flow.tracker.initialize_phases("job-2", "mine")
    assert (ended.status, statuses(ended)) == ("cancelled", ["failed", "not_started", "not_started", "not_started"])
    assert ended.phase_details[0].error == "Cancelled by user"
