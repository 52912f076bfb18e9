"""Commands and programs that need not start an interpreter: each is forked from a process that has imported all of it.

Starting Python, importing what an ``ingest`` needs and taking the interpreter apart again takes 700 ms of a core, the
``ingest`` of a test 100, most other commands 20. What is forked is a process of its own all the same: with its own
standard streams, folder, environment, signals and end. That the program starts from nothing, and ends in the
interpreter's own way, is shown by the tests that type it into a shell, and by those of signals in the last moment.
"""

import atexit
import contextlib
import fcntl
import functools
import gc
import importlib
import json
import os
import pkgutil
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

LATE = ["anyio._backends._asyncio", "anyio._core._fileio", "numpy.ma", "opentelemetry.trace", "semantic_text_splitter"]
"""What the program imports only when it is used, beside its own modules."""
NO_THREADS = {"OPENBLAS_NUM_THREADS": "1"}
"""For the process that forks: a fork would lose them."""
APART = ("phaseflow.__main__", "phaseflow.integrations")
"""The former runs, the latter need frameworks of others."""
ROOT = str(Path(__file__).parents[2])
GIVES_UP_AFTER = {
    "phaseflow.cli.interrupts": ("_LAST_S", "SERVICE_S", "_COMMAND_S"),
    "phaseflow.cli.foreground": ("_IN_HAND_S",),
}
"""After so many seconds a command that was asked to end lets go of what it has in hand, or ends at once. On a busy
machine it may take longer, as a test does that waits. The tests of these limits start an interpreter."""
LETS_GO_SOON = "PHASEFLOW_TEST_LETS_GO_SOON"
"""In the environment of a command whose call hangs: the test waits for as long as that is given."""
_LARGEST = 1 << 20
"""Bytes of a request: the words and the environment of a command."""
_NUMBER = struct.Struct("i")


class Forked:
    """A command that runs, or after ``-c`` a program. As much of ``subprocess.Popen`` as the tests need.

    ``stdin``, ``stdout`` and ``stderr`` are descriptors. Without them, there is nothing to read, and the other two are
    pipes of text.
    """

    def __init__(
        self, words: Sequence[str], cwd: Path, env: Mapping[str, str],
        *, stdin: int | None = None, stdout: int | None = None, stderr: int | None = None,
    ) -> None:  # fmt: skip
        from tests.measured import measures_processes  # these are not known to the process that forks
        from tests.stopwatch import pace
        from tests.waiting import note_process

        note_process()
        self.args = list(words)
        self.returncode: int | None = None
        request = json.dumps([self.args, str(cwd), dict(env), pace()]).encode()
        out, err, told = os.pipe(), os.pipe(), os.pipe()
        with open(os.devnull) as nothing:
            given = [
                nothing.fileno() if stdin is None else stdin,
                out[1] if stdout is None else stdout,
                err[1] if stderr is None else stderr,
                told[1],
            ]
            socket.send_fds(_parent(measures_processes()), [request], given)
        for pipe in (out, err, told):
            os.close(pipe[1])
        self.stdout = open(out[0], encoding="utf-8")  # noqa: SIM115  # closed with the process, as Popen does it
        self.stderr = open(err[0], encoding="utf-8")  # noqa: SIM115  # closed by the caller
        self._told = told[0]
        self.pid = self._hear()

    def _hear(self) -> int:
        data = os.read(self._told, _NUMBER.size)
        assert data, "the process that forks has ended"
        number: int = _NUMBER.unpack(data)[0]
        return number

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises ``subprocess.TimeoutExpired``."""
        code = self._ended_within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def _ended_within(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], timeout)[0]:
            self.returncode = self._hear()
        return self.returncode

    def communicate(self) -> tuple[str, str]:
        """Its output to the end, and its end."""
        with ThreadPoolExecutor(1) as reader:
            err = reader.submit(self.stderr.read)
            out = self.stdout.read()
            self.wait()
            return out, err.result()

    def send_signal(self, number: int) -> None:
        """As long as it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Kill it if it runs, and close its pipes."""
        self.kill()
        self.wait()
        self.stdout.close()
        self.stderr.close()
        os.close(self._told)


def program(code: str, *arguments: object) -> Forked:
    """Run some lines of Python that may import the program and the tests, in this folder and environment."""
    return Forked(["-c", code, *map(str, arguments)], Path.cwd(), os.environ)


@functools.cache
def _parent(is_measured: bool) -> socket.socket:
    """The process that forks commands: one for all processes of a run of pytest, started with the first command.
    Another one forks those that are measured."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex()
    run += "-measured" * is_measured
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with _one_at_a_time():
        try:
            ours.connect(_address(run))
        except ConnectionRefusedError:
            ours.connect(_start(run))
    atexit.register(ours.close)
    return ours


