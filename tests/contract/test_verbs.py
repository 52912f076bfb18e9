"""What the verbs do, at the moments in which somebody would try them."""

from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from phaseflow import FolderSource, Job, JobConflict, JobStatusResponse, PhaseFlow
from tests.contract.outsiders import Broken, Complete, Coroutine, Hung, Lines, Turnstile
from tests.contract.watching import statuses, until, write_notes
from tests.stopwatch import Stopwatch, fail_soon


async def started(flow: PhaseFlow, tmp_path: Path, documents: int = 3) -> Job:
    write_notes(tmp_path / "docs", documents)
    return await flow.start("waf", FolderSource(str(tmp_path / "docs")))


async def paused(flow: PhaseFlow, gate: Turnstile) -> JobStatusResponse:
    """Pause a job one batch of which is in hand, and let this batch pass."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(flow.pause, "waf")
        job = await flow.job("waf")
        await until(job, lambda now: now.requested == "pause")
        gate.let(1)
    return await until(job, lambda now: now.status == "paused")


async def test_pause_takes_effect_after_the_batch_in_hand_and_is_quiet_until_resume(tmp_path: Path) -> None:
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
        with fail_soon(10):
            job = await started(flow, tmp_path)
            await gate.until_arrived(1)
            stood = await paused(flow, gate)
            gate.let(9)
            await anyio.sleep(0.2)  # what would begin would begin within this
            assert await job.status() == stood
            assert (gate.arrived, gate.done) == (1, 1)
            assert stood.phase_details[2].items_processed == 1
            await flow.resume("waf")
            final = await job.wait()
    assert (final.status, gate.done) == ("completed", 3)


async def test_pause_of_a_paused_job_answers_with_its_status(tmp_path: Path) -> None:
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
        with fail_soon(10):
            await started(flow, tmp_path)
            await gate.until_arrived(1)
            stood = await paused(flow, gate)
            assert await flow.pause("waf") == stood
            await flow.cancel("waf")


async def test_resume_of_a_running_job_answers_with_its_status(tmp_path: Path) -> None:
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
        with fail_soon(10):
            await started(flow, tmp_path)
            await gate.until_arrived(1)
            assert (await flow.resume("waf")).status == "running"
            await flow.cancel("waf")


async def test_a_paused_phase_does_not_hold_up_those_before_it(tmp_path: Path) -> None:
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
        with fail_soon(10):
            job = await started(flow, tmp_path, documents=40)
            await gate.until_arrived(1)
            await flow.pause("waf", "embedding")
            gate.let(1)
            await until(job, lambda now: now.phase_details[2].status == "paused")
            stood = await until(job, lambda now: now.status == "paused")
            arrived = gate.arrived
            gate.let(99)
            assert (await flow.resume("waf", "embedding")).phase_details[2].status in ("running", "completed")
            final = await job.wait()
    assert statuses(stood)[:3] == ["completed", "completed", "paused"]
    assert (stood.phase_details[2].waiting_on, stood.phase_details[3].waiting_on) == ("pause", "upstream")
    assert stood.phase_details[3].items_processed == 1, "what was handed over before is searchable"
    assert arrived == 1
    assert (final.status, gate.done) == ("completed", 40)


async def test_hold_loads_and_chunks_and_asks_no_embedder(tmp_path: Path) -> None:
    mine = Complete()
    async with PhaseFlow(tmp_path / "kb.db", embedder=mine) as flow:
        with fail_soon(10):
            write_notes(tmp_path / "docs", 3)
            job = await flow.start("waf", FolderSource(str(tmp_path / "docs")), hold=["embedding"])
            stood = await until(job, lambda now: now.status == "paused")
            assert mine.calls == 0
            assert (stood.phase, stood.metrics.chunks_created) == ("embedding", 3)
            assert stood.phase_details[2].items_total == 3
            assert stood.allowed_actions == ["resume", "cancel"]
            await flow.resume("waf")
            assert (await job.wait()).status == "completed"


async def test_resuming_the_phase_ends_its_hold(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            write_notes(tmp_path / "docs", 3)
            job = await flow.start("waf", FolderSource(str(tmp_path / "docs")), hold=["indexing"])
            stood = await until(job, lambda now: now.status == "paused")
            assert statuses(stood) == ["completed"] * 3 + ["not_started"]
            await flow.resume("waf", "indexing")
            assert (await job.wait()).status == "completed"


async def test_a_hold_of_the_first_phase_is_a_paused_job_in_which_nothing_has_started(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            write_notes(tmp_path / "docs", 1)
            job = await flow.start("waf", FolderSource(str(tmp_path / "docs")), hold=["loading"])
            stood = await until(job, lambda now: now.status == "paused")
            assert statuses(stood) == ["not_started"] * 4
            assert (stood.phase, stood.phase_details[0].waiting_on) == ("loading", "pause")
            await flow.resume("waf")
            assert (await job.wait()).status == "completed"


async def test_pausing_a_phase_that_has_not_started_holds_it(tmp_path: Path) -> None:
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
        with fail_soon(10):
            job = await started(flow, tmp_path)
            await gate.until_arrived(1)
            held = (await flow.pause("waf", "indexing")).phase_details[3]
            assert (held.status, held.waiting_on) == ("not_started", "pause")
            assert (await flow.status("waf")).allowed_actions == ["pause", "cancel", "resume"]
            gate.let(9)
            await until(job, lambda now: now.status == "paused")
            await flow.resume("waf")
            assert (await job.wait()).status == "completed"


async def test_a_job_that_waits_for_a_slot_can_be_paused_and_cancelled(tmp_path: Path) -> None:
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate, slots=1) as flow:
        with fail_soon(10):
            await started(flow, tmp_path)
            await gate.until_arrived(1)
            await flow.start("next", str(tmp_path / "docs"))
            waiting = await flow.pause("next")
            assert (waiting.status, statuses(waiting)) == ("paused", ["not_started"] * 4)
            ended = await flow.cancel("next")
            assert (ended.status, statuses(ended)) == ("cancelled", ["not_started"] * 4)
            gate.let(9)


async def test_cancel_takes_a_second_at_most_while_a_thread_hangs(tmp_path: Path) -> None:
    hung = Hung()
    async with PhaseFlow(tmp_path / "kb.db", embedder=hung) as flow:
        with fail_soon(10):
            job = await started(flow, tmp_path)
            assert await anyio.to_thread.run_sync(hung.called.wait, 60)
            watch = Stopwatch()
            status = await flow.cancel("waf")
            status = await job.wait() if status.status != "cancelled" else status
            assert watch.within(1)
    hung.release.set()
    assert status.status == "cancelled"
    assert (status.phase_details[2].status, status.phase_details[2].error) == ("failed", "Cancelled by user")
    assert (statuses(status)[3], status.phase_details[3].error) == ("not_started", None)
    assert status.allowed_actions == ["start"]


async def test_a_cancelled_job_stays_so_and_the_next_start_goes_on(tmp_path: Path) -> None:
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
        with fail_soon(10):
            job = await started(flow, tmp_path)
            gate.let(1)
            await gate.until_arrived(2)
            await until(job, lambda now: now.phase_details[3].items_processed == 1)
            cancelled = await flow.cancel("waf")
            found = {hit.uri for hit in await flow.search("waf", "note")}
            assert await flow.cancel("waf") == cancelled
            for verb in (flow.pause, flow.resume, flow.retry):
                with pytest.raises(JobConflict) as refused:
                    await verb("waf")
                assert (refused.value.status, refused.value.allowed_actions) == ("cancelled", ["start"])
            gate.let(9)
            final = await (await flow.start("waf")).wait()
            assert (await flow.jobs("waf")).items[1] == cancelled
    assert len(found) == 1
    assert (final.status, final.metrics.documents_unchanged) == ("completed", 1)


async def test_cancel_of_a_paused_job_fails_what_was_paused(tmp_path: Path) -> None:
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
        with fail_soon(10):
            await started(flow, tmp_path)
            await gate.until_arrived(1)
            was = statuses(await paused(flow, gate))
            status = await flow.cancel("waf")
    assert "paused" in was
    assert statuses(status) == ["failed" if word == "paused" else word for word in was]
    assert {one.error for one in status.phase_details if one.status == "failed"} == {"Cancelled by user"}


async def test_a_failed_job_is_retried_and_finished_work_is_kept(tmp_path: Path) -> None:
    broken = Broken()
    async with PhaseFlow(tmp_path / "kb.db", chunker=Lines(), embedder=broken) as flow:
        with fail_soon(10):
            job = await started(flow, tmp_path)
            failed = await job.wait()
            broken.error = None
            await flow.retry("waf")
            final = await until(job, lambda now: now.status == "completed")
            failures = await flow.failures("waf")
    assert (failed.status, failed.allowed_actions) == ("failed", ["retry", "start"])
    assert (final.job_id, final.metrics.documents_loaded, final.metrics.documents_failed) == (failed.job_id, 3, 0)
    assert set(broken.texts.values()) == {1}
    assert failures.items == []


async def test_a_start_after_a_failed_job_makes_a_new_one_and_the_old_is_past_retry(tmp_path: Path) -> None:
    broken = Broken()
    async with PhaseFlow(tmp_path / "kb.db", embedder=broken) as flow:
        with fail_soon(10):
            failed = await (await started(flow, tmp_path)).wait()
            broken.error = None
            final = await (await flow.start("waf")).wait()
            with pytest.raises(JobConflict):
                await flow.retry("waf")
            assert (await flow.job_status(failed.job_id)).status == "failed"
    assert (final.status, final.job_id != failed.job_id) == ("completed", True)


async def test_retry_of_a_job_that_has_not_failed_is_a_conflict(tmp_path: Path) -> None:
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
        with fail_soon(10):
            await started(flow, tmp_path)
            await gate.until_arrived(1)
            with pytest.raises(JobConflict):
                await flow.retry("waf")
            gate.let(9)


async def test_verbs_on_a_completed_job_change_nothing(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            final = await (await started(flow, tmp_path)).wait()
            for verb in (flow.pause, flow.resume, flow.cancel, flow.retry):
                with pytest.raises(JobConflict) as refused:
                    await verb("waf")
                assert (refused.value.status, refused.value.allowed_actions) == ("completed", ["start"])
            assert await flow.status("waf") == final


async def test_a_phase_that_fails_holds_the_others(tmp_path: Path) -> None:
    class FailsLater(Turnstile):
        async def embed_documents(self, texts: list[str]) -> list[list[float]]:
            if self.done == 1:
                self.arrived += 1
                raise RuntimeError("out of memory")
            return await super().embed_documents(texts)

    gate = FailsLater()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
        with fail_soon(10):
            job = await started(flow, tmp_path, documents=30)
            await until(job, lambda now: now.phase_details[1].status == "completed")
            gate.let(1)
            failed = await job.wait()
            found = await flow.search("waf", "note")
    assert (failed.status, statuses(failed)[2]) == ("failed", "failed")
    assert "running" not in statuses(failed)
    assert all(hit.text for hit in found)


async def test_one_bad_document_is_no_failed_job(tmp_path: Path) -> None:
    class Picky(Complete):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            if any("Note 1 " in text for text in texts):
                raise ValueError("cannot be embedded")
            return super().embed_documents(texts)

    async with PhaseFlow(tmp_path / "kb.db", embedder=Picky()) as flow:
        with fail_soon(10):
            final = await (await started(flow, tmp_path, documents=10)).wait()
            failures = (await flow.failures("waf")).items
    assert (final.status, final.metrics.documents_failed, final.phase_details[3].items_processed) == ("completed", 1, 9)
    assert [(one.uri, one.phase) for one in failures] == [("note001.txt", "embedding")]
    assert "cannot be embedded" in failures[0].error


async def test_no_call_is_in_progress_once_paused_is_told(tmp_path: Path) -> None:
    slow = Coroutine(0.05)
    async with PhaseFlow(tmp_path / "kb.db", embedder=slow) as flow:
        with fail_soon(10):
            job = await started(flow, tmp_path, documents=20)
            await until(job, lambda now: now.phase_details[2].items_processed > 0)
            await flow.pause("waf")
            await until(job, lambda now: now.status == "paused")
            assert slow.in_progress == 0
            await flow.resume("waf")
            assert (await job.wait()).status == "completed"
    assert set(slow.texts.values()) == {1}
