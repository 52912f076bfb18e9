"""Connections to a PostgreSQL: made again when they break, cut when a call is dropped, and silent about the address.

Only ``psycopg`` and the server know where it is: what they raise becomes an error of ours, in words of ours, because
those of libpq can hold what was given as the address.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from phaseflow.domain.errors import (
    ComponentError,
    ComponentUnavailable,
    DocumentError,
    IndexUnavailable,
    MissingExtra,
)

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Error

    Connection = AsyncConnection[Any]

T = TypeVar("T")

AT_ONCE: Final = 8
"""Connections; further calls wait for one."""
_CONNECT_S: Final = 3
_STATEMENT_S: Final = 15
"""After so long the server ends a statement, where a call does not say otherwise."""
_LOCK_S: Final = 5
"""How long a statement waits for what others have locked."""
_CUT_S: Final = 1.0
"""How long a connection that was cut gets to notice."""
_OPTIONS: Final = f"-c statement_timeout={_STATEMENT_S}s -c lock_timeout={_LOCK_S}s"
_NOTICES_A_DEAD_CLIENT: Final = "SELECT set_config('client_connection_check_interval', '1s', false)"

_REFUSED: Final = {
    "28P01": "refuses the password",
    "28000": "refuses the user",
    "3D000": "has no such database",
    "42501": "does not let its user do this; let it create tables in the schema phaseflow",
}
"""What no waiting helps against, by SQLSTATE."""
_PASSING: Final = {
    "53100": "has no room on its disk",
    "53200": "is out of memory",
    "53300": "has no connection left",
    "55P03": "is busy: what is needed is locked",
    "57014": "did not finish in time",
    "57P01": "is shutting down",
    "57P02": "has crashed and is starting again",
    "57P03": "is starting",
}
_AT_CONNECT: Final = (
    ("password authentication failed", "28P01"),
    ("no password supplied", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ('FATAL:  role "', "28000"),
    ('FATAL:  database "', "3D000"),
    ("starting up", "57P03"),
    ("shutting down", "57P01"),
    ("too many clients", "53300"),
)
"""What libpq says of a server that does not let it in, which is all there is: it has no SQLSTATE then."""
_DATA: Final = "22"
"""The class of SQLSTATEs of values that cannot be stored."""


class PostgresConnections:
    """``address`` is a libpq URI. Raises MissingExtra without psycopg, ComponentUnavailable for what is no address."""

    def __init__(self, name: str, address: str) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtra(f"the index server {name!r}", "postgres") from error
        self._psycopg = psycopg
        self._name = name
        self._address = address
        try:
            told = psycopg.conninfo.conninfo_to_dict(address).get("options")
        except psycopg.Error:
            raise ComponentUnavailable(f"{self} has an address that cannot be understood; check its parts") from None
        self._options = f"{told or ''} {_OPTIONS}".strip()
        self._idle: list[Connection] = []
        self._room = anyio.CapacityLimiter(AT_ONCE)

    def __repr__(self) -> str:
        return f"the index server {self._name!r}"

    async def run(self, work: "Callable[[Connection], Awaitable[T]]") -> T:
        """Do ``work`` on a connection in autocommit. A cancel cuts the connection, so that it never waits for a server
        that does not answer; the server then ends what it was doing."""
        async with self._room:
            while (connection := self._from_idle()) is not None:
                try:
                    return await self._on(connection, work(connection))
                except IndexUnavailable:
                    if not connection.closed:
                        raise
                    await self.aclose()  # the server has closed what it had, as when it was started again
            connection = await self._connect()
            return await self._on(connection, self._prepared(connection, work))

    async def _on(self, connection: "Connection", work: "Awaitable[T]") -> T:
        try:
            return await self._attempt(connection, work)
        finally:
            if not connection.closed:
                self._idle.append(connection)

    async def keep(self, work: "Callable[[Connection], Awaitable[object]]") -> "Connection":
        """A connection beside the others that is the caller's to close, once ``work`` has been done on it."""
        connection = await self._connect()
        try:
            await self._attempt(connection, work(connection))
        except BaseException:
            await self.close(connection)
            raise
        return connection

    async def _attempt(self, connection: "Connection", work: "Awaitable[T]") -> T:
        """Await work on a connection, which is closed by whatever ends it but an error that the server reports."""
        # A task of its own behind a shield: cancelled inside, psycopg waits for the server to acknowledge, and a server
        # that does not answer is why the call is given up.
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._cut(connection, task)
            raise
        except self._psycopg.Error as error:
            if error.sqlstate is None or connection.broken:
                await self.close(connection)
            raise self._told(error, error.sqlstate) from None
        except BaseException:
            await self.close(connection)
            raise

    async def aclose(self) -> None:
        """Close those that nobody uses."""
        while self._idle:
            await self.close(self._idle.pop())

    async def close(self, connection: "Connection") -> None:
        """Close a connection, whatever state it is in."""
        with suppress(self._psycopg.Error):
            await connection.close()

    def _from_idle(self) -> "Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        return None

    async def _prepared(self, connection: "Connection", work: "Callable[[Connection], Awaitable[T]]") -> T:
        with suppress(self._psycopg.errors.UndefinedObject, self._psycopg.errors.InvalidParameterValue):
            await connection.execute(_NOTICES_A_DEAD_CLIENT)  # not known to older servers, nor possible on all systems
        return await work(connection)

    async def _connect(self) -> "Connection":
        try:
            with anyio.fail_after(_CONNECT_S):
                connection = await self._psycopg.AsyncConnection.connect(
                    self._address, autocommit=True, connect_timeout=_CONNECT_S, options=self._options,
                    application_name="phaseflow", keepalives_idle=10, keepalives_interval=5, keepalives_count=3,
                )  # fmt: skip
        except TimeoutError:
            raise IndexUnavailable(f"{self} did not answer within {_CONNECT_S} s") from None
        except self._psycopg.Error as error:
            said = str(error)
            state = next((state for words, state in _AT_CONNECT if words in said), None)
            raise self._told(error, error.sqlstate or state) from None
        except (OSError, UnicodeError):
            raise IndexUnavailable(f"{self} cannot be reached") from None
        return connection

    async def _cut(self, connection: "Connection", task: "asyncio.Future[Any]") -> None:
        """Not by cancelling the task: psycopg would ask the server to cancel, and wait for its answer."""
        with suppress(OSError, self._psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)
        try:
            with anyio.CancelScope(shield=True):
                await asyncio.wait([task], timeout=_CUT_S)
        finally:  # the cancel of a task comes through a shield, the second time that a loop is asked to end, say
            if not task.done():
                task.cancel()
            task.add_done_callback(_seen)
            await self.close(connection)  # never waits: it must not be used again while its statement runs

    def _told(self, error: "Error", state: str | None) -> ComponentError:
        if state is None:
            return IndexUnavailable(f"{self} cannot be reached")
        if state in _REFUSED:
            return ComponentUnavailable(f"{self} {_REFUSED[state]}")
        if state in _PASSING:
            return IndexUnavailable(f"{self} {_PASSING[state]}")
        said = " ".join((error.diag.message_primary or type(error).__name__).split())[:200]
        if state.startswith(_DATA):
            return DocumentError(f"{self} cannot store it: {said}", code="index_error")
        return IndexUnavailable(f"{self} says: {said} ({state})")


def _seen(task: "asyncio.Future[Any]") -> None:
    """Nobody waits for it any more, and asyncio would print what it raised."""
    if not task.cancelled():
        task.exception()
