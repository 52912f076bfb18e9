"""A process is killed at each named point; the next one goes on, and all is as if nothing had happened.

Each case: a process works and kills itself at a point. What it has left must not contradict itself. Then an engine goes
on to the end: the same documents, passages, vectors and search results as without a kill, and the embedding server has
been asked twice for nothing but what was in flight at the kill, or being stored.
"""

import multiprocessing
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import anyio
import pytest

from phaseflow import JobStatus, PhaseFlow, Reader
from phaseflow.domain.errors import JobConflict
from phaseflow.store.documents import text_hash
from tests.components.fake_embedding_server import FakeEmbeddingServer
from tests.engine.components import write_folder
from tests.matrices import first_of_each
from tests.proof import outcome, victim
from tests.proof.test_crash import left_behind
from tests.proof.victim import AT_RISK, SETTINGS, Case, Errand, RemoteEmbedder
from tests.stopwatch import fail_soon
from tests.store.probes import until_removed

QUERIES = ("word20x7", "word22x30", "word45x1", "again8x2")

CASES = [
    Case(Errand.INGEST, "schema.writing", base="nothing"),
    Case(Errand.INGEST, "schema.written", base="nothing"),
    Case(Errand.INGEST, "store.before_commit", 1),
    Case(Errand.INGEST, "store.before_commit", 9),
    Case(Errand.INGEST, "store.after_commit", 1, base="nothing"),
    Case(Errand.INGEST, "store.after_commit", 6),
    Case(Errand.INGEST, "store.told", 2),
    Case(Errand.INGEST, "store.told", 10),
    Case(Errand.INGEST, "run_start.start", base="nothing"),
    Case(Errand.INGEST, "loading.writing", 1),
    Case(Errand.INGEST, "loading.stored_some", 2),
    Case(Errand.INGEST, "loading.between", 1, base="nothing"),
    Case(Errand.INGEST, "chunking.writing", 1),
    Case(Errand.INGEST, "chunking.stored_some", 2),
    Case(Errand.INGEST, "chunking.between", 1, base="nothing"),
    Case(Errand.INGEST, "embedding.answered", 3),
    Case(Errand.INGEST, "embedding.writing", 2),
    Case(Errand.INGEST, "embedding.between", 4, base="nothing"),
    Case(Errand.INGEST, "indexing.writing", 1, base="nothing"),
    Case(Errand.INGEST, "indexing.writing", 2),
    Case(Errand.INGEST, "indexing.indexed_some", 3),
    Case(Errand.INGEST, "indexing.between", 1),
    Case(Errand.INGEST, "indexing.withdrawn", 1),
    Case(Errand.INGEST, "indexing.switched", 1),
    Case(Errand.INGEST, "indexing.withdrawn", 1, base="rebuild"),
    Case(Errand.INGEST, "janitor.removed_some", 1, base="rebuild"),
    Case(Errand.INGEST, "janitor.merged", 1),  # not after a rebuild: the table of the old index is emptied as a whole
    Case(Errand.INGEST, "janitor.gave_back", 1, base="rebuild"),
    Case(Errand.INGEST, "indexing.cleaned", 1, base="rebuild"),
    Case(Errand.INGEST, "indexing.switched", 1, base="rebuild"),
    Case(Errand.INGEST, "embedding.carried", 1, base="carried"),
    Case(Errand.INGEST, "embedding.carried_some", 2, base="carried"),
    Case(Errand.INGEST, "indexing.switched", 1, base="carried"),
    Case(Errand.INGEST, "supervisor.running", 2, base="nothing"),
    Case(Errand.INGEST, "supervisor.completed", 1),
    Case(Errand.INGEST, "supervisor.completed", 4),
    Case(Errand.INGEST, "scheduler.recovered", 1, base="interrupted"),
    Case(Errand.INGEST, "run_start.resume", 1, base="interrupted"),
    Case(Errand.PAUSE, "scheduler.applied", 1),
    Case(Errand.PAUSE, "supervisor.paused", 1),
    Case(Errand.PAUSE, "run_start.resume", 1),
    Case(Errand.CANCEL, "scheduler.applied", 1),
    Case(Errand.CANCEL, "store.before_commit", 12),
    Case(Errand.CANCEL, "run_start.start", 2),
    Case(Errand.RETRY, "supervisor.failed", 1),
    Case(Errand.RETRY, "scheduler.applied", 1),
    Case(Errand.RETRY, "run_start.retry", 1),
]
PRELOADED = ["tests.proof.victim", "phaseflow.flow", "numpy", "httpx2", "semantic_text_splitter"]
POINTS = sorted({case.point for case in CASES})
SWEEP = [
    (errand, base, point)
    for errand in Errand
    for base in ("nothing", "indexed", "rebuild", "carried")
    for point in POINTS
    if not point.startswith("schema")
]
ARRIVALS = (1, 2, 3, 5, 8, 13, 21, 34, 55)


