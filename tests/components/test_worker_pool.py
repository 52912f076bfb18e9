"""The pool in front of the workers: turns, batches, losses, cancels."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import anyio
import numpy as np
import pytest

from phaseflow.components.workers.local import LocalWorkers
from phaseflow.components.workers.pool import LEAST_BYTES, MOST_BYTES, ExtractionPool, _BatchSize
from phaseflow.components.workers.protocol import Model, Outcome, RawDocument, Workers
from phaseflow.domain.errors import DocumentError, WorkerLost, WorkersDown
from tests.components.lossy_workers import LossyWorkers
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon


def rtf(text: str) -> bytes:
    return rb"{\rtf1 %b\par}" % text.encode()


class Recorder(LocalWorkers):
    """Real processes, which note what came together. With ``gate``, each batch waits until it is let through."""

    batch_documents = 4

    def __init__(self, size: int = 1, gate: anyio.Event | None = None) -> None:
        super().__init__(size)
        self.batches: list[list[str]] = []
        self.cancelled: list[list[str]] = []
        self.gate = gate

    async def extract(self, batch: Sequence[RawDocument]) -> Sequence[Outcome]:
        names = [document.name for document in batch]
        self.batches.append(names)
        try:
            if self.gate is not None:
                await self.gate.wait()
            return await super().extract(batch)
        except BaseException:
            self.cancelled.append(names)
            raise


async def read_all(pool: ExtractionPool, names: Sequence[str], texts: dict[str, str]) -> None:
    async def read(name: str) -> None:
        texts[name] = (await pool.extract(rtf(f"text of {name}"), f"{name}.rtf")).text

    with fail_soon(60):
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(read, name)


def test_both_are_workers() -> None:
    assert isinstance(LocalWorkers(1), Workers)
    assert isinstance(LossyWorkers(1), Workers)


async def test_what_waits_together_goes_together_in_its_order() -> None:
    workers = Recorder()
    texts: dict[str, str] = {}
    async with ExtractionPool(workers) as pool:
        await read_all(pool, [f"{n}" for n in range(9)], texts)
    assert workers.batches[0] == ["0.rtf"], "nothing waits for a batch to fill"
    assert [name for batch in workers.batches for name in batch] == [f"{n}.rtf" for n in range(9)]
    assert max(map(len, workers.batches)) == 4
    assert texts == {f"{n}": f"text of {n}" for n in range(9)}


async def test_the_line_is_shared_among_the_places() -> None:
    gate = anyio.Event()
    workers = Recorder(size=2, gate=gate)
    async with ExtractionPool(workers) as pool, anyio.create_task_group() as tasks:
        tasks.start_soon(read_all, pool, [f"{n}" for n in range(8)], {})
        await anyio.wait_all_tasks_blocked()
        assert [len(batch) for batch in workers.batches] == [1, 1]
        gate.set()
    assert [len(batch) for batch in workers.batches[2:4]] == [3, 3] or max(map(len, workers.batches)) <= 4
    assert len({name for batch in workers.batches for name in batch}) == 8


async def test_a_large_document_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phaseflow.components.workers.pool.MOST_BYTES", 1_000)
    gate = anyio.Event()
    workers = Recorder(gate=gate)
    async with ExtractionPool(workers) as pool, anyio.create_task_group() as tasks:
        pool._batch_size.bytes = 1_000
        tasks.start_soon(pool.extract, rtf("first"), "first.rtf")
        await anyio.wait_all_tasks_blocked()
        for name, size in (("a", 10), ("large", 2_000), ("b", 10), ("c", 10)):
            tasks.start_soon(pool.extract, rtf("x" * size), f"{name}.rtf")
            await anyio.wait_all_tasks_blocked()
        gate.set()
    assert workers.batches == [["first.rtf"], ["a.rtf"], ["large.rtf"], ["b.rtf", "c.rtf"]]


async def test_who_is_cancelled_ends_the_call_and_the_others_are_read_all_the_same() -> None:
    gate = anyio.Event()
    workers = Recorder(gate=gate)
    texts: dict[str, str] = {}
    async with ExtractionPool(workers) as pool, anyio.create_task_group() as tasks:
        tasks.start_soon(pool.extract, rtf("first"), "first.rtf")
        await anyio.wait_all_tasks_blocked()
        scopes = {name: anyio.CancelScope() for name in ("leader", "follower")}

        async def cancellable(name: str) -> None:
            with scopes[name]:
                await pool.extract(rtf(name), f"{name}.rtf")

        tasks.start_soon(cancellable, "leader")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(read_all, pool, ["a"], texts)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(cancellable, "follower")
        await anyio.wait_all_tasks_blocked()
        gate.set()
        workers.gate = anyio.Event()  # the next batch stays in hand
        with fail_soon(20):
            while len(workers.batches) < 2:  # noqa: ASYNC110  # nothing tells of it
                await anyio.sleep(0.01)
        assert workers.batches[1] == ["leader.rtf", "a.rtf", "follower.rtf"]
        scopes["leader"].cancel()
        await anyio.wait_all_tasks_blocked()
        assert workers.cancelled[-1] == ["leader.rtf", "a.rtf", "follower.rtf"]
        assert workers.batches[2] == ["a.rtf", "follower.rtf"]
        scopes["follower"].cancel()
        await anyio.wait_all_tasks_blocked()
        assert workers.batches[3] == ["a.rtf"]
        workers.gate.set()
    assert texts == {"a": "text of a"}
    assert pool._places_taken == 0


async def test_a_cancel_in_the_line_takes_no_place_with_it() -> None:
    gate = anyio.Event()
    workers = Recorder(gate=gate)
    async with ExtractionPool(workers) as pool:
        async with anyio.create_task_group() as tasks:
            for n in range(5):
                tasks.start_soon(pool.extract, rtf("x"), f"{n}.rtf")
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        gate.set()
        assert (await pool.extract(rtf("next"), "next.rtf")).text == "next"
    assert workers.batches == [["0.rtf"], ["next.rtf"]]


@pytest.mark.thorough
@pytest.mark.parametrize("seed", first_of_each(range(4)))
async def test_workers_that_are_lost_at_random_cost_no_document(seed: int) -> None:
    workers, texts = LossyWorkers(seed), dict[str, str]()
    names = [f"{n}" for n in range(24)]
    async with ExtractionPool(workers) as pool:
        await read_all(pool, names, texts)
        assert pool._places_taken == 0
    assert texts == {name: f"text of {name}" for name in names}
    assert workers.losses > 0
    assert workers.largest > 1
    assert workers.read == {f"{name}.rtf": 1 for name in names}, "each text came back once"


async def test_three_workers_lost_in_a_row_on_one_document_alone_are_its_fault(tmp_path: Path) -> None:
    class Deadly(LocalWorkers):
        batch_documents = 4
        batches: list[list[str]] = []  # noqa: RUF012  # a test's own

        async def extract(self, batch: Sequence[RawDocument]) -> Sequence[Outcome]:
            self.batches.append([document.name for document in batch])
            if any(document.name == "evil.rtf" for document in batch):
                raise WorkerLost("the worker of evil.rtf is gone")
            return await super().extract(batch)

    workers, texts = Deadly(1), dict[str, str]()
    async with ExtractionPool(workers) as pool, anyio.create_task_group() as tasks:

        async def fail() -> None:
            with pytest.raises(DocumentError, match="is gone") as caught:
                await pool.extract(rtf("x"), "evil.rtf")
            assert caught.value.code == "extraction_crashed"

        tasks.start_soon(read_all, pool, ["a"], texts)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(fail)
        tasks.start_soon(read_all, pool, ["b", "c"], texts)
    assert workers.batches.count(["evil.rtf"]) == 3
    assert set(texts) == {"a", "b", "c"}
    assert ["b.rtf"] in workers.batches
    assert ["c.rtf"] in workers.batches


async def test_workers_that_are_down_are_told_to_all_who_wait_for_the_call() -> None:
    class Down(Recorder):
        async def extract(self, batch: Sequence[RawDocument]) -> Sequence[Outcome]:
            await super().extract(batch)
            raise WorkersDown("the cluster is gone")

    errors: list[str] = []

    async def fail(pool: ExtractionPool, name: str) -> None:
        with pytest.raises(WorkersDown):
            await pool.extract(rtf("x"), name)
        errors.append(name)

    async with ExtractionPool(Down()) as pool, anyio.create_task_group() as tasks:
        for name in ("a.rtf", "b.rtf", "c.rtf"):
            tasks.start_soon(fail, pool, name)
    assert sorted(errors) == ["a.rtf", "b.rtf", "c.rtf"]


class Length:
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(len(text)), 1.0] for text in texts]


LENGTH = Model("length", Length())


async def test_a_model_runs_in_a_thread_of_this_process() -> None:
    async with ExtractionPool(size=1) as pool:
        assert np.asarray(await pool.embed(LENGTH, ["a", "bcd"])).tolist() == [[1, 1], [3, 1]]


async def test_a_text_on_which_three_workers_are_lost_is_rejected_and_several_are_tried_in_parts() -> None:
    class Deadly(LocalWorkers):
        calls = 0

        async def embed(self, model: Model, texts: list[str]) -> NoReturn:
            self.calls += 1
            raise WorkerLost("gone")

    workers = Deadly(1)
    async with ExtractionPool(workers) as pool:
        with pytest.raises(WorkerLost):
            await pool.embed(LENGTH, ["a", "b"])
        assert workers.calls == 1
        with pytest.raises(DocumentError) as caught:
            await pool.embed(LENGTH, ["a"])
    assert caught.value.code == "embedding_crashed"
    assert workers.calls == 4


def test_the_size_of_a_batch_follows_the_time_that_it_took() -> None:
    size = _BatchSize()
    for _ in range(50):
        size.learn(1 << 20, 1.0)
    assert 0.19 * (1 << 20) < size.bytes < 0.22 * (1 << 20)
    for _ in range(50):
        size.learn(1 << 20, 100.0)
    assert size.bytes == pytest.approx(LEAST_BYTES, rel=0.01)
    for _ in range(80):
        size.learn(1 << 20, 0.0001)
    assert size.bytes == pytest.approx(MOST_BYTES, rel=0.01)
    size.learn(0, 1.0)
    size.learn(1, 0.0)
    assert size.bytes == pytest.approx(MOST_BYTES, rel=0.01)


async def test_a_loader_has_two_batches_on_their_way_for_each_worker_elsewhere() -> None:
    pool = ExtractionPool(LossyWorkers(1, size=4))
    for _ in range(60):
        pool._batch_size.learn(1 << 20, 16 * 0.004, 16)
    assert pool.in_flight == 4 * 24 + 2, "quick documents: many, so that batches are full"
    for _ in range(60):
        pool._batch_size.learn(1 << 20, 30.0, 1)
    assert pool.in_flight == 4 * 2 + 2, "slow ones: few, since a pause waits for them"
    assert ExtractionPool(size=4).in_flight == 6
