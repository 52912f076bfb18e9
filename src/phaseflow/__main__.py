"""The program, as ``phaseflow`` and as ``python -m phaseflow``."""

import os
import signal
from types import FrameType

INTERRUPTED = 3
"""``phaseflow.cli.exit_codes.Exit.PAUSED``; importing it is what may be interrupted."""


def run() -> None:
    """Run the command line. A Ctrl-C before a command handles it itself, also amid the imports, ends with code 3."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # and not ignored, as behind a shell's ``&``
        signal.signal(signal.SIGINT, _leave)
    from phaseflow.cli import main

    main(prog_name="phaseflow")


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once. An exception could be raised anywhere, in an import too, which may show it or swallow it."""
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    run()
