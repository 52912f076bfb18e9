"""Ctrl-C, SIGTERM and SIGHUP while a command runs, and in its last moment."""

import asyncio
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Self

from phaseflow.cli import streams
from phaseflow.cli.exit_codes import Exit

_LAST_S = 1.5
"""For what is left when a command is over and somebody wants it gone: more than ``streams.close`` takes."""
SERVICE_S = 1.8
"""For the service, from the signal to its end: more than a stop in good order takes, whatever its file does."""
_COMMAND_S = 4.0
"""The same for a command with a job in the foreground, which first waits for the batch in hand and shows the end."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
"""A terminal that is closed sends SIGHUP."""


class Interrupts:
    """The first Ctrl-C, SIGTERM or SIGHUP asks to pause; a Ctrl-C after that leaves the process at once.

    Handlers are plain ones and not the event loop's: the second Ctrl-C works even when the loop is stuck.
    Leaving at once is safe: what was reported is in the database, and the next run goes on from there.
    The handlers stay when the block is left: see ``finish_on_signals``.
    """

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._count = 0

    def __enter__(self) -> Self:
        _handle(self._receive)
        return self

    def __exit__(self, *exc_info: object) -> None:
        finish_on_signals()
        if self.asked:
            _set_alarm(_LAST_S)

    @property
    def asked(self) -> bool:
        """Somebody wants this to stop."""
        return self._count > 0

    async def wait(self) -> None:
        """Return when the first signal has come. A cancel leaves nothing behind."""
        await self._asked.wait()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            _leave_at_once()
        self._count += 1
        end_within(_COMMAND_S)
        self._loop.call_soon_threadsafe(self._asked.set)


def finish_on_signals() -> None:
    """From here on a signal leaves the process ``_LAST_S`` to end in order, with the exit code that it has earned.

    For a command that is over but for writing its output out: the handlers of before would end it with another code,
    or by the signal. A second Ctrl-C leaves at once.
    """
    _handle(_finish)


def _finish(number: int, frame: FrameType | None) -> None:
    is_second = signal.getitimer(signal.ITIMER_REAL)[0] > 0
    if is_second and number == signal.SIGINT:
        _leave_at_once()
    end_within(_LAST_S)


def end_within(seconds: float) -> None:
    """Leave the process at once in so long, should it not have ended before. The first call counts.

    For signal handlers. No thread: starting one there may wait for a lock that the interrupted code holds.
    """
    if not signal.getitimer(signal.ITIMER_REAL)[0]:
        _set_alarm(seconds)


def _set_alarm(seconds: float) -> None:
    signal.signal(signal.SIGALRM, lambda number, frame: _leave_at_once())
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _handle(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in _SIGNALS:
        if number in _SIGNALS[:2] or signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has SIGHUP
            signal.signal(number, handler)


def _leave_at_once() -> None:
    """End the process without another step, with a usable terminal."""
    streams.show_cursor()
    os._exit(Exit.PAUSED)
