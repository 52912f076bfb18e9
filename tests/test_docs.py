"""The docs against the code: what can be typed stands in them, and what stands in them can be run."""

import ast
import re
import subprocess
from pathlib import Path

import click
import pytest

from phaseflow.cli import main
from phaseflow.cli.exit_codes import Exit
from tests.matrices import together

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = README + "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def _options() -> list[tuple[str, str]]:
    named = [
        (name, option)
        for name, command in main.commands.items()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    ]
    return sorted(set(named))


@together("command", sorted(main.commands))
def test_every_command_stands_in_the_docs(command: str) -> None:
    assert f"phaseflow {command}" in DOCS


@together("option", sorted({option for _, option in _options()}))
def test_every_option_stands_in_the_docs(option: str) -> None:
    assert re.search(rf"{re.escape(option)}\b", DOCS)


def test_no_option_stands_in_the_docs_of_the_command_line_that_does_not_exist() -> None:
    text = (ROOT / "docs" / "COMMAND_LINE.md").read_text(encoding="utf-8")
    known = {option for _, option in _options()} | {"--help"}
    assert set(re.findall(r"`(--[a-z-]+)", text)) <= known


@together("code", Exit)
def test_every_exit_code_stands_in_the_docs(code: Exit) -> None:
    assert re.search(rf"^\| {int(code)} \|", DOCS, flags=re.MULTILINE)


def test_the_quick_start_is_two_commands_of_one_line() -> None:
    quick_start = README.split("## Quick start", 1)[1].split("\n## ", 1)[0]
    blocks = _blocks(quick_start, "sh")
    assert [block.count("\n") for block in blocks] == [1, 1]
    assert blocks == _blocks(README, "sh")


@pytest.mark.parametrize("number", [1, 2])
def test_the_checks_run_the_quick_start_as_it_stands(number: int) -> None:
    printed = subprocess.run([ROOT / ".ci" / "readme-command", str(number)], capture_output=True, text=True, check=True)
    assert printed.stdout == _blocks(README, "sh")[number - 1]


@together("code", _blocks(DOCS, "python"))
def test_python_in_the_docs_is_python(code: str) -> None:
    ast.parse(code)


def test_links_between_the_docs_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
