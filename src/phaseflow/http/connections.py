"""The connections of ``phaseflow serve``: how many there may be, and how long one may take for what it owes.

uvicorn bounds neither the time and the size of a request's head nor the number of connections. What is taken of it
beyond its documented interface stands here only: its protocol on httptools, with ``cycle``, ``transport``,
``on_response_complete``, ``send_400_response`` and the callbacks of httptools.
"""

import asyncio
import logging
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from phaseflow.domain.identifiers import is_loopback
from phaseflow.domain.log import get_logger
from phaseflow.http.limits import Limits

ACCEPTS = 16
"""Connections taken in one turn of the event loop. Python tries on so often also when it has no descriptor left."""
_TOLD_AGAIN_S = 60.0
LOCAL_RESERVE = 16
"""Places that clients of this machine have above the limit: health checks and the operator get through."""
_MOST_FIELDS = 200
"""Headers of a request: a browser behind two proxies sends fewer than 50."""
_TOO_LARGE = b"the head of the request is too large"
_431 = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_TOO_LARGE), _TOO_LARGE)
)
_BASE: Any = HttpToolsProtocol
_OUT_OF_DESCRIPTORS = "socket.accept() out of system resource"


class Connections:
    """All connections of one server."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._most = _affordable(limits.connections)
        self._open: Counter[str] = Counter()
        self._waiting: dict[Any, str] = {}
        """Those that have no request under way, the one that waits for longest first."""
        self._told_at = float("-inf")

    def admit(self, connection: Any, address: str) -> bool:
        """Count one more. The longest one without a request makes room; False when there is none to spare."""
        is_local = is_loopback(address)
        most = self._most + (LOCAL_RESERVE if is_local else 0)
        admitted = True
        if not is_local and self._open[address] >= self.limits.connections_per_client:
            admitted = self._make_room(lambda other: other == address)
        elif self._open.total() >= most:
            admitted = self._make_room(lambda other: True)
        self._open[address] += 1
        if admitted:
            self.wait(connection, address)
        return admitted

    def wait(self, connection: Any, address: str) -> None:
        """It has no request under way (any more)."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = address

    def work(self, connection: Any) -> None:
        """It has a request under way."""
        self._waiting.pop(connection, None)

    def remove(self, connection: Any, address: str) -> None:
        """It is gone."""
        self._waiting.pop(connection, None)
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]

    def _make_room(self, may_go: Callable[[str], bool]) -> bool:
        now = time.monotonic()
        if now - self._told_at > _TOLD_AGAIN_S:
            self._told_at = now
            get_logger().warning("connections are at their limit", open=self._open.total(), most=self._most)
        oldest = next((each for each, address in self._waiting.items() if may_go(address)), None)
        if oldest is None:
            return False
        self._waiting.pop(oldest)
        oldest.transport.abort()
        return True


def protocol_for(limits: Limits) -> type[asyncio.Protocol]:
    """The protocol of one server, whose connections are counted together."""
    connections = Connections(limits)

    class Protocol(_BASE):  # type: ignore[misc]  # chosen by uvicorn at run time
        _head: asyncio.TimerHandle | None = None
        _send: asyncio.TimerHandle | None = None
        _address = ""
        _head_bytes = 0
        _fields = 0
        _unparsed_bytes = 0
        """What has come since the parser last had anything to say: it keeps a line until it is whole."""

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            peer = transport.get_extra_info("peername")
            self._address = str(peer[0]) if isinstance(peer, tuple) else ""
            if connections.admit(self, self._address):
                self._arm()
            else:
                transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            self.resume_writing()
            connections.remove(self, self._address)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            before = self._unparsed_bytes = self._unparsed_bytes + len(data)
            super().data_received(data)
            if self._unparsed_bytes == before > limits.head_bytes and not self.transport.is_closing():
                self._refuse_head()
            if self._is_answering:
                self._disarm()
                connections.work(self)

        def on_message_begin(self) -> None:
            self._head_bytes = self._fields = self._unparsed_bytes = 0
            super().on_message_begin()

        def on_url(self, url: bytes) -> None:
            self._count(len(url))
            super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            """Also of what stands behind a body in chunks."""
            self._fields += 1
            self._count(len(name) + len(value))
            super().on_header(name, value)

        def on_body(self, body: bytes) -> None:
            self._unparsed_bytes = 0
            super().on_body(body)

        def send_400_response(self, msg: str) -> None:
            if self._is_too_large:
                self._refuse_head()
            else:
                super().send_400_response(msg)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self._is_answering and not self.transport.is_closing():
                connections.wait(self, self._address)
                self._arm()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._send = self.loop.call_later(limits.answer_idle_s, self.transport.abort)

        def resume_writing(self) -> None:
            if self._send is not None:
                self._send.cancel()
                self._send = None
            super().resume_writing()

        def _count(self, size: int) -> None:
            self._unparsed_bytes = 0
            self._head_bytes += size
            if self._is_too_large:
                raise ValueError(_TOO_LARGE.decode())  # ends the parser, which has the request refused

        @property
        def _is_too_large(self) -> bool:
            return self._head_bytes > limits.head_bytes or self._fields > _MOST_FIELDS

        def _refuse_head(self) -> None:
            if self._is_answering:
                self.transport.abort()  # nothing may stand in the middle of an answer
            else:
                self.transport.write(_431)
                self.transport.close()

        @property
        def _is_answering(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _arm(self) -> None:
            self._disarm()
            self._head = self.loop.call_later(limits.head_s, self.transport.abort)

        def _disarm(self) -> None:
            if self._head is not None:
                self._head.cancel()
                self._head = None

    return Protocol


@contextmanager
def quiet_accepts(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Tell in one line a minute that no connection could be taken for want of descriptors, not in a traceback a try."""
    before = loop.get_exception_handler()
    told_at = float("-inf")

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal told_at
        if context.get("message") != _OUT_OF_DESCRIPTORS:
            (before or type(loop).default_exception_handler)(loop, context)
        elif time.monotonic() - told_at > _TOLD_AGAIN_S:
            told_at = time.monotonic()
            # To the log of asyncio, which is heard under every server: it is where a traceback would have gone.
            logging.getLogger("asyncio").error(
                "no connection can be taken, tries go on: %s; raise the limit on open files (LimitNOFILE, ulimit -n)",
                context.get("exception"),
            )

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        if loop.get_exception_handler() is handle:
            loop.set_exception_handler(before)


def _affordable(wanted: int) -> int:
    """So many connections that a quarter of the descriptors is left for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - soft // 4 - LOCAL_RESERVE))
