"""Reading a good part of a file with two connections at a time: SQLite needs no interpreter lock for a step, so that a
second core does half of what the first search of a knowledge base waits for."""

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Condition, Thread
from typing import Final

from phaseflow.store.open_file import connected, descriptor
from phaseflow.store.read_pool import reading_mode
from phaseflow.store.transaction import Transaction

Task = Callable[[Transaction], None]
"""What can be read on its own, some milliseconds long. It leaves its result where its maker looks for it."""

Held = Callable[[], AbstractContextManager[object]]
"""A block in which a few pages from all over the file are read one after the other, and nothing ahead."""

LEAST: Final = 2_000
"""Passages: fewer are read in the time that it takes to open a connection."""


class SharedReading:
    """Tasks that are read from one state of the database by the caller and, while it lasts, by a second thread.

    What the second thread could not do, the caller does. ``shared_reading`` makes it; without that, it is one thread.
    """

    def __init__(self, tx: Transaction, held: Held = nullcontext) -> None:
        self.held = held
        self._tx = tx
        self._changed = Condition()
        self._given = deque[Task]()
        self._shared = deque[Task]()
        self._in_hand: deque[Task] | None = None
        """Of which kind the second thread does one."""
        self._is_over = False

    def give(self, tasks: Iterable[Task]) -> None:
        """Leave tasks to the second thread, which does them first; ``finish`` says that they are done. From both
        threads."""
        with self._changed:
            self._given.extend(tasks)
            self._changed.notify_all()

    def run(self, tasks: Iterable[Task]) -> None:
        """Run tasks in both threads until all of these are done."""
        with self._changed:
            self._shared.extend(tasks)
            self._changed.notify_all()
        self._work(self._shared)

    def finish(self) -> None:
        """Run in both threads what was given, until all is done."""
        self._work(self._given)

    def _work(self, tasks: deque[Task]) -> None:
        while True:
            with self._changed:
                # What the other has in hand it may give back, and it may give more.
                self._changed.wait_for(lambda: tasks or self._in_hand is not tasks)
                if not tasks:
                    return
                task = tasks.popleft()
            task(self._tx)

    def work_beside(self, tx: Transaction) -> None:
        """What the second thread does until ``end``: what was given, then what is shared."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._given or self._shared or self._is_over)
                if self._is_over:
                    return
                tasks = self._given or self._shared
                task, self._in_hand = tasks.popleft(), tasks
            is_done = False
            try:
                task(tx)
                is_done = True
            finally:
                with self._changed:
                    self._in_hand = None
                    if not is_done:
                        tasks.appendleft(task)
                    self._changed.notify_all()

    def end(self) -> None:
        """No more tasks: the second thread ends after the one that it has in hand."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


@contextmanager
def shared_reading(
    tx: Transaction, is_same: Callable[[Transaction], bool], held: Held = nullcontext
) -> Iterator[SharedReading]:
    """For the length of the block, a second connection reads the file, too, if ``is_same`` says of it that it sees all
    that the tasks read as ``tx`` does. Where it cannot be opened, and in a database without a file, there is none."""
    sharing = SharedReading(tx, held)
    path = tx.row("PRAGMA database_list")
    if path is None or not path[2] or descriptor(file := Path(path[2])) is None:
        yield sharing
        return
    thread = Thread(target=_read_beside, args=(sharing, file, is_same), name="phaseflow-read-beside", daemon=True)
    thread.start()
    try:
        yield sharing
    finally:
        sharing.end()
        thread.join()  # the file may be closed now


def _read_beside(sharing: SharedReading, path: Path, is_same: Callable[[Transaction], bool]) -> None:
    # Whatever it is, the other thread meets it, too, and says so.
    with suppress(Exception), connected(path):
        mode = reading_mode(path, may_write=os.access(path.parent, os.W_OK))
        with closing(sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            tx = Transaction(connection)
            if is_same(tx):
                sharing.work_beside(tx)
