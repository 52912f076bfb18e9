"""Hearing of the end before the server waits for its streams."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
"""The signals that end a service in good order; a terminal that is closed sends SIGHUP."""


@contextmanager
def closing_on_signals(close: Callable[[], None]) -> Iterator[None]:
    """Call ``close`` on SIGTERM, SIGHUP and Ctrl-C, before the handlers that the server has set.

    Servers wait for all answers to end before they tell the application to: an endless one would never hear of it.
    Outside the main thread, or where no server has set handlers, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    found = {number: handler for number in ENDS if callable(handler := signal.getsignal(number))}
    ours = {number: _chained(loop, close, handler) for number, handler in found.items()}
    for number, chained in ours.items():
        signal.signal(number, chained)
    try:
        yield
    finally:
        for number, handler in found.items():
            if signal.getsignal(number) is ours[number]:  # else somebody has set another one since
                signal.signal(number, handler)


def _chained(
    loop: asyncio.AbstractEventLoop, close: Callable[[], None], following: Callable[[int, FrameType | None], Any]
) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(close)
        following(number, frame)

    return handle
