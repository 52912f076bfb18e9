"""How a command ends: its exit code, and one line for each error."""

import gc
import sys
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import NoReturn

import click

from phaseflow.cli.next_command import next_command
from phaseflow.cli.terminal import say
from phaseflow.domain.errors import InvalidRequest, PhaseflowError
from phaseflow.domain.vocabulary import JobStatus


class Exit(IntEnum):
    """The exit codes, part of the public contract."""

    COMPLETED = 0
    """The job is completed, or the question is answered."""
    FAILED = 1
    """The job failed, or the command could not do its work."""
    USAGE = 2
    """The command line cannot be understood."""
    PAUSED = 3
    """The job is paused or was interrupted; it can go on."""
    CANCELLED = 4
    """The job was cancelled."""

    @classmethod
    def of(cls, status: JobStatus) -> "Exit":
        """The exit code of a command that ran a job in the foreground. A job that is not over can go on."""
        return _BY_STATUS.get(status, cls.PAUSED)


_BY_STATUS = {
    JobStatus.COMPLETED: Exit.COMPLETED,
    JobStatus.FAILED: Exit.FAILED,
    JobStatus.CANCELLED: Exit.CANCELLED,
}


def run(command: Callable[[], Awaitable[Exit]]) -> NoReturn:
    """Run a command on an event loop of its own and leave with its exit code; an error becomes one line on stderr.

    Raises click.UsageError where what was given cannot be used.
    """
    outcome = _outcome(command)
    gc.freeze()  # else the interpreter looks at all objects twice before it ends: up to a second after a job
    sys.exit(outcome)


def _outcome(command: Callable[[], Awaitable[Exit]]) -> Exit:
    import anyio

    try:
        return anyio.run(command)
    except KeyboardInterrupt:
        return Exit.PAUSED
    except PhaseflowError as error:
        return complain(error)
    except BaseExceptionGroup as group:
        from phaseflow.background_task import only_error

        cause = only_error(group)
        if isinstance(cause, PhaseflowError):
            return complain(cause)
        raise cause from group


_ASKS_FOR_SOURCE = "start one with a source to create it"
"""What the engine says of a knowledge base that it does not have. Only ``ingest`` has a source to give."""


def _how_to_create() -> str:
    context = click.get_current_context(silent=True)
    kb_id = context.params.get("kb") if context else None
    return f"{next_command('ingest', 'SOURCE', '--kb', kb_id or 'NAME')} creates it"


def complain(error: PhaseflowError, code: Exit | None = None) -> Exit:
    """Say what went wrong in one line on stderr; the exit code that this ends with.

    A value that cannot be used was given on the command line, also where only the engine or a service could tell:
    that is a click.UsageError like any other, raised here and shown with the usage of the command.
    """
    hint = "; --token or PHASEFLOW_TOKEN says which" if error.code == "unauthorized" else ""
    said = " ".join(str(error).split()).replace(_ASKS_FOR_SOURCE, _how_to_create()) + hint
    if code is None:
        code = Exit.USAGE if isinstance(error, InvalidRequest) else Exit.FAILED
    if code is Exit.USAGE:
        raise click.UsageError(said)
    say(f"phaseflow: {said}")
    return code
