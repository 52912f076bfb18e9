"""One engine a file: the second is told who has it, and a dead one blocks nobody."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from phaseflow.domain.errors import DatabaseHeld, StoreUnavailable
from phaseflow.store.lock import database_lock
from phaseflow.store.session import open_session
from tests.store.probes import names, put

HOLD = """
import sys
from pathlib import Path
from phaseflow.store.lock import database_lock
with database_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
HOLD_OPEN = """
import sys
from pathlib import Path
import anyio
from phaseflow.store.session import open_session
async def main():
    async with open_session(Path(sys.argv[1])) as database:
        for n in range(50):
            await database.write(lambda tx: tx.run("INSERT INTO models (fingerprint) VALUES (?)", str(n)))
        print("held", flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""


@contextmanager
def other_process(code: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the file, killed at the end of the block at the latest."""
    arguments = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_holder_is_told_the_pid_of_the_first(path: Path) -> None:
    with other_process(HOLD, path) as process:
        with pytest.raises(DatabaseHeld, match=f"in use by process {process.pid};") as refused, database_lock(path):
            pass
        assert "\n" not in str(refused.value)
    assert refused.value.holder == f"process {process.pid}"


def test_two_holders_in_one_process_do_not_meet_either(path: Path) -> None:
    with database_lock(path), pytest.raises(DatabaseHeld, match=f"process {os.getpid()}"), database_lock(path):
        pass
    with database_lock(path):
        pass


async def test_a_second_engine_leaves_the_first_one_in_peace(path: Path) -> None:
    async with open_session(path) as database:
        with pytest.raises(DatabaseHeld):
            async with open_session(path):
                pass
        await database.write(lambda tx: put(tx, "kept"))
    assert names(path) == ["kept"]


async def test_a_link_to_the_file_is_the_same_file(path: Path) -> None:
    link = path.with_name("link.db")
    async with open_session(path):
        link.symlink_to(path)
        with pytest.raises(DatabaseHeld):
            async with open_session(link):
                pass


async def test_a_holder_that_was_killed_blocks_nobody_and_loses_nothing(path: Path) -> None:
    with other_process(HOLD_OPEN, path) as process:
        process.kill()
        process.wait()
        async with open_session(path):
            assert names(path) == [str(n) for n in range(50)]


def test_a_holder_that_failed_has_let_go(path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), database_lock(path):
        raise ValueError("mine")
    with database_lock(path):
        pass


def test_a_folder_that_takes_no_lock_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "kb.db"
    with pytest.raises(StoreUnavailable, match="check the folder and its permissions"), database_lock(path):
        pass
