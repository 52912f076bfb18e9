"""Asking a loader for the pages of its list, in the way in which a pause can come in between."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio

from phaseflow.actors.gate import Gate
from phaseflow.actors.reading_window import DROP_S
from phaseflow.components.contained import contained, not_cancelled_by
from phaseflow.components.loader_answers import checked_page, pages_of
from phaseflow.components.protocols import Entry, Loader
from phaseflow.domain.exception_text import text_of
from phaseflow.store import failpoints

_END = object()
"""What stands for the end of a list: ``None`` is a page that a loader has yielded by mistake."""


class CannotList(Exception):
    """What a loader raised while it was listing."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(text_of(cause))
        self.cause = cause


class ListDropped(Exception):
    """The gate has closed while a source was asked for its list, and it did not answer."""


async def next_page(loader: Loader, pages: Any, gate: Gate) -> Sequence[Entry] | None:
    """The next page of a list, None at the end. Inside the gate. Raises CannotList for what the loader raises, and
    ListDropped where it lets itself be dropped and the gate is closed for long: the list is then begun anew."""
    try:
        with gate.calls.on():
            given = await _asked(pages, gate, may_drop=bool(getattr(loader, "drops_reads", False)))
        return None if given is _END else checked_page(loader, given)
    except ListDropped:
        raise
    except Exception as error:
        raise CannotList(error) from error


async def list_again(loader: Loader, gate: Gate, keep: Callable[[Sequence[Entry]], Awaitable[None]]) -> None:
    """Take the whole list of a source, page by page, inside the gate; anew where it was dropped. Raises CannotList,
    and what else the loader raises as it begins."""
    is_over = False
    while not is_over:
        try:
            async with pages_of(loader) as pages:
                while not is_over:
                    async with gate:
                        page = await next_page(loader, pages, gate)
                        if page:
                            await keep(page)
                    is_over = page is None
                    failpoints.hit("indexing.listed")
        except ListDropped:
            failpoints.hit("indexing.list_dropped")


async def _asked(pages: Any, gate: Gate, *, may_drop: bool) -> Any:
    if not may_drop:
        return await contained(anext(pages, _END), "the loader")
    given: list[Any] = []

    async def ask() -> None:
        try:
            with not_cancelled_by("the loader"):
                given.append(await contained(anext(pages, _END), "the loader"))
        except Exception as error:  # noqa: BLE001  # raised below, so that no group is made of it
            given.append(error)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await gate.closed_for(DROP_S)
        tasks.cancel_scope.cancel()
    if not given:
        raise ListDropped
    if isinstance(given[0], Exception):
        raise given[0]
    return given[0]
