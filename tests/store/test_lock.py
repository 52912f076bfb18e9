"""One engine a file: the second is told who has it, and a dead one blocks nobody."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from phaseflow.domain.errors import DatabaseHeld, StoreUnavailable
from phaseflow.store.lock import database_lock, holder, is_held
from phaseflow.store.schema import check_file
from phaseflow.store.session import open_session
from tests.stopwatch import NEVER_S
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
    with (
        database_lock(path),
        pytest.raises(DatabaseHeld, match=f"by this program itself .process {os.getpid()}"),
        database_lock(path),
    ):
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


async def test_a_file_with_a_second_name_is_refused(path: Path) -> None:
    async with open_session(path):
        pass
    second = path.with_name("second.db")
    second.hardlink_to(path)
    for name in (path, second):
        with pytest.raises(StoreUnavailable, match=r"has 2 names \(hard links\)"):
            async with open_session(name):
                pass
    second.unlink()
    async with open_session(path):
        pass


async def test_a_file_that_is_mounted_by_itself_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_session(path):
        pass
    mounts = path.with_name("mountinfo")
    mounts.write_bytes(b"1 0 8:1 /kb.db %s rw - ext4 /dev/sda1 rw\n" % os.fsencode(path).replace(b" ", rb"\040"))
    monkeypatch.setattr("phaseflow.store.schema._MOUNTS", mounts)
    with pytest.raises(StoreUnavailable, match="mount its folder instead"):
        async with open_session(path):
            pass


def test_a_holder_in_another_container_is_not_named_by_its_pid(path: Path) -> None:
    with database_lock(path):
        path.with_name("kb.db.lock").write_text("1\n3f2a9c\npid:[4026]\n")
        assert holder(path) == "a process on 3f2a9c"


def test_a_forked_child_does_not_keep_the_lock(path: Path) -> None:
    read, write = os.pipe()
    there_read, there_write = os.pipe()
    with database_lock(path):
        child = os.fork()
        if not child:
            os.write(there_write, b"x")
            os.read(read, 1)
            os._exit(0)
        os.read(there_read, 1)
    try:
        assert not is_held(path)
        with database_lock(path):
            assert is_held(path)
    finally:
        os.write(write, b"x")
        os.waitpid(child, 0)
        for fd in (read, write, there_read, there_write):
            os.close(fd)


def test_asking_who_has_the_lock_does_not_keep_an_engine_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phaseflow.store.lock._TRY_S", NEVER_S)
    with database_lock(path):
        pass
    with path.with_name("kb.db.lock").open() as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        timer = threading.Timer(0.05, fcntl.flock, (asking, fcntl.LOCK_UN))
        timer.start()
        with database_lock(path):
            pass
        timer.join()


async def test_looking_at_the_file_takes_no_lock_from_the_engine_in_the_same_process(path: Path) -> None:
    async with open_session(path) as database:
        await database.write(lambda tx: put(tx, "kept"))
        check_file(path)
        locks = Path("/proc/locks").read_text()
        assert f"{os.getpid()}" in "".join(line for line in locks.splitlines() if f":{path.stat().st_ino} " in line)


def test_a_full_disk_leaves_out_the_name_of_the_holder_and_keeps_the_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with database_lock(path):
        monkeypatch.undo()
        assert is_held(path)
        with pytest.raises(DatabaseHeld, match="another process"), database_lock(path):
            pass
