"""Two connections read one state of the database: each task is done once, whatever becomes of the second one."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Barrier, Event, current_thread, main_thread
from threading import enumerate as threads

import pytest

from phaseflow.store.open_file import connected
from phaseflow.store.shared_reading import SharedReading, Task, shared_reading
from phaseflow.store.transaction import Transaction

BESIDE = "phaseflow-read-beside"


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "kb.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection, connected(path):
        connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)")
        yield path
    assert BESIDE not in {thread.name for thread in threads()}


@pytest.fixture
def tx(path: Path) -> Iterator[Transaction]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        yield Transaction(connection)


class Notes:
    """Tasks that say by which thread they were done."""

    def __init__(self) -> None:
        self.by: dict[int, list[str]] = {}

    def task(self, number: int, before: Callable[[], object] = lambda: None) -> Task:
        def read(tx: Transaction) -> None:
            before()
            assert tx.value("SELECT count(*) FROM t") == 1
            self.by.setdefault(number, []).append(current_thread().name)

        return read


def always(tx: Transaction) -> bool:
    return True


def test_both_threads_do_some_of_what_is_shared_and_each_task_once(tx: Transaction) -> None:
    notes, both = Notes(), Barrier(2)
    with shared_reading(tx, always) as sharing:
        # The first two cannot be done but at the same time.
        sharing.run(notes.task(n, (lambda: both.wait(60)) if n < 2 else lambda: None) for n in range(20))
        assert sorted(notes.by) == list(range(20))
    assert all(len(by) == 1 for by in notes.by.values())
    assert {by for [by] in list(notes.by.values())} == {main_thread().name, BESIDE}


def test_what_was_given_is_done_when_it_is_finished_also_what_comes_of_it(tx: Transaction) -> None:
    notes = Notes()
    with shared_reading(tx, always) as sharing:

        def more(tx: Transaction) -> None:
            sharing.give([notes.task(1), notes.task(2)])

        sharing.give([more, notes.task(0)])
        sharing.finish()
        assert sorted(notes.by) == [0, 1, 2]


def test_what_is_shared_does_not_wait_for_what_was_given(tx: Transaction) -> None:
    notes, is_shared = Notes(), Barrier(2)
    with shared_reading(tx, always) as sharing:
        sharing.give([notes.task(0, lambda: is_shared.wait(60))])
        sharing.run([notes.task(1)])
        assert notes.by == {1: [main_thread().name]}
        is_shared.wait(60)
        sharing.finish()
    assert sorted(notes.by) == [0, 1]


def test_what_the_second_thread_cannot_do_the_first_does(tx: Transaction) -> None:
    notes, was_tried = Notes(), Event()

    def fails_beside() -> None:
        if current_thread() is not main_thread():
            was_tried.set()
            raise MemoryError

    with shared_reading(tx, always) as sharing:
        sharing.give([notes.task(0, fails_beside), notes.task(1)])
        assert was_tried.wait(60)
        sharing.finish()
    assert notes.by == {0: [main_thread().name], 1: [main_thread().name]}


def test_an_error_of_the_first_thread_ends_both(tx: Transaction) -> None:
    def fails(tx: Transaction) -> None:
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"), shared_reading(tx, lambda other: False) as sharing:
        sharing.run([fails] * 3)


@pytest.mark.parametrize("why", ["sees another state", "cannot be opened"])
def test_without_a_second_connection_that_sees_the_same_the_first_does_all(
    tx: Transaction, path: Path, why: str
) -> None:
    notes, asked = Notes(), list[int]()

    def is_same(other: Transaction) -> bool:
        asked.append(other.value("SELECT count(*) FROM t"))
        return asked[-1] == 1

    assert tx.value("SELECT count(*) FROM t") == 1
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("INSERT INTO t VALUES (2)")
    if why == "cannot be opened":
        path.rename(path.with_suffix(".elsewhere"))
    with shared_reading(tx, is_same) as sharing:
        sharing.give([notes.task(0)])
        sharing.run(notes.task(n) for n in range(1, 5))
        sharing.finish()
    assert notes.by == {n: [main_thread().name] for n in range(5)}
    if why == "cannot be opened":
        path.with_suffix(".elsewhere").rename(path)


def test_a_database_without_a_file_is_read_by_one() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)")
        notes = Notes()
        with shared_reading(Transaction(connection), always) as sharing:
            sharing.run([notes.task(0)])
        SharedReading(Transaction(connection)).run([notes.task(1)])
    assert notes.by == {0: [main_thread().name], 1: [main_thread().name]}


def test_what_is_left_when_the_block_ends_is_left(tx: Transaction) -> None:
    notes, has_begun = Notes(), Event()
    with shared_reading(tx, always) as sharing:

        def until_the_end() -> None:
            has_begun.set()
            with sharing._changed:
                assert sharing._changed.wait_for(lambda: sharing._is_over, 60)

        sharing.give([notes.task(0, until_the_end), notes.task(1)])
        assert has_begun.wait(60)
    assert notes.by == {0: [BESIDE]}
