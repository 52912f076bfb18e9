"""The job status as JSON, held against the words of the contract."""

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow import FolderSource, PhaseFlow
from tests.contract.outsiders import Broken, Coroutine, Flaky, Lines, Turnstile
from tests.contract.watching import until, until_statuses, write_notes
from tests.stopwatch import fail_soon

TOP = {
    "job_id", "kb_id", "status", "phase", "progress", "message", "error", "requested", "waiting_on", "allowed_actions",
    "eta_seconds", "metrics", "created_at", "started_at", "completed_at", "phase_details",
}  # fmt: skip
METRICS = {
    "documents_found", "documents_loaded", "documents_unchanged", "documents_deleted", "documents_failed",
    "chunks_created", "embeddings_computed", "embeddings_reused", "chunks_indexed",
}  # fmt: skip
PHASE = {
    "name", "status", "progress", "items_processed", "items_total", "items_failed", "items_reused", "started_at",
    "completed_at", "active_seconds", "items_per_second", "waiting_on", "error",
}  # fmt: skip
NAMES = ["loading", "chunking", "embedding", "indexing"]
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def finished(tmp_path: Path) -> dict[str, Any]:
    write_notes(tmp_path / "docs", 3, lines=2)
    async with PhaseFlow(tmp_path / "kb.db", chunker=Lines(), embedder=Coroutine()) as flow:
        with fail_soon(10):
            final = await (await flow.start("waf", FolderSource(str(tmp_path / "docs")))).wait()
    dumped: dict[str, Any] = final.model_dump(mode="json")
    return dumped


def numbers(status: dict[str, Any]) -> list[tuple[int | None, ...]]:
    fields = ("items_processed", "items_total", "items_failed", "items_reused")
    return [tuple(detail[field] for field in fields) for detail in status["phase_details"]]


async def test_a_status_has_exactly_the_fields_of_the_contract(tmp_path: Path) -> None:
    status = await finished(tmp_path)
    assert set(status) == TOP
    assert set(status["metrics"]) == METRICS
    assert [set(detail) for detail in status["phase_details"]] == [PHASE] * 4


async def test_phase_details_has_all_four_phases_in_order(tmp_path: Path) -> None:
    assert [detail["name"] for detail in (await finished(tmp_path))["phase_details"]] == NAMES


async def test_a_completed_job_says_so_everywhere(tmp_path: Path) -> None:
    status = await finished(tmp_path)
    assert (status["status"], status["phase"], status["progress"]) == ("completed", "indexing", 100)
    assert (status["error"], status["requested"], status["waiting_on"]) == (None, None, None)
    assert (status["allowed_actions"], status["eta_seconds"]) == (["start"], None) or status["eta_seconds"] == 0
    assert [detail["progress"] for detail in status["phase_details"]] == [100] * 4


async def test_items_are_documents_first_and_chunks_later(tmp_path: Path) -> None:
    assert numbers(await finished(tmp_path)) == [(3, 3, 0, 0), (3, 3, 0, 0), (6, 6, 0, 0), (6, 6, 0, 0)]


async def test_metrics_are_the_counts_of_the_job(tmp_path: Path) -> None:
    assert (await finished(tmp_path))["metrics"] == dict.fromkeys(METRICS, 0) | {
        "documents_found": 3, "documents_loaded": 3, "chunks_created": 6, "embeddings_computed": 6, "chunks_indexed": 6,
    }  # fmt: skip


async def test_numbers_are_whole_where_they_count_and_broken_where_they_measure(tmp_path: Path) -> None:
    status = await finished(tmp_path)
    assert type(status["progress"]) is float
    for detail in status["phase_details"]:
        assert type(detail["progress"]) is int
        assert type(detail["active_seconds"]) is float
        assert detail["items_per_second"] is None or type(detail["items_per_second"]) is float
    assert {type(value) for value in status["metrics"].values()} == {int}


async def test_times_are_utc_with_milliseconds(tmp_path: Path) -> None:
    status = await finished(tmp_path)
    for one in [status, *status["phase_details"]]:
        for name in ("created_at", "started_at", "completed_at"):
            assert name not in one or INSTANT.fullmatch(one[name]), (name, one[name])
    assert status["created_at"] <= status["started_at"] <= status["completed_at"]


async def test_a_job_that_waits_for_a_slot_is_pending_and_says_queue(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 1)
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate, slots=1) as flow:
        with fail_soon(10):
            await flow.start("first", str(tmp_path / "docs"))
            await gate.until_arrived(1)
            await flow.start("second", str(tmp_path / "docs"))
            status = (await flow.status("second")).model_dump(mode="json")
            gate.let(9)
    assert (status["status"], status["waiting_on"], status["phase"]) == ("pending", "queue", "loading")
    assert status["allowed_actions"] == ["pause", "cancel"]
    assert (status["started_at"], status["completed_at"], status["progress"]) == (None, None, 0)
    assert numbers(status) == [(0, None, 0, 0)] * 4
    assert {detail["status"] for detail in status["phase_details"]} == {"not_started"}


