"""One live bar per phase, drawn from the status alone."""

from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from phaseflow.cli import messages
from phaseflow.cli.plain_text import one_line
from phaseflow.cli.terminal import Above, Safe, console
from phaseflow.domain.status import JobStatusResponse, PhaseDetail
from phaseflow.domain.vocabulary import PhaseStatus, WaitingOn

_STYLES = {
    PhaseStatus.NOT_STARTED: "dim",
    PhaseStatus.RUNNING: "cyan",
    PhaseStatus.PAUSED: "yellow",
    PhaseStatus.COMPLETED: "green",
    PhaseStatus.FAILED: "red",
}
_BAR_WIDTH = 24


def picture(status: JobStatusResponse) -> RenderableType:
    """The four phases with bar, items, rate and what they wait for, and a line on the whole job."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, width=_BAR_WIDTH)
    grid.add_column(no_wrap=True, justify="right")
    if any(phase.items_failed for phase in status.phase_details):
        grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column(no_wrap=True, overflow="ellipsis")
    for phase in status.phase_details:
        grid.add_row(*_row(status, phase))
    told = Text(one_line(messages.headline(status)), style="dim", no_wrap=True, overflow="ellipsis")
    if status.waiting_on is WaitingOn.INTERRUPTED:  # it ends in a command, which is of use only as a whole
        told.no_wrap, told.overflow = False, "fold"
    return Group(grid, told)


def _row(status: JobStatusResponse, phase: PhaseDetail) -> tuple[RenderableType, ...]:
    style = "dim" if messages.shown_status(status, phase) == messages.CANCELLED else _STYLES[phase.status]
    return (
        Text(phase.name, style=style),
        _bar(phase, style),
        Text(messages.items(phase), style=style),
        Text(messages.failed(phase), style="red"),
        Text(messages.rate(phase.items_per_second)),
        Text(one_line(messages.note(status, phase)), style="dim"),
    )


def _bar(phase: PhaseDetail, style: str) -> ProgressBar:
    """A bar without a total pulses while its phase works; one that waits does not pretend to move."""
    unknown = phase.items_total is None and phase.status is PhaseStatus.RUNNING and phase.waiting_on is None
    return ProgressBar(
        total=None if unknown else 100,
        completed=phase.progress,
        width=_BAR_WIDTH,
        complete_style=style,
        finished_style=style,
        pulse_style=style,
    )


class Bars:
    """Bars at the bottom of the terminal while the block lasts. Each status shown replaces the one before.

    No thread of its own redraws them: what stands still is still.
    """

    def __init__(self) -> None:
        drawn_on = console()
        self._live = Live(console=drawn_on, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._above = Above(drawn_on)

    def __enter__(self) -> Self:
        self._above.__enter__()
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        self._above.__exit__(kind, error, trace)

    def show(self, status: JobStatusResponse) -> None:
        """Draw this status."""
        self._live.update(Safe(picture(status)), refresh=True)