class Bench:
    """The states that victims begin with, and what all must come to."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.old = write_folder(folder / "docs", 40, words=40)
        self.broken = folder / "broken"
        self.expected: dict[str, outcome.Passages] = {}
        self.hits: list[list[tuple[str, int, int]]] = []

    async def prepare(self) -> None:
        """Index the folder as it was, change it, and index it as it is, without any kill."""
        async with served() as server:
            await go_on(self.root / "indexed.db", self.old, server, "a")
            self._change()
            await self._interrupt(server)
        async with served() as server:
            whole = self.root / "whole.db"
            await go_on(whole, self.old, server, "a")
            self.expected = outcome.searchable(whole)
            self.hits = await hits(whole)
        shutil.copytree(self.old, self.broken)
        for name in ("doc003.md", "doc020.md"):
            (self.broken / name).write_bytes(b"%PDF-1.7 not one")
        assert len(self.expected) == 55
        assert all(any(found) for found in self.hits)

    def database(self, case: Case) -> Path:
        """A database of its own for a case."""
        path = self.root / f"{case}.db"
        if case.base != "nothing":
            name = {"rebuild": "indexed", "carried": "whole"}.get(case.base, case.base)
            shutil.copy(self.root / f"{name}.db", path)
        return path

    def _change(self) -> None:
        for number in range(10):
            path = self.old / f"doc{number:03}.md"
            path.write_text(path.read_text().replace("word", "again"))
        for number in range(10, 15):
            (self.old / f"doc{number:03}.md").unlink()
        more = write_folder(self.root / "more", 60, words=40)
        for number in range(40, 60):
            shutil.copy(more / f"doc{number:03}.md", self.old)

    async def _interrupt(self, server: FakeEmbeddingServer) -> None:
        work = shutil.copy(self.root / "indexed.db", self.root / "work.db")
        embedder = RemoteEmbedder(server.base_url)
        async with PhaseFlow(work, embedder=embedder) as flow:
            job = await flow.start("kb", self.old)
            async for status in job.watch():
                if status.phase_details[2].items_processed:
                    break
            shutil.move(left_behind(Path(work)), self.root / "interrupted.db")
            await job.wait()
        await embedder.aclose()


@asynccontextmanager
async def served() -> AsyncIterator[FakeEmbeddingServer]:
    async with FakeEmbeddingServer(delay_s=0.002) as server:
        yield server


async def go_on(database: Path, folder: Path, server: FakeEmbeddingServer, model: str) -> None:
    """Bring the newest job to its end, whatever it takes; make one when there is none that would do."""
    embedder = RemoteEmbedder(server.base_url, model)
    with fail_soon(20):
        async with PhaseFlow(database, embedder=embedder) as flow:
            newest = {status.kb_id: status for status in await flow.latest()}
            status = newest.get("kb")
            if status is None or ("start" in status.allowed_actions and "retry" not in status.allowed_actions):
                job = await flow.start("kb", folder, settings=SETTINGS)
            else:
                job = await flow.job("kb")
            if status is not None and "retry" in status.allowed_actions:
                with suppress(JobConflict):  # a retry that was asked for before the kill has begun by itself
                    await flow.retry("kb")
                await left_failed(flow)
            elif status is not None and "resume" in status.allowed_actions:
                await flow.resume("kb")
            final = await job.wait()
            await until_removed(flow._engine.hub.database)
    await embedder.aclose()
    assert final.status is JobStatus.COMPLETED, final.error


async def left_failed(flow: PhaseFlow) -> None:
    while (await flow.status("kb")).status is JobStatus.FAILED:
        await flow.tracker.feed.hint().wait()


async def hits(database: Path) -> list[list[tuple[str, int, int]]]:
    """What words find, in an order that does not hang on ids."""
    async with Reader(database) as reader:
        answers = [await reader.search("kb", query, limit=5) for query in QUERIES]
    return [sorted((hit.uri, hit.start, hit.end) for hit in found) for found in answers]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    found = Bench(tmp_path_factory.mktemp("kill"))
    anyio.run(found.prepare)
    return found


@pytest.fixture(scope="module")
def forks() -> multiprocessing.context.ForkServerContext:
    """Victims are forked from a process that has imported everything: a second less for each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


