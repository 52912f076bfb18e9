"""Named points where a test may make the process end, wait or fail. Without one, a point costs a look at a dict."""

from collections.abc import Awaitable, Callable

_hooks: dict[str, Callable[[], Awaitable[None]]] = {}


def install(point: str, hook: Callable[[], Awaitable[None]]) -> None:
    """Run ``hook`` whenever ``point`` is reached, until ``clear``. For tests only."""
    _hooks[point] = hook


def clear() -> None:
    """Forget all hooks."""
    _hooks.clear()


async def reach(point: str) -> None:
    """The code is at ``point``."""
    if _hooks and (hook := _hooks.get(point)) is not None:
        await hook()
