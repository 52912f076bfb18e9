"""Every command of the tree works through a service; the one that is the service says so."""

import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import anyio.to_thread
import click
import pytest

from phaseflow.cli.program import main
from phaseflow.flow import PhaseFlow
from tests.cli.commands import Shell, ended
from tests.engine.components import CountingEmbedder
from tests.http.service import Service, serving
from tests.matrices import together

TOKEN = "a long secret"


def commands(group: click.Group = main) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command)
        else:
            yield name, command


@together(("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_takes_a_service(name: str, command: click.Command) -> None:
    options = {option: each for each in command.params for option in each.opts}
    assert "--server" in options, name
    if name != "serve":
        assert (options["--server"].envvar, options["--token"].envvar) == ("PHASEFLOW_SERVER", "PHASEFLOW_TOKEN")


def test_the_service_itself_is_refused_by_option_and_not_by_environment(shell: Shell) -> None:
    done = shell("serve", "--server", "http://127.0.0.1:9")
    assert (done.returncode, "is the service itself" in done.stderr) == (2, True), done.stderr
    environment = shell.environment() | {"PHASEFLOW_SERVER": "http://127.0.0.1:9"}
    with shell.running("serve", "--port", "0", "--json", env=environment) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["url"]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()), token=TOKEN) as service:
        yield service


WALK: dict[str, tuple[tuple[str, ...], int]] = {
    "ingest": (("docs", "--kb", "k", "--push"), 0),
    "add": (("docs/a.md", "bad.pdf", "--kb", "k"), 1),  # one of them cannot be read
    "status": (("k",), 0),
    "kbs": ((), 0),
    "settings": (("k", "chunk_size=900"), 0),
    "documents": (("k",), 0),
    "document": (("k", "a.md"), 0),
    "jobs": (("k",), 0),
    "metadata": (("k", "a.md", "team=core"), 0),
    "skip": (("k", "a.md"), 0),
    "retry": (("k", "a.md"), 0),
    "failures": (("k",), 0),
    "search": (("k", "letters"), 0),
    "start": (("k",), 0),
    "pause": (("k",), 1),  # its job is over
    "resume": (("k",), 1),
    "cancel": (("k",), 1),
    "vacuum": ((), 0),
    "backup": (("copy.db",), 0),
    "remove": (("k", "a.md"), 0),
    "delete": (("k", "--yes"), 0),
}
"""A command each, in an order in which all work; what each needs, and its exit code."""


async def test_each_works_on_the_service_and_leaves_no_file_here(
    shell: Shell, service: Service, tmp_path: Path
) -> None:
    assert {name for name, _ in commands()} - WALK.keys() == {"serve", "mcp"}
    here = Shell(tmp_path / "here")
    here.write("docs/a.md", "Of letters.")
    here.write("bad.pdf", "%PDF-1.7 and nothing more")
    environment = here.environment() | {"PHASEFLOW_SERVER": service.url, "PHASEFLOW_TOKEN": TOKEN}
    for name, (words, code) in WALK.items():
        with here.running(name, *words, env=environment) as process:
            done = await anyio.to_thread.run_sync(partial(ended, process))
        assert done.returncode == code, (name, done.stderr)
    assert sorted(path.name for path in here.here.iterdir()) == ["bad.pdf", "copy.db", "docs"]


@pytest.mark.thorough
async def test_add_ends_as_it_does_here(shell: Shell, service: Service, tmp_path: Path) -> None:
    here = Shell(tmp_path / "here")
    here.write("good.md", "Of letters.")
    here.write("bad.pdf", "%PDF-1.7 and nothing more")
    environment = here.environment() | {"PHASEFLOW_TOKEN": TOKEN}
    for words, codes in ((("good.md",), [0]), (("good.md", "bad.pdf"), [1])):
        with here.running("add", *words, "--kb", "k", "--server", service.url, env=environment) as process:
            there = await anyio.to_thread.run_sync(partial(ended, process))
        local = await anyio.to_thread.run_sync(partial(here, "add", *words, "--kb", "k"))
        assert [there.returncode, local.returncode] == codes * 2, (there.stderr, local.stderr)
        assert there.stderr == local.stderr
