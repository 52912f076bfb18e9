"""Runs the commands and programs of a page in a folder of their own, and compares what they print."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

from tests.docs.pages import Block, output_pattern, squeezed
from tests.docs.program import END

LONGEST_S = 60
_SERVERS = ("phaseflow serve", "uvicorn ", "python service.py")


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, and the output that the page shows for it (None: it shows none)."""

    line: str
    shown: str | None


def commands(block: Block) -> list[Command]:
    """The commands of a ``console`` block, which have a ``$`` before them, or of an ``sh`` block."""
    code = re.sub(r"\\\n\s*", "", block.code)
    if block.language == "sh":
        return [Command(line, None) for line in code.splitlines() if line and not line.startswith("#")]
    found = []
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        found.append(Command(line, shown or None))
    return found


class Terminal:
    """One reader who types a page. A server that is started runs beside it until the next one, or the end.

    ``addresses``: what is taken in place of what the pages name, ``{":8000": ":43210"}``. ``port``: of the service.
    """

    def __init__(self, folder: Path, addresses: Mapping[str, str], port: int) -> None:
        self._folder = folder
        self._addresses = dict(addresses)
        self._port = port
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("PHASEFLOW_", "COLUMNS"))}
        bin_folder = str(Path(sys.executable).parent)
        self._environment = mine | {"PATH": f"{bin_folder}:{mine['PATH']}", "HOME": str(folder), "NO_PROXY": "*"}
        self._server: subprocess.Popen[bytes] | None = None
        self._exit_code = 0

    def stand_in(self, named: str, mine: str) -> None:
        """Take an address in place of one that the pages name."""
        self._addresses[named] = mine

    def type(self, command: Command, *, may_fail: bool = False) -> None:
        """Run a command and compare its output."""
        line = self._at_my_addresses(command.line)
        if name := re.match(r"export (\w+)=", line):
            value = self._run(["bash", "-c", f"{line}; printenv {name[1]}"]).stdout
            self._environment[name[1]] = value.rstrip("\n")
        elif line.startswith(_SERVERS) and not may_fail:
            self._serve(line, command)
        elif line == "echo $?":
            assert command.shown == f"{self._exit_code}\n", f"ended with {self._exit_code}"
        else:
            done = self._run(["bash", "-c", line])
            assert may_fail or done.returncode == 0, f"{command.line}: {done.returncode}\n{done.stdout}"
            self._exit_code = done.returncode
            self._compare(command.line, command.shown, done.stdout)

    def run(self, programs: Sequence[Block]) -> None:
        """Run Python programs, in one process, and compare what each prints."""
        paths = [self._folder / f"line-{program.line}.py" for program in programs]
        for path, program in zip(paths, programs, strict=True):
            path.write_text(self._at_my_addresses(program.code), encoding="utf-8")
        done = self._run([sys.executable, str(Path(__file__).with_name("program.py")), *map(str, paths)])
        assert done.returncode == 0, done.stdout
        for program, printed in zip(programs, done.stdout.split(END), strict=False):
            self._compare(f"line {program.line}", program.shown, printed)

    def close(self) -> None:
        """End the server, and see it gone."""
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            try:
                self._server.wait(60)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._server = None

    def _run(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=self._folder, env=self._environment, timeout=LONGEST_S, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def _serve(self, line: str, command: Command) -> None:
        self.close()
        log = self._folder / "server.log"
        with log.open("wb") as output:
            words = [*shlex.split(line), "--port", str(self._port)]
            self._server = subprocess.Popen(
                words, cwd=self._folder, env=self._environment, stdout=output, stderr=subprocess.STDOUT
            )
        shown = [self._at_my_addresses(text) for text in (command.shown or "").splitlines()]
        self._until(log, "the server did not come up", self._answers)
        # It answers a moment before it says so.
        self._until(log, f"the server did not print {shown}", lambda: all(text in _read(log) for text in shown))

    def _answers(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with suppress(URLError, ConnectionError), opener.open(f"http://127.0.0.1:{self._port}/healthz", timeout=60):
            return True
        return False

    def _until(self, log: Path, otherwise: str, holds: Callable[[], bool]) -> None:
        assert self._server is not None
        end = time.monotonic() + LONGEST_S
        while not holds():
            assert self._server.poll() is None, _read(log)
            assert time.monotonic() < end, f"{otherwise}\n{_read(log)}"
            time.sleep(0.05)

    def _compare(self, what: str, shown: str | None, printed: str) -> None:
        if shown is not None:
            expected = output_pattern(self._at_my_addresses(shown))
            assert expected.fullmatch(squeezed(printed)), f"{what} printed\n{printed}\nand not\n{shown}"

    def _at_my_addresses(self, text: str) -> str:
        for named, mine in self._addresses.items():
            text = text.replace(named, mine)
        return text


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8")
