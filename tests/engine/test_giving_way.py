"""A job that nobody started gives way to one that somebody starts: no start is refused because of a push."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from phaseflow import JobConflict, JobPhase, JobStatus, PhaseFlow, PhaseStatus
from phaseflow.actors import batching, requests
from phaseflow.supervisor import giving_way
from tests.engine.components import CountingEmbedder, write_folder
from tests.engine.test_pushes import note, over, searchable, until
from tests.stopwatch import NEVER_S, fail_soon
from tests.store.probes import select

DOCUMENTS = ("doc000.md", "doc001.md")


@pytest.fixture
def embedder() -> CountingEmbedder:
    return CountingEmbedder()


@pytest.fixture
async def flow(database: Path, embedder: CountingEmbedder) -> AsyncIterator[PhaseFlow]:
    async with PhaseFlow(database, embedder=embedder) as flow:
        yield flow


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The own job waits for more until it is told to end, and is given all the time that it takes."""
    monkeypatch.setattr(requests, "LINGER_S", NEVER_S)
    monkeypatch.setattr(giving_way, "GIVE_WAY_S", NEVER_S)
    monkeypatch.setattr(giving_way, "STOP_S", NEVER_S)


@pytest.mark.usefixtures("patient")
async def test_a_start_right_after_a_push_is_taken(flow: PhaseFlow, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "docs", 2, words=20)
    await flow.add("kb", [note("pushed.md")])
    own = (await flow.status("kb")).job_id
    await searchable(flow, "pushed.md")
    assert (await flow.status("kb")).status is JobStatus.RUNNING  # it waits for more
    job = await flow.start("kb", str(source))
    assert (await job.wait()).status is JobStatus.COMPLETED
    assert job.job_id != own
    assert (await flow.job_status(own)).status is JobStatus.COMPLETED
    found = await flow.documents("kb")
    assert {one.uri for one in found.items if one.searchable} == {"pushed.md", *DOCUMENTS}


@pytest.mark.usefixtures("patient")
async def test_what_it_has_in_hand_is_finished_and_the_rest_waits(
    flow: PhaseFlow, embedder: CountingEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(giving_way, "GIVE_WAY_S", 0.0)
    source = write_folder(tmp_path / "docs", 2, words=20)
    embedder.close()
    await flow.add("kb", [note("pushed.md")])
    own = (await flow.status("kb")).job_id
    with fail_soon(20):
        await embedder.until_called()
    supervisor = flow._engine.scheduler.supervisor_of("kb")
    assert supervisor is not None
    embedding = supervisor._actors[JobPhase.EMBEDDING.position].gate
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(flow.start, "kb", str(source))
        with fail_soon(20):
            while embedding.is_open:  # noqa: ASYNC110  # the start closes it when it begins to wait for what is in hand
                await anyio.sleep(0.01)
        embedder.gate.set()
    assert (await over(flow)).status is JobStatus.COMPLETED
    ended = await flow.job_status(own)
    assert (ended.status, ended.error) == (JobStatus.CANCELLED, "Ended for a job that was started")
    assert ended.message == f"{ended.error}, which does what was left; what was indexed stays searchable"
    found = await flow.documents("kb")
    assert {one.uri for one in found.items if one.searchable} == {"pushed.md", *DOCUMENTS}
    assert max(embedder.paid.values()) == 1


@pytest.mark.usefixtures("patient")
async def test_a_paused_one_gives_way_too(flow: PhaseFlow, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "docs", 2, words=20)
    await flow.add("kb", [note("pushed.md")])
    own = (await flow.status("kb")).job_id
    await flow.pause("kb")
    await until(flow, lambda status: status.status is JobStatus.PAUSED)
    await (await flow.start("kb", str(source))).wait()
    assert (await flow.job_status(own)).status is JobStatus.CANCELLED
    found = await flow.documents("kb")
    assert {one.uri for one in found.items if one.searchable} == {"pushed.md", *DOCUMENTS}


async def test_a_job_that_somebody_started_does_not(flow: PhaseFlow, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "docs", 2, words=20)
    job = await flow.start("kb", str(source), hold=["embedding"])
    assert (await job.wait_until_idle()).status is JobStatus.PAUSED
    with pytest.raises(JobConflict):
        await flow.start("kb", str(source))


async def test_a_start_that_is_refused_ends_nothing(flow: PhaseFlow, database: Path) -> None:
    await flow.add("kb", [note("pushed.md")])
    own = (await flow.status("kb")).job_id
    with pytest.raises(Exception, match="no folder"):
        await flow.start("kb", "not there")
    await searchable(flow, "pushed.md")
    status = await over(flow)
    assert (status.job_id, status.phase_details[3].status) == (own, PhaseStatus.COMPLETED)
    assert select(database, "SELECT count(*) FROM ingestion_jobs") == [(1,)]


async def test_one_push_does_not_wait_for_others_to_be_embedded_with(
    flow: PhaseFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "BATCH_WAIT_S", NEVER_S)
    await flow.add("kb", [note("pushed.md")])
    await searchable(flow, "pushed.md")
