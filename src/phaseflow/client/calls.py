"""One description of each call for both clients: a coroutine in the one, blocking in the other."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from anyio.from_thread import BlockingPortal, start_blocking_portal

P = ParamSpec("P")
T = TypeVar("T")
_END: Any = object()


class AsyncFace:
    """Its calls are coroutines, its feeds asynchronous iterators."""


class LoopThread:
    """An event loop in a thread of its own. Raises RuntimeError outside its ``with`` block."""

    def __init__(self) -> None:
        self._portal: BlockingPortal | None = None
        self._running: AbstractContextManager[BlockingPortal] | None = None

    def __enter__(self) -> Self:
        self._running = start_blocking_portal(name="phaseflow-client")
        self._portal = self._running.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._portal, running = None, self._running
        if running is not None:
            running.__exit__(kind, error, traceback)

    def call(self, call: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **options: P.kwargs) -> T:
        """Wait for what a coroutine returns."""
        if self._portal is None:
            raise RuntimeError("use the SyncClient in a `with` block")
        answer: T = self._portal.call(partial(call, *args, **options))
        return answer

    def values(self, values: AsyncIterator[T]) -> Iterator[T]:
        """Wait for one value after the other. Closing it closes the iterator."""
        try:
            while (value := self.call(_next, values)) is not _END:
                yield value
        finally:
            with suppress(RuntimeError):  # the client was closed before
                self.call(_close, values)


class SyncFace:
    """Its calls block, its feeds are iterators."""

    _loop: LoopThread


class ServiceCall(Generic[P, T]):
    """Decorates a method that is one call to the service."""

    def __init__(self, method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, face: None, owner: type) -> Self: ...
    @overload
    def __get__(self, face: AsyncFace, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, face: SyncFace, owner: type) -> Callable[P, T]: ...
    def __get__(self, face: AsyncFace | SyncFace | None, owner: type) -> Any:
        if face is None:
            return self._method  # so that its signature and its documentation are seen
        call = self._method.__get__(face)
        return partial(face._loop.call, call) if isinstance(face, SyncFace) else call


class ServiceFeed(Generic[P, T]):
    """Decorates a method that iterates over events of the service."""

    def __init__(self, method: Callable[Concatenate[Any, P], AsyncIterator[T]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, face: None, owner: type) -> Self: ...
    @overload
    def __get__(self, face: AsyncFace, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    @overload
    def __get__(self, face: SyncFace, owner: type) -> Callable[P, Iterator[T]]: ...
    def __get__(self, face: AsyncFace | SyncFace | None, owner: type) -> Any:
        if face is None:
            return self._method
        feed, loop = self._method.__get__(face), face._loop if isinstance(face, SyncFace) else None
        return feed if loop is None else lambda *args, **options: loop.values(feed(*args, **options))


async def _next(values: AsyncIterator[T]) -> T:
    return await anext(values, _END)


async def _close(values: AsyncIterator[Any]) -> None:
    aclose = getattr(values, "aclose", None)
    if aclose is not None:
        await aclose()
