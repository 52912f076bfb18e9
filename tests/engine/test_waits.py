"""How long phases wait for what cannot be reached or has no room, and when they pause instead."""

from collections import deque
from pathlib import Path

import pytest

from phaseflow import GuardPolicy, JobPhase, JobStatus, PhaseFlow, Policies, RateLimited, RetryPolicy
from phaseflow.domain.errors import WorkersDown
from phaseflow.domain.status import JobStatusResponse
from tests.engine.components import CountingEmbedder, note_waits
from tests.engine.test_control import finished, until
from tests.engine.test_loading_limits import Pages
from tests.stopwatch import fail_soon


@pytest.mark.parametrize("phase", ["loading", "embedding"])
async def test_workers_that_are_gone_are_asked_for_after_longer_each_time(
    database: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    waits = note_waits(monkeypatch)
    errors = deque(WorkersDown("no worker") for _ in range(8))
    errors[1] = WorkersDown("no worker", retry_after_s=9.0)

    def fail(what: object) -> None:
        if errors:
            raise errors.popleft()

    loader, embedder = Pages(1, lambda _: None), CountingEmbedder()
    if phase == "loading":
        loader.answer = fail
    else:
        embedder.fault = fail
    async with PhaseFlow(database, loader=loader, embedder=embedder) as flow:
        assert (await finished(await flow.start("kb"))).status is JobStatus.COMPLETED
    assert waits == [0.1, 9.0, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


@pytest.mark.parametrize("phase", [JobPhase.LOADING, JobPhase.EMBEDDING])
async def test_the_status_says_that_workers_are_waited_for(database: Path, phase: JobPhase) -> None:
    are_gone = True

    def fail(what: object) -> None:
        if are_gone:
            raise WorkersDown("no worker")

    loader = Pages(1, fail if phase is JobPhase.LOADING else lambda _: None)
    embedder = CountingEmbedder(fail if phase is JobPhase.EMBEDDING else None)
    async with PhaseFlow(database, loader=loader, embedder=embedder) as flow:
        job = await flow.start("kb")
        with fail_soon(20):
            await until(flow, lambda s: s.phase_details[phase.position].waiting_on == "workers")
            are_gone = False
            final = await finished(job)
    assert (final.status, final.metrics.documents_failed) == (JobStatus.COMPLETED, 0)
    assert {each.waiting_on for each in final.phase_details} == {None}


async def test_a_budget_that_no_call_fits_in_lets_one_pass_at_each_resume(database: Path) -> None:
    embedder = CountingEmbedder()
    embedder.in_flight, embedder.batch_size = 1, 1
    policies = Policies(guard=GuardPolicy(characters=1))
    async with PhaseFlow(database, loader=Pages(2, lambda _: None), embedder=embedder, policies=policies) as flow:
        job = await flow.start("kb")
        await until(flow, lambda s: s.status is JobStatus.PAUSED)
        assert embedder.calls == 1
        await flow.resume("kb")
        assert (await finished(job)).status is JobStatus.COMPLETED
    assert embedder.calls == 2


async def test_a_server_that_may_limit_its_rate_for_no_time_at_all_is_asked_once(database: Path) -> None:
    def limit(_: object) -> None:
        raise RateLimited("slow down")

    embedder = CountingEmbedder(limit)
    policies = Policies(retry=RetryPolicy(first_s=0.001), guard=GuardPolicy(rate_limited_s=0))
    async with PhaseFlow(database, loader=Pages(1, lambda _: None), embedder=embedder, policies=policies) as flow:
        await flow.start("kb")
        paused = await until(flow, lambda s: s.status is JobStatus.PAUSED)
        assert "answers only with rate limits for 0 s" in paused.message
    assert embedder.calls == 1


@pytest.mark.parametrize(("asked_s", "status"), [(3600.0, JobStatus.RUNNING), (3600.1, JobStatus.PAUSED)])
async def test_a_server_may_ask_for_an_hour_and_no_more(database: Path, asked_s: float, status: JobStatus) -> None:
    def limit(_: object) -> None:
        raise RateLimited("slow down", retry_after_s=asked_s)

    embedder = CountingEmbedder(limit)
    async with PhaseFlow(database, loader=Pages(1, lambda _: None), embedder=embedder) as flow:
        await flow.start("kb")
        waits = await until(flow, lambda s: s.status == "paused" or (status == "running" and _is_limited(s)))
        assert waits.status is status
        assert ("asks to wait for 1 hour (" in waits.message) == (status is JobStatus.PAUSED)


def _is_limited(status: JobStatusResponse) -> bool:
    return status.phase_details[2].waiting_on == "rate_limit"
