import socket
import threading
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import anyio
import numpy as np
import pytest

from phaseflow.components.embedders import EmbedderAdapter, as_embedder
from phaseflow.components.embedders.adapter import QUERIES
from phaseflow.domain.errors import (
    BatchTooLarge,
    ComponentError,
    ComponentUnavailable,
    DimensionMismatch,
    DocumentError,
    EmbedderDown,
    RateLimited,
    TransientError,
)
from tests.stopwatch import fail_soon


class Lengths:
    """As small as an embedder can be."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[len(text), 1] for text in texts]


class AsyncLengths:
    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return Lengths().embed_documents(texts)


class LikeLangChain(Lengths):
    """Queries have a vector of their own kind."""

    model = "lengths-1"
    batch_size = 7
    in_flight = 3

    def embed_query(self, text: str) -> list[float]:
        return [-len(text), 1]


class Later:
    fingerprint = "own"

    def embed_documents(self, texts: list[str]) -> Awaitable[list[list[float]]]:
        return AsyncLengths().embed_documents(texts)


class Answering:
    """Answers each call with what is given, or raises it."""

    dimension: int | None = None

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def embed_documents(self, texts: list[str]) -> Any:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize("embedder", [Lengths(), AsyncLengths()])
async def test_a_class_with_one_method_is_an_embedder(embedder: Any) -> None:
    port = as_embedder(embedder)
    vectors = await port.embed(["a", "bcd"])
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1, 1], [3, 1]]
    assert (await port.embed_query("ab")).tolist() == [2, 1]
    assert (await port.embed([])).shape == (0, 0)
    assert (port.batch_size, port.in_flight, port.dimension) == (64, 1, None)
    assert port.fingerprint == f"{__name__}.{type(embedder).__qualname__}"


async def test_an_object_of_langchains_shape_is_taken_as_it_is() -> None:
    port = as_embedder(LikeLangChain())
    assert (await port.embed_query("ab")).tolist() == [-2, 1]
    assert (port.batch_size, port.in_flight) == (7, 3)
    assert port.fingerprint == f"{__name__}.LikeLangChain:lengths-1"


async def test_a_plain_method_that_returns_a_coroutine_is_awaited() -> None:
    port = as_embedder(Later())
    assert (await port.embed(["abc"])).tolist() == [[3, 1]]
    assert port.fingerprint == "own"


def test_a_port_is_taken_as_it_is_and_anything_else_is_refused() -> None:
    port = as_embedder(Lengths())
    assert as_embedder(port) is port
    with pytest.raises(TypeError, match="embed_documents"):
        as_embedder(object())


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([[1.0]], id="too few"),
        pytest.param([[1.0]] * 3, id="too many"),
        pytest.param([[1.0], [1.0, 2.0]], id="mixed dimensions"),
        pytest.param([[], []], id="no dimension"),
        pytest.param([1.0, 2.0], id="no vectors"),
        pytest.param([[float("nan")], [1.0]], id="not a number"),
        pytest.param([[1e300], [1.0]], id="too large for float32"),
        pytest.param([["1"], ["2"]], id="text"),
        pytest.param([[None], [1.0]], id="nothing"),
        pytest.param(None, id="no answer"),
        pytest.param({"data": []}, id="another shape"),
    ],
)
async def test_a_malformed_answer_is_transient(answer: Any) -> None:
    with pytest.raises(TransientError, match="malformed answer"):
        await as_embedder(Answering(answer)).embed(["a", "b"])


async def test_a_dimension_other_than_that_stored_is_malformed() -> None:
    port = as_embedder(Answering([[1.0]], [[1.0, 2.0]]))
    with pytest.raises(DimensionMismatch, match="vectors of 1 numbers, but those stored under its name have 2"):
        await port.embed(["a"], 2)
    assert port.throttle.successes == 0
    assert (await port.embed(["a"], 2)).shape == (1, 2)


async def test_a_dimension_other_than_the_embedder_says_is_malformed() -> None:
    embedder = Answering([[1.0]])
    embedder.dimension = 2
    with pytest.raises(DimensionMismatch, match="vectors of 1 numbers, but its vectors are to have 2"):
        await as_embedder(embedder).embed(["a"])


async def test_integers_and_arrays_are_vectors_too() -> None:
    port = as_embedder(Answering(np.ones((2, 3)), [np.ones(3, np.float16)] * 2, [(1, 2, 3)] * 2))
    for _ in range(3):
        assert (await port.embed(["a", "b"])).shape == (2, 3)


class ForeignError(Exception):
    def __init__(self, **attributes: Any) -> None:
        super().__init__("foreign")
        self.__dict__.update(attributes)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ForeignError(status_code=429), RateLimited),
        (ForeignError(status=429), RateLimited),
        (ForeignError(response=SimpleNamespace(status_code=429)), RateLimited),
        (ForeignError(status_code=500), TransientError),
        (ForeignError(status_code=401), ComponentUnavailable),
        (ForeignError(status_code=403), ComponentUnavailable),
        (ForeignError(status_code=413), BatchTooLarge),
        (TimeoutError("slow"), TransientError),
        (ConnectionResetError("reset"), TransientError),
        (ConnectionRefusedError("refused"), EmbedderDown),
        (socket.gaierror("no such name"), EmbedderDown),
        (OSError("broken"), TransientError),
    ],
)
async def test_a_foreign_error_is_known_by_its_shape(error: Exception, expected: type[ComponentError]) -> None:
    with pytest.raises(ComponentError, match=type(error).__name__) as caught:
        await as_embedder(Answering(error)).embed(["a"])
    assert type(caught.value) is expected
    assert caught.value.__cause__ is error


async def test_the_wait_in_a_foreign_answer_is_handed_on() -> None:
    response = SimpleNamespace(status_code=429, headers={"Retry-After": "3"})
    with pytest.raises(RateLimited) as caught:
        await as_embedder(Answering(ForeignError(response=response))).embed(["a"])
    assert caught.value.retry_after_s == 3


@pytest.mark.parametrize("error", [ValueError("own"), ForeignError(status_code=418), DocumentError("own")])
async def test_any_other_error_passes_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await as_embedder(Answering(error)).embed(["a"])
    assert caught.value is error


async def test_a_stop_iteration_is_an_error_like_any_other() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await as_embedder(Answering(StopIteration())).embed(["a"])


class Waiting:
    """Plain calls that wait until they are let go; counts those under way."""

    def __init__(self, in_flight: int) -> None:
        self.in_flight = in_flight
        self.under_way = 0
        self.most = 0
        self.go_on = threading.Event()
        self._lock = threading.Lock()
        self.full = threading.Semaphore(0)

    def embed_documents(self, texts: list[str]) -> Sequence[Sequence[float]]:
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        self.full.release()
        assert self.go_on.wait(60)
        with self._lock:
            self.under_way -= 1
        return [[1.0] for _ in texts]


async def test_plain_calls_run_in_flight_at_once_and_no_more() -> None:
    embedder = Waiting(2)
    port = as_embedder(embedder)
    with fail_soon(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(port.embed, ["a"])
            for _ in range(2):
                await anyio.to_thread.run_sync(embedder.full.acquire)
            embedder.go_on.set()
    assert embedder.most == 2


class BusyWithBatches(Waiting):
    """Batches wait, queries do not."""

    def embed_query(self, text: str) -> Sequence[float]:
        return [2.0]


async def test_a_query_does_not_wait_for_the_batches_of_an_embedder_that_takes_one_at_a_time() -> None:
    embedder = BusyWithBatches(1)
    port = as_embedder(embedder)
    with fail_soon(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(port.embed, ["a"])
            await anyio.to_thread.run_sync(embedder.full.acquire)
            assert (await port.embed_query("q")).tolist() == [2.0]
            assert embedder.under_way == 1
            embedder.go_on.set()


async def test_queries_that_an_embedder_leaves_hanging_keep_their_places_and_take_no_more_threads() -> None:
    embedder = Waiting(1)
    port = as_embedder(embedder)
    for _ in range(3 * QUERIES):
        with anyio.move_on_after(0.02):
            await port.embed_query("q")
    assert embedder.most <= QUERIES
    embedder.go_on.set()
    with fail_soon(10):
        assert (await port.embed_query("q")).tolist() == [1.0]
    assert embedder.most <= QUERIES


def calling() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "phaseflow call"}


async def test_a_cancelled_call_is_abandoned_and_the_next_one_is_served() -> None:
    for idle in calling():
        idle.join(60)
    before = calling()
    embedder = Waiting(1)
    port = as_embedder(embedder)
    with fail_soon(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(port.embed, ["a"])
            await anyio.to_thread.run_sync(embedder.full.acquire)
            tasks.cancel_scope.cancel()
        (abandoned,) = calling() - before
        assert abandoned.daemon
        embedder.go_on.set()
        assert (await port.embed(["b"])).shape == (1, 1)
        await anyio.to_thread.run_sync(abandoned.join)
    assert embedder.under_way == 0


def test_a_call_that_outlives_its_loop_harms_nobody() -> None:
    embedder = Waiting(1)

    async def abandon() -> None:
        with anyio.move_on_after(0.01):
            await as_embedder(embedder).embed(["a"])

    with ThreadPoolExecutor(1) as thread:
        thread.submit(anyio.run, abandon).result(60)
    embedder.go_on.set()
    for left in calling():
        left.join()
    assert embedder.under_way == 0


class Closing(Lengths):
    closed = 0

    async def aclose(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("owned", [True, False])
async def test_only_an_embedder_that_the_port_owns_is_closed(owned: bool) -> None:
    embedder = Closing()
    async with EmbedderAdapter(embedder, owned=owned) as port:
        await port.embed(["a"])
    assert embedder.closed == int(owned)
