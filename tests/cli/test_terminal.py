"""The one way out of the command line, and what cannot go through it."""

import ast
import json
import os
import pty
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import phaseflow.cli
from tests.answering import Answers, answering
from tests.cli.commands import Shell
from tests.cli.forked import Forked
from tests.cli.test_plain_text import STEERING

OWN = {"terminal.py", "streams.py", "agents.py"}
"""The modules that may touch the outputs; the last one speaks a protocol there and shows nothing to a person."""
TITLE = "\x1b]0;OWNED\x07"
MARKS = [
    b"\x1b]0;",
    b"\x1b[2J",
    b"\x1b]52;",
    b"\x1b]8;",
    b"\xc2\x9b",
    b"\xc2\x9d",
    b"\xe2\x80\xae",
    b"\nFORGED",
    b"\x07",
]


def _writes(tree: ast.AST) -> Iterator[str]:
    """What a module writes with by itself: print, click's echo, a console of its own, the streams, a descriptor."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.split(".")[-1] in {"print", "echo", "secho", "Console", "StreamHandler", "echo_via_pager", "style"}:
                yield name
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if name in {"sys.stdout", "os.write", "sys.__stdout__", "sys.__stderr__", "sys.stderr.write"}:
                yield name
        if isinstance(node, ast.ImportFrom) and node.module == "rich" and any(a.name == "print" for a in node.names):
            yield "rich.print"


def test_all_of_the_command_line_goes_through_one_way_out() -> None:
    folder = Path(phaseflow.cli.__file__).parent
    found = {
        path.name: sorted(set(_writes(ast.parse(path.read_text("utf-8")))))
        for path in folder.glob("*.py")
        if path.name not in OWN
    }
    assert {name: writes for name, writes in found.items() if writes} == {}


def _in_a_terminal(shell: Shell, *words: str) -> bytes:
    """What a terminal is sent while a command runs in it."""
    master, slave = pty.openpty()
    try:
        environment = shell.environment() | {"TERM": "xterm", "COLUMNS": "150"}
        process = Forked(words, shell.here, environment, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        shown = b"".join(_read(master))
        process.wait()
        watchdog.cancel()
        process.close()
    finally:
        os.close(master)
    return shown


def _read(master: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # the other side was closed by its last holder
            return
        if not data:
            return
        yield data


def _steers(shown: bytes) -> list[bytes]:
    return [mark for mark in MARKS if mark in shown.replace(b"\r\n", b"\n")]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    shell = Shell(tmp_path_factory.mktemp("hostile"))
    shell.write(
        f"docs/a{TITLE}\x1b[2Jb.md", f"# {TITLE} [red]t[/red] \x9b31m\u202e\n\nzebra \x1b]52;c;Zg==\x07 [blink]x\n"
    )
    shell.write("docs/x\nFORGED: kb: completed.bin", "").write_bytes(bytes(range(256)) * 10)
    shell.write("docs/y\u202egpj.exe\u009d.pdf", f"%PDF-1.4 broken {TITLE}")
    shell.write(f"docs/{'long' * 60}.md", "# \x1b]8;;http://evil\x07link\x1b]8;;\x07\n\nzebra and more zebra\n")
    return shell


def test_a_run_is_shown_live_and_logged_without_being_steered(hostile: Shell) -> None:
    shown = _in_a_terminal(hostile, "ingest", "docs", "--kb", "k", "-vv")
    assert b"k: completed" in shown
    assert _steers(shown) == []


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "k"),
        ("jobs", "k"),
        ("failures", "k"),
        ("documents", "k"),
        ("search", "k", "zebra"),
        ("failures", "k", "--json"),
        ("documents", "k", "--json"),
        ("search", "k", "zebra", "--json"),
        ("status", TITLE),
        ("jobs", "k", "--cursor", TITLE),
        ("pause", f"k{TITLE}\u202e"),
        ("retry", "k"),
        (TITLE,),
        ("status", "k", "\u009d\x1b[2J"),
        ("ingest", f"nowhere{TITLE}\nFORGED", "--kb", "k"),
        ("ingest", "docs", "--kb", TITLE),
        ("ingest", f"http://{TITLE}/", "--kb", "k"),
        ("serve", "--allow-root", f"nowhere{TITLE}"),
        ("serve", "--db", f"{TITLE}/x.db"),
    ],
)
def test_no_command_is_steered_by_what_it_shows(hostile: Shell, words: tuple[str, ...]) -> None:
    if not (hostile.here / "phaseflow.db").exists():
        hostile("ingest", "docs", "--kb", "k")
    shown = _in_a_terminal(hostile, *words)
    assert shown
    assert b"Traceback" not in shown
    assert _steers(shown) == []


def test_json_of_hostile_documents_decodes_to_what_they_are(hostile: Shell) -> None:
    hostile("ingest", "docs", "--kb", "j", "--db", "j.db")
    done = hostile("documents", "j", "--db", "j.db", "--json")
    assert not (STEERING - {"\n"}) & set(done.stdout)
    assert f"a{TITLE}\x1b[2Jb.md" in {one["uri"] for one in json.loads(done.stdout)["items"]}


@contextmanager
def _answering(answer: dict[str, Any], status: int) -> Iterator[str]:
    body = json.dumps(answer).encode()

    class Same(Answers):
        def respond(self) -> None:
            self.answer(status, {"Content-Type": "application/problem+json"}, body)

    with answering(Same) as url:
        yield url


@pytest.mark.thorough
@pytest.mark.parametrize("words", [("pause", "k"), ("cancel", "k"), ("documents", "k"), ("resume", "k")])
def test_a_server_does_not_steer_the_terminal_of_its_client(hostile: Shell, words: tuple[str, ...]) -> None:
    problem = {
        "title": "x",
        "status": 409,
        "code": "job_conflict",
        "detail": f"boom {TITLE}\x1b[2J\u009b31m\nFORGED \u202e" + "x" * 100_000,
        "job_status": TITLE,
        "allowed_actions": [TITLE],
    }
    with _answering(problem, 409) as url:
        shown = _in_a_terminal(hostile, *words, "--server", url)
    assert b"boom" in shown
    assert _steers(shown) == []
    assert len(shown) < 6_000
