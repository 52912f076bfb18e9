"""The options that commands share, and what they mean together."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from phaseflow.cli.parameters import FILE, NAME, PRIVATE_HOST, Number
from phaseflow.domain.vocabulary import JobPhase

P = ParamSpec("P")
R = TypeVar("R")


def together(*options: Callable[[Callable[P, R]], Callable[P, R]]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Several options as one decorator."""

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


PHASE = click.Choice(JobPhase, case_sensitive=False)


_INDEX_SERVERS = "phaseflow.index_servers"


def _note_index_servers(context: click.Context, _: click.Parameter, given: tuple[str, ...]) -> None:
    """Kept beside the arguments of the command: they hold passwords, and most commands only pass them on."""
    found: dict[str, str] = {}
    for one in given:
        name, separator, address = one.partition("=")
        if not separator:
            raise click.BadParameter("give it as NAME=postgresql://…")
        found[name] = address
    if found:
        from phaseflow.components.indexes.servers import IndexServers
        from phaseflow.domain.errors import InvalidRequest

        try:
            IndexServers(found, "--index-server")
        except InvalidRequest as error:
            raise click.UsageError(str(error)) from None
    context.meta[_INDEX_SERVERS] = found


def index_servers() -> dict[str, str]:
    """The index servers given to the command that runs, addresses by name."""
    found: dict[str, str] = click.get_current_context().meta.get(_INDEX_SERVERS, {})
    return found


def common(command: Callable[P, R]) -> Callable[P, R]:
    """--db, --json and --index-server, which every command takes."""
    return together(
        click.option(
            "--db",
            type=FILE,
            envvar="PHASEFLOW_DB",
            default="phaseflow.db",
            show_default=True,
            help="The database file (or PHASEFLOW_DB).",
        ),
        click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout."),
        click.option(
            "--index-server",
            metavar="NAME=URL",
            multiple=True,
            expose_value=False,
            callback=_note_index_servers,
            help="A PostgreSQL that settings may name as the index (also PHASEFLOW_INDEX_SERVERS). Repeatable.",
        ),
    )(command)


def verbose(command: Callable[P, R]) -> Callable[P, R]:
    """-v, for commands that run an engine."""
    return click.option("-v", "--verbose", "verbosity", count=True, help="Log more; twice for debug output.")(command)


def one_page(command: Callable[P, R]) -> Callable[P, R]:
    """--limit and --cursor of a list."""
    return together(
        click.option(
            "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Maximum number of items."
        ),
        click.option("--cursor", type=NAME, help="The next_cursor of the previous page."),
    )(command)


def allow_private(command: Callable[P, R]) -> Callable[P, R]:
    """--allow-private, for sources and services inside a private network."""
    return click.option(
        "--allow-private",
        type=PRIVATE_HOST,
        metavar="HOST[:PORT]",
        multiple=True,
        help="A private address that may be crawled, or that clients may choose for embedding. Repeatable.",
    )(command)


def keep_vectors(command: Callable[P, R]) -> Callable[P, R]:
    """--keep-vectors, for commands that free."""
    return click.option(
        "--keep-vectors",
        metavar="DAYS",
        type=Number(0, 36_500),
        default=30.0,
        show_default="30",
        envvar="PHASEFLOW_KEEP_VECTORS",
        help="Keep vectors that no document uses any more for so long (or PHASEFLOW_KEEP_VECTORS); 0: not at all.",
    )(command)
