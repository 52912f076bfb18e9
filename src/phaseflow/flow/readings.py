"""How questions are answered: the same questions go to an engine and to a reader beside one."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeVar

from phaseflow.domain.status import JobStatusResponse, SyncState
from phaseflow.domain.sync import SyncSettings
from phaseflow.store.jobs import JobRecord
from phaseflow.store.transaction import Transaction

T = TypeVar("T")
Composed = Callable[[JobRecord], JobStatusResponse]


class Readings(Protocol):
    """Reads of one database, each a function that runs whole on one snapshot. Cancelling a read does nothing."""

    async def read(self, read: Callable[[Transaction], T], *, one_statement: bool = False) -> T:
        """For what is short: a status, a page of a list."""

    async def read_long(self, read: Callable[[Transaction], T]) -> T:
        """For what may take long, such as a text, on connections of its own where there are any."""

    async def look_for_search(self, read: Callable[[Transaction], T]) -> T:
        """For what a search looks up before its query is embedded, on a connection of its own where there is one."""

    async def read_search(self, read: Callable[[Transaction], T]) -> T:
        """For a search, on connections of its own where there are any; cancelling stops it there."""

    async def composer(self) -> Composed:
        """What makes a status of a record, inside the reading of it, which begins after this was called."""

    def now(self) -> datetime:
        """The time by which what is running is shown."""

    def sync_state(self, tx: Transaction, key: str, sync: SyncSettings) -> SyncState:
        """How a knowledge base is kept in step with its sources."""
