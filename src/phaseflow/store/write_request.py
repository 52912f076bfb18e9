"""What the writer is asked for: one function of a transaction, and whoever waits for what becomes of it."""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from phaseflow.store.connection import concerns_the_file
from phaseflow.store.transaction import Transaction

T = TypeVar("T")
Write = Callable[[Transaction], T]


@dataclass(slots=True)
class WriteRequest(Generic[T]):
    """A request to the writer, with its answer once it is ``done``."""

    write: Write[T]
    durable: bool
    then: Callable[[T], None] | None
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    value: T | None = None
    error: BaseException | None = None
    transaction: Transaction | None = None

    def run(self, connection: sqlite3.Connection, *, alone: bool) -> None:
        """Carry it out in the open transaction: all of it, or none where it raises, which is its answer then.

        Raises what concerns the file, and so all requests that share the transaction.
        """
        self.transaction = Transaction(connection)
        if not alone:
            connection.execute("SAVEPOINT request")
        try:
            self.value = self.write(self.transaction)
        except Exception as error:
            if concerns_the_file(error):
                raise
            self.error = error
            if alone:
                connection.rollback()
            else:
                connection.execute("ROLLBACK TO request")
            self.roll_back_effects()
        if not alone:
            connection.execute("RELEASE request")

    def roll_back_effects(self) -> None:
        """It is not stored: take back what it has done outside of the database."""
        if self.transaction is not None:
            self.transaction.roll_back_effects()

    def end(self) -> None:
        """Its transaction has ended, either way."""
        if self.transaction is not None:
            self.transaction.tell_end()

    def settle(self) -> None:
        """It is stored, or was refused: say so to others, then to whoever waits."""
        if self.error is None and self.then is not None:
            self.then(self.value)  # type: ignore[arg-type]  # set by the write that succeeded
        self.answered()

    def answered(self) -> None:
        """Wake whoever waits, if anybody still does."""
        if not self.done.done():
            self.done.set_result(None)


def in_turn(requests: list[WriteRequest[T]]) -> list[WriteRequest[T]]:
    """Verbs and transitions first: someone waits for them. Each of these requests waits beside the others, so that
    their order means nothing to those who ask."""
    return sorted(requests, key=lambda request: not request.durable)
