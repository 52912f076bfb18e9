"""What all workers promise: the processes of this machine, and a cluster of Ray on loopback (-m ray)."""

import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import anyio
import numpy as np
import pytest

import phaseflow
from phaseflow.components.embedders.static import StaticEmbedder
from phaseflow.components.extraction.types import Extracted
from phaseflow.components.workers.local import LocalWorkers
from phaseflow.components.workers.process import Limits
from phaseflow.components.workers.protocol import Model, Outcome, RawDocument, Workers
from phaseflow.components.workers.ray.workers import RayWorkers
from phaseflow.domain.errors import ComponentUnavailable, DocumentError, WorkersDown, WorkerUnavailable
from tests.components.test_workers import big_docx, is_there, pdf_bomb, until
from tests.stopwatch import Stopwatch, fail_soon

MIB = 1 << 20
EITHER = [
    "local",
    pytest.param(
        "ray",
        marks=[pytest.mark.ray, pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")],
    ),
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=EITHER)
async def workers(request: pytest.FixtureRequest) -> AsyncIterator[LocalWorkers | RayWorkers]:
    made = LocalWorkers(2) if request.param == "local" else RayWorkers(size=2)
    await made.open()
    await ready(made)
    yield made
    await made.aclose()


async def ready(workers: Workers) -> None:
    with fail_soon(90):
        while workers.down is not None:  # noqa: ASYNC110  # the cluster is another process
            await anyio.sleep(0.05)


def rtf(text: str) -> bytes:
    return rb"{\rtf1 %b\par}" % text.encode()


def readers(workers: LocalWorkers | RayWorkers) -> set[int]:
    """The confined processes that read documents for these workers."""
    if isinstance(workers, LocalWorkers):
        return set(workers.pids)
    found, session = set(), os.getsid(workers.pid or 0)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and is_there(int(entry.name)):
            try:
                command = (entry / "cmdline").read_bytes()
                is_ours = session == int((entry / "stat").read_text().rpartition(")")[2].split()[3])
            except OSError:
                continue
            if is_ours and b"workers.child" in command:
                found.add(int(entry.name))
    return found


async def at_work(workers: LocalWorkers | RayWorkers, before: dict[int, float]) -> set[int]:
    """Those that have begun to read since ``before``, once there is one: what an idle one took to start is no work."""
    with fail_soon(30):
        while not (found := {pid for pid in readers(workers) if seconds(pid) - before.get(pid, 0.0) > 0.5}):  # noqa: ASYNC110  # seen in the process table only
            await anyio.sleep(0.02)
    return found


@asynccontextmanager
async def limited(workers: LocalWorkers | RayWorkers, limits: Limits) -> AsyncIterator[None]:
    """Other limits for the length of the block. A process of this machine keeps those that it was started with."""
    before = workers.limits
    for each in (limits, before):
        workers.limits = each
        if isinstance(workers, LocalWorkers):
            await workers.aclose()
        if each is limits:
            yield


async def one(workers: Workers, document: RawDocument) -> Outcome:
    with fail_soon(60):
        [outcome] = await workers.extract([document])
    return outcome


class Shapes:
    """An embedder whose vectors say how long its texts are."""

    fingerprint = "shapes"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if "unwanted" in texts:
            raise ValueError("it does not want this text")
        return [[float(len(text)), 1.0] for text in texts]


async def test_a_batch_has_an_outcome_for_each_in_its_order(workers: LocalWorkers | RayWorkers) -> None:
    batch = [
        RawDocument(rtf("first"), "a/first.rtf"),
        RawDocument(b"no pdf", "second.pdf"),
        RawDocument("<p>Grüße".encode("cp1252"), "third", "cp1252", "text/html"),
        RawDocument(b"\x1f\x8b\0", "fourth.gz"),
        RawDocument(b"", "fifth.pdf"),
    ]
    with fail_soon(60):
        first, second, third, fourth, fifth = await workers.extract(batch)
    assert first == Extracted("first", "first.rtf", "text/markdown", read_as="application/rtf")
    assert isinstance(second, DocumentError)
    assert (second.code, second.counts) == ("malformed", True)
    assert isinstance(third, Extracted)
    assert third.text == "Grüße"
    assert isinstance(fourth, DocumentError)
    assert (fourth.code, fourth.counts) == ("unsupported_format", False)
    assert isinstance(fifth, Extracted)
    assert fifth.text == ""


@pytest.mark.thorough
async def test_the_limit_on_memory_holds_for_each_document(workers: LocalWorkers | RayWorkers) -> None:
    async with limited(workers, Limits(memory_bytes=100 * MIB)):
        bomb = RawDocument(pdf_bomb(400), "bomb.pdf")
        with fail_soon(60):
            batch = [RawDocument(rtf("before"), "a.rtf"), bomb, RawDocument(rtf("after"), "b.rtf")]
            outcomes = await workers.extract(batch)
        error = outcomes[1]
        assert isinstance(error, Exception)
        assert getattr(error, "code", "") in {"extraction_memory", "worker_lost"}
        assert isinstance(outcomes[0], Extracted)
        assert isinstance(outcomes[2], Extracted)


@pytest.mark.thorough
async def test_the_limit_on_time_holds_for_each_document(workers: LocalWorkers | RayWorkers) -> None:
    async with limited(workers, Limits(time_s=1.0)):
        slow = RawDocument(big_docx(600_000), "slow.docx")
        with fail_soon(60):
            error, after = await workers.extract([slow, RawDocument(rtf("after"), "b.rtf")])
        assert isinstance(error, DocumentError)
        assert error.code == "extraction_timeout"
        assert isinstance(after, Extracted)


@pytest.mark.thorough
async def test_a_cancelled_call_leaves_no_work_behind(workers: LocalWorkers | RayWorkers) -> None:
    slow = RawDocument(big_docx(600_000), "slow.docx")
    idle = {pid: seconds(pid) for pid in readers(workers)}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(workers.extract, [slow])
        working = await at_work(workers, idle)
        tasks.cancel_scope.cancel()
    watch = Stopwatch()
    await until(lambda: not any(is_there(pid) for pid in working))
    assert watch.within(3)
    assert isinstance(await one(workers, RawDocument(rtf("next"), "next.rtf")), Extracted)


def seconds(pid: int) -> float:
    """Processor time that a process has used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_the_model_of_the_package_gives_the_same_vectors_anywhere(workers: LocalWorkers | RayWorkers) -> None:
    texts, embedder = ["a quick brown fox", "", "Grüße"], StaticEmbedder()
    with fail_soon(60):
        found = await workers.embed(Model(embedder.fingerprint, embedder), texts)
    assert np.array_equal(found, embedder.embed_documents(texts))


async def test_a_model_of_the_program_runs_there_and_its_errors_come_back(workers: LocalWorkers | RayWorkers) -> None:
    model = Model("shapes", Shapes())
    with fail_soon(60):
        assert np.asarray(await workers.embed(model, ["a", "bcd"])).tolist() == [[1, 1], [3, 1]]
        with pytest.raises(Exception, match="it does not want this text"):
            await workers.embed(model, ["a", "unwanted"])


@pytest.mark.thorough
async def test_work_that_is_ended_by_closing_is_gone_and_they_can_be_opened_again(
    workers: LocalWorkers | RayWorkers,
) -> None:
    slow = RawDocument(big_docx(150_000), "slow.docx")
    ended: list[BaseException | None] = []

    async def read() -> None:
        try:
            await workers.extract([slow])
            ended.append(None)
        except (WorkersDown, WorkerUnavailable) as error:
            ended.append(error)

    idle = {pid: seconds(pid) for pid in readers(workers)}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        working = await at_work(workers, idle)
        watch = Stopwatch()
        await workers.aclose()
        assert watch.within(3)
    assert len(ended) == 1
    await until(lambda: not any(is_there(pid) for pid in working))
    await workers.open()
    await ready(workers)
    assert isinstance(await one(workers, RawDocument(rtf("again"), "again.rtf")), Extracted)


class Unpicklable(Shapes):
    fingerprint = "unpicklable"

    def __init__(self) -> None:
        self.lock = Lock()


@pytest.mark.ray
@pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")
async def test_a_model_that_cannot_be_sent_is_refused_in_words() -> None:
    workers = RayWorkers(size=1)
    workers._down = None
    with pytest.raises(ComponentUnavailable, match="Unpicklable says that it may run on a cluster, but cannot be"):
        await workers.embed(Model("unpicklable", Unpicklable()), ["a"])


@pytest.mark.ray
@pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")
async def test_a_model_of_the_script_itself_is_refused_in_words() -> None:
    workers = RayWorkers(size=1)
    workers._down = None
    model = type("OfTheScript", (Shapes,), {"__module__": "__main__"})()
    with pytest.raises(ComponentUnavailable, match="put it into a module"):
        await workers.embed(Model("shapes", model), ["a"])


@pytest.mark.ray
@pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")
@pytest.mark.longest(120)
async def test_a_cluster_of_our_own_imports_what_the_program_can_import(tmp_path: Path) -> None:
    source = Path(phaseflow.__file__).parent
    shutil.copytree(source, tmp_path / "phaseflow", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "phaseflow" / "snapshot.py").open("a") as file:
        file.write("# as somebody is just changing it\n")
    (tmp_path / "of_the_program.py").write_text(OF_THE_PROGRAM)
    head = "import sys; sys.path.insert(0, sys.argv[1]); import anyio, of_the_program; anyio.run(of_the_program.main)"
    done = await anyio.run_process([sys.executable, "-c", head, str(tmp_path)], check=False, stderr=None)
    assert done.stdout.split() == [b"[[1.0]]"]


OF_THE_PROGRAM = """
import anyio
import phaseflow
from phaseflow.components.workers.protocol import Model
from phaseflow.components.workers.ray.workers import RayWorkers

class Ones:
    fingerprint = "ones"
    def embed_documents(self, texts):
        return [[1.0] for _ in texts]

async def main():
    workers = RayWorkers(size=1)
    await workers.open()
    try:
        with anyio.fail_after(90):
            while workers.down is not None:
                await anyio.sleep(0.1)
            print((await workers.embed(Model("ones", Ones()), ["a"])).tolist())
    finally:
        await workers.aclose()
"""
