"""Reads of those who are to go on where the file comes back, as their writes do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from phaseflow.domain.errors import StoreUnavailable
from phaseflow.domain.log import get_logger
from phaseflow.store.database import Database
from phaseflow.store.transaction import Transaction

T = TypeVar("T")

_TRIES = 3
"""How often a read is made that fails though the file is where it was: it may have been away the moment before."""


@dataclass(frozen=True, slots=True)
class PatientReads:
    """Those of a database, each made again until it succeeds for as long as the file is away.

    Raises StoreUnavailable where reading fails otherwise, a few times, or the engine stops.
    """

    database: Database
    touch: Callable[[], None]
    """Called when the status has something new to say: why nothing moves."""

    async def read(self, read: Callable[[Transaction], T]) -> T:
        """As ``Database.read``."""
        return await self._made(lambda: self.database.read(read))

    async def read_long(self, read: Callable[[Transaction], T]) -> T:
        """As ``Database.read_long``."""
        return await self._made(lambda: self.database.read_long(read))

    async def _made(self, read: Callable[[], Awaitable[T]]) -> T:
        tries = 0

        def failed(error: StoreUnavailable) -> None:
            nonlocal tries
            if self.database.is_away:
                self.database.unwritable = error.reason  # so it is, until it is back
            else:
                tries += 1
                if tries == _TRIES:
                    raise error
            get_logger().warning("cannot read what is to be done, trying again", error=str(error))
            self.touch()

        return await self.database.until_stored(read, failed)
