"""The driver process of a cluster and its pipes, as the service has them: on the event loop, without a task."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

from phaseflow.components.workers.frames import Decoder, MalformedFrame

_START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from phaseflow.components.workers.ray.driver import main
main(sys.argv[2], int(sys.argv[3]), sys.argv[4])
"""
_CHUNK = 1 << 20
_CLOSE_S = 1.0
_SHORT = 24
"""Characters of a folder in which the sockets of Ray, whose names may have 107, still fit."""
_ENVIRONMENT = (
    "PATH", "HOME", "USER", "LANG", "LC_", "LD_LIBRARY_PATH", "DYLD_", "TMPDIR", "RAY_", "COVERAGE_", "VIRTUAL_ENV",
)  # fmt: skip
"""The driver and what it starts get no secrets of the service."""


class DriverProcess:
    """The driver process and its pipes, on the event loop."""

    def __init__(
        self,
        address: str,
        capacity: int,
        received: Callable[[Mapping[str, Any], bytes], None],
        ended: Callable[[str], None],
    ) -> None:
        parent = tempfile.gettempdir()
        self._folder = tempfile.mkdtemp(prefix="pf-ray-", dir=parent if len(parent) <= _SHORT else "/tmp")  # noqa: S108  # mkdtemp makes its own private name there
        self._received, self._ended = received, ended
        self._decoder, self._unsent = Decoder(), deque[memoryview]()
        paths = [str(Path(each).absolute()) for each in sys.path]
        words = [sys.executable, "-I", "-c", _START, json.dumps(paths), address, str(capacity), self._folder]
        self.process = subprocess.Popen(  # noqa: S603  our own interpreter and our own words
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            env=_environment(None if address else paths), start_new_session=True,
        )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._stdin, self._stdout = self.process.stdin, self.process.stdout
        self._loop = asyncio.get_running_loop()
        for pipe in (self._stdin, self._stdout):
            os.set_blocking(pipe.fileno(), False)
        self._loop.add_reader(self._stdout.fileno(), self._read)

    def send(self, pieces: Sequence[bytes]) -> None:
        """Send a frame as fast as the driver takes it. What the callers hold is bounded, and so is what waits here."""
        is_idle = not self._unsent
        self._unsent += [memoryview(piece) for piece in pieces if piece]
        if is_idle:
            self._write()
            if self._unsent:
                self._loop.add_writer(self._stdin.fileno(), self._write)

    def close(self) -> None:
        """Tell the driver to end: its input is over."""
        self._loop.remove_reader(self._stdout.fileno())
        self._loop.remove_writer(self._stdin.fileno())
        with suppress(OSError):
            self._stdin.close()

    def end(self) -> None:
        """Wait until the driver has ended, and kill it when it takes too long. Blocks; after ``close``."""
        try:
            self.process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        kill_session(self.process.pid)  # what Ray has started here notices its end late
        self._stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """End it at once; what is left of it is cleared away by a thread."""
        self.close()
        self.process.kill()
        Thread(target=self.end, daemon=True).start()

    def _read(self) -> None:
        try:
            data = os.read(self._stdout.fileno(), _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        try:
            self._decoder.feed(data)
            while data and (frame := self._decoder.take()) is not None:
                self._received(*frame)
        except (MalformedFrame, KeyError, ValueError):
            data = b""
        if not data:
            self._ended("its driver process has ended; it was killed, or the cluster is gone")

    def _write(self) -> None:
        try:
            while self._unsent:
                sent = os.write(self._stdin.fileno(), self._unsent[0][:_CHUNK])
                self._unsent[0] = self._unsent[0][sent:]
                if not self._unsent[0]:
                    self._unsent.popleft()
        except BlockingIOError:
            return
        except OSError:  # it is gone, which its output tells
            self._unsent.clear()
        self._loop.remove_writer(self._stdin.fileno())


def kill_session(session: int, spare: int = 0) -> None:
    """Kill what a driver has started on this machine, however it has grouped itself; not the process to ``spare``."""
    if sys.platform != "linux":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(session, signal.SIGKILL)
        return
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != spare:
            with suppress(OSError, IndexError):
                if int((entry / "stat").read_text("utf-8").rpartition(")")[2].split()[3]) == session:
                    os.kill(int(entry.name), signal.SIGKILL)


def _environment(own_paths: Sequence[str] | None) -> dict[str, str]:
    """``own_paths``: where a cluster of our own imports from, first of all where this program does."""
    kept = {key: value for key, value in os.environ.items() if key.startswith(_ENVIRONMENT)}
    said = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "0",  # a head that dies leaves no work behind
        "RAY_LOG_TO_DRIVER": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    }
    if own_paths is not None:
        said |= {
            "PYTHONPATH": os.pathsep.join(own_paths),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the name is historical: it means loopback addresses only
            "RAY_enable_metrics_collection": "0",
            # Bytes that go with a call, and not by the object store, which takes some 4 ms of the processor a call: a
            # document often goes alone. Of larger ones the store costs less than the copies.
            "RAY_max_direct_call_object_size": str(1 << 20),
            "RAY_AUTH_MODE": "token",  # nobody else on this machine
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
        }
    elif "RAY_AUTH_MODE" not in kept and _has_token():
        said["RAY_AUTH_MODE"] = "token"  # Ray's client sends the token that it has only when told so
    return kept | said


def _has_token() -> bool:
    """Whether Ray knows a token for clusters that ask for one, where it looks for it."""
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return True
    return (Path(os.environ.get("HOME") or "/") / ".ray" / "auth_token").is_file()
