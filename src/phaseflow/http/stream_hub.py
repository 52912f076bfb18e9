"""The live feed as bytes: each event is encoded once, whoever listens.

A client is a cursor: the last transition and the last status that it has. What follows a cursor is the same for all
who are there, so it is made once and kept until something new happens. Nothing is queued for anyone.
"""

import asyncio
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import anyio

from phaseflow.domain.errors import PhaseflowError
from phaseflow.domain.log import get_logger
from phaseflow.domain.status import Transition
from phaseflow.feed import PAGE, STATUS_INTERVAL_S, Feed
from phaseflow.flow import PhaseFlow
from phaseflow.http.connection import Connection
from phaseflow.http.event_id import EventId, with_log
from phaseflow.http.limits import Limits
from phaseflow.http.signals import closing_on_signals
from phaseflow.http.status_cache import CachedStatus, StatusCache

_ENCODED = 2000
"""Transitions kept encoded: as many as the feed keeps in memory."""
_SEND_S = 20e-6
"""What it takes to bring an event to one more client (measured)."""
_SHARE = 0.01
"""Of a core, for telling progress: the more listen, the less often they hear of it, so that the job is not slowed."""
_SLOWEST_PROGRESS_S = 1.0
"""Progress is told so often however many listen."""
LOOK_S = 0.25
"""How often the server is asked whether it is on its way down, and which clients have left; it tells nobody."""
POLLING_MEMORY_S = 3.0
"""Who has asked for a status is expected to ask again within this time."""
_CLOSE_S = 0.3
"""How long a client has to take the end of its stream when the server stops."""


def progress_s(clients: int) -> float:
    """Seconds between two statuses of a job that tell nothing but progress, while so many clients listen."""
    return min(max(STATUS_INTERVAL_S, clients * _SEND_S / _SHARE), _SLOWEST_PROGRESS_S)


@dataclass(frozen=True, slots=True)
class _Cursor:
    """What a client has: transitions up to number ``seq``, statuses up to number ``stamp`` (ours, not in the log)."""

    seq: int
    stamp: int


@dataclass(frozen=True, slots=True)
class _EventBlock:
    """Events as they go over the wire, and the cursor of whoever has them."""

    data: bytes
    cursor: _Cursor


@dataclass(slots=True, eq=False)
class Subscriber:
    """One stream. ``sending_since`` is set (in seconds of the loop) while a send waits for the client."""

    scope: anyio.CancelScope
    connection: Connection
    sending_since: float | None = None


