"""Spans for OpenTelemetry, where its API is installed (extra ``otel``); else nothing, for the cost of one look.

Where they go is the host's choice, by the SDK. Names: ``job``, ``phase``, ``batch``, ``embedding call``, ``search``.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import Any, Final

from phaseflow.domain.exception_text import text_of

_NOTHING: AbstractContextManager[None] = nullcontext()
_API: Final = "opentelemetry.trace"
_PROVIDER: Final = "OTEL_PYTHON_TRACER_PROVIDER"
"""What the API reads when it is first asked for a span."""
Origin = Any
"""Where a request came from, in OpenTelemetry's own value."""


def _tracer() -> Any | None:
    """None while nobody can have said where spans go: who does imports the API, or names a provider for it. Else each
    start would import it, and each batch make a span, for nobody."""
    if _API not in sys.modules and _PROVIDER not in os.environ:
        return None
    return _tracer_of_api()


@cache
def _tracer_of_api() -> Any | None:
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return trace.get_tracer("phaseflow")


def span(name: str, **attributes: str | int) -> AbstractContextManager[Any]:
    """A span for the length of the block, below the one around it. What is raised through it is recorded."""
    tracer = _tracer()
    if tracer is None:
        return _NOTHING
    span: AbstractContextManager[Any] = tracer.start_as_current_span(name, attributes=_named(attributes))
    return span


def root(name: str, origin: Origin | None, **attributes: str | int) -> AbstractContextManager[Any]:
    """A span below where a request came from, or below nothing: whatever stands around it is not its cause."""
    tracer = _tracer()
    if tracer is None:
        return _NOTHING
    from opentelemetry import context, trace

    above = context.Context() if origin is None else trace.set_span_in_context(trace.NonRecordingSpan(origin))
    span: AbstractContextManager[Any] = tracer.start_as_current_span(name, above, attributes=_named(attributes))
    return span


def origin() -> Origin | None:
    """Where the request came from that is being answered; None when nobody says."""
    if _tracer() is None:
        return None
    from opentelemetry import trace

    found = trace.get_current_span().get_span_context()
    return found if found.is_valid else None


def failed(error: BaseException) -> None:
    """Mark the span around as failed, though what was raised goes no further."""
    if _tracer() is None:
        return
    from opentelemetry import trace

    around = trace.get_current_span()
    around.record_exception(error)
    around.set_status(trace.StatusCode.ERROR, text_of(error))


def incoming(headers: Mapping[str, str]) -> AbstractContextManager[Any]:
    """The context that a request brings (``traceparent``), for the length of the block, unless the host has set one."""
    if _tracer() is None or "traceparent" not in headers or origin() is not None:
        return _NOTHING
    from opentelemetry import context
    from opentelemetry.propagate import extract

    stack = ExitStack()
    stack.callback(context.detach, context.attach(extract(dict(headers))))
    return stack


class Batches:
    """The spans of the batches of one phase: one each time that somebody works, however deep."""

    def __init__(self, phase: str) -> None:
        self._phase = phase
        self._open: ContextVar[list[AbstractContextManager[Any] | None]] = ContextVar(f"batches of {phase}")

    def begin(self) -> None:
        """Somebody begins, inside another batch or not."""
        if _tracer() is None:
            return
        opened = self._open.get([])
        batch = None if opened else span("batch", phase=self._phase)
        if batch is not None:
            batch.__enter__()
        self._open.set([*opened, batch])

    def end(self, error: BaseException | None) -> None:
        """The same has ended."""
        opened = self._open.get([])
        if not opened:  # when it began, nobody had said where spans go
            return
        *rest, batch = opened
        self._open.set(rest)
        if batch is not None:
            batch.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)


def _named(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    return {f"phaseflow.{name}": value for name, value in attributes.items()}
