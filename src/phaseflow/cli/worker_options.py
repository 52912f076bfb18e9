"""--workers: where the documents of the jobs of a command are read."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

P = ParamSpec("P")
R = TypeVar("R")
_WORKERS = "phaseflow.workers"


def _note_workers(context: click.Context, _: click.Parameter, given: str | None) -> None:
    from phaseflow.domain.errors import InvalidRequest
    from phaseflow.domain.workers import parse_workers

    if given:
        try:
            parse_workers(given, "--workers")
        except InvalidRequest as error:
            raise click.UsageError(str(error)) from None
    context.meta[_WORKERS] = given or None


def workers(command: Callable[P, R]) -> Callable[P, R]:
    """--workers, for commands that run jobs."""
    return click.option(
        "--workers",
        metavar="N|ray|ray://HOST:PORT",
        envvar="PHASEFLOW_WORKERS",
        expose_value=False,
        callback=_note_workers,
        help="Read documents in N processes (default: one a core), or on a cluster of Ray (or PHASEFLOW_WORKERS).",
    )(command)


def chosen_workers() -> str | None:
    """What --workers or the environment of the command that runs says."""
    found: str | None = click.get_current_context().meta.get(_WORKERS)
    return found
