"""The program, as ``phaseflow`` and as ``python -m phaseflow``."""

import gc
import os
import signal
from types import FrameType

INTERRUPTED = 3
"""``phaseflow.cli.exit_codes.Exit.PAUSED``; importing it is what may be interrupted."""

_YOUNG_OBJECTS = 150_000
"""New objects before the collector looks at them: more than a search makes, nearly all by its imports, which leave
hardly any garbage. At Python's 700 it goes through them several times, a sixth of what a short command takes."""
_PLUGINS = "PYDANTIC_DISABLE_PLUGINS"
"""None, unless the variable says otherwise: pydantic would look for them among all packages that are installed."""
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"
"""One, unless the variable says otherwise: NumPy would start one for each core, which takes 0.02 s of it before it
sleeps. Nothing here multiplies matrices that are large enough to be shared among threads."""
_INTERRUPTIONS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_ENDS = [*_INTERRUPTIONS, *([signal.SIGALRM] if hasattr(signal, "SIGALRM") else [])]


def run() -> None:
    """Run the command line. A Ctrl-C, SIGTERM or SIGHUP before a command handles it itself, also amid the imports, ends
    with code 3; commands that only read leave it at that.

    One that comes when the command is over changes nothing: the interpreter takes its handlers away before its own end,
    and would die of it.
    """
    for number in _INTERRUPTIONS:
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):  # not ignored, as behind ``&``
            signal.signal(number, _leave)
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
    os.environ.setdefault(_PLUGINS, "__all__")
    os.environ.setdefault(_BLAS_THREADS, "1")
    from phaseflow.cli import main

    try:
        main(prog_name="phaseflow")
    finally:
        _wait_for_threads()  # the interpreter would, once nothing can end it any more
        for number in _ENDS:
            signal.signal(number, signal.SIG_IGN)


def _wait_for_threads() -> None:
    """One that does not come back, as from a disk that hangs, keeps the program until a signal ends it."""
    import threading

    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once. An exception could be raised anywhere, in an import too, which may show it or swallow it."""
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    run()
