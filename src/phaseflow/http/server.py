"""``phaseflow serve``: the application under a server of our own, which ends streams before it waits for them."""

import gc
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from types import FrameType
from typing import Self

import uvicorn
from starlette.applications import Starlette

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.identifiers import is_loopback
from phaseflow.flow import PhaseFlow
from phaseflow.http.access import ANY_ADDRESS, LOOPBACK, check_secret, is_address
from phaseflow.http.app import create_app
from phaseflow.http.app_state import AppState
from phaseflow.http.connections import ACCEPTS, protocol_for
from phaseflow.http.limits import Limits
from phaseflow.http.signals import ENDS

_GRACE_S = 1
"""Answers that are not done so long after the end was asked for are cut off."""
_BACKLOG = 2048
_YOUNG_OBJECTS = 10_000
"""New objects before the collector looks at them; Python's 700 makes it look at all streams again and again."""
_TURN_S = 0.0005
"""How long a thread keeps the interpreter when others want it; Python's 5 ms. A status wants it some five times, and
beside searches and a job it waits nearly as often."""


class Server(uvicorn.Server):
    """uvicorn for an app of ``create_app``: its streams end first, so that a stop is quick however many are open."""

    has_answered = False
    """It came so far that it could."""

    def __init__(
        self, config: uvicorn.Config, state: AppState, started: Callable[[], None], asked: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._tell_asked = asked
        self._state = state
        self._tell_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so, unless the end was asked for in the meantime."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(_BACKLOG)  # asyncio has one number for those that wait and those taken at once
        if not self.should_exit:
            self.has_answered = True
            self._tell_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal asks for the end."""
        self._tell_asked()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then whatever else is under way."""
        self._state.close()
        with _nothing_cut_off_untold():
            await super().shutdown(sockets)


@contextmanager
def _nothing_cut_off_untold() -> Iterator[None]:
    """Keep uvicorn from calling it an error that it has cut off no answer: a thousand connections of streams that have
    ended take their time to close."""

    def is_news(record: logging.LogRecord) -> bool:
        return not (record.levelno >= logging.ERROR and str(record.msg).startswith("Cancel ") and record.args == (0,))

    log = logging.getLogger("uvicorn.error")
    log.addFilter(is_news)
    try:
        yield
    finally:
        log.removeFilter(is_news)


def server_for(
    app: Starlette, started: Callable[[], None] = lambda: None, asked: Callable[[], None] = lambda: None
) -> Server:
    """A server for the sockets that its ``serve(sockets=[…])`` is given; ``server.should_exit = True`` ends it.

    For a host that runs the service in its own event loop, or in a thread with one of its own. ``asked`` is called in
    the handler of each signal that ends it.
    """
    config = uvicorn.Config(
        app, http=protocol_for(app.state.phaseflow.limits),
        log_config=None, access_log=False, timeout_graceful_shutdown=_GRACE_S, backlog=ACCEPTS,
        server_header=False, lifespan="on", ws="none",
    )  # fmt: skip
    return Server(config, app.state.phaseflow, started, asked)


async def serve(
    flow: PhaseFlow,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    allowed_hosts: Sequence[str] = (),
    limits: Limits | None = None,
    started: Callable[[str], None] = lambda url: None,
    asked: Callable[[], None] = lambda: None,
) -> bool:
    """Serve an engine until SIGTERM, SIGHUP or Ctrl-C; ``started`` is called with the address once it answers.

    ``asked`` is called in the handler of each of these signals: a host may want the process gone in a given time.
    False when Ctrl-C came before that, and it was never called.
    Jobs that are running then stop after the batch in hand, and go on at the next start. Raises InvalidRequest for a
    host that other machines can reach without a token, for a token that cannot be used and for an address that cannot
    be had, and what entering the flow raises.
    """
    if token is not None:
        check_secret(token)
    elif not is_loopback(host):
        raise InvalidRequest("host", f"{host} can be reached by other machines: set a token, or serve on 127.0.0.1")
    names = [*LOOPBACK, *_names_of(host), *allowed_hosts]
    with _bound(host, port) as listener, _Stop(asked) as stop:
        app = create_app(flow, token=token, allowed_hosts=names, limits=limits)  # before any job runs: it sets rules
        async with flow:
            if stop.asked:
                return not stop.interrupted
            server = stop.server = server_for(app, lambda: started(_url(listener)), asked)
            with set_for_serving():
                await server.serve(sockets=[listener])
    return server.has_answered or not stop.interrupted


@contextmanager
def set_for_serving() -> Iterator[None]:
    """The interpreter as a service needs it: what computes for long, or collects garbage, keeps nobody waiting."""
    with _calm_collector(), _short_turns():
        yield


@contextmanager
def _calm_collector() -> Iterator[None]:
    """Keep Python's garbage collector from stopping all streams for long (a full collection with 1,000: 90 ms).

    What is there at the start is looked at no more, and what comes later less often.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def _short_turns() -> Iterator[None]:
    """Let no thread that computes, such as a search, keep the event loop from its turn for long."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(_TURN_S, before))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class _Stop:
    """Notes SIGTERM, SIGHUP and Ctrl-C outside the time in which the server has handlers of its own.

    It never has one for SIGHUP. One that is ignored, as ``nohup`` has it, stays so.

    The server raises again, at its end, the signals that it got; by default they would kill the process before the
    engine has left its jobs in order.
    """

    asked = False
    interrupted = False
    server: Server | None = None

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def __enter__(self) -> Self:
        in_main = threading.current_thread() is threading.main_thread()
        wanted = [n for n in ENDS if in_main and not _is_ignored(n)]
        self._before = {n: signal.signal(n, self._note) for n in wanted}
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._tell()
        self.asked = True
        self.interrupted = self.interrupted or number == signal.SIGINT
        if self.server is not None:
            self.server.should_exit = True


def _is_ignored(number: signal.Signals) -> bool:
    """Whoever started the process wants it to outlive its terminal (``nohup``)."""
    return number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) is signal.SIG_IGN


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    with ExitStack() as stack:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            # Named, since asyncio turns Nagle's algorithm off (40 ms an event) only where it sees that this is TCP.
            listener = stack.enter_context(socket.socket(family, kind, socket.IPPROTO_TCP))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError as error:
            raise InvalidRequest("port", f"cannot listen on {host}:{port}: {error.strerror}; choose another") from error
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _names_of(host: str) -> list[str]:
    if is_address(host) and ip_address(host).is_unspecified:
        return [ANY_ADDRESS, socket.gethostname()]
    return [host]
