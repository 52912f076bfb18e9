"""Plain calls in threads that nobody has to wait for."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


async def call_in_daemon(call: Callable[[], T]) -> T:
    """Run a plain call in a thread of its own and return its result or raise its exception.

    Cancelling abandons the thread: it goes on unseen and what it returns is dropped. It is a daemon, because the
    worker threads of anyio are not: one that hangs would keep the interpreter from ending (its cost, about 0.1 ms to
    start, is small against a batch). Once the result is here the thread has ended.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None only where T is None

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call()
        except StopIteration as stop:  # a future does not take it
            error = RuntimeError("the call raised StopIteration")
            error.__cause__ = stop
        except BaseException as caught:  # noqa: BLE001  handed to the one who awaits, like a result
            error = caught
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, result, error)

    thread = Thread(target=copy_context().run, args=(run,), name="phaseflow call", daemon=True)
    thread.start()
    try:
        return await future
    finally:
        if future.done() and not future.cancelled():
            thread.join()
