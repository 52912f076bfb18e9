"""Each connection has a thread of its own, which outlives what waits for it without a word."""

import asyncio
import gc
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from phaseflow.domain.errors import EngineStopped
from phaseflow.store import connection as connections
from phaseflow.store import database as databases
from phaseflow.store import read_pool
from phaseflow.store.connection import Connection, open_connection
from phaseflow.store.database import Database
from phaseflow.store.session import open_session
from phaseflow.store.stop_deadline import StopDeadline
from phaseflow.store.transaction import Transaction

SHORT_S = 0.02


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What threads raise, which Python prints."""
    found: list[object] = []
    monkeypatch.setattr(threading, "excepthook", found.append)
    return found


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop gives up soon."""
    for module in (connections, databases, read_pool):
        monkeypatch.setattr(module, "PARTS_S", SHORT_S)
    monkeypatch.setattr(connections, "CLOSE_S", 2 * SHORT_S)


class Stalled:
    """The thread of a connection stands still in a call of it, until it may go on."""

    def __init__(self) -> None:
        self.began, self._may_end = threading.Event(), threading.Event()

    def __call__(self, *_: object) -> None:
        self.began.set()
        assert self._may_end.wait(60)

    def go_on(self) -> None:
        self._may_end.set()


def end_of_threads(before: set[threading.Thread]) -> None:
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def stalled() -> Iterator[Stalled]:
    each = Stalled()
    yield each
    each.go_on()


USES: dict[str, Callable[[Database, Callable[[Transaction], None]], Awaitable[None]]] = {
    "write": lambda database, stall: database.write(stall),
    "read": lambda database, stall: database.read(stall),
    "read_long": lambda database, stall: database.read_long(stall),
    "look_for_search": lambda database, stall: database.look_for_search(stall),
    "search": lambda database, stall: database.search(stall),
}


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("use", USES)
def test_a_thread_that_outlives_its_loop_closes_the_file_and_prints_nothing(
    tmp_path: Path, use: str, stalled: Stalled, raised: list[object], capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kb.db"
    before = set(threading.enumerate())

    async def use_it(database: Database) -> None:
        with suppress(EngineStopped):
            await USES[use](database, stalled)

    async def main() -> None:
        async with anyio.create_task_group() as tasks, open_session(path) as database:
            tasks.start_soon(use_it, database)
            assert await anyio.to_thread.run_sync(stalled.began.wait, 60)
            if use == "read":  # and one behind it
                tasks.start_soon(use_it, database)
            tasks.cancel_scope.cancel()

    asyncio.run(main())
    stalled.go_on()
    end_of_threads(before)
    gc.collect()
    assert (raised, capfd.readouterr().err) == ([], "")
    assert not path.with_name("kb.db-wal").exists()  # the last that closes the file takes it away


def test_one_that_is_still_being_opened_is_left_to_its_thread(stalled: Stalled, raised: list[object]) -> None:
    before = set(threading.enumerate())
    opened: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        stalled()
        opened.append(sqlite3.connect(":memory:"))
        return opened[0]

    async def main() -> None:
        connection = Connection(connect)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.open)
            assert await anyio.to_thread.run_sync(stalled.began.wait, 60)
            tasks.cancel_scope.cancel()
        await connection.leave(StopDeadline())

    asyncio.run(main())
    stalled.go_on()
    end_of_threads(before)
    assert raised == []
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].interrupt()


@pytest.mark.parametrize(
    "error", [sqlite3.OperationalError("told to the caller"), KeyboardInterrupt("told to the caller")]
)
async def test_what_a_call_raises_is_raised_where_it_is_awaited(tmp_path: Path, error: BaseException) -> None:
    def fails(bare: sqlite3.Connection) -> None:
        raise error

    (tmp_path / "kb.db").touch()
    async with open_connection(tmp_path / "kb.db", "rw") as connection:
        with pytest.raises(type(error), match="told to the caller"):
            await connection.call(fails)
        assert await connection.call(lambda bare: bare.execute("SELECT 1").fetchone()) == (1,)


async def test_a_call_that_stops_an_iteration_is_not_awaited_for_ever(tmp_path: Path) -> None:
    (tmp_path / "kb.db").touch()
    async with open_connection(tmp_path / "kb.db", "rw") as connection:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await connection.call(lambda bare: next(bare.execute("SELECT 1 WHERE 0")))


async def test_a_closed_one_takes_no_call(tmp_path: Path) -> None:
    (tmp_path / "kb.db").touch()
    async with open_connection(tmp_path / "kb.db", "rw") as connection:
        pass
    with pytest.raises(EngineStopped):
        await connection.call(lambda bare: None)
