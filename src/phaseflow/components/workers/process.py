"""One worker process, as a thread of the service uses it."""

import json
import logging
import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

from phaseflow.components.extraction.types import Extracted
from phaseflow.components.workers.answers import OUT_OF_MEMORY, READY, outcome
from phaseflow.components.workers.frames import Decoder, Frame, MalformedFrame, encode
from phaseflow.domain.errors import ComponentError, DocumentError, WorkerLost, WorkerUnavailable

_log = logging.getLogger(__name__)

_START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from phaseflow.components.workers.child import main
main(int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
"""
_CHUNK = 1 << 20
_TICK_S = 0.05
"""How often time and memory are looked at."""
_START_S = 30
"""An interpreter starts in a tenth of a second; on a machine that is out of breath it takes longer."""
_WORN = 0.25
"""A worker that keeps this share of its memory after a document is replaced."""
# A worker gets no secrets: what it reads may be hostile. Coverage measures it like any other code.
_ENVIRONMENT = ("PATH", "LANG", "LC_", "LD_LIBRARY_PATH", "DYLD_", "TMPDIR", "COVERAGE_")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may cost, and how long a worker waits for the next one."""

    time_s: float = 60.0
    memory_bytes: int = 1 << 30
    idle_s: float = 30.0


class Worker:
    """A process that reads documents, one at a time. ``ask`` blocks its thread; ``kill`` may be called from any other.

    Starts with the first document. Whatever goes wrong in it costs the document in hand, and the process. With
    ``dies_with_parent`` the kernel ends it together with the thread that first asked, even in a parser that never lets
    go; without, it notices the end of its input.
    """

    def __init__(self, limits: Limits, *, dies_with_parent: bool = False) -> None:
        self._limits = limits
        self._parent = os.getpid() if dies_with_parent else 0
        self._process: subprocess.Popen[bytes] | None = None
        self._decoder = Decoder()
        self._is_killed = False
        self._in_use = RLock()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ask(self, head: Mapping[str, Any], body: bytes) -> Extracted | DocumentError:
        """Return the text of a document, or the error that reading it ended with.

        Raises DocumentError ``extraction_timeout`` or ``extraction_memory``, or WorkerLost (``extraction_crashed`` when
        ``kill`` was the cause), after which the worker is gone; WorkerUnavailable when it cannot be started.
        """
        with self._in_use:
            # Any way out but an answer ends the worker, a cancel too: half of an answer that stays in the pipe would be
            # taken for the beginning of the next one.
            try:
                process = self._process or self._start()
                found = self._answer(process, dict(head), body)
            except OSError as error:  # of this process, which has no descriptors left, say; never of the document
                self.end()
                message = f"cannot talk to a worker process ({error.strerror}); free resources, and retry"
                raise WorkerUnavailable(message) from error
            except BaseException:
                self.end()
                raise
            # Libraries keep what they have once allocated. Ending a worker here costs a start; keeping it would let the
            # next document fail for the memory that this one took.
            if _resident(process.pid) > _WORN * self._limits.memory_bytes:
                self.end()
            return found

    def kill(self) -> None:
        """End the process at once. What ``ask`` is doing fails; nothing is waited for."""
        self._is_killed = True
        process = self._process
        if process is not None:
            process.kill()

    def release(self) -> None:
        """Let an idle process end by itself: its input is over."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def end(self) -> None:
        """Kill the process, wait until it is gone and ``ask`` has ended, and close its pipes."""
        # Before the lock: ``ask`` holds it as long as it waits for an answer, and only the end of the process ends
        # that.
        self.kill()
        with self._in_use:
            process, self._process = self._process, None
            if process is None:
                return
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    def _answer(
        self, process: "subprocess.Popen[bytes]", head: dict[str, Any], body: bytes
    ) -> Extracted | DocumentError:
        name = str(head["name"])
        # What answers another request, or none, must not become the text of this document.
        head["id"] = secrets.token_hex(8)
        try:
            pieces = encode(head, body)
        except MalformedFrame as error:
            raise DocumentError(f"{name} is too large ({error}); split it or exclude it", code="too_large") from error
        answer = self._exchange(process, pieces, self._limits.time_s, name)
        if answer[0].get("status") == OUT_OF_MEMORY:
            raise self._too_big(name)
        try:
            _check_id(answer, head["id"])
            return outcome(answer)
        except MalformedFrame as error:
            raise self._confused(process, name, error) from error

    def _start(self) -> "subprocess.Popen[bytes]":
        limits = self._limits
        # An isolated interpreter with the path of this one: it needs no main module of the host to be importable.
        words = [sys.executable, "-I", "-c", _START, json.dumps(_search_path())]
        words += [str(limits.memory_bytes), str(limits.time_s), str(self._parent)]
        try:
            self._process = process = subprocess.Popen(  # noqa: S603  our own interpreter and our own words
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
                env={key: value for key, value in os.environ.items() if key.startswith(_ENVIRONMENT)},
            )  # fmt: skip
        except OSError as error:
            # Clients of a service are told this: no path of the interpreter.
            message = f"cannot start a worker process to read documents ({error.strerror}); free resources, and retry"
            raise WorkerUnavailable(message) from error
        if self._is_killed:
            process.kill()
        self._await_ready(process)
        return process

    def _await_ready(self, process: "subprocess.Popen[bytes]") -> None:
        try:
            head, _ = self._exchange(process, [], _START_S, "the worker's start")
        except (DocumentError, WorkerLost) as error:
            message = f"a worker process ended or hung while starting ({error}); retry"
            raise WorkerUnavailable(message) from error
        assert head["status"] == READY
        _log.debug("worker %d is confined by %s", process.pid, ", ".join(head["confined_by"]) or "nothing")

    def _exchange(self, process: "subprocess.Popen[bytes]", pieces: list[bytes], time_s: float, name: str) -> Frame:
        deadline = time.monotonic() + time_s
        assert process.stdin is not None
        assert process.stdout is not None
        # Sending and receiving take turns on what is ready. A blocking write of a large file would never return from a
        # worker that is itself blocked on writing to us, and could not be given up when the time is over.
        rest = [memoryview(piece) for piece in pieces if piece]
        os.set_blocking(process.stdin.fileno(), False)
        with selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            if rest:
                ready.register(process.stdin, selectors.EVENT_WRITE)
            while True:
                for key, _ in ready.select(_TICK_S):
                    if key.fileobj is process.stdout:
                        data = os.read(key.fd, _CHUNK)
                        if not data:
                            raise self._crashed(process, name)
                        self._decoder.feed(data)
                    elif not _send(key.fd, rest):
                        ready.unregister(process.stdin)
                answer = self._received(process, name)
                if answer is not None:
                    return answer
                self._check(process, deadline, name)

    def _received(self, process: "subprocess.Popen[bytes]", name: str) -> Frame | None:
        try:
            answer = self._decoder.take()
        except MalformedFrame as error:
            raise self._confused(process, name, error) from error
        if answer is not None and not self._decoder.is_empty:
            raise self._confused(process, name, MalformedFrame("there is more than one answer"))
        return answer

    def _check(self, process: "subprocess.Popen[bytes]", deadline: float, name: str) -> None:
        if _resident(process.pid) > self._limits.memory_bytes:
            raise self._too_big(name)
        if time.monotonic() > deadline:
            message = (
                f"{name} took more than {self._limits.time_s:g} s to read and was given up; split it or exclude it"
            )
            raise DocumentError(message, code="extraction_timeout")

    def _too_big(self, name: str) -> DocumentError:
        size = f"{self._limits.memory_bytes / (1 << 20):,.0f} MiB"
        message = f"{name} needed more than {size} of memory to read and was given up; split it or exclude it"
        return DocumentError(message, code="extraction_memory")

    def _confused(self, process: "subprocess.Popen[bytes]", name: str, error: MalformedFrame) -> WorkerLost:
        process.kill()
        message = f"the parser of {name} answered nonsense ({error}); open and save the document again, or exclude it"
        return WorkerLost(message)

    def _crashed(self, process: "subprocess.Popen[bytes]", name: str) -> ComponentError:
        process.kill()
        status = process.wait()
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        if status == -signal.SIGABRT:
            how += ", as libraries do that are refused memory"
        message = f"the parser of {name} crashed ({how}); open and save the document again, or exclude it"
        return DocumentError(message, code="extraction_crashed") if self._is_killed else WorkerLost(message)


def _check_id(answer: Frame, wanted: str) -> None:
    if answer[0].get("id") != wanted:
        raise MalformedFrame("the answer belongs to no request")


def _send(pipe: int, rest: list[memoryview]) -> bool:
    """Send what the pipe takes; return whether something is left. That the other side is gone shows in its answer."""
    try:
        rest[0] = rest[0][os.write(pipe, rest[0][:_CHUNK]) :]
    except BlockingIOError:
        return True
    except BrokenPipeError:
        return False
    if not rest[0]:
        del rest[0]
    return bool(rest)


def _search_path() -> list[str]:
    """The search path of this interpreter; relative names mean the working folder, as they do here."""
    return [str(Path(each).absolute()) for each in sys.path]


def _resident(pid: int) -> int:
    """Bytes of memory in use, 0 where the system does not say: there the worker's own limit has to do."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
