"""Where the tasks of an event loop stand, for a test that does not come to its end."""

import asyncio
from collections.abc import Iterator
from typing import Any


def _frames(awaitable: Any) -> Iterator[Any]:
    """The frames of a coroutine and of what it waits for, the innermost last."""
    while awaitable is not None:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(awaitable, f"{kind}_frame", None)
            if frame is not None:
                yield frame
                awaitable = getattr(awaitable, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)
                break
        else:
            return


def tasks_of_the_loop() -> str:
    """A line for each task of the loop that runs in this thread, with the places it waits in; empty without a loop."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:
        return ""
    return "\n".join(
        f"{task.get_name()}: "
        + " > ".join(
            f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno} {frame.f_code.co_name}"
            for frame in _frames(task.get_coro())
        )
        for task in sorted(tasks, key=lambda task: task.get_name())
    )
