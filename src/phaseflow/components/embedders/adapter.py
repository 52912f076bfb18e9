"""The one shape in which the engine uses any embedder."""

import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any, Self

import anyio

from phaseflow.components.abandonable_thread import call_in_abandonable_thread
from phaseflow.components.contained import contained
from phaseflow.components.embedders.fingerprint import Fingerprint, fingerprint_of
from phaseflow.components.embedders.retry_after import retry_after_s
from phaseflow.components.embedders.throttle import Throttle
from phaseflow.components.embedders.vectors import checked_vectors
from phaseflow.domain import tracing
from phaseflow.domain.errors import (
    BatchTooLarge,
    ComponentError,
    ComponentUnavailable,
    EmbedderDown,
    RateLimited,
    TransientError,
)
from phaseflow.domain.exception_text import named, text_of
from phaseflow.store.vectors import check_length

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from phaseflow.components.protocols import Vectors
    from phaseflow.components.workers.pool import ExtractionPool

QUERIES = 4
"""Queries that a plain embedder has to answer at once, beside ``in_flight`` batches: nobody's search waits for a job. A
call that hangs keeps its place, so that searches do not fill the process with threads."""
_MESSAGE_LENGTH = 300


_InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


class EmbedderAdapter:
    """Any embedder as coroutines that return checked float32 arrays.

    Wraps an object with ``embed_documents(texts)``, plain or a coroutine, and ``embed_query(text)`` where it has one
    (else a query is embedded like a document). Plain methods run in threads, at most ``in_flight`` at once for batches
    and four for queries, which wait for no batch; cancelling abandons the thread and drops its result. A foreign
    exception becomes one of ours by its shape (its status code, or that it is a fault of the connection); another one
    passes through unchanged.
    """

    fingerprint: str
    """Identifies model and dimension; vectors are kept under it."""
    identity: Fingerprint
    """The same, with what older versions kept its vectors under."""
    batch_size: int
    dimension: int | None
    """Of the vectors, where the embedder says it. No answer changes it: a wrong one would count for ever."""
    calls: int
    """How often the embedder was asked."""
    errors: int
    """How many of the calls raised."""
    characters: int
    """Of the texts in the calls that were answered: what most services charge by."""
    throttle: Throttle
    """The pace that the server asks for. ``embed`` notes it and does not wait: that is for whoever calls."""

    def __init__(self, embedder: Any, *, owned: bool = False) -> None:
        if not callable(getattr(embedder, "embed_documents", None)):
            raise TypeError(
                f"{type(embedder).__qualname__} is not an embedder: give it `embed_documents(texts)`, which returns "
                "a vector for each text"
            )
        self._embedder = embedder
        self._owned = owned
        self.identity = fingerprint_of(embedder)
        self.fingerprint = self.identity.value
        self.batch_size = _positive(getattr(embedder, "batch_size", None), 64)
        self._in_flight = _positive(getattr(embedder, "in_flight", None), 1)
        dimension = getattr(embedder, "dimension", None)
        self.dimension = dimension if isinstance(dimension, int) and dimension > 0 else None
        self._threads = anyio.CapacityLimiter(self._in_flight)
        self._queries = anyio.Semaphore(QUERIES)
        self.throttle = Throttle()
        self._pool: ExtractionPool | None = None
        self.calls = 0
        self.errors = 0
        self.characters = 0

    @property
    def in_flight(self) -> int:
        """Batches that may be under way at once."""
        return self._in_flight if self._pool is None else max(self._in_flight, self._pool.workers.capacity)

    def run_in(self, pool: "ExtractionPool") -> None:
        """Have the vectors of documents computed by workers elsewhere, where the embedder allows it (``remote``)."""
        if pool.workers.is_remote and getattr(self._embedder, "remote", False) is True:
            self._pool = pool

    async def embed(self, texts: list[str], stored: int | None = None) -> "Vectors":
        """Return one vector for each text, in order: float32, (n, d). One attempt; a cancel drops it.

        ``stored``: how many numbers those have that the new ones are to be compared with. Raises TransientError (also
        for a malformed answer, DimensionMismatch for one of another length), RateLimited, BatchTooLarge, DocumentError
        or ComponentUnavailable, and whatever else a foreign embedder raises.
        """
        found = self._checked(await self._call(self._embed_documents, texts, self._in_batches), len(texts))
        if stored is not None and texts:
            check_length(stored, found.shape[1])
        self._passed(sum(map(len, texts)))
        return found

    async def embed_query(self, text: str) -> "npt.NDArray[np.float32]":
        """Return the vector of a query: float32, (d,). Raises like ``embed``; a cancel drops it.

        Raises RateLimited at once, and asks nothing, while the server has asked not to be called.
        """
        if wait_s := self.throttle.asked_wait_s():
            raise RateLimited(f"the embedding server asked for no calls for {wait_s:.0f} s more", retry_after_s=wait_s)
        embed_query = getattr(self._embedder, "embed_query", None)
        if embed_query is None:
            rows = await self._call(self._embedder.embed_documents, [text], self._in_queries)
        else:
            rows = [await self._call(embed_query, text, self._in_queries)]
        vectors = self._checked(rows, 1)
        self._passed(len(text))
        vector: npt.NDArray[np.float32] = vectors[0]
        return vector

    async def prepare(self) -> None:
        """Let the embedder do what its first call would have to do first, if it can; what is wrong, that call says."""
        prepare = getattr(self._embedder, "prepare", None)
        if self._owned and prepare is not None:
            with suppress(ComponentError):
                await prepare()

    async def aclose(self) -> None:
        """Close the embedder if it was made for this port; one that a user gave stays open. Idempotent."""
        close = getattr(self._embedder, "aclose", None)
        if self._owned and close is not None:
            await close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def _embed_documents(self) -> Callable[[Any], Any]:
        return self._embedder.embed_documents if self._pool is None else self._embed_remotely

    async def _embed_remotely(self, texts: list[str]) -> "Vectors":
        from phaseflow.components.workers.protocol import Model

        assert self._pool is not None
        return await self._pool.embed(Model(self.fingerprint, self._embedder), texts)

    async def _call(self, method: Callable[[Any], Any], argument: Any, in_thread: _InThread) -> Any:
        begun, texts = self.throttle.clock(), 1 if isinstance(argument, str) else len(argument)
        try:
            with tracing.span("embedding call", model=self.fingerprint or "", texts=texts):
                return await self._translating(method, argument, in_thread)
        except RateLimited as error:
            self.throttle.limited(begun, error.retry_after_s)
            raise

    async def _in_batches(self, call: Callable[[], Any]) -> Any:
        async with self._threads:
            return await contained(call_in_abandonable_thread(call), "the embedder")

    async def _in_queries(self, call: Callable[[], Any]) -> Any:
        await self._queries.acquire()
        return await contained(call_in_abandonable_thread(call, self._queries.release), "the embedder")

    async def _translating(self, method: Callable[[Any], Any], argument: Any, in_thread: _InThread) -> Any:
        self.calls += 1
        try:
            if iscoroutinefunction(method):
                return await contained(method(argument), "the embedder")
            result = await in_thread(lambda: method(argument))
            return await contained(result, "the embedder") if isawaitable(result) else result
        except ComponentError:
            self.errors += 1
            raise
        except Exception as error:
            self.errors += 1
            translated = _translated(error)
            if translated is None:
                raise
            raise translated from error

    def _passed(self, characters: int) -> None:
        self.characters += characters
        self.throttle.passed()

    def _checked(self, rows: Any, count: int) -> "Vectors":
        return checked_vectors(rows, count, self.dimension)