async def test_progress_never_goes_back_and_stays_under_100_until_completed(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 8, lines=5)
    seen = []
    async with PhaseFlow(tmp_path / "kb.db", chunker=Lines(), embedder=Coroutine(0.02)) as flow:
        job = await flow.start("waf", str(tmp_path / "docs"))
        with fail_soon(20):
            async for status in job.watch():
                seen.append(status.model_dump(mode="json"))
    assert len(seen) > 3
    for at in range(4):
        walk = [status["phase_details"][at] for status in seen]
        assert [one["progress"] for one in walk] == sorted(one["progress"] for one in walk)
        assert all((one["progress"] == 100) == (one["status"] == "completed") for one in walk)
        processed = [one["items_processed"] for one in walk]
        assert processed == sorted(processed)
    for one in seen:
        mean = sum(detail["progress"] for detail in one["phase_details"]) / 4
        assert one["progress"] == pytest.approx(mean, abs=0.1)


async def test_the_last_status_of_a_watch_is_the_final_one(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 2)
    async with PhaseFlow(tmp_path / "kb.db", embedder=Coroutine()) as flow:
        job = await flow.start("waf", str(tmp_path / "docs"))
        with fail_soon(10):
            last = [status async for status in job.watch()][-1]
            assert last == await job.wait() == await flow.status("waf")
    assert last.status == "completed"


async def test_the_phase_of_a_job_is_the_first_that_is_running_or_paused(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 1)
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
        with fail_soon(10):
            job = await flow.start("waf", str(tmp_path / "docs"))
            status = await until(job, lambda now: now.phase_details[1].status == "completed")
            gate.let(9)
    assert status.phase == "embedding"


async def test_what_was_asked_for_stands_in_the_status_until_it_has_taken_effect(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 1)
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
        with fail_soon(10):
            job = await flow.start("waf", str(tmp_path / "docs"))
            await gate.until_arrived(1)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flow.pause, "waf")
                asked = await until(job, lambda now: now.requested is not None)
                gate.let(1)
            paused = await until(job, lambda now: now.status == "paused")
            await flow.cancel("waf")
    assert (asked.requested, asked.status) == ("pause", "running")
    assert (paused.requested, paused.waiting_on) == (None, "pause")
    assert paused.allowed_actions == ["resume", "cancel"]


async def test_a_phase_that_has_nothing_to_do_waits_for_what_comes_before_it(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 2)
    async with PhaseFlow(tmp_path / "kb.db", embedder=Coroutine()) as flow:
        with fail_soon(10):
            job = await flow.start("waf", str(tmp_path / "docs"), hold=["embedding"])
            status = await until(job, lambda now: now.phase_details[1].status == "completed")
            held, after = status.phase_details[2:]
    assert (held.status, held.waiting_on) == ("not_started", "pause")
    assert after.waiting_on == "upstream"


async def test_a_fault_that_may_pass_shows_as_retry_and_not_as_failed(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 1)
    async with PhaseFlow(tmp_path / "kb.db", embedder=Flaky()) as flow:
        with fail_soon(10):
            job = await flow.start("waf", str(tmp_path / "docs"))
            status = await until(job, lambda now: now.phase_details[2].waiting_on == "retry")
            await flow.cancel("waf")
    assert status.status == "running"


async def test_paused_time_is_in_no_active_seconds(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 1)
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
        with fail_soon(10):
            await flow.start("waf", str(tmp_path / "docs"))
            await gate.until_arrived(1)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(flow.pause, "waf")
                await until(await flow.job("waf"), lambda now: now.requested == "pause")
                gate.let(1)
            before = await until(await flow.job("waf"), lambda now: now.status == "paused")
            await anyio.sleep(0.3)  # the time that must not be counted
            after = await flow.status("waf")
            await flow.cancel("waf")
    assert [one.active_seconds for one in after.phase_details] == [one.active_seconds for one in before.phase_details]


async def test_a_failed_phase_carries_its_error_and_so_does_the_job(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 1)
    async with PhaseFlow(tmp_path / "kb.db", embedder=Broken(RuntimeError("no such key"))) as flow:
        with fail_soon(10):
            status = await (await flow.start("waf", str(tmp_path / "docs"))).wait()
    assert (status.status, status.phase_details[2].status) == ("failed", "failed")
    assert "no such key" in (status.phase_details[2].error or "")
    assert "no such key" in (status.error or "")
    assert status.allowed_actions == ["retry", "start"]


async def test_the_statuses_are_strings_when_compared(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 1)
    async with PhaseFlow(tmp_path / "kb.db", embedder=Coroutine()) as flow:
        with fail_soon(10):
            await (await flow.start("waf", str(tmp_path / "docs"))).wait()
            await until_statuses(flow, "waf", *["completed"] * 4)
            assert str((await flow.status("waf")).status) == "completed"
