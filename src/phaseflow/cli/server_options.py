"""--server and --token: through which service a command works, and what cannot be said beside that."""

import functools
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

import click

from phaseflow.cli.options import together
from phaseflow.cli.parameters import SERVER, TOKEN

P = ParamSpec("P")
R = TypeVar("R")
_OF_THE_SERVICE = ("index_server", "allow_private", "allow_root", "keep_vectors", "workers")
"""What a service was given when it was started: beside --server, these would do nothing."""

_BOTH = (
    "{} names a file of this machine, and --server a service that has its own; leave one of them out"
    ' (--server "" where PHASEFLOW_SERVER names one)'
)


def server(command: Callable[P, R]) -> Callable[P, R]:
    """--server and --token, to act through a running service. What would be ignored beside them is refused."""

    @functools.wraps(command)
    def checked(*args: P.args, **given: P.kwargs) -> R:
        if given["server"]:
            refuse(_OF_THE_SERVICE, "{} is the service's to say; give it to phaseflow serve")
            refuse(("db",), _BOTH)
        else:
            refuse(("token",), "{} is for a service; name it with --server")
        return command(*args, **given)

    return together(
        click.option(
            "--server",
            type=SERVER,
            metavar="URL",
            envvar="PHASEFLOW_SERVER",
            help="Use a running phaseflow serve (or PHASEFLOW_SERVER).",
        ),
        click.option("--token", type=TOKEN, envvar="PHASEFLOW_TOKEN", help="The server's token (or PHASEFLOW_TOKEN)."),
    )(checked)


def refuse(names: Iterable[str], why: str) -> None:
    """Raise click.UsageError when one of these options stands on the command line; what the environment says is for
    all commands. ``why`` has ``{}`` for the option."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(why.format(f"--{name.replace('_', '-')}"))
