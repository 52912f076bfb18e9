"""The command line as it is typed."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from phaseflow.cli import main
from tests.cli.commands import Shell
from tests.matrices import together

COMMANDS = [
    "ingest",
    "serve",
    "status",
    "kbs",
    "settings",
    "delete",
    "add",
    "skip",
    "metadata",
    "remove",
    "documents",
    "document",
    "jobs",
    "failures",
    "search",
    "mcp",
    "pause",
    "resume",
    "cancel",
    "retry",
    "start",
    "vacuum",
    "backup",
]


def test_all_commands_are_there() -> None:
    assert sorted(main.commands) == sorted(COMMANDS)


@together("command", COMMANDS)
def test_every_command_takes_a_database_and_json(command: str) -> None:
    options = {option for parameter in main.commands[command].params for option in parameter.opts}
    assert {"--db", "--json"} <= options


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["ingest", "--kb", "x"],
        ["ingest", "."],
        ["ingest", ".", "--kb", "Bad Name"],
        ["ingest", ".", "--kb", "-x"],
        ["ingest", ".", "--kb", "a" * 64],
        ["ingest", ".", "--kb", "x", "--hold", "digesting"],
        ["ingest", ".", "--kb", "x", "--embedder", "openai"],
        ["ingest", "nowhere", "--kb", "x"],
        ["ingest", ".", "--kb", "x", "--workers", "0"],
        ["serve", "--workers", "many"],
        ["resume", "x", "--workers", "ray://head"],
        ["retry", "x", "--workers", "dask"],
        ["search", "x"],
        ["search", "x", "q", "--limit", "101"],
        ["jobs", "x", "--limit", "1001"],
    ],
)
def test_what_cannot_be_understood_is_a_usage_error(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage:" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_bare_command_shows_its_help_line_by_line(shell: Shell) -> None:
    done = shell()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: phaseflow [OPTIONS] COMMAND")
    assert "\\n" not in done.stderr
    assert any(line.strip().startswith("ingest ") for line in done.stderr.splitlines())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--db x.db serve", "--db belongs after the command: phaseflow serve --db ..."),
        ("--json", "--json belongs after the command: phaseflow COMMAND --json ..."),
        ("--kb a serve", "No such option '--kb'"),
    ],
)
def test_an_option_before_the_command_is_told_where_it_belongs(shell: Shell, line: str, told: str) -> None:
    done = shell(*line.split())
    assert done.returncode == 2
    assert told in done.stderr
