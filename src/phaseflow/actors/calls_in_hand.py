"""The calls of components that a phase waits for: when none of them has begun or ended for long, nothing moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import anyio

SHOWN_AFTER_S: Final = 5.0
"""A call of this length is no rarity (a model on a processor, a folder of a thousand files), and each time it is shown
costs two writes; whoever looks at a job that stands still does not look for less."""
_LOOK_S: Final = 0.5
"""How often it is looked whether a gate is open again, seconds."""


class CallsInHand:
    """Counts the calls of one phase that are under way. In memory; nothing is written here."""

    def __init__(self) -> None:
        self._count = 0
        self._changes = 0
        self._changed_at = 0.0
        self._changed = anyio.Event()
        self._is_watched = False

    @contextmanager
    def on(self) -> Iterator[None]:
        """A call of a component, for the length of the block."""
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    def are_still(self) -> bool:
        """Whether there are some, and none has begun or ended for long."""
        return self._count > 0 and anyio.current_time() - self._changed_at >= SHOWN_AFTER_S

    async def until_still(self) -> None:
        """Wait for that."""
        while not self.are_still():
            if self._count:
                await anyio.sleep(max(_LOOK_S, self._changed_at + SHOWN_AFTER_S - anyio.current_time()))
            else:
                await self._change_after(self._changes)

    async def until_changed(self) -> None:
        """Wait until one begins or ends."""
        await self._change_after(self._changes)

    def _change(self, by: int) -> None:
        self._count += by
        self._changes += 1
        self._changed_at = anyio.current_time()
        if self._is_watched:  # else thousands of calls a second would make an event each
            self._is_watched = False
            self._changed.set()

    async def _change_after(self, changes: int) -> None:
        if self._changes == changes:
            self._changed, self._is_watched = anyio.Event(), True
            await self._changed.wait()
