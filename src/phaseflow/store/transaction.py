"""One open transaction, as this room uses it: the same code reads from the event loop and writes in the writer."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

import aiosqlite
from pydantic_core import to_json

Row = tuple[Any, ...]
T = TypeVar("T")


class Transaction(ABC):
    """Runs statements inside a transaction that its owner began and will end."""

    @abstractmethod
    async def rows(self, sql: str, *parameters: object) -> list[Row]:
        """All rows of a statement; with RETURNING, also those of a write."""

    @abstractmethod
    async def many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """One statement for each of a few large rows."""

    async def row(self, sql: str, *parameters: object) -> Row | None:
        """The first row, or None."""
        return next(iter(await self.rows(sql, *parameters)), None)

    async def value(self, sql: str, *parameters: object) -> Any:
        """The first column of the first row, or None."""
        row = await self.row(sql, *parameters)
        return row[0] if row else None

    async def run(self, sql: str, *parameters: object) -> None:
        """A statement whose rows nobody needs."""
        await self.rows(sql, *parameters)


class Reading(Transaction):
    """Seen from the event loop: each statement is one hop to the connection's thread and back (40 µs, and far more
    while other threads want the GIL). Its rows are fetched in the same hop: no cursor outlives a call and pins the WAL.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, *parameters: object) -> list[Row]:
        return list(await self._connection.execute_fetchall(sql, bound(sql, parameters)))  # type: ignore[arg-type]  # Row is a tuple

    async def many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        raise NotImplementedError("a reading transaction writes nothing")


class Writing(Transaction):
    """Seen from the writer's own thread, where no statement waits for anything."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, *parameters: object) -> list[Row]:
        return self._connection.execute(sql, bound(sql, parameters)).fetchall()

    async def many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        self._connection.executemany(sql, rows)


def bound(sql: str, parameters: Sequence[object]) -> Sequence[object] | dict[str, object]:
    """The parameters as sqlite3 takes them: numbered ones (``?1``) by name, which every Python understands.

    Python 3.12.0 to 3.12.3 take ``?1`` for a name and warn when they are given a sequence (python/cpython#117995).
    """
    if "?1" not in sql:
        return parameters
    return {str(number): value for number, value in enumerate(parameters, 1)}


def run_at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing but a ``Writing``, that is, for nothing at all."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a write may wait for its transaction only")


def json_array(values: Iterable[object]) -> str:
    """For ``json_each(?)``: one large statement instead of many small ones, during which SQLite needs no GIL."""
    return to_json(values if isinstance(values, Sequence) else list(values)).decode()
