"""Ctrl-C and SIGTERM while a job runs in the foreground."""

import asyncio
import os
import signal
from types import FrameType
from typing import Self

from phaseflow.cli import streams
from phaseflow.cli.exit_codes import Exit

_SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
"""A terminal that is closed sends SIGHUP."""


class Interrupts:
    """The first Ctrl-C, SIGTERM or SIGHUP asks to pause; a Ctrl-C after that leaves the process at once.

    Handlers are plain ones and not the event loop's: the second Ctrl-C works even when the loop is stuck.
    Leaving at once is safe: what was reported is in the database, and the next run goes on from there.
    """

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._count = 0

    def __enter__(self) -> Self:
        ignored = {n for n in _SIGNALS[2:] if signal.getsignal(n) is signal.SIG_IGN}  # as nohup has it
        self._before = {n: signal.signal(n, self._receive) for n in _SIGNALS if n not in ignored}
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def asked(self) -> bool:
        """Somebody wants this to stop."""
        return self._count > 0

    async def wait(self) -> None:
        """Return when the first signal has come. A cancel leaves nothing behind."""
        await self._asked.wait()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            leave_at_once()
        self._count += 1
        self._loop.call_soon_threadsafe(self._asked.set)


def leave_at_once() -> None:
    """End the process without another step, with a usable terminal."""
    streams.show_cursor()
    os._exit(Exit.PAUSED)