class StreamHub:
    """Turns the feed of one engine into blocks, for all streams of one application.

    Reads statuses while anybody listens, each after its transitions and otherwise at most ten times a second (less
    often when more than 50 listen), and wakes the streams only when there is something to send. Keeps the time for all
    of them, since a timer for each send and each wait of each stream would cost as much as the sends.
    """

    def __init__(self, flow: PhaseFlow, limits: Limits) -> None:
        self._flow = flow
        self._limits = limits
        self._look_at = self._beat_at = 0.0
        self.heartbeats = 0
        self._cache = StatusCache(flow)
        self._polled_until = 0.0
        self._watermark = 0
        self._changed = anyio.Event()
        self._blocks: dict[tuple[str | None, _Cursor], _EventBlock | None] = {}
        self._blocks_of: tuple[Any, ...] = ()
        self._encoded: OrderedDict[int, bytes] = OrderedDict()
        self._streams: set[Subscriber] = set()
        self._hearing = ExitStack()
        self._reading = anyio.Lock()
        self._pump: asyncio.Task[None] | None = None
        self.closed = False

    @property
    def clients(self) -> int:
        """Streams that are open."""
        return len(self._streams)

    def add(self, scope: anyio.CancelScope, connection: Connection) -> Subscriber:
        """One more takes part, until ``remove``.

        ``scope`` is cancelled when the client has left or takes nothing for too long, and has a deadline once streams
        are closed.
        """
        subscriber = Subscriber(scope, connection)
        if not self._streams:  # an app that is mounted has no lifespan in which to listen
            self._hearing.enter_context(closing_on_signals(self.close))
        self._streams.add(subscriber)
        return subscriber

    def remove(self, subscriber: Subscriber) -> None:
        """It has ended."""
        self._streams.remove(subscriber)
        if not self._streams:
            self._hearing.close()
            self._stop_pump()

    async def ready(self) -> None:
        """Statuses are read, and will be while anybody takes part."""
        async with self._reading:
            await self._ensure_pump()

    async def status(self, kb_id: str) -> CachedStatus | None:
        """The status as it is now, or as old as the cache allows, never older than one before; None when there is none.

        For who asks again and again: without a trip to the database, which a job that runs at full speed makes long.
        """
        self._polled_until = anyio.current_time() + POLLING_MEMORY_S
        if self.closed:
            return None
        shown = self._cache.current(kb_id) if self._pump is not None else None
        if shown is None:
            async with self._reading:  # one after the other: what is read later is shown later
                await self._ensure_pump()
                shown = await self._cache.read(kb_id)
        return shown

    def invalidate(self, kb_id: str) -> None:
        """A status was told that was read elsewhere: show none that is older."""
        self._feed.note_told(kb_id)

    def close(self) -> None:
        """End all streams, and let no new one begin."""
        self.closed = True
        self._end_streams()
        if not self._streams:
            self._stop_pump()

    async def begin(self, last_event_id: EventId | None) -> tuple[bytes, _Cursor]:
        """Where a client stands with the last id that it has, and what it is told first.

        An id that is not in the log any more, or is one of another database, is answered with ``reset``.
        """
        now = _Cursor(self._watermark, 0)
        if last_event_id is None:
            return b"", now
        oldest = await self._feed.oldest()
        seq = last_event_id.seq
        if last_event_id.log in {None, self._feed.log_id} and (seq == 0 or oldest - 1 <= seq <= self._feed.last_seq):
            return b"", _Cursor(seq, 0)
        return b'id: %d\nevent: reset\ndata: {"oldest": %d}\n\n' % (now.seq, oldest), now

    def with_log(self, events: bytes) -> bytes:
        """Events whose ids say that they are of this log."""
        return with_log(events, self._feed.log_id)

    def hint(self) -> anyio.Event:
        """Set when there may be something new. Take it before looking, wait for it after."""
        return self._changed

    def has_ended(self, kb_id: str | None) -> bool:
        """Nothing more will be told: the server stops, or the knowledge base has been deleted."""
        return self.closed or self._feed.closed or (kb_id is not None and self._cache.is_gone(kb_id))

    async def after(self, cursor: _Cursor, kb_id: str | None) -> _EventBlock | None:
        """What follows a cursor: transitions in order, at most a page, then the statuses once none is missing."""
        # Most streams stand at the same cursor, so a block is made once and sent to all of them. It says what there was
        # when it was begun; one that took so long that there is more by now is sent, but not kept.
        current = (self._feed.last_seq, self._cache.stamp, self._watermark)
        if current != self._blocks_of:
            self._blocks, self._blocks_of = {}, current
        key = (kb_id, cursor)
        if key in self._blocks:
            return self._blocks[key]
        block = await self._block(cursor, kb_id)
        if current == self._blocks_of == (self._feed.last_seq, self._cache.stamp, self._watermark):
            self._blocks[key] = block
        return block

    @property
    def _feed(self) -> Feed:
        return self._flow.tracker.feed

    async def _block(self, cursor: _Cursor, kb_id: str | None) -> _EventBlock | None:
        last, seq, parts = self._feed.last_seq, cursor.seq, list[bytes]()
        if seq < last:
            page = await self._feed.since(seq, kb_id)
            parts += [self._encode(transition) for transition in page]
            # A page that is not full is the rest: what is left up to ``last`` is of other knowledge bases, and a client
            # of one would look through it each time. One that is full may have more behind it.
            seq = max(last, page[-1].seq if page else 0) if len(page) < PAGE else page[-1].seq
        stamp = cursor.stamp
        # A status is sent after all transitions that it may show: else a client would see "paused" before the pause.
        if seq >= self._watermark:
            parts += [b"id: %d\n%b" % (seq, event) for event in self._cache.since(stamp, kb_id)]
            stamp = self._cache.stamp
        reached = _Cursor(seq, stamp)
        return None if reached == cursor else _EventBlock(b"".join(parts), reached)

    def _encode(self, transition: Transition) -> bytes:
        event = self._encoded.get(transition.seq)
        if event is None:
            data = transition.model_dump_json(by_alias=True).encode()
            event = b"id: %d\nevent: transition\ndata: %b\n\n" % (transition.seq, data)
            self._encoded[transition.seq] = event
            if len(self._encoded) > _ENCODED:
                self._encoded.popitem(last=False)
        return event

    async def _ensure_pump(self) -> None:
        if self._pump is None:
            feed = self._feed
            watermark = feed.last_seq
            self._blocks_of = ()
            self._beat_at = anyio.current_time() + self._limits.heartbeat_s
            await self._cache.read_all()
            self._watermark = max(self._watermark, watermark)
            self._pump = asyncio.create_task(self._run(feed))
        await self._cache.refresh_stale()

    async def _run(self, feed: Feed) -> None:
        try:
            while not (feed.closed or self.closed) and self._is_looked_at:
                hint, before = feed.hint(), (self._watermark, self._cache.stamp)
                async with self._reading:
                    # Before the statuses are read: one that shows a later transition then waits for the next round,
                    # where that is sent first. Taken after them, it would let a status run ahead of its transition.
                    watermark = feed.last_seq
                    due_s = await self._cache.refresh(progress_s(self.clients))
                    self._watermark = watermark
                if before != (self._watermark, self._cache.stamp):
                    self._wake()
                with anyio.move_on_after(min(due_s, self._look_after_streams())):
                    await hint.wait()
        except PhaseflowError as error:
            get_logger().error("live feed failed, clients connect again", error=str(error))
        finally:
            if self._pump is asyncio.current_task():  # else the last stream has ended, and another one may have begun
                self._pump = None
                self._end_streams()

    def _look_after_streams(self) -> float:
        """Drop who takes nothing, see whether the server stops, beat; how long until the next look."""
        now = anyio.current_time()
        if now >= self._beat_at:
            self.heartbeats += 1
            self._beat_at = now + self._limits.heartbeat_s
            self._wake()
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            for subscriber in self._streams:
                since = subscriber.sending_since
                if subscriber.connection.is_gone or (since is not None and now - since > self._limits.send_s):
                    subscriber.scope.cancel()
            if any(subscriber.connection.is_draining for subscriber in self._streams):
                self.close()
        return max(0.0, min(self._look_at, self._beat_at) - now)

    @property
    def _is_looked_at(self) -> bool:
        return bool(self._streams) or anyio.current_time() < self._polled_until

    def _stop_pump(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None

    def _end_streams(self) -> None:
        now = asyncio.get_running_loop().time()  # of anyio, too, which cannot tell it outside a task (after a signal)
        for subscriber in self._streams:
            subscriber.scope.deadline = min(subscriber.scope.deadline, now + _CLOSE_S)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