def _address(run: str) -> bytes:
    """Without a name in any folder, and so gone with whoever listens."""
    return f"\0phaseflow-tests-{run}".encode()


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Nobody is turned away by a process that is about to end, and no two are started."""
    with open(__file__) as this:
        fcntl.flock(this, fcntl.LOCK_EX)
        yield


def _start(run: str) -> bytes:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PHASEFLOW_")}
    source = str(Path(ROOT) / "src")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(_address(run))
        listening.listen(64)
        process = subprocess.Popen(
            [sys.executable, __file__],
            env=mine | {"PYTHONPATH": source, **NO_THREADS},
            stdin=listening.fileno(),
        )
    atexit.register(process.wait)  # it ends with the last process of the run
    return _address(run)


def main() -> None:
    """Fork a command for each request, and tell how each ended, until nobody can ask any more."""
    _import_all()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is meant for pytest, which then closes the socket
    listening = socket.socket(fileno=os.dup(0))
    listening.setblocking(False)
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # whatever it does: the pipe is written to
    told: dict[int, int] = {}
    """Where the end of each command that runs is told."""
    asking: list[socket.socket] = []
    while True:
        sources: list[socket.socket | int] = [*asking, listening, ended]
        ready = select.select(sources, [], [])[0]
        if ended in ready:
            os.read(ended, 1024)
            _tell_ends(told)
        if listening in ready:
            asking += _more(listening)
        for requests in [one for one in asking if one in ready]:
            request, given, _, _ = socket.recv_fds(requests, _LARGEST, 4)
            if not request:
                asking.remove(requests)
                requests.close()
                if not asking and _is_over(listening, asking):
                    return
                continue
            *standard, telling = given
            if (command := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for one in (listening, *asking):
                    one.close()
                for descriptor in (ended, wake, telling, *told.values()):
                    os.close(descriptor)
                _become(json.loads(request), standard)
                return
            for descriptor in standard:
                os.close(descriptor)
            told[command] = telling
            _tell(telling, command)


def _more(listening: socket.socket) -> list[socket.socket]:
    """Those who have come to ask. Whoever could come in does what they like in our name: nobody else may."""
    try:
        one = listening.accept()[0]
    except BlockingIOError:
        return []
    _, user, _ = struct.unpack("3i", one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if user == os.getuid():
        return [one]
    one.close()
    return []


def _is_over(listening: socket.socket, asking: list[socket.socket]) -> bool:
    """Whether nobody is left to ask; from then on, whoever comes starts another one."""
    with _one_at_a_time():
        asking += _more(listening)
        if not asking:
            listening.close()
        return not asking


def _tell_ends(told: dict[int, int]) -> None:
    while told and (end := os.waitpid(-1, os.WNOHANG))[0]:
        telling = told.pop(end[0])
        _tell(telling, os.waitstatus_to_exitcode(end[1]))
        os.close(telling)


def _tell(telling: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # the one who asked has gone away
        os.write(telling, _NUMBER.pack(number))


def _import_all() -> None:
    """Everything that a command may need, so that none imports, reads, prepares or collects it again."""
    import phaseflow

    for found in pkgutil.walk_packages(phaseflow.__path__, "phaseflow."):
        if not found.name.startswith(APART):
            importlib.import_module(found.name)
    for name in LATE:
        importlib.import_module(name)
    _work_once()
    sys.path.insert(0, ROOT)
    importlib.import_module("tests.short_waits").wait_shortly()
    importlib.import_module("tests.new_databases").copy_new_databases()
    del sys.path[0]
    gc.collect()
    gc.freeze()  # a collection in a command would touch, and so copy, every page of its parent


def _work_once() -> None:
    """A job and a search: the first of a process take a fifth longer. No thread of them is left, which a fork loses."""
    import anyio

    from phaseflow import FolderSource, PhaseFlow

    async def work(here: Path) -> None:
        async with PhaseFlow(here / "kb.db") as flow:
            job = await flow.start("kb", FolderSource(str(here / "docs")))
            assert [status async for status in job.watch()]
            assert await flow.search("kb", "whales")

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "docs").mkdir()
        (Path(folder) / "docs" / "a.md").write_text("# Whales\n\nWhales sing.\n", encoding="utf-8")
        anyio.run(work, Path(folder))
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join()


def _become(request: Any, standard: list[int]) -> None:
    words, folder, environment, pace = request
    for module, names in GIVES_UP_AFTER.items():
        for name in names:
            if name != "_IN_HAND_S" or LETS_GO_SOON not in environment:
                setattr(sys.modules[module], name, getattr(sys.modules[module], name) * pace)
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    try:
        _run(words)
    except SystemExit as ended:
        if isinstance(ended.code, int):
            _end(ended.code)
        raise


def _run(words: list[str]) -> None:
    if words[:1] == ["-c"]:
        sys.argv = ["-c", *words[2:]]
        sys.path[0] = ROOT
        exec(words[1], {"__name__": "__main__"})  # noqa: S102  # of a test
        sys.exit(0)
    sys.argv = ["phaseflow", *words]
    from phaseflow.__main__ import run

    run()


def _end(code: int) -> None:
    """As the interpreter would, but without taking apart, and so copying, all that was imported."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
