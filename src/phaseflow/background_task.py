"""A long-lived coroutine in a task of its own, from the start of a block to its end, and the loop it belongs to."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, TypeVar

import anyio

from phaseflow.domain.errors import EngineStopped, WrongEventLoop
from phaseflow.loop_answer import running_loop

T = TypeVar("T")


class BackgroundTask(Generic[T]):
    """Runs ``main(started, stop)``. The block begins when it calls ``started(value)`` and ends after it has returned.

    The task belongs to no scope of its host: a host that is cancelled leaves the block, which asks ``main`` to stop in
    its own way and waits for it, instead of being torn down in the middle of a write. An error of ``main`` is raised at
    the start or the end of the block; one of a group is taken out of it. Ctrl-C is not: it has ended the loop.
    """

    def __init__(self, main: Callable[[Callable[[T], None], anyio.Event], Awaitable[None]]) -> None:
        self._main = main
        self._stop = anyio.Event()
        self._started: asyncio.Future[T] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> T:
        self._started = running_loop().create_future()
        self._task = asyncio.create_task(self._run(self._started))
        try:
            return await asyncio.shield(self._started)
        except asyncio.CancelledError:
            await self._end()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        self._stop.set()
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _run(self, started: asyncio.Future[T]) -> None:
        def announce(value: T) -> None:
            if not started.done():
                started.set_result(value)

        try:
            await self._main(announce, self._stop)
        except BaseException as error:  # noqa: BLE001  # raised again at the start or the end of the block, but for what has ended the loop
            cause = only_error(error)
            if not started.done():
                started.set_exception(cause if isinstance(cause, Exception) else EngineStopped("could not start"))
                return
            # These two end the loop out of whatever task raises them. Once more, that would be in the middle of what
            # asyncio.run does after the first time, to let all tasks end: files would stay open, the process hang.
            if not isinstance(cause, KeyboardInterrupt | SystemExit):
                raise cause from None
            return
        if not started.done():
            started.set_exception(EngineStopped("ended before it had started"))


def only_error(error: BaseException) -> BaseException:
    """The first error inside a group, however deep; groups are of no use to callers."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class OwnLoop:
    """Remembers the running loop: what was made in one loop never wakes a caller in another."""

    def __init__(self) -> None:
        self._loop = running_loop()

    def check(self) -> None:
        """Raise WrongEventLoop unless the caller runs in that loop, EngineStopped where that has ended."""
        if running_loop() is self._loop:
            return
        if self._loop.is_closed():
            raise EngineStopped("the engine has ended with the event loop that it ran in; start another")
        raise WrongEventLoop
