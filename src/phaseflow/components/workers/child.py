"""What runs in a worker process: reads documents from its standard input until that ends.

A thread of its own reads the input, so that a worker notices the end of the service also in the middle of a document.
A parser that never lets go of the interpreter lock is ended by the alarm of the kernel.
"""

import errno
import os
import queue
import signal
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

from phaseflow.components.extraction.registry import extract
from phaseflow.components.workers.answers import FAILED, OUT_OF_MEMORY, READ, READY
from phaseflow.components.workers.confinement import confine, die_with
from phaseflow.components.workers.frames import Decoder, Frame, MalformedFrame, encode
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.exception_text import named, text_of

_CHUNK = 1 << 20
_HEADROOM = 1.25
"""The service ends a worker that is past its limit; the kernel refuses memory only somewhat later, as a backstop."""
_FILES = 64
"""Descriptors: three pipes, and what an import opens for a moment."""
_GRACE_S = 5
"""How much later than the service the alarm ends a document."""
_NO_ROOM = ("failed to map segment", "Cannot allocate memory", "cannot allocate memory")
"""What the dynamic linker says, in glibc and in musl, when a library does not fit into what memory there may be."""


def main(memory_bytes: int, time_s: float, parent: int = 0) -> None:
    """Answer requests until the input ends. Never returns in any other way than by the end of the process.

    ``parent`` is the process to end together with, 0 for none: the thread that starts this one may end before it.
    """
    if parent:
        die_with(parent)
    answers = os.dup(1)
    # A library that prints must not write into the answers.
    os.dup2(2, 1)
    for each in (signal.SIGINT, signal.SIGTERM):
        # They are meant for the service, which finishes its batch and then closes the pipe.
        signal.signal(each, signal.SIG_IGN)
    _limit_memory(memory_bytes)
    # Coverage writes files.
    is_measured = any(name.startswith("COVERAGE_") for name in os.environ)
    held = [] if is_measured else confine(files=_FILES)
    requests: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    Thread(target=_receive, args=(requests,), daemon=True).start()
    _send(answers, encode({"status": READY, "id": "", "confined_by": held}, b""))
    while True:
        head, body = requests.get()
        signal.setitimer(signal.ITIMER_REAL, time_s + _GRACE_S)
        answer = _encoded(head, *_answer(head, body))
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(answers, answer)


def _receive(requests: "queue.SimpleQueue[Frame]") -> None:
    decoder = Decoder()
    while data := os.read(0, _CHUNK):
        decoder.feed(data)
        while (frame := decoder.take()) is not None:
            requests.put(frame)
    os._exit(0)


def _encoded(request: dict[str, Any], head: dict[str, Any], body: bytes) -> list[bytes]:
    try:
        return encode({**head, "id": request["id"]}, body)
    except MalformedFrame as error:
        message = f"{request['name']} has too much text ({error}); split it or exclude it"
        failed = {"status": FAILED, "code": "too_large", "message": message, "counts": True}
        return encode({**failed, "id": request["id"]}, b"")


def _send(file: int, pieces: list[bytes]) -> None:
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(file, rest) :]


def _answer(head: dict[str, Any], body: bytes) -> Frame:
    try:
        if "ocr" in head:
            # Imported here, for it doubles the time that a worker takes to start, and few are asked for it.
            from phaseflow.components.extraction.recognition import answer as recognise

            found = recognise(body, head["name"], head["ocr"])
        else:
            found = extract(body, head["name"], declared_charset=head["charset"], declared_type=head["type"])
        text = found.text.encode()
    except DocumentError as error:
        return {"status": FAILED, "code": error.code, "message": text_of(error), "counts": error.counts}, b""
    except MemoryError:
        return {"status": OUT_OF_MEMORY}, b""
    except (ImportError, OSError) as error:
        return ({"status": OUT_OF_MEMORY}, b"") if _wants_memory(error) else _broken(head["name"], error)
    except BaseException as error:  # noqa: BLE001  whatever a parser raises, panics of Rust too, is the document's fault
        return _broken(head["name"], error)
    said = {
        "title": found.title, "type": found.media_type, "read_as": found.read_as, "parts": found.parts,
        "metadata": dict(found.metadata),
    }  # fmt: skip
    return {"status": READ, **said}, text


def _broken(name: str, error: BaseException) -> Frame:
    # The panic of a library in another language names lines of its sources, which help nobody here.
    why = f" ({named(error)})"[:200] if isinstance(error, Exception) else ""
    message = f"{name} cannot be read{why}; open and save it again, or exclude it"
    return {"status": FAILED, "code": "malformed", "message": message, "counts": True}, b""


def _wants_memory(error: Exception) -> bool:
    """Whether a library that a parser imports late, or the kernel, found no room under the limit."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return any(words in text_of(error) for words in _NO_ROOM)


def _limit_memory(memory_bytes: int) -> None:
    import resource

    mapped = 0
    with suppress(OSError, ValueError, IndexError):
        mapped = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    most = mapped + int(memory_bytes * _HEADROOM)
    with suppress(OSError, ValueError, AttributeError):  # not every system knows it
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
