"""The program: all commands under one name."""

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from phaseflow.cli import streams
from phaseflow.cli.agents import mcp
from phaseflow.cli.documents import add, remove, skip
from phaseflow.cli.exit_codes import Exit
from phaseflow.cli.ingesting import ingest, resume, retry
from phaseflow.cli.knowledge_bases import delete, kbs, settings
from phaseflow.cli.reading import document, documents, failures, jobs, search, status
from phaseflow.cli.serving import serve
from phaseflow.cli.terminal import say, say_lines
from phaseflow.cli.upkeep import backup, vacuum
from phaseflow.cli.verbs import cancel, pause

LONGEST = 1000
"""Characters of a mistake in usage: it may quote what was given."""


class Program(click.Group):
    """Runs a command between the opening and the closing of its outputs, and shows its usage errors."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> NoReturn:
        """Run the command line and end with its exit code; 1 where it went well but its output could not be written."""
        streams.install()
        try:
            code = self._outcome(args, *more, **(extra | {"standalone_mode": False}))
        except SystemExit as ended:
            code = int(ended.code or 0)
        failed = streams.close(soon=code == Exit.PAUSED)
        sys.exit(Exit.FAILED if failed is not None and code == Exit.COMPLETED else code)

    def _outcome(self, *args: Any, **extra: Any) -> int:
        try:
            return int(super().main(*args, **extra) or 0)
        except click.exceptions.NoArgsIsHelpError as error:
            say_lines(error.format_message().splitlines())
            return error.exit_code
        except click.UsageError as error:
            _explain(error)
            return error.exit_code
        except click.ClickException as error:
            say(f"phaseflow: {error.format_message()}")
            return error.exit_code
        except click.Abort:
            return Exit.PAUSED


def _explain(error: click.UsageError) -> None:
    if error.ctx is not None:
        say_lines(error.ctx.get_usage().splitlines())
        say(f"Try '{error.ctx.command_path} --help' for help.")
        say()
    message = error.format_message()
    say(f"Error: {message if len(message) <= LONGEST else message[:LONGEST] + '…'}")


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="phaseflow", message="%(prog)s %(version)s")
def main() -> None:
    """Document ingestion in four durable phases whose status never lies."""


COMMANDS = (
    ingest,
    serve,
    mcp,
    status,
    kbs,
    settings,
    delete,
    documents,
    document,
    jobs,
    add,
    skip,
    remove,
    failures,
    search,
    pause,
    resume,
    cancel,
    retry,
    vacuum,
    backup,
)
for command in COMMANDS:
    main.add_command(command)
