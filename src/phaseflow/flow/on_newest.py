"""A change that is made of what was read: read, change, write, without undoing what others have changed in between."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from phaseflow.domain.errors import PreconditionFailed

SeenT = TypeVar("SeenT")
WrittenT = TypeVar("WrittenT")
TRIES: Final = 10
"""Each that fails is one in which somebody else was faster."""


async def on_newest(
    read: Callable[[], Awaitable[SeenT]], write: Callable[[SeenT], Awaitable[WrittenT]]
) -> tuple[SeenT, WrittenT]:
    """What was read, and what came of writing on it: ``write`` binds its change to the ``etag`` of what it is given.

    Both are called again where somebody else was faster. Raises PreconditionFailed where that never ends.
    """
    for _ in range(TRIES - 1):
        seen = await read()
        try:
            return seen, await write(seen)
        except PreconditionFailed:
            continue
    seen = await read()
    return seen, await write(seen)
