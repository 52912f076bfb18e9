"""An endless answer: Server-Sent Events at the pace of the client."""

from collections.abc import Mapping
from contextlib import nullcontext, suppress

import anyio
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from phaseflow.domain.documents import DocumentInfo
from phaseflow.domain.status import JobStatusResponse, Transition
from phaseflow.http.app_state import AppState
from phaseflow.http.connection import KEY, Connection
from phaseflow.http.document_feed import DocumentFeed
from phaseflow.http.event_id import EventId
from phaseflow.http.middleware.admission import SESSION
from phaseflow.http.problems import BodyTooLarge, NotReady
from phaseflow.http.sessions import Session
from phaseflow.http.stream_hub import StreamHub, Subscriber

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_COMMENT = b":\n\n"


class _Reset(BaseModel):
    """Transitions before number ``oldest`` cannot be told any more."""

    oldest: int


EVENTS: Mapping[str, type[BaseModel]] = {
    "status": JobStatusResponse,
    "transition": Transition,
    "document": DocumentInfo,
    "reset": _Reset,
}


class EventStream(Response):
    """The live feed of one knowledge base, or of all, behind ``last_event_id`` (None: from now on).

    Ends when the client leaves or logs out, when it takes nothing for as long as the limits say, when its knowledge
    base is deleted, or when the server stops. Whatever ends it, the client loses nothing: it asks again with its
    last id. With ``documents_of`` the objects of that knowledge base's documents that changed come in between, the
    latest of each, at most 20 a second. ``with_log``: its ids say which log they come from.
    """

    def __init__(
        self,
        state: AppState,
        kb_id: str | None,
        last_event_id: EventId | None,
        *,
        documents_of: str | None = None,
        with_log: bool = False,
    ) -> None:
        self._state = state
        self._kb_id = kb_id
        self._last_event_id = last_event_id
        self._documents_of = documents_of
        self._with_log = with_log or (last_event_id is not None and last_event_id.log is not None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, each send with a deadline, while a task watches for the client to leave."""
        if not self._state.is_ready:
            raise NotReady("the server is starting or stopping; connect again in a second")
        if scope["method"] == "HEAD":
            await send(_start())
            await send({"type": "http.response.body", "body": b""})
            return
        connection = scope.get(KEY) or Connection(receive)
        connection.find(scope)
        with self._state.seats.taken(scope.get("client")):
            is_watched = connection.tells_its_end and not _has_body(scope)
            if not await self._serve(None if is_watched else receive, send, connection, scope.get(SESSION)):
                connection.drop()
                await anyio.lowlevel.checkpoint()  # the server sees that the connection is gone, and asks for no end

    async def _serve(
        self, receive: Receive | None, send: Send, connection: Connection, session: Session | None
    ) -> bool:
        """True when the client has taken everything up to an orderly end. ``receive`` is listened to, where given."""
        hub = self._state.hub
        with anyio.CancelScope() as scope, session.holding(scope) if session else nullcontext():
            subscriber = hub.add(scope, connection)
            try:
                await hub.ready()
                telling = _Telling(hub, subscriber, self._kb_id, send, with_log=self._with_log)
                if self._documents_of is not None or receive is not None:
                    await self._serve_with_tasks(receive, telling)
                else:  # as most are: a group and its tasks would be a third of what a stream takes
                    await telling.run(self._last_event_id)
                return True
            finally:
                hub.remove(subscriber)
        return False

    async def _serve_with_tasks(self, receive: Receive | None, telling: "_Telling") -> None:
        async with anyio.create_task_group() as tasks:
            if receive is not None:
                tasks.start_soon(_watch, receive, telling.subscriber.scope)
            if self._documents_of is not None:
                documents = DocumentFeed(self._state.flow, self._documents_of, telling.tell)
                telling.documents = documents
                tasks.start_soon(documents.run)
            await telling.run(self._last_event_id)
            tasks.cancel_scope.cancel()


class _Telling:
    """What one client has, and the sends that bring it further. ``documents`` tells beside it, where that is wanted."""

    __slots__ = ("_has_ended", "_hub", "_kb_id", "_send", "_with_log", "documents", "subscriber")

    def __init__(
        self, hub: StreamHub, subscriber: Subscriber, kb_id: str | None, send: Send, *, with_log: bool
    ) -> None:
        self._hub = hub
        self.subscriber = subscriber
        self._kb_id = kb_id
        self._send = send
        self._with_log = with_log
        self._has_ended = False
        self.documents: DocumentFeed | None = None

    async def run(self, last_event_id: EventId | None) -> None:
        """Replay, then the statuses, then live, then the end."""
        hub, kb_id = self._hub, self._kb_id
        opening, cursor = await hub.begin(last_event_id)
        await self._take(_start())
        if self.documents is not None:
            self.documents.begin(cursor.seq, comes_back=last_event_id is not None and not opening)
        waiting = b":\nid: %d\n\n" % cursor.seq  # so that a client that has been told nothing can go on, too
        heartbeats = hub.heartbeats
        # The hint before the look, as everywhere: what comes in between sets it, and the next round finds it. A stream
        # keeps no queue, only its place: one that is slow gets the newest status, not all those that it has missed.
        while not hub.has_ended(kb_id):
            hint = hub.hint()
            block = await hub.after(cursor, kb_id)
            data = opening + (block.data if block else b"")
            cursor, opening = (block.cursor if block else cursor), b""
            if hub.heartbeats != heartbeats:
                data, heartbeats = data + _COMMENT, hub.heartbeats
            data, waiting = data or waiting, b""
            if data:
                if self.documents is not None:
                    self.documents.seq = cursor.seq
                await self.tell(data)
            if block is None:
                await hint.wait()
        await self._take({"type": "http.response.body", "body": b""})

    async def tell(self, events: bytes) -> None:
        """Send events, unless the end was sent."""
        if self.documents is not None:
            events = self.documents.without_ids(events)
        if self._with_log:
            events = self._hub.with_log(events)
        await self._take({"type": "http.response.body", "body": events, "more_body": True})

    async def _take(self, message: Message) -> None:
        """Send, under the eyes of the hub: it ends the stream when this takes too long."""
        if self.documents is None:
            await self._take_alone(message)
            return
        async with self.documents.taking:
            await self._take_alone(message)

    async def _take_alone(self, message: Message) -> None:
        if self._has_ended:
            return
        self._has_ended = not message.get("more_body", True)
        self.subscriber.sending_since = anyio.current_time()
        await self._send(message)
        self.subscriber.sending_since = None


def _start() -> Message:
    return {"type": "http.response.start", "status": 200, "headers": list(_HEADERS)}


def _has_body(scope: Scope) -> bool:
    """What a client sends has to be received: it is too much soon, and then it is cut off."""
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])


async def _watch(receive: Receive, scope: anyio.CancelScope) -> None:
    with suppress(BodyTooLarge):  # whoever sends so much to a stream does not listen
        while (await receive())["type"] != "http.disconnect":
            pass
    scope.cancel()
