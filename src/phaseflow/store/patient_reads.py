"""Reads of those who are to go on where the file comes back, as their writes do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio

from phaseflow.domain.errors import StoreUnavailable
from phaseflow.domain.log import get_logger
from phaseflow.store.database import STORE_RETRY_S, Database
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

    async def read(self, read: Callable[[Transaction], T]) -> T:
        """As ``Database.read``."""
        return await self._made(lambda: self.database.read(read))

    async def read_long(self, read: Callable[[Transaction], T]) -> T:
        """As ``Database.read_long``."""
        return await self._made(lambda: self.database.read_long(read))

    async def _made(self, read: Callable[[], Awaitable[T]]) -> T:
        since, tries = anyio.current_time(), 0
        while True:
            try:
                return await read()
            except StoreUnavailable as error:
                tries += not self.database.is_away
                if tries == _TRIES or self.database.ending.is_over(since):
                    raise
                get_logger().warning("cannot read what is to be done, trying again", error=str(error))
            await self.database.ending.sleep(STORE_RETRY_S)
