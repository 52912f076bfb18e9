"""The indexes outside the database that an engine knows, by name: opened at their first use, one object each."""

from collections import defaultdict
from collections.abc import Awaitable
from math import inf
from typing import Protocol, TypeVar, runtime_checkable

import anyio

from phaseflow.components.contained import contained
from phaseflow.components.indexes.losses import Losses
from phaseflow.components.indexes.protocol import Index
from phaseflow.components.indexes.servers import IndexServers
from phaseflow.domain.errors import (
    ComponentError,
    ComponentUnavailable,
    DocumentError,
    IndexUnavailable,
    PhaseflowError,
)
from phaseflow.domain.exception_text import named, text_of
from phaseflow.domain.log import get_logger
from phaseflow.store.index_spaces import OWN

_PING_S = 2.0
_PINGED_S = 1.0
_CLOSE_S = 2.0
_OPEN_S = 10.0

T = TypeVar("T")


@runtime_checkable
class _ExclusiveIndex(Protocol):
    """An index that one process can use at a time, of all that have a copy of a database."""

    async def hold(self) -> int:
        """Have it: how often that was begun, since another one may have had it, and changed it, in between."""
        ...


class Indexes:
    """``own`` is the program's. Made servers are closed with it; so is ``own``, once it was opened.

    ``owner``: what the names of all spaces begin with, once this is the process that writes them; one that only reads
    leaves it None.
    """

    owner: str | None = None

    def __init__(self, servers: IndexServers, own: Index | None = None) -> None:
        self._servers = servers
        self._own = own
        self._opened: dict[str, Index] = {}
        self._opening: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        self._pinged: dict[str, tuple[float, str | None]] = {}
        self._pinging: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        self._prepared: set[str] = set()
        self.losses = Losses()

    @property
    def has_own(self) -> bool:
        """The program has given one, which all knowledge bases use."""
        return self._own is not None

    def names(self) -> list[str]:
        """All that there are."""
        return [*([] if self._own is None else [OWN]), *self._servers]

    async def get(self, name: str) -> Index:
        """An index, opened. Raises ComponentUnavailable for a name that nobody has set up, MissingExtra, and what its
        ``open`` raises: it is then tried again by the next call. May take ``_OPEN_S``; others need not wait for it."""
        async with self._opening[name]:
            if name not in self._opened:
                index = self._make(name)
                await bounded(index.open(), _OPEN_S)
                self._opened[name] = index
            return self._opened[name]

    async def times_held(self, name: str) -> int:
        """How often this process has begun to have an index for itself. When it grows, the index may be another than
        before. Raises IndexUnavailable while another process has it."""
        index = await self.get(name)
        return await bounded(index.hold(), _OPEN_S) if isinstance(index, _ExclusiveIndex) else 0

    async def prepare(self, name: str) -> None:
        """Open an index while there is something else to wait for; an error is left to the call that needs it."""
        if name in self._prepared:
            return
        self._prepared.add(name)
        try:
            await bounded(self._opened_and_pinged(name), _PING_S)
        except PhaseflowError as error:
            get_logger().debug("the index cannot be opened", index=name, error=text_of(error))

    async def why_down(self, name: str) -> str | None:
        """Why an index cannot be used now, in words that name it; None when it can. Whoever asks within a second gets
        the same answer: anybody may ask."""
        async with self._pinging[name]:
            at, why = self._pinged.get(name, (-inf, None))
            if anyio.current_time() - at > _PINGED_S:
                why = await self._ping(name)
                self._pinged[name] = anyio.current_time(), why
            return why or (self.why_lost(name) if self.losses.has_any(name) else None)

    def why_lost(self, name: str) -> str:
        """What to say where an index lacks passages that it was given."""
        return (
            f"{self.shown(name)} has lost passages; they are put back from the database as soon as no job of the"
            " knowledge base is paused"
        )

    async def _ping(self, name: str) -> str | None:
        try:
            await bounded(self._opened_and_pinged(name), _PING_S)
        except PhaseflowError as error:
            get_logger().warning("the index cannot be used", index=name, error=text_of(error))
            # What a program's own index says may hold what strangers are not to read.
            return f"{self.shown(name)} cannot be used; the log says why" if name == OWN else self.told(name, error)
        return None

    async def _opened_and_pinged(self, name: str) -> None:
        await (await self.get(name)).ping()

    def told(self, name: str, error: Exception) -> str:
        """What an index has raised, in one line that names it."""
        said, shown = text_of(error)[:300], self.shown(name)
        return said if shown.removeprefix("the ") in said else f"{shown}: {said}"

    def shown(self, name: str) -> str:
        """How an index is called where people read it."""
        return "the index of this program" if name == OWN else f"the index server {name!r}"

    async def aclose(self) -> None:
        """Close what was opened, all at once and for a bounded time; what fails is logged."""
        opened, self._opened = self._opened, {}
        async with anyio.create_task_group() as tasks:
            for name, index in opened.items():
                tasks.start_soon(self._close, name, index)

    async def _close(self, name: str, index: Index) -> None:
        try:
            await bounded(index.aclose(), _CLOSE_S)
        except ComponentError as error:
            get_logger().warning("the index could not be closed", index=name, error=text_of(error))

    def _make(self, name: str) -> Index:
        if name == OWN:
            if self._own is None:
                raise ComponentUnavailable(
                    "these vectors stand in an index that another program has given; run that program, or start a job"
                    " to bring them into another index"
                )
            return self._own
        from phaseflow.components.indexes.postgres import PostgresIndex

        if name not in self._servers:
            raise ComponentUnavailable(f"this process knows no index server {name!r}; {self._servers.known()}")
        return PostgresIndex(name, self._servers.address(name), self.owner)


async def bounded(call: Awaitable[T], timeout_s: float) -> T:
    """One call of an index. Raises IndexUnavailable when it takes longer or a connection breaks, ComponentError
    subclasses as the index raises them, and DocumentError for whatever else it raises."""
    try:
        with anyio.fail_after(timeout_s):
            return await contained(call, "the index")
    except ComponentError:
        raise
    except PhaseflowError as error:
        raise ComponentUnavailable(text_of(error)) from error
    except TimeoutError:
        raise IndexUnavailable(f"it did not answer within {timeout_s:g} s") from None
    except OSError as error:
        raise IndexUnavailable(named(error)) from error
    except Exception as error:  # an index of a program may raise anything
        raise DocumentError(f"the index raised {named(error)}", code="index_error") from error