async def ended(process: BaseProcess) -> int:
    """The exit code of a process, once it has one."""
    process.start()
    with fail_soon(30):
        await anyio.to_thread.run_sync(process.join)
    return process.exitcode or 0


async def kill_and_go_on(bench: Bench, forks: multiprocessing.context.ForkServerContext, case: Case) -> bool:
    """Prove one case; False when the process was not killed, because the point was not reached so often."""
    database = bench.database(case)
    model = "b" if case.base in {"rebuild", "carried"} else "a"
    folder = bench.broken if case.base == "carried" else bench.old
    fingerprint = f"remote:{model}"
    before = set() if case.base == "nothing" else outcome.embedded(database, fingerprint)
    async with served() as server:
        code = await ended(
            forks.Process(target=victim.live_and_die, args=(case, database, folder, server.base_url, model))
        )
        if code != -signal.SIGKILL:
            assert code == 0
            return False
        while server.in_flight:
            await server.changed.wait()
        stored = outcome.embedded(database, fingerprint)
        lost = {text for text in server.texts if text_hash(text) not in stored}
        if stored or not case.point.startswith("schema"):
            assert outcome.violations(database) == []
        await go_on(database, folder, server, model)
    assert outcome.violations(database) == []
    assert outcome.index_is_whole(database)
    assert outcome.searchable(database) == bench.expected
    assert await hits(database) == bench.hits
    assert outcome.leftovers(database) == 0
    assert len(lost) <= AT_RISK
    assert {text for text, times in server.texts.items() if times > 1} <= lost
    assert not {text_hash(text) for text in server.texts} & before
    return True


@pytest.mark.parametrize("case", first_of_each(CASES, lambda case: case.errand), ids=str)
async def test_a_killed_process_leaves_nothing_wrong_and_the_next_one_goes_on(
    bench: Bench, forks: multiprocessing.context.ForkServerContext, case: Case
) -> None:
    assert await kill_and_go_on(bench, forks, case), "the point was not reached"


@pytest.mark.slow
@pytest.mark.parametrize(("errand", "base", "point"), SWEEP)
async def test_wherever_a_process_is_killed_the_next_one_goes_on(
    bench: Bench, forks: multiprocessing.context.ForkServerContext, errand: Errand, base: str, point: str
) -> None:
    for arrival in ARRIVALS:
        case = Case(errand, point, arrival, base)
        print(case)
        if not await kill_and_go_on(bench, forks, case):
            return  # it is not reached so often, nor more often
