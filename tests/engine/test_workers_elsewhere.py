"""Workers that are elsewhere, as a program gives them: lost at random, gone, and back. The processes are real."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from phaseflow import PhaseFlow
from phaseflow.components.workers.local import LocalWorkers
from phaseflow.components.workers.protocol import Model, Outcome, RawDocument
from phaseflow.domain.errors import InvalidRequest, MissingExtra, WorkersDown
from phaseflow.domain.vocabulary import JobPhase, JobStatus, WaitingOn
from tests.components.lossy_workers import LossyWorkers
from tests.engine.components import CountingEmbedder, vector_of
from tests.stopwatch import fail_soon

if TYPE_CHECKING:
    from phaseflow.components.protocols import Vectors


class RemoteEmbedder:
    """May run elsewhere."""

    fingerprint = "remote"
    remote = True
    batch_size = 4

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [vector_of(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return vector_of(text)


class GoneWorkers(LocalWorkers):
    """A cluster that is gone until somebody brings it back."""

    is_remote = True
    batch_documents = 8

    def __init__(self) -> None:
        super().__init__(2)
        self.down: str | None = "the cluster is gone"  # type: ignore[assignment]  # set by the test
        self.asked = anyio.Event()
        self.embedded: list[str] = []

    async def extract(self, batch: Sequence[RawDocument]) -> Sequence[Outcome]:
        self._check()
        return await super().extract(batch)

    async def embed(self, model: Model, texts: list[str]) -> "Vectors":
        self._check()
        self.embedded += texts
        return await super().embed(model, texts)

    def _check(self) -> None:
        self.asked.set()
        if self.down is not None:
            raise WorkersDown(self.down)


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    for number in range(24):
        (folder / f"{number}.rtf").write_bytes(rb"{\rtf1 Paper number %d.\par}" % number)
    return folder


@pytest.mark.thorough
async def test_lost_workers_fail_no_document_and_embed_each_text_once(papers: Path, database: Path) -> None:
    workers = LossyWorkers(7)
    async with PhaseFlow(database, workers=workers, embedder=RemoteEmbedder()) as flow:
        with fail_soon(60):
            final = await (await flow.start("kb", papers)).wait()
        assert (await flow.failures("kb")).items == []
        [hit, *_] = await flow.search("kb", "paper number 17", limit=3)
    assert final.status is JobStatus.COMPLETED
    assert final.metrics.documents_loaded == 24
    assert hit.text == "Paper number 17."
    assert workers.losses > 2
    assert workers.read == {f"{n}.rtf": 1 for n in range(24)}


@pytest.mark.parametrize("phase", [JobPhase.LOADING, JobPhase.EMBEDDING])
async def test_without_any_worker_the_job_waits_says_so_and_goes_on_by_itself(
    papers: Path, database: Path, phase: JobPhase
) -> None:
    workers = GoneWorkers()
    if phase is JobPhase.EMBEDDING:
        for paper in papers.iterdir():
            paper.with_suffix(".md").write_text(f"Paper number {paper.stem}.")
            paper.unlink()
    async with PhaseFlow(database, workers=workers, embedder=RemoteEmbedder()) as flow:
        job = await flow.start("kb", papers)
        with fail_soon(30):
            async for status in job.watch():
                details = {each.name: each for each in status.phase_details}
                if details[phase].waiting_on is WaitingOn.WORKERS:
                    break
        with pytest.raises(WorkersDown, match="the cluster is gone"):
            await flow.check_store()
        assert "workers" in status.message or status.waiting_on is not WaitingOn.WORKERS
        await flow.pause("kb")
        with fail_soon(10):
            async for status in job.watch():
                if status.status is JobStatus.PAUSED:
                    break
        await flow.resume("kb")
        workers.down = None
        with fail_soon(30):
            final = await job.wait()
        await flow.check_store()
        assert (await flow.failures("kb")).items == []
    assert final.status is JobStatus.COMPLETED
    assert final.metrics.documents_failed == 0
    assert len(workers.embedded) == len(set(workers.embedded)) == 24


async def test_an_embedder_that_does_not_say_that_it_may_stays_in_the_program(papers: Path, database: Path) -> None:
    workers, embedder = GoneWorkers(), CountingEmbedder()
    workers.down = None
    async with PhaseFlow(database, workers=workers, embedder=embedder) as flow:
        with fail_soon(30):
            final = await (await flow.start("kb", papers)).wait()
    assert final.status is JobStatus.COMPLETED
    assert workers.embedded == []
    assert sum(embedder.paid.values()) == 24


async def test_a_number_of_processes_is_the_most_there_are(papers: Path, database: Path) -> None:
    async with PhaseFlow(database, workers=1, embedder=CountingEmbedder()) as flow:
        job = await flow.start("kb", papers)
        most = 0
        with fail_soon(30):
            async for _ in job.watch():
                most = max(most, len(flow._engine.components._workers.pids))
            assert (await job.wait()).status is JobStatus.COMPLETED
    assert most == 1


@pytest.mark.parametrize("given", [0, "none", object(), LocalWorkers])
async def test_what_is_no_choice_of_workers_is_refused(database: Path, given: object) -> None:
    with pytest.raises(InvalidRequest, match="workers"):
        PhaseFlow(database, workers=given)  # type: ignore[arg-type]  # wrong on purpose


async def test_the_environment_is_read_and_named(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASEFLOW_WORKERS", "3")
    assert PhaseFlow(database)._engine.components._workers.workers.capacity == 3
    assert PhaseFlow(database, workers=2)._engine.components._workers.workers.capacity == 2
    monkeypatch.setenv("PHASEFLOW_WORKERS", "three")
    with pytest.raises(InvalidRequest, match="PHASEFLOW_WORKERS"):
        PhaseFlow(database)


async def test_ray_without_its_extra_names_it(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phaseflow.flow.chosen_workers.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"phaseflow\[ray\]"):
        PhaseFlow(database, workers="ray")
