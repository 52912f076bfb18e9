"""Where a running job is shown: bars in a terminal, lines elsewhere, JSON for machines."""

import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from phaseflow.cli import messages
from phaseflow.cli.terminal import answer, say_lines
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import JobStatus

_MOVING = frozenset({JobStatus.PENDING, JobStatus.RUNNING})


class Screen(AbstractContextManager["Screen"], Protocol):
    """Shows each status it is given, while its block lasts."""

    def show(self, status: JobStatusResponse) -> None: ...


def screen_for(as_json: bool) -> Screen:
    """The screen that fits: JSON lines on stdout when asked for, bars on a terminal, else a line per transition."""
    if as_json:
        return _JsonLines()
    if sys.stderr.isatty():
        from phaseflow.cli.progress_bars import Bars

        return Bars()
    return _Lines()


class _Plain:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class _Lines(_Plain):
    """One line on stderr for each transition of a phase."""

    def __init__(self) -> None:
        self._last: JobStatusResponse | None = None

    def show(self, status: JobStatusResponse) -> None:
        say_lines(messages.changes(self._last, status))
        self._last = status


class Silence(_Plain):
    """Nothing is shown."""

    def show(self, status: JobStatusResponse) -> None:
        """Leave it."""


class _JsonLines(_Plain):
    """One status per line on stdout, none twice in a row. Progress that nobody reads is left out; the end never is."""

    def __init__(self) -> None:
        self._last: JobStatusResponse | None = None

    def show(self, status: JobStatusResponse) -> None:
        if status == self._last:
            return
        if answer(status, must=status.status not in _MOVING):
            self._last = status
