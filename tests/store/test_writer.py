"""The one writer: group commit, isolation, cancellation, durability, errors of the file."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from anyio import CancelScope, create_task_group
from anyio.lowlevel import checkpoint

from phaseflow.domain.errors import EngineStopped, NotADatabase, StoreUnavailable
from phaseflow.store import connection, failpoints
from phaseflow.store.database import Database
from phaseflow.store.session import open_database, open_session
from phaseflow.store.transaction import Transaction
from phaseflow.store.write_queue import ROOM
from tests.stopwatch import NEVER_S, fail_soon
from tests.store.probes import names, nobody_writes, put, select, until_nobody_reads


def refuse(tx: Transaction) -> None:
    put(tx, "half")
    raise ValueError("no")


class Held:
    """Holds the writer at its next commit, so that requests pile up behind it."""

    def __init__(self) -> None:
        self.reached, self._go_on = threading.Event(), threading.Event()
        failpoints.install("store.before_commit", self._wait)

    def _wait(self) -> None:
        self.reached.set()
        assert self._go_on.wait(60)

    def let_go(self) -> None:
        failpoints.clear()
        self._go_on.set()


@contextmanager
def held_writer() -> Iterator[Held]:
    held = Held()
    try:
        yield held
    finally:
        held.let_go()


async def piled_up(database: Database, count: int) -> None:
    while database.queue_length < count:
        await checkpoint()


async def test_a_write_is_committed_when_it_returns(database: Database, path: Path) -> None:
    assert await database.write(partial(put, name="a")) == "a"
    assert names(path) == ["a"]


async def test_requests_that_wait_together_share_one_transaction(database: Database, path: Path) -> None:
    commits: list[None] = []
    with fail_soon(10), held_writer() as held:
        async with create_task_group() as tasks:
            tasks.start_soon(database.write, partial(put, name="first"))
            await anyio.to_thread.run_sync(held.reached.wait)
            for n in range(20):
                tasks.start_soon(database.write, partial(put, name=str(n)))
            await piled_up(database, 20)
            held.let_go()
            failpoints.install("store.after_commit", lambda: commits.append(None))
    assert names(path) == ["first", *map(str, range(20))]
    assert len(commits) <= 2


async def test_searches_go_one_at_a_time_while_something_is_written(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, begun, go_on = threading.Barrier(2, timeout=60), list[int](), threading.Event()
    with fail_soon(10):
        async with create_task_group() as tasks:
            for _ in range(2):  # nobody writes
                tasks.start_soon(database.search, lambda _: together.wait())

    def search(number: int, tx: Transaction) -> None:
        begun.append(number)
        assert go_on.wait(60)

    monkeypatch.setattr("phaseflow.store.database.WRITING_S", NEVER_S)
    await database.write(partial(put, name="a"))
    with fail_soon(10):
        async with create_task_group() as tasks:
            for number in range(2):
                tasks.start_soon(database.search, partial(search, number))
            while not database._searching.statistics().tasks_waiting:
                await checkpoint()
            assert await database.read(lambda tx: tx.value("SELECT fingerprint FROM models")) == "a"
            assert begun in ([], [0])
            go_on.set()
    assert begun == [0, 1]


async def test_a_request_that_fails_takes_no_neighbour_with_it(database: Database, path: Path) -> None:
    errors: list[Exception] = []

    async def failing() -> None:
        with pytest.raises(ValueError, match="no") as caught:
            await database.write(refuse)
        errors.append(caught.value)

    with fail_soon(10), held_writer() as held:
        async with create_task_group() as tasks:
            tasks.start_soon(database.write, partial(put, name="first"))
            await anyio.to_thread.run_sync(held.reached.wait)
            tasks.start_soon(database.write, partial(put, name="before"))
            tasks.start_soon(failing)
            tasks.start_soon(database.write, partial(put, name="after"))
            await piled_up(database, 3)
            held.let_go()
    assert names(path) == ["first", "before", "after"]
    assert len(errors) == 1


async def test_a_request_that_fails_alone_leaves_nothing_and_no_transaction(database: Database, path: Path) -> None:
    with pytest.raises(ValueError, match="no"):
        await database.write(refuse)
    assert names(path) == []
    assert nobody_writes(path)


@pytest.mark.parametrize(
    "sql", ["INSERT INTO models VALUES (1, 2, 3, 4, 5, 6, 7, 8)", "nonsense", "INSERT INTO models (id) VALUES ('x')"]
)
async def test_a_fault_of_the_statement_is_that_of_whoever_asked(database: Database, path: Path, sql: str) -> None:
    with pytest.raises(sqlite3.Error):
        await database.write(lambda tx: tx.run(sql))
    assert nobody_writes(path)
    await database.write(partial(put, name="next"))
    assert names(path) == ["next"]


async def test_a_requester_that_is_cancelled_is_still_served_and_told_of(database: Database, path: Path) -> None:
    told: list[str] = []
    with fail_soon(10), held_writer() as held:
        async with create_task_group() as tasks:
            tasks.start_soon(partial(database.write, partial(put, name="taken"), then=told.append))
            await anyio.to_thread.run_sync(held.reached.wait)
            tasks.start_soon(partial(database.write, partial(put, name="waiting"), then=told.append))
            await piled_up(database, 1)
            tasks.cancel_scope.cancel()
        held.let_go()
        await database.write(partial(put, name="after"))
    assert names(path) == ["taken", "waiting", "after"]
    assert told == ["taken", "waiting"]
    assert nobody_writes(path)


async def test_what_is_told_is_told_in_the_order_of_the_commits(database: Database, path: Path) -> None:
    told: list[str] = []
    with fail_soon(10):
        async with create_task_group() as tasks:
            for n in range(3 * ROOM):
                tasks.start_soon(partial(database.write, partial(put, name=str(n)), then=told.append))
    assert told == names(path)
    assert len(told) == 3 * ROOM


async def test_what_is_told_is_committed_and_not_yet_answered(database: Database, path: Path) -> None:
    seen: list[list[str]] = []
    await database.write(partial(put, name="a"), then=lambda _: seen.append(names(path)))
    assert seen == [["a"]]


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
async def test_only_what_is_asked_to_be_durable_waits_for_the_disk(
    database: Database, durable: bool, level: int
) -> None:
    for _ in range(2):
        assert await database.write(lambda tx: tx.value("PRAGMA synchronous"), durable=durable) == level
        await database.write(partial(put, name=f"{durable} {_}"), durable=not durable)


async def test_one_durable_request_makes_its_whole_group_durable(database: Database) -> None:
    levels: list[int] = []
    with fail_soon(10), held_writer() as held:
        async with create_task_group() as tasks:
            tasks.start_soon(database.write, partial(put, name="first"))
            await anyio.to_thread.run_sync(held.reached.wait)
            level = partial(database.write, lambda tx: tx.value("PRAGMA synchronous"), then=levels.append)
            tasks.start_soon(level)
            tasks.start_soon(partial(database.write, partial(put, name="durable"), durable=True))
            await piled_up(database, 2)
            held.let_go()
    assert levels == [2]


async def test_a_reader_never_waits_for_a_write_and_sees_what_was_there_before(database: Database, path: Path) -> None:
    await database.write(partial(put, name="old"))
    with fail_soon(10), held_writer() as held:
        async with create_task_group() as tasks:
            tasks.start_soon(database.write, partial(put, name="new"))
            await anyio.to_thread.run_sync(held.reached.wait)
            assert await database.read(lambda tx: tx.value("SELECT count(*) FROM models")) == 1
            held.let_go()
    assert names(path) == ["old", "new"]


async def test_a_reader_sees_one_moment_however_long_it_looks(database: Database) -> None:
    reached, go_on = threading.Event(), threading.Event()
    seen: list[int] = []

    def look(tx: Transaction) -> None:
        seen.append(tx.value("SELECT count(*) FROM models"))
        reached.set()
        assert go_on.wait(60)
        seen.append(tx.value("SELECT count(*) FROM models"))

    async with create_task_group() as tasks:
        tasks.start_soon(database.read, look)
        await anyio.to_thread.run_sync(reached.wait)
        await database.write(partial(put, name="new"))
        go_on.set()
    assert seen == [0, 0]
    assert await database.read(lambda tx: tx.value("SELECT count(*) FROM models")) == 1


async def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(StoreUnavailable, match="read-only"):
        await database.read(lambda tx: put(tx, "x"))


async def test_a_cancelled_reader_leaves_no_transaction_open(database: Database, path: Path) -> None:
    await database.write(partial(put, name="a"))
    for hops in range(12):
        with CancelScope() as scope:
            async with create_task_group() as tasks:
                tasks.start_soon(_cancel_after, scope, hops)
                await database.read(lambda tx: tx.rows("SELECT * FROM models"))
        with fail_soon(5):
            assert await database.read(lambda tx: tx.value("SELECT count(*) FROM models")) == 1
    await until_nobody_reads(path)


async def test_many_readers_cancelled_at_the_first_moment_leave_no_transaction_open(
    database: Database, path: Path
) -> None:
    await database.write(partial(put, name="a"))

    async def look() -> None:
        await database.read(lambda tx: tx.rows("SELECT * FROM models"))

    with fail_soon(10):
        for _ in range(100):
            async with create_task_group() as tasks:
                tasks.start_soon(look)
                tasks.start_soon(look)
                await checkpoint()
                await checkpoint()
                tasks.cancel_scope.cancel()
            await look()
    await until_nobody_reads(path)


async def _cancel_after(scope: CancelScope, hops: int) -> None:
    for _ in range(hops):
        await checkpoint()
    scope.cancel()


async def test_a_write_after_the_end_is_refused(path: Path) -> None:
    async with open_session(path) as database:
        pass
    with pytest.raises(EngineStopped):
        await database.write(partial(put, name="late"))
    with pytest.raises(EngineStopped):
        await database.read(lambda tx: tx.rows("SELECT * FROM models"))


async def test_what_was_asked_for_before_the_end_is_written(path: Path) -> None:
    refused: list[int] = []

    async def ask(database: Database, n: int) -> None:
        try:
            await database.write(partial(put, name=str(n)))
        except EngineStopped:
            refused.append(n)

    with fail_soon(10):
        async with create_task_group() as tasks, open_session(path) as database:
            for n in range(2 * ROOM):
                tasks.start_soon(ask, database, n)
            await piled_up(database, ROOM)
    assert len(names(path)) + len(refused) == 2 * ROOM
    assert len(names(path)) >= ROOM


async def test_a_file_that_was_deleted_is_noticed(database: Database, path: Path) -> None:
    path.rename(path.with_suffix(".away"))
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        await database.write(partial(put, name="lost"))
    path.with_suffix(".away").rename(path)
    await database.write(partial(put, name="kept"))
    assert names(path) == ["kept"]


async def test_a_file_that_was_replaced_is_noticed(database: Database, path: Path) -> None:
    path.rename(path.with_suffix(".away"))
    path.write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        await database.write(partial(put, name="lost"))


async def test_a_file_that_another_program_has_locked_is_said_to_be_and_used_when_it_is_free(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_S", 0.2)
    async with open_session(path) as database:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with fail_soon(5), pytest.raises(StoreUnavailable, match="another program has it locked"):
                await database.write(partial(put, name="lost"))
            other.rollback()
        await database.write(partial(put, name="kept"))
    assert names(path) == ["kept"]


async def test_a_short_lock_of_another_program_is_waited_for(database: Database, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.2, other.rollback)
        timer.start()
        with fail_soon(10):
            await database.write(partial(put, name="kept"))
        timer.join()
    assert names(path) == ["kept"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (sqlite3.SQLITE_FULL, "the disk is full"),
        (sqlite3.SQLITE_IOERR, "the disk reports an error"),
        (sqlite3.SQLITE_READONLY, "it is read-only"),
    ],
)
async def test_a_fault_of_the_disk_is_said_to_all_in_the_group_and_passes(
    database: Database, path: Path, fault: int, words: str
) -> None:
    error = sqlite3.OperationalError("fault")
    error.sqlite_errorcode = fault
    failpoints.install("store.before_commit", _raising(error))
    with pytest.raises(StoreUnavailable, match=words):
        await database.write(partial(put, name="lost"))
    failpoints.clear()
    assert nobody_writes(path)
    await database.write(partial(put, name="kept"))
    assert names(path) == ["kept"]


async def test_a_disk_that_is_really_full_loses_nothing_that_was_committed(database: Database, path: Path) -> None:
    """``max_page_count`` gives the same error as a full disk."""
    await database.write(partial(put, name="kept"))
    pages = await database.write(lambda tx: tx.value("PRAGMA max_page_count = 1"))
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        await database.write(partial(put, name="x" * 4096 * 50))
    assert nobody_writes(path)
    await database.write(lambda tx: tx.run(f"PRAGMA max_page_count = {pages + 1000}"))
    await database.write(partial(put, name="again"))
    assert names(path) == ["kept", "again"]


def _raising(error: Exception) -> Callable[[], None]:
    def hook() -> None:
        raise error

    return hook


async def test_the_file_is_in_the_mode_that_readers_beside_a_writer_need(database: Database, path: Path) -> None:
    assert select(path, "PRAGMA journal_mode") == [("wal",)]
    assert await database.write(lambda tx: tx.value("PRAGMA foreign_keys")) == 1


async def test_a_file_that_cannot_be_read_when_it_is_opened_is_explained(path: Path) -> None:
    """It may come to harm between the check and the first look of the connection that writes; a disk may fill up."""
    path.write_bytes(b"no database, whatever the check has said".ljust(8192))
    with pytest.raises(NotADatabase, match="is damaged"):
        async with open_database(path):
            pytest.fail("opened")


async def test_an_idle_writer_gives_free_memory_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_back = threading.Event()
    monkeypatch.setattr("phaseflow.store.database.IDLE_S", 0.01)
    monkeypatch.setattr("phaseflow.store.upkeep.give_back_memory", given_back.set)
    async with open_session(path) as database:
        await database.write(partial(put, name="any"))
        assert await anyio.to_thread.run_sync(given_back.wait, 60)


async def test_what_is_in_the_wal_is_left_to_the_copy_that_has_replaced_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseflow.store.database.IDLE_S", 0.2)
    async with open_session(path) as database:
        await database.write(partial(put, name="kept"))
        path.rename(path.with_name("aside.db"))
        path.write_bytes(path.with_name("aside.db").read_bytes())
        idle = anyio.Event()
        call = database._writer.call

        async def noted(work: Callable[[sqlite3.Connection], object]) -> object:
            try:
                return await call(work)
            finally:
                idle.set()

        monkeypatch.setattr(database._writer, "call", noted)
        with fail_soon(5):
            await idle.wait()
    async with open_session(path):
        assert names(path) == ["kept"]
