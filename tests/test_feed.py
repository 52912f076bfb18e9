"""The feed: replay, then live, each transition once and in order; statuses where the latest wins; a clean end."""

import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import pytest
from anyio import create_task_group, current_time
from anyio.lowlevel import checkpoint

import phaseflow.feed as feeds
from phaseflow import PhaseFlow, PhaseTracker
from phaseflow.domain.errors import JobNotFound
from phaseflow.domain.status import JobStatusResponse, Transition
from phaseflow.domain.vocabulary import JobPhase, JobStatus
from phaseflow.feed import STATUS_INTERVAL_S
from phaseflow.store.transitions import TransitionLog
from tests.matrices import first_of_each
from tests.stopwatch import Stopwatch, fail_soon
from tests.store.probes import select


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kb.db"


@pytest.fixture
async def tracker(path: Path, anyio_backend: str) -> AsyncIterator[PhaseTracker]:
    async with PhaseTracker.open(path) as opened:
        await opened.initialize_phases("job", "kb")
        await opened.initialize_phases("other", "other-kb")
        yield opened
        assert opened.feed.clients == 0, "a subscription was left open"


@pytest.fixture
async def read_from_log(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers after which the log was read, rather than the memory."""
    reads: list[int] = []

    def after(log: TransitionLog, seq: int, limit: int, kb_id: str | None) -> list[Transition]:
        reads.append(seq)
        return original(log, seq, limit, kb_id)

    original = TransitionLog.after
    monkeypatch.setattr(TransitionLog, "after", after)
    return reads


@pytest.fixture
async def forgetful(
    path: Path, read_from_log: list[int], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PhaseTracker]:
    """A tracker whose feed keeps few transitions in memory. How many is settled when it opens."""
    monkeypatch.setattr(feeds, "RECENT", 7)
    monkeypatch.setattr(feeds, "PAGE", 5)
    async with PhaseTracker.open(path) as opened:
        await opened.initialize_phases("job", "kb")
        await opened.initialize_phases("other", "other-kb")
        yield opened


async def flip(tracker: PhaseTracker, times: int, job_id: str = "job") -> None:
    """So many moves of one phase: each is a transition of the phase and one of the job."""
    for n in range(times):
        await (tracker.pause_phase(job_id, "loading") if n % 2 else tracker.resume_phase(job_id, "loading"))


async def begin(tracker: PhaseTracker, *job_ids: str) -> None:
    """Jobs that are paused; two pairs of transitions each."""
    for job_id in job_ids:
        await tracker.start_phase(job_id, "loading")
        await tracker.pause_phase(job_id, "loading")


async def collect(tracker: PhaseTracker, last: int, after: int | None = 0, kb_id: str | None = None) -> list[int]:
    """The numbers a subscriber sees, up to ``last``."""
    seen: list[int] = []
    async with aclosing(_generator(tracker.feed.transitions(after, kb_id))) as transitions:
        async for transition in transitions:
            seen.append(transition.seq)
            if transition.seq >= last:
                break
    return seen


def _generator(iterator: AsyncIterator[Transition]) -> AsyncGenerator[Transition]:
    assert isinstance(iterator, AsyncGenerator)
    return iterator


@pytest.mark.parametrize("seed", first_of_each(range(5)))
async def test_every_subscriber_sees_every_transition_once_and_in_order_whenever_it_comes(
    forgetful: PhaseTracker, read_from_log: list[int], seed: int
) -> None:
    """Those that are behind the few that are kept in memory read the database."""
    tracker = forgetful
    chance = random.Random(seed)  # noqa: S311  # the same each time
    await begin(tracker, "job", "other")
    results: list[tuple[int, list[int]]] = []

    async def subscribe(after: int, delay: int, idle: int) -> None:
        for _ in range(delay):
            await checkpoint()
        seen: list[int] = []
        async with aclosing(_generator(tracker.feed.transitions(after))) as transitions:
            async for transition in transitions:
                seen.append(transition.seq)
                for _ in range(idle):
                    await checkpoint()
                if transition.seq == 128:
                    break
        results.append((after, seen))

    with fail_soon(20):
        async with create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(subscribe, chance.randrange(9), chance.randrange(60), chance.randrange(20))
            tasks.start_soon(flip, tracker, 30, "job")
            tasks.start_soon(flip, tracker, 30, "other")
    assert len(results) == 12
    assert all(seen == list(range(after + 1, 129)) for after, seen in results)
    assert read_from_log


async def test_memory_and_log_meet_without_gap_or_overlap(forgetful: PhaseTracker, read_from_log: list[int]) -> None:
    await begin(forgetful, "job")
    await flip(forgetful, 8)
    last = forgetful.feed.last_seq
    for seq in range(last + 1):
        told = await forgetful.feed.since(seq)
        assert [transition.seq for transition in told] == list(range(seq + 1, min(seq + 5, last) + 1))
    assert read_from_log == list(range(last - 7)), "only what is no longer in memory is read from the log"


async def test_a_subscriber_of_one_knowledge_base_sees_its_transitions_only(tracker: PhaseTracker) -> None:
    await begin(tracker, "job", "other")
    with fail_soon(10):
        async with create_task_group() as tasks:
            tasks.start_soon(flip, tracker, 4, "other")
            tasks.start_soon(flip, tracker, 4, "job")
    tracker.feed.close()
    mine = [t.seq async for t in tracker.feed.transitions(0, "kb") if t.job_id == "job"]
    others = [t.seq async for t in tracker.feed.transitions(0, "other-kb") if t.job_id == "other"]
    assert len(mine) == len(others) == 12
    assert sorted(mine + others) == list(range(1, 25))


async def test_a_subscriber_without_a_number_begins_with_now(tracker: PhaseTracker) -> None:
    await begin(tracker, "job")
    with fail_soon(5):
        async with create_task_group() as tasks:
            tasks.start_soon(_flip_when_someone_listens, tracker)
            assert await collect(tracker, 5, after=None) == [5]


async def _flip_when_someone_listens(tracker: PhaseTracker) -> None:
    while not tracker.feed.clients:
        await checkpoint()
    await checkpoint()
    await flip(tracker, 1)


async def test_a_subscriber_goes_on_over_a_restart_without_gap_or_repeat(path: Path) -> None:
    seen: list[int] = []
    with fail_soon(20):
        for n in range(4):
            async with PhaseTracker.open(path) as tracker:
                if not n:
                    await tracker.initialize_phases("job", "kb")
                    await begin(tracker, "job")
                await flip(tracker, 6)
                seen += await collect(tracker, tracker.feed.last_seq, after=seen[-1] if seen else 0)
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) == 4 + 4 * 12


async def test_nobody_is_told_before_the_commit(tracker: PhaseTracker, path: Path) -> None:
    await begin(tracker, "job")
    with fail_soon(10):
        async with create_task_group() as tasks:
            tasks.start_soon(flip, tracker, 10)
            async with aclosing(_generator(tracker.feed.transitions(0))) as transitions:
                async for transition in transitions:
                    assert select(path, "SELECT max(seq) FROM transitions")[0][0] >= transition.seq
                    if transition.seq == 24:
                        break


async def test_a_subscriber_that_looks_away_costs_no_queue_and_misses_nothing(
    forgetful: PhaseTracker, read_from_log: list[int]
) -> None:
    tracker = forgetful
    await begin(tracker, "job")
    with fail_soon(10):
        async with aclosing(_generator(tracker.feed.transitions(0))) as transitions:
            seen = [(await anext(transitions)).seq]
            await flip(tracker, 50)
            while seen[-1] < 104:
                seen.append((await anext(transitions)).seq)
    assert seen == list(range(1, 105))
    assert read_from_log, "it was too far behind for what is kept in memory"


async def test_a_page_is_bounded(tracker: PhaseTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "PAGE", 3)
    await begin(tracker, "job")
    assert [t.seq for t in await tracker.feed.since(0)] == [1, 2, 3]
    assert [t.seq for t in await tracker.feed.since(3)] == [4]


async def test_closing_ends_every_subscription_at_once(path: Path) -> None:
    ended: list[str] = []

    async def watch(tracker: PhaseTracker) -> None:
        async for _ in tracker.feed.statuses("job", "kb"):
            pass
        ended.append("status")

    async def follow(tracker: PhaseTracker) -> None:
        async for _ in tracker.feed.transitions(0):
            pass
        ended.append("transition")

    with fail_soon(10):
        async with create_task_group() as tasks, PhaseTracker.open(path) as tracker:
            await tracker.initialize_phases("job", "kb")
            for _ in range(100):
                tasks.start_soon(watch, tracker)
                tasks.start_soon(follow, tracker)
            while tracker.feed.clients < 200:
                await checkpoint()
            ending = Stopwatch()
    assert (ended.count("status"), ended.count("transition")) == (100, 100)
    assert ending.within(2)
    assert tracker.feed.clients == 0


async def test_a_closed_feed_still_tells_what_was_committed(tracker: PhaseTracker) -> None:
    await begin(tracker, "job")
    tracker.feed.close()
    with fail_soon(5):
        assert [t.seq async for t in tracker.feed.transitions(1)] == [2, 3, 4]
        assert [t.seq async for t in tracker.feed.transitions()] == []


async def test_the_statuses_of_a_closed_feed_end_with_the_one_there_is(tracker: PhaseTracker) -> None:
    await begin(tracker, "job")
    tracker.feed.close()
    with fail_soon(5):
        assert [status.status async for status in tracker.feed.statuses("job", "kb")] == ["paused"]


async def test_a_cancelled_subscriber_is_gone(tracker: PhaseTracker) -> None:
    async with create_task_group() as tasks:
        tasks.start_soon(collect, tracker, 1000)
        tasks.start_soon(watch_to_the_end, tracker)
        while tracker.feed.clients < 2:
            await checkpoint()
        tasks.cancel_scope.cancel()
    assert tracker.feed.clients == 0


async def watch_to_the_end(tracker: PhaseTracker, job_id: str = "job", kb_id: str = "kb") -> list[JobStatusResponse]:
    return [status async for status in tracker.feed.statuses(job_id, kb_id)]


async def test_a_watcher_sees_the_status_now_and_the_last_one_and_then_ends(tracker: PhaseTracker) -> None:
    seen: list[JobStatusResponse] = []

    async def watch() -> None:
        async for status in tracker.feed.statuses("job", "kb"):
            seen.append(status)

    with fail_soon(10):
        async with create_task_group() as tasks:
            tasks.start_soon(watch)
            while not seen:
                await checkpoint()
            await tracker.start_phase("job", "loading")
            for n in range(50):
                await tracker.update_progress("job", "loading", n, 50)
            await tracker.fail_phase("job", "loading", "it broke")
    assert seen[0].status is JobStatus.PENDING
    assert seen[-1].status is JobStatus.FAILED
    progress = [status.progress for status in seen]
    assert progress == sorted(progress)


async def test_a_watcher_of_a_job_that_is_over_gets_one_answer(tracker: PhaseTracker) -> None:
    await tracker.start_phase("job", "loading")
    await tracker.fail_phase("job", "loading", "it broke")
    with fail_soon(5):
        assert [status.status for status in await watch_to_the_end(tracker)] == [JobStatus.FAILED]


async def test_a_watcher_of_no_job_is_told(tracker: PhaseTracker) -> None:
    with pytest.raises(JobNotFound):
        await watch_to_the_end(tracker, "nobody", "kb")


async def test_progress_is_told_at_most_so_often_and_a_transition_at_once(tracker: PhaseTracker) -> None:
    await tracker.start_phase("job", "loading")
    with fail_soon(10):
        async with create_task_group() as tasks:
            async with aclosing(tracker.feed.statuses("job", "kb")) as statuses:  # type: ignore[type-var]  # a generator
                await anext(statuses)
                began = current_time()
                tasks.start_soon(_progress, tracker)
                times = [current_time() for _ in range(3) if await anext(statuses)]
                tasks.cancel_scope.cancel()
            assert times[-1] - began >= 3 * STATUS_INTERVAL_S * 0.9
        async with aclosing(tracker.feed.statuses("job", "kb")) as statuses:  # type: ignore[type-var]  # a generator
            await anext(statuses)
            watch = Stopwatch()
            await tracker.pause_phase("job", "loading")
            assert (await anext(statuses)).status is JobStatus.PAUSED
            assert watch.within(STATUS_INTERVAL_S)


async def test_who_waits_for_the_end_reads_no_status_for_counts(
    tracker: PhaseTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "STATUS_INTERVAL_S", 0)
    seen: list[JobStatusResponse] = []

    async def watch() -> None:
        seen.extend([status async for status in tracker.feed.statuses("job", "kb", counts=False)])

    await tracker.start_phase("job", "loading")
    with fail_soon(10):
        async with create_task_group() as tasks:
            tasks.start_soon(watch)
            while not tracker.feed.clients:
                await checkpoint()
            for n in range(20):
                await tracker.update_progress("job", "loading", n, 50)
            await tracker.complete_phase("job", "loading")
            await tracker.start_phase("job", "chunking")
            await tracker.fail_phase("job", "chunking", "it broke")
    assert [status.status for status in seen][-1] is JobStatus.FAILED
    assert len(seen) <= 3


async def test_who_waits_for_the_end_reads_the_status_at_each_pause_and_no_other_step(tracker: PhaseTracker) -> None:
    seen: list[JobStatus] = []

    async def watch() -> None:
        async for status in tracker.feed.statuses("job", "kb", counts=False):
            seen.append(status.status)

    async def until(count: int) -> None:
        while len(seen) < count:
            await checkpoint()

    with fail_soon(10):
        async with create_task_group() as tasks:
            tasks.start_soon(watch)
            await until(1)
            await tracker.start_phase("job", "loading")
            await tracker.complete_phase("job", "loading")
            await tracker.start_phase("job", "chunking")
            await tracker.pause_phase("job", "chunking")
            await until(2)
            await tracker.resume_phase("job", "chunking")
            await until(3)
            await tracker.complete_phase("job", "chunking")
            await tracker.start_phase("job", "embedding")
            await tracker.fail_phase("job", "embedding", "it broke")
    assert seen == [JobStatus.PENDING, JobStatus.PAUSED, JobStatus.RUNNING, JobStatus.FAILED]


async def _progress(tracker: PhaseTracker) -> None:
    n = 0
    while True:
        n += 1
        await tracker.update_progress("job", "loading", n, 10_000)


async def test_a_change_of_another_knowledge_base_wakes_no_watcher(tracker: PhaseTracker) -> None:
    await tracker.start_phase("job", "loading")
    await tracker.start_phase("other", "loading")
    before = tracker.feed.revision("kb")
    await tracker.pause_phase("other", "loading")
    assert tracker.feed.revision("kb") == before
    assert tracker.feed.revision("other-kb") > 0


async def test_what_is_replayed_is_what_the_log_holds_also_without_a_deleted_knowledge_base(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        for kb_id in ("kept", "deleted"):
            await flow.tracker.initialize_phases(f"job of {kb_id}", kb_id)
            await begin(flow.tracker, f"job of {kb_id}")
            await flow.tracker.fail_phase(f"job of {kb_id}", "loading", "it is over")
        await flow.delete_kb("deleted")
        live = await flow.tracker.feed.since(0)
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        assert await flow.tracker.feed.since(0) == live
    assert {t.kb_id for t in live} == {"kept"}


async def test_numbers_ascend_in_the_order_of_the_commits(tracker: PhaseTracker) -> None:
    await begin(tracker, "job", "other")
    async with create_task_group() as tasks:
        tasks.start_soon(flip, tracker, 20, "job")
        tasks.start_soon(flip, tracker, 20, "other")
    told = await tracker.feed.since(0)
    assert [t.seq for t in told] == list(range(1, 89))
    assert all(before.at <= after.at for before, after in pairwise(told) if before.kb_id == after.kb_id)


async def test_a_revision_grows_with_each_change_and_tells_progress_from_the_rest(tracker: PhaseTracker) -> None:
    feed = tracker.feed
    for _ in range(3):
        before = feed.revision("kb")
        feed.touch("kb")
        assert (feed.revision("kb"), feed.has_moved("kb", before)) == (before + 1, True)
        before = feed.revision("kb")
        feed.touch("kb", progress_only=True)
        assert (feed.revision("kb"), feed.has_moved("kb", before)) == (before + 1, False)
        assert feed.has_moved("kb", before - 1), "what moved before is still news to whoever has not seen it"
    before = feed.revision("kb")
    await tracker.start_phase("job", "loading")
    assert (feed.revision("kb"), feed.has_moved("kb", before)) == (before + 2, True)  # of the phase, and of the job
    before = feed.revision("kb")
    await tracker.update_progress("job", "loading", 1, 2)
    assert (feed.revision("kb"), feed.has_moved("kb", before)) == (before + 1, False)


async def test_whoever_was_told_a_status_is_shown_none_that_is_older(tracker: PhaseTracker) -> None:
    before = tracker.feed.told_at("kb")
    await tracker.start_phase("job", "loading")
    await tracker.update_progress("job", "loading", 1, 2)
    assert tracker.feed.told_at("kb") > before
    assert tracker.feed.told_at("nobody's") == 0.0


async def test_a_revision_is_nothing_before_the_first_change_and_counts_each(tracker: PhaseTracker) -> None:
    feed = tracker.feed
    assert (feed.revision("never"), feed.has_moved("never", 0)) == (0, False)
    feed.touch("never", progress_only=True)
    assert (feed.revision("never"), feed.has_moved("never", 0)) == (1, False)
    feed.touch("never")
    assert (feed.revision("never"), feed.has_moved("never", 1)) == (2, True)
    assert not feed.has_moved("never", 2)


async def test_a_knowledge_base_that_is_forgotten_takes_no_other_with_it(tracker: PhaseTracker) -> None:
    await tracker.initialize_phases("first", "a-kb")
    for job_id in ("first", "job", "other"):
        await tracker.start_phase(job_id, JobPhase.LOADING)
    before = await tracker.feed.since(0)
    tracker.feed.forget("kb")
    after = await tracker.feed.since(0)
    assert after == [transition for transition in before if transition.kb_id != "kb"]
    assert {transition.kb_id for transition in after} == {"a-kb", "other-kb"}
