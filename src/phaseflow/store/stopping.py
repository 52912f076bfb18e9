"""Reads that end when nobody waits for them any more."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from phaseflow.store.transaction import Row, Transaction

STEPS = 1_000_000
"""Steps of SQLite between two looks, some 20 ms: each takes the interpreter lock."""


class _ReadStopped(Exception):  # nobody sees it: who waited has gone
    """Nobody waits for this read any more."""


class StoppableRead(Transaction):
    """A transaction that another thread can stop: the statement that runs, and those that would follow."""

    __slots__ = ("_is_held_off", "_is_stopped", "_lock")

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._lock = Lock()
        self._is_stopped = False
        self._is_held_off = False

    def stop(self) -> None:
        """Interrupt what runs, unless that is brought to its end."""
        with self._lock:
            self._is_stopped = True
            if not self._is_held_off:
                self._connection.interrupt()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """In this block SQLite itself asks from time to time: an interrupt just before a statement begins is lost."""
        self._connection.set_progress_handler(lambda: self._is_stopped and not self._is_held_off, STEPS)
        try:
            yield
        finally:
            self._connection.set_progress_handler(None, 0)

    @contextmanager
    def to_the_end(self) -> Iterator[None]:
        """What is read in this block is of use to others, too."""
        self.hold_off_stop()
        try:
            yield
        finally:
            with self._lock:
                self._is_held_off = False

    def hold_off_stop(self) -> None:
        with self._lock:  # whoever is about to interrupt has done so after it
            self._is_held_off = True

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        if self._is_stopped and not self._is_held_off:
            raise _ReadStopped
        return super().rows(sql, *parameters)
