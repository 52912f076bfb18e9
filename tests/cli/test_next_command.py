"""Commands that are printed work as they are printed: with the place and the hosts of the command that prints them."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import phaseflow.cli
from phaseflow.cli.next_command import completed, next_command
from tests.cli.commands import Shell
from tests.matrices import together

PRINTED = re.compile(r"phaseflow (?:start|resume|retry|cancel|failures|ingest) (?!\.)")
SOURCES = Path(phaseflow.cli.__file__).parent
KNOWN = {"next_command.py"}


def _spoken(module: Path) -> Iterator[str]:
    """The texts of a module, without its docstrings."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            yield node.value


def test_no_module_spells_a_command_out_by_itself() -> None:
    spelled = {
        f"{module.name}: {text}"
        for module in SOURCES.glob("*.py")
        if module.name not in KNOWN
        for text in _spoken(module)
        if PRINTED.search(text)
    }
    assert spelled == set()


def test_what_is_printed_can_be_typed_with_another_database(shell: Shell) -> None:
    shell.write("docs/a.md", "Of letters. " * 20)
    shell.write("one.md", "Of one thing.")
    here = ("--db", "my c.db")
    quoted = "--db 'my c.db'"
    assert f"phaseflow resume k {quoted}" in shell("ingest", "docs", "--kb", "k", "--hold", "embedding", *here).stderr
    assert f"phaseflow resume k {quoted}" in shell("add", "one.md", "--kb", "k", *here).stderr
    assert f"phaseflow resume k {quoted} goes on" in shell("ingest", "one.md", "--kb", "k", *here).stderr
    assert shell("cancel", "k", *here).returncode == 0
    assert f"for a start: phaseflow start k {quoted}" in shell("status", "k", *here).stderr
    assert shell("start", "k", *here).returncode == 0
    told = shell("settings", "k", "chunk_size=60", "chunk_overlap=0", *here).stderr
    assert f"its next job does that: phaseflow start k {quoted}" in told
    assert f"phaseflow ingest SOURCE --kb nope {quoted} creates it" in shell("start", "nope", *here).stderr
    assert "ingest FOLDER --kb NAME --db 'my c.db' makes one" in _of_none(shell, *here)


def _of_none(shell: Shell, *here: str) -> str:
    assert shell("delete", "k", "--yes", *here).returncode == 0
    return shell("kbs", *here).stderr


@together(
    ("given", "ends"),
    [
        (["--server", "http://a.test:8080/", "--allow-private", "b.test"], ["--server", "http://a.test:8080/"]),
        (["--db", "my c.db"], ["--db", "'my c.db'"]),
        (["--allow-private", "b.test"], ["--allow-private", "b.test"]),
        ([], []),
    ],
)
def test_a_printed_command_names_the_place_of_the_one_that_prints_it(given: list[str], ends: list[str]) -> None:
    @click.command()
    @click.option("--server")
    @click.option("--db", default="phaseflow.db")
    @click.option("--allow-private", multiple=True)
    def printing(**_: object) -> None:
        assert next_command("start", "k").split(" ", 3)[:3] == ["phaseflow", "start", "k"]
        assert next_command("start", "k") == " ".join(["phaseflow start k", *ends])
        for verb in ("resume", "skip", "failures"):
            there = next_command(verb, "k")
            assert completed(f"it stays: phaseflow {verb} k http://a/", "k") == f"it stays: {there} http://a/"

    printing.main(given, standalone_mode=False)


@pytest.mark.thorough
def test_what_is_printed_can_be_typed_for_a_service(shell: Shell) -> None:
    shell.write("one.md", "Of one thing.")
    with shell.running("serve", "--port", "0", "--json") as service:
        url = json.loads(service.stdout.readline())["url"]
        assert shell("add", "one.md", "--kb", "k", "--server", url).returncode == 0
        told = shell("settings", "k", "chunk_size=6", "chunk_overlap=0", "--server", url).stderr
        assert f"phaseflow start k --server {url}" in told
        assert (
            f"phaseflow ingest SOURCE --kb nope --server {url} creates it"
            in shell("start", "nope", "--server", url).stderr
        )


def test_hosts_that_were_allowed_are_allowed_by_what_is_printed(shell: Shell) -> None:
    web = ("http://127.0.0.1:9/", "--allow-private", "127.0.0.1:9")
    held = shell("ingest", *web, "--kb", "k", "--hold", "loading", "--db", "h.db")
    assert "paused; phaseflow resume k --db h.db --allow-private 127.0.0.1:9 goes on" in held.stderr


@pytest.mark.parametrize("command", [("start", "k"), ("resume", "k"), ("retry", "k"), ("retry", "k", "a.md")])
@pytest.mark.parametrize("option", [("--workers", "2"), ("--allow-private", "127.0.0.1:9")])
def test_what_the_service_decides_is_refused(shell: Shell, command: tuple[str, ...], option: tuple[str, ...]) -> None:
    refused = shell(*command, *option, "--server", "http://127.0.0.1:9")
    assert (refused.returncode, f"{option[0]} is the service's to say" in refused.stderr) == (2, True), refused.stderr
