"""An endless answer: Server-Sent Events at the pace of the client."""

from collections.abc import Mapping

import anyio
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from phaseflow.domain.status import JobStatusResponse, Transition
from phaseflow.http.broadcast import CLOSE_S, Broadcast
from phaseflow.http.connection import KEY, Connection
from phaseflow.http.problems import NotReady
from phaseflow.http.site import Site

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_COMMENT = b":\n\n"


class Reset(BaseModel):
    """Transitions before number ``oldest`` cannot be told any more."""

    oldest: int


EVENTS: Mapping[str, type[BaseModel]] = {"status": JobStatusResponse, "transition": Transition, "reset": Reset}


class EventStream(Response):
    """The live feed of one knowledge base, or of all, behind ``last_event_id`` (None: from now on).

    Ends when the client leaves, when it takes nothing for as long as the limits say, when its knowledge base is
    deleted, or when the server stops. Whatever ends it, the client loses nothing: it asks again with its last id.
    """

    def __init__(self, site: Site, kb_id: str | None, last_event_id: int | None) -> None:
        self._site = site
        self._kb_id = kb_id
        self._last_event_id = last_event_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, each send with a deadline, while a task watches for the client to leave."""
        if not self._site.is_ready:
            raise NotReady("the server is starting or stopping; connect again in a second")
        if scope["method"] == "HEAD":
            await send(_start())
            await send({"type": "http.response.body", "body": b""})
            return
        connection = scope.get(KEY) or Connection(receive)
        with self._site.seats.taken(scope.get("client")):
            if not await self._serve(receive, send, connection):
                connection.drop()
                await anyio.lowlevel.checkpoint()  # the server sees that the connection is gone, and asks for no end

    async def _serve(self, receive: Receive, send: Send, connection: Connection) -> bool:
        """True when the client has taken everything up to an orderly end."""
        ended = False
        async with anyio.create_task_group() as tasks:
            async with self._site.broadcast.stream(tasks.cancel_scope, connection):
                tasks.start_soon(_watch, receive, tasks.cancel_scope)
                await send(_start())
                told = await _Telling(self._site, self._kb_id, send).run(self._last_event_id)
                ended = told and await _in_time(send, b"", CLOSE_S, more=False)
            tasks.cancel_scope.cancel()
        return ended


class _Telling:
    """What one client has, and the sends that bring it further."""

    def __init__(self, site: Site, kb_id: str | None, send: Send) -> None:
        self._limits = site.limits
        self._broadcast: Broadcast = site.broadcast
        self._kb_id = kb_id
        self._send = send

    async def run(self, last_event_id: int | None) -> bool:
        """Replay, then the statuses, then live. False when the client took nothing for too long."""
        opening, position = await self._broadcast.begin(last_event_id)
        beat_at = anyio.current_time() + self._limits.heartbeat_s
        waiting = b":\nid: %d\n\n" % position.seq  # so that a client that has been told nothing can go on, too
        while not self._broadcast.is_over(self._kb_id):
            hint = self._broadcast.hint()
            frame = await self._broadcast.after(position, self._kb_id)
            data = opening + (frame.data if frame else b"")
            position, opening = (frame.position if frame else position), b""
            if anyio.current_time() >= beat_at:
                data, beat_at = data + _COMMENT, beat_at + self._limits.heartbeat_s
            data, waiting = data or waiting, b""
            if data and not await _in_time(self._send, data, self._limits.send_s):
                return False
            if frame is None:
                with anyio.CancelScope(deadline=beat_at):
                    await hint.wait()
        return True


def _start() -> dict[str, object]:
    return {"type": "http.response.start", "status": 200, "headers": list(_HEADERS)}


async def _in_time(send: Send, data: bytes, limit_s: float, *, more: bool = True) -> bool:
    with anyio.move_on_after(limit_s) as scope:
        await send({"type": "http.response.body", "body": data, "more_body": more})
    return not scope.cancelled_caught


async def _watch(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
