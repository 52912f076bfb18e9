"""Named points where a test may make the process end, wait or fail. Without one, a point costs a look at a dict."""

from collections.abc import Callable

_hooks: dict[str, Callable[[], None]] = {}


def install(point: str, hook: Callable[[], None]) -> None:
    """Run ``hook`` whenever ``point`` is reached, until ``clear``; it may run in any thread. For tests only."""
    _hooks[point] = hook


def clear() -> None:
    """Forget all hooks."""
    _hooks.clear()


def hit(point: str) -> None:
    """The code is at ``point``."""
    if _hooks and (hook := _hooks.get(point)) is not None:
        hook()