def _translated(error: Exception) -> ComponentError | None:
    """The error of ours that stands for a foreign one, or None where its shape says nothing."""
    if isinstance(error, ImportError):
        return ComponentUnavailable(
            f"the embedder cannot work: {text_of(error)}; install what is missing"[:_MESSAGE_LENGTH]
        )
    status = _status(error)
    message = f"the embedder failed: {named(error)}"[:_MESSAGE_LENGTH]
    if status == 429:
        return RateLimited(message, retry_after_s=_wait(error))
    if status == 413:
        return BatchTooLarge(message)
    if status in {401, 403}:
        return ComponentUnavailable(message)
    if status is not None and status >= 500:
        return TransientError(message, retry_after_s=_wait(error))
    fault = _fault_of_connection(error) if status is None else None
    if fault is None:
        return None
    return EmbedderDown(message) if isinstance(fault, _NO_CONNECTION) else TransientError(message)


_NO_CONNECTION = (ConnectionRefusedError, socket.gaierror)
_LONGEST_CHAIN = 8


def _fault_of_connection(error: BaseException) -> OSError | None:
    """The fault of the network (timeouts are among them) that an error is, or was raised for: clients wrap theirs."""
    cause: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if cause is None or isinstance(cause, OSError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def _status(error: Exception) -> int | None:
    response = getattr(error, "response", None)
    for holder, name in ((error, "status_code"), (error, "status"), (response, "status_code")):
        status = getattr(holder, name, None)
        if isinstance(status, int):
            return status
    return None


def _wait(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    if not isinstance(headers, Mapping):
        return None
    return retry_after_s({str(name).lower(): str(value) for name, value in headers.items()}, datetime.now(UTC))


def _positive(value: Any, default: int) -> int:
    return value if isinstance(value, int) and value > 0 else default
