"""Following the live feed over as many connections as it takes."""

from collections.abc import AsyncGenerator

import anyio
import httpx2

from phaseflow.client.errors import ForeignAnswer, ServiceUnreachable, check_kind, fault

SILENCE_S = 45.0
"""The service sends a comment every 15 s: three missed, and the connection is dead."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.05, 2.0
"""Between connections; doubled each time that nothing has come."""
_STREAM = "text/event-stream"
_PASSING = frozenset({429, 500, 502, 503, 504})
"""Answers of a service that restarts, or of the proxy before it."""


async def follow(http: httpx2.AsyncClient, path: str, after: int | None) -> AsyncGenerator[httpx2.ServerSentEvent]:
    """The events of a feed behind number ``after``, each once, over any number of connections; None begins with now.

    Raises ServiceUnreachable when the first connection fails, and the refusals of the service. Never ends on its own.
    """
    last_id, wait_s, connected = "" if after is None else str(after), FIRST_WAIT_S, False
    while True:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        timeout = httpx2.Timeout(SILENCE_S)
        try:
            async with http.sse(path, headers=headers, timeout=timeout) as source:
                await _check(source.response, is_first=not connected)
                connected = True
                async for event in source:
                    wait_s, last_id = FIRST_WAIT_S, event.id or last_id
                    yield event
        except httpx2.TransportError as error:
            if not connected:
                raise ServiceUnreachable(str(http.base_url), str(error) or type(error).__name__) from error
        await anyio.sleep(wait_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


async def _check(response: httpx2.Response, *, is_first: bool) -> None:
    if response.is_success:
        try:
            check_kind(response, _STREAM)
        except ForeignAnswer as error:
            if is_first:
                raise
            raise httpx2.ConnectError(str(error)) from error  # the page of a proxy while the service restarts
        return
    await response.aread()
    if response.status_code in _PASSING:
        raise httpx2.ConnectError(f"the service answered {response.status_code}")
    raise fault(response)
