"""stdout and stderr of the command: written to their descriptors, with nobody who must read them.

A program that starts this one may close them, fill them, or never read the pipe it gave; a terminal can be stopped
with Ctrl-S. None of that may stop a job or the answers of the service. So a command that runs an engine writes *in the
background*: lines wait in a bounded queue for a thread that writes them, and what does not fit is dropped and counted.
Commands that only read wait for their reader, as ``cat`` does. Neither ever raises: a failed write is remembered, and
``close`` says what the exit code has to be.
"""

import errno
import io
import os
import select
import sys
import threading
import time
from collections import deque

from phaseflow.cli.plain_text import printable
from phaseflow.domain.counting import counted

LIMIT_BYTES = 1 << 20
"""That wait for a reader, at most; for stdout the end of a job is let in beyond it."""
_PIECE = 16_384
"""Bytes written at once: small enough that a slow reader is seen to read."""
_SHOW_CURSOR = b"\x1b[?25h\n"


class Output(io.TextIOBase):
    """A text stream on a descriptor. ``write`` escapes what could steer a terminal; ``write_styled`` trusts its text.

    Safe to use from any thread. ``error`` is why writing has ended, or None.
    """

    def __init__(self, descriptor: int, name: str, *, is_closed: bool = False) -> None:
        self.error: OSError | None = None
        self._descriptor = descriptor
        self._name = name
        self._is_closed = is_closed
        self._changed = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._queued = self._dropped = 0
        self._thread: threading.Thread | None = None
        self.in_background = False
        self._is_given_up = False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute in typeshed
        return "utf-8"

    def isatty(self) -> bool:
        return not self._is_closed and os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        self.put(printable(text))
        return len(text)

    def write_styled(self, text: str) -> int:
        """Write text that holds colours and cursor moves of our own, and nothing of others that was not escaped."""
        self.put(text)
        return len(text)

    def put(self, text: str, *, must: bool = False) -> bool:
        """Write, or queue to be written; False when it was dropped. ``must``: the queue takes it though it is full."""
        data = text.encode("utf-8", "backslashreplace")
        if self._is_closed:
            self.error = self.error or OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self.error is not None:
            return True  # as good as written: it would be no better later
        if not self.in_background:
            self._write_out(data)
            return True
        with self._changed:
            if self._queued + len(data) > LIMIT_BYTES and not must:
                self._dropped += 1
                return False
            self._queue.append(data)
            self._queued += len(data)
            self._begin()
            self._changed.notify_all()
        return True

    def drain(self, patience_s: float | None, most_s: float | None = None) -> None:
        """Wait until all is written, as long as somebody reads: at least something each ``patience_s`` seconds.

        Once given up, it is not waited for again.
        """
        give_up_at = None if most_s is None else time.monotonic() + most_s
        with self._changed:
            while self._queued and self.error is None and not self._is_given_up:
                is_late = give_up_at is not None and time.monotonic() > give_up_at
                self._is_given_up = is_late or not self._changed.wait(patience_s)

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_writing, name=f"writes {self._name}", daemon=True)
            self._thread.start()

    def _keep_writing(self) -> None:
        while self.error is None:
            with self._changed:
                while not self._queue:
                    self._changed.wait()
                data = b"".join(self._queue)
                self._queue.clear()
            for at in range(0, len(data), _PIECE):
                piece = data[at : at + _PIECE]
                self._write_out(piece)
                with self._changed:
                    self._queued -= len(piece)
                    self._changed.notify_all()
            self._tell_dropped()

    def _tell_dropped(self) -> None:
        with self._changed:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            line = f"phaseflow: {counted(dropped, 'line')} left out here: nobody read them\n"
            self._write_out(line.encode())

    def _write_out(self, data: bytes) -> None:
        """Write all of it, waiting for the reader; an error ends the stream."""
        rest = memoryview(data)
        while rest and self.error is None:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # somebody else has made the pipe non-blocking, for all who share it
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.error = error


def install() -> None:
    """Put outputs of this kind in place of ``sys.stdout`` and ``sys.stderr``; those that a test put there stay.

    A descriptor that is closed is opened on nothing first: the next file that is opened, a database perhaps, would
    take its number, and with it whatever is printed.
    """
    closed = [number for number in (0, 1, 2) if _occupy(number)]
    if sys.stdout is sys.__stdout__:
        sys.stdout = Output(1, "stdout", is_closed=1 in closed)
    if sys.stderr is sys.__stderr__:
        sys.stderr = Output(2, "stderr", is_closed=2 in closed)


def _occupy(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number: this one
        return True
    return False


def go_to_background() -> None:
    """From here on no write waits for a reader."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, Output):
            stream.in_background = True


def close(*, soon: bool) -> OSError | None:
    """Write what is left; what went wrong with the output, or None. ``soon``: somebody waits for the process to end.

    A reader that has had enough (a closed pipe) is no error.
    """
    out, err = sys.stdout, sys.stderr
    failed: OSError | None = None
    if isinstance(out, Output):
        out.drain(0.3 if soon else None, 0.5 if soon else None)
        failed = _unlike_a_closed_pipe(out.error)
    if isinstance(err, Output):
        if failed is not None:
            err.write(f"phaseflow: cannot write to stdout: {failed.strerror}\n")
        err.drain(0.3 if soon else 1.0, 0.5 if soon else 10.0)
        if not err.in_background:  # then it was the answer
            failed = failed or _unlike_a_closed_pipe(err.error)
    return failed


def _unlike_a_closed_pipe(error: OSError | None) -> OSError | None:
    return None if error is None or error.errno == errno.EPIPE else error


def show_cursor() -> None:
    """Leave a terminal usable, in a signal handler: nothing is waited for."""
    try:
        if os.isatty(2) and select.select([], [2], [], 0)[1]:
            os.write(2, _SHOW_CURSOR)
    except OSError:
        return
