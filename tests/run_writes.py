"""What holds of each write and each call of a component that a run makes, watched in all tests of the engine.

A phase works inside its gate, or its pause would not be quiet. And each write asks whether the attempt may still write:
one that is over could write into the next. Each call is counted among those in hand, or a status could not say that it
hangs.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any

import pytest

from phaseflow.actors import document_reading, index_delivery, listing, second_crawl
from phaseflow.actors.calls_in_hand import CallsInHand
from phaseflow.actors.context import RunContext
from phaseflow.actors.gate import Gate
from phaseflow.components.embedders.adapter import EmbedderAdapter
from phaseflow.store.progress import PhaseProgress

_CALLS = (
    (document_reading, "contained"),
    (listing, "contained"),
    (second_crawl, "contained"),
    (index_delivery, "bounded"),
    (EmbedderAdapter, "embed"),
)
"""How phases call their components, but for chunkers: those are called in threads, which know no gate."""
_ASKING = ("advance", "check", "wait_on", "wait_on_component", "note")
"""What refuses the write of an attempt that is over."""


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail at the end when a run has written, or called a component, outside its gate, or written without asking
    whether it still may."""
    wrong: list[str] = []
    inside: ContextVar[int] = ContextVar("inside", default=0)
    asking = threading.local()
    counting: ContextVar[int] = ContextVar("counting", default=0)
    count = CallsInHand.on
    enter, leave, write = Gate.__aenter__, Gate.__aexit__, RunContext.write

    async def entered(gate: Gate) -> Gate:
        await enter(gate)
        inside.set(inside.get() + 1)  # seen by whatever is started in here, too
        return gate

    async def left(gate: Gate, *error: Any) -> None:
        inside.set(inside.get() - 1)
        await leave(gate, *error)

    @contextmanager
    def counted(calls: CallsInHand) -> Iterator[None]:
        counting.set(counting.get() + 1)
        try:
            with count(calls):
                yield
        finally:
            counting.set(counting.get() - 1)

    def called(call: Callable[..., Any], name: str, *values: Any, **named: Any) -> Any:
        if not inside.get():
            wrong.append(f"{name} was called outside the gate")
        if not counting.get():
            wrong.append(f"{name} was called without being counted among the calls in hand")
        return call(*values, **named)

    async def written(context: RunContext, step: Callable[[Any], Any], *then: Any) -> Any:
        if not inside.get():
            wrong.append(f"{_named(step)} was written outside the gate")

        def checked(tx: Any) -> Any:
            asking.has_asked, before = False, tx._connection.total_changes
            value = step(tx)
            if not asking.has_asked and tx._connection.total_changes != before:  # one that changes nothing need not
                wrong.append(f"{_named(step)} was written without asking whether the attempt may write any more")
            return value

        return await write(context, checked, *then)

    def asked(ask: Callable[..., None]) -> Callable[..., None]:
        @wraps(ask)
        def asks(progress: PhaseProgress, *values: Any) -> None:
            asking.has_asked = True
            ask(progress, *values)

        return asks

    monkeypatch.setattr(Gate, "__aenter__", entered)
    monkeypatch.setattr(Gate, "__aexit__", left)
    monkeypatch.setattr(RunContext, "write", written)
    monkeypatch.setattr(CallsInHand, "on", counted)
    for name in _ASKING:
        monkeypatch.setattr(PhaseProgress, name, asked(getattr(PhaseProgress, name)))
    for place, name in _CALLS:
        call = getattr(place, name)
        monkeypatch.setattr(
            place, name, _method(called, call, name) if isinstance(place, type) else partial(called, call, name)
        )
    yield
    assert not wrong, sorted(set(wrong))


def _method(called: Callable[..., Any], call: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(call)
    def method(*values: Any, **named: Any) -> Any:
        return called(call, name, *values, **named)

    return method


def _named(step: Callable[..., Any]) -> str:
    inner = step.func if isinstance(step, partial) else step
    return getattr(inner, "__qualname__", repr(inner))
