"""The program: all commands under one name."""

import sys
from collections.abc import Iterator, MutableMapping, Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from phaseflow.cli import streams
from phaseflow.cli.exit_codes import Exit
from phaseflow.cli.terminal import say, say_lines

_HOMES = {
    "agents": ("mcp",),
    "document_metadata": ("metadata",),
    "documents": ("add", "remove", "skip"),
    "ingesting": ("ingest", "resume", "retry"),
    "knowledge_bases": ("delete", "kbs", "settings"),
    "reading": ("document", "documents", "failures", "jobs", "search", "status"),
    "serving": ("serve",),
    "starting": ("start",),
    "upkeep": ("backup", "vacuum"),
    "verbs": ("cancel", "pause"),
}
"""The commands of each module. One is imported when it is run: what the others need would take longer than a status."""


class _Commands(MutableMapping[str, click.Command]):
    def __init__(self) -> None:
        self._homes = {name: home for home, names in _HOMES.items() for name in names}
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            home = import_module(f"phaseflow.cli.{self._homes[name]}")
            self._loaded[name] = next(command for command in home.COMMANDS if command.name == name)
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        self._homes.pop(name, None)
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._homes, **self._loaded})

    def __len__(self) -> int:
        return len({**self._homes, **self._loaded})


LONGEST = 1000
"""Characters of a mistake in usage: it may quote what was given."""


class _Program(click.Group):
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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say of an option that stands before the command that it belongs after it."""
        try:
            return super().parse_args(ctx, [*args])
        except click.NoSuchOption as error:
            chosen = [name for name in args if name in self.commands]
            if not any(_takes(self.commands[name], error.option_name) for name in chosen or self.commands):
                raise
            said = f"{error.option_name} belongs after the command: {ctx.command_path} {next(iter(chosen), 'COMMAND')}"
            raise click.UsageError(f"{said} {error.option_name} ...", ctx) from None

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


def _takes(command: click.Command, option: str) -> bool:
    return any(option in parameter.opts for parameter in command.params)


def _explain(error: click.UsageError) -> None:
    if error.ctx is not None:
        say_lines(error.ctx.get_usage().splitlines())
        say(f"Try '{error.ctx.command_path} --help' for help.")
        say()
    message = error.format_message()
    say(f"Error: {message if len(message) <= LONGEST else message[:LONGEST] + '…'}")


@click.group(cls=_Program, commands=_Commands(), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="phaseflow", message="%(prog)s %(version)s")
def main() -> None:
    """Document ingestion in four durable phases whose status never lies."""
