"""One open transaction, seen from the thread of its connection, where no statement waits for anything."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from phaseflow.domain.identifiers import whole_characters
from phaseflow.domain.log import get_logger

Row = tuple[Any, ...]


class Transaction:
    """Runs statements inside a transaction that its owner began and will end."""

    __slots__ = ("_connection", "_ends", "_undo")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._undo: list[Callable[[], None]] = []
        self._ends: list[Callable[[], None]] = []

    def on_rollback(self, undo: Callable[[], None]) -> None:
        """``undo`` takes back what was done outside of the database, if this transaction is not committed.

        Those of a transaction are called last first, in the writer's thread. None is called after a crash: what is
        done outside has to be recognised by the next start.
        """
        self._undo.append(undo)

    def roll_back_effects(self) -> None:
        """Call what ``on_rollback`` was given; for the owner of the transaction, once."""
        while self._undo:
            try:
                self._undo.pop()()
            except OSError as error:
                get_logger().error("cannot take back what a failed request has done", exc_info=error)

    def on_end(self, end: Callable[[], None]) -> None:
        """``end`` is called in the writer's thread once this is committed and can be read, or is not stored."""
        self._ends.append(end)

    def tell_end(self) -> None:
        """Call what ``on_end`` was given; for the owner of the transaction."""
        while self._ends:
            self._ends.pop()()

    def to_the_end(self) -> AbstractContextManager[None]:
        """A read that may be stopped is not stopped in this block."""
        return nullcontext()

    def hold_off_stop(self) -> None:
        """A read that may be stopped is not stopped from here on: for the owner of the transaction, which ends it."""

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        """All rows of a statement; with RETURNING, also those of a write. No cursor is left open to pin the WAL."""
        try:
            return self._connection.execute(sql, _bound(sql, parameters)).fetchall()
        except UnicodeEncodeError:
            return self._connection.execute(sql, _bound(sql, [_whole(each) for each in parameters])).fetchall()

    def row(self, sql: str, *parameters: object) -> Row | None:
        """The first row, or None."""
        return next(iter(self.rows(sql, *parameters)), None)

    def value(self, sql: str, *parameters: object) -> Any:
        """The first column of the first row, or None."""
        row = self.row(sql, *parameters)
        return row[0] if row else None

    def run(self, sql: str, *parameters: object) -> None:
        """A statement whose rows nobody needs."""
        self.rows(sql, *parameters)

    def many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """One statement for each of a few large rows."""
        self._connection.executemany(sql, rows)


def _bound(sql: str, parameters: Sequence[object]) -> Sequence[object] | dict[str, object]:
    """The parameters as sqlite3 takes them: numbered ones (``?1``) by name, which every Python understands.

    Python 3.12.0 to 3.12.3 take ``?1`` for a name and warn when they are given a sequence (python/cpython#117995).
    """
    if "?1" not in sql:
        return parameters
    return {str(number): value for number, value in enumerate(parameters, 1)}


def next_after(rows: Sequence[Row], limit: int, column: int = 0) -> Any:
    """What the page behind these rows begins after; None where there is none, since fewer came than were asked for."""
    return rows[-1][column] if len(rows) == limit else None


def json_array(values: Iterable[object]) -> str:
    """For ``json_each(?)``: one large statement instead of many small ones, during which SQLite needs no GIL."""
    values = values if isinstance(values, Sequence) else list(values)
    try:
        # SQLite's JSON has no NaN: one would make the whole array malformed.
        return to_json(values, inf_nan_mode="null").decode()
    except PydanticSerializationError:
        return to_json(_whole(values), inf_nan_mode="null").decode()


def _whole(value: object) -> object:
    """The same without halves of characters, which UTF-8 does not have: what a component says of a file with such a
    name is told all the same."""
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, Mapping):
        return {_whole(name): _whole(each) for name, each in value.items()}
    return [_whole(each) for each in value] if isinstance(value, list | tuple) else value
