"""What a component of a program may raise that is no exception of ours to handle: contained at the call.

A component that raises ``CancelledError`` (it awaited a task that somebody cancelled) has not been cancelled by the
engine, and one that raises ``SystemExit``, or an error of its own that is no ``Exception`` (as Rust's panics are), does
not end it. One that cancels the task which it is called in, at once or later, makes that task fail. Only Ctrl-C passes.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from math import inf
from typing import TypeVar

import anyio

from phaseflow.domain.errors import ComponentError
from phaseflow.domain.exception_text import named

T = TypeVar("T")


async def contained(call: Awaitable[T], what: str) -> T:
    """Await a call of a component. Raises ComponentError where it ends itself instead of failing.

    A cancellation of the engine passes: it was asked of this task (``Task.cancelling`` has grown), one that a
    component raises was not.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    try:
        return await call
    except asyncio.CancelledError as error:
        if task is None or task.cancelling() > before:
            raise
        raise ComponentError(f"{what} raised CancelledError: something that it waits for was cancelled") from error
    except BaseException as error:
        if not is_own_end(error):
            raise
        raise ComponentError(f"{what} raised {named(error)}") from error


@contextmanager
def contained_call(what: str) -> Iterator[None]:
    """The same for a plain call, which nobody can cancel."""
    try:
        yield
    except BaseException as error:
        if not is_own_end(error):
            raise
        raise ComponentError(f"{what} raised {named(error)}") from error


def is_own_end(error: BaseException) -> bool:
    """It is no Exception, and would end more than the component that has raised it. Ctrl-C is to end all."""
    if isinstance(error, BaseExceptionGroup):
        return not isinstance(error, Exception) and error.subgroup(KeyboardInterrupt) is None
    return not isinstance(error, Exception | KeyboardInterrupt)


@contextmanager
def not_cancelled_by(what: str) -> Iterator[None]:
    """Raise ComponentError in place of a cancellation that no scope of the engine has asked for.

    A component can cancel the task that it is called in: a watchdog that is disarmed too late, say. A task group takes
    that for the quiet end of a task, and what the task had to do would count as done.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        if anyio.current_effective_deadline() == -inf:
            raise
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
        raise ComponentError(f"{what} cancelled the task that called it, which is the engine's") from error
