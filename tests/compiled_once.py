"""What the tests consist of is compiled by one process of a run, and read by the others.

To compile it takes longer than to collect all tests, and the processes of a run begin with the same modules at the same
moment: where nothing is compiled yet, as in a fresh clone, each of them would do it all.
"""

import compileall
import fcntl
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import cache_from_source
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_REWRITTEN = re.compile(r"/(test_\w+|conftest)\.py$")
"""pytest compiles these in its own way, with more to say where an assertion fails."""
PARSED = Path(".hypothesis/constants")
"""Where hypothesis keeps the constants that it has found in the modules of a run."""


def compile_program() -> None:
    """The program, and what the tests import: before any process of the run does."""
    for folder in ("src", "tests"):
        compileall.compile_dir(_ROOT / folder, quiet=2, rx=_REWRITTEN)


@contextmanager
def compiled_by_one(module: Path) -> Iterator[None]:
    """Import a module of tests in here: while another process does, and so compiles it, this one waits for that.

    Nobody waits for one that has changed since: those are few.
    """
    if kept(module).exists() or not _can_be_kept(module):
        yield
        return
    with _by_one(module, kept(module).exists):
        yield


@contextmanager
def parsed_by_one() -> Iterator[None]:
    """hypothesis parses all modules in here, unless it did in an earlier run or does in another process: then it reads
    what it has kept of them."""
    if not os.access(Path.cwd(), os.W_OK):
        yield
        return
    with _by_one(Path(__file__), PARSED.is_dir):
        yield


@contextmanager
def _by_one(locked: Path, is_done: Callable[[], bool]) -> Iterator[None]:
    with locked.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_done():  # so there is nothing to wait for any more
            fcntl.flock(lock, fcntl.LOCK_UN)
        yield


def kept(module: Path) -> Path:
    """Where pytest keeps what it has compiled."""
    name = f"{module.stem}.{sys.implementation.cache_tag}-pytest-{pytest.__version__}.pyc"
    return Path(cache_from_source(str(module))).with_name(name)


def _can_be_kept(module: Path) -> bool:
    folder = kept(module).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
