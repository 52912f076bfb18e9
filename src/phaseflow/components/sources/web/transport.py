"""Requests over checked connections. The only module that knows the HTTP library, and so is imported when used."""

import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self

import anyio
import httpcore2

from phaseflow.components.certificates import trusted
from phaseflow.components.sources.web.address import site_of
from phaseflow.components.sources.web.answer import Answer, SiteDown, TooSlow
from phaseflow.components.sources.web.body import ACCEPTED, Body
from phaseflow.components.sources.web.cookies import SEPARATOR
from phaseflow.components.sources.web.limits import Limits
from phaseflow.components.sources.web.ssrf import AddressPolicy
from phaseflow.domain.errors import TransientError

_CONNECTIONS = 32
_KEEP_S = 15.0
_DRAINED = 64 * 1024
"""A body that nobody wants is read all the same when it is this short: cheaper than a new connection."""
_DRAIN_S = 0.5

_BY_LINE = frozenset(("set-cookie", "x-robots-tag"))
"""Each line says something of its own, and may hold commas."""
_SINGLE = frozenset(
    ("content-length", "content-range", "content-type", "etag", "last-modified", "location", "retry-after")
)
"""Have one value (RFC 9110). Of several the first counts: joined, they would be none."""

_SocketOption = httpcore2.SOCKET_OPTION


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections to addresses that the guard has passed, and to no others.

    The name is resolved once, and the connection goes to the address that was checked: a name server that answers
    otherwise the next time changes nothing. TLS and the ``Host`` header still carry the name.
    """

    def __init__(self, guard: AddressPolicy) -> None:
        self._guard = guard
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the library's signature
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            with anyio.fail_after(timeout):
                addresses = await self._guard.addresses(host.strip("[]"), port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"{host} could not be resolved in time") from error
        except OSError as error:
            raise httpcore2.ConnectError(f"{host} could not be resolved: {error}") from error
        return await self._connected(addresses, port, timeout, socket_options)

    async def _connected(
        self,
        addresses: Iterable[str],
        port: int,
        timeout: float | None,  # noqa: ASYNC109  the library's signature
        socket_options: Iterable[_SocketOption] | None,
    ) -> httpcore2.AsyncNetworkStream:
        failure: Exception = httpcore2.ConnectError("no address")
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout, None, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109  the library's signature
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError(f"{path}: no sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class _Request:
    url: str
    headers: Mapping[str, str]
    wanted: Callable[[Answer], bool]
    limits: Limits
    cut: bool


class Wire:
    """A pool of connections. Follows no redirect, uses no proxy: each would get round the guard."""

    def __init__(self, pool: httpcore2.AsyncConnectionPool, limits: Limits, user_agent: str) -> None:
        self._pool = pool
        self._limits = limits
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
            "Accept-Encoding": ACCEPTED,
        }

    @classmethod
    async def open(
        cls, guard: AddressPolicy, limits: Limits, user_agent: str, ssl_context: ssl.SSLContext | None = None
    ) -> Self:
        # Reading the certificates takes 80 ms: not on the event loop.
        context = ssl_context or await anyio.to_thread.run_sync(trusted)
        pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=_CONNECTIONS,
            keepalive_expiry=_KEEP_S,
            network_backend=GuardedBackend(guard),
        )
        return cls(pool, limits, user_agent)

    async def get(
        self,
        url: str,
        headers: Mapping[str, str],
        wanted: Callable[[Answer], bool],
        *,
        limits: Limits | None = None,
        cut: bool = False,
    ) -> Answer:
        """Make one request; the body is read when ``wanted`` says so on seeing the headers.

        Takes ``total_s``, and more only while a body comes faster than ``slowest_rate``, however the server spreads
        its bytes. Raises SiteDown (no connection), TooSlow, TransientError (broken off, no HTTP), DocumentError (over a
        limit, packed wrongly) and SourceNotAllowed. A cancel ends the request.
        """
        request = _Request(url, headers, wanted, limits or self._limits, cut)
        began = anyio.current_time()
        try:
            with anyio.fail_after(request.limits.total_s) as time:
                return await self._exchange(request, time)
        except TimeoutError as error:
            took_s = time.deadline - began
            raise TooSlow(f"{url} was not answered to its end within {took_s:.3g} s; try again later") from error
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
            site = site_of(url)
            raise SiteDown(f"{site} cannot be reached ({_words(error)}); resume or retry when it can", site) from error
        except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise TransientError(f"{url} was not answered ({_words(error)})") from error

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        await self._pool.aclose()

    async def _exchange(self, request: _Request, time: anyio.CancelScope) -> Answer:
        began = anyio.current_time()
        latest = time.deadline
        headers = [(name.encode(), value.encode("latin-1")) for name, value in self._all(request).items()]
        timeouts = {"connect": self._limits.connect_s}
        async with self._pool.stream("GET", request.url, headers=headers, extensions={"timeout": timeouts}) as response:
            answer = Answer(request.url, response.status, _joined(response.headers))
            if not request.wanted(answer):
                await _drain(response, answer)
                return replace(answer, took_s=anyio.current_time() - began)
            body = Body(request.url, answer.header("content-encoding"), request.limits, cut=request.cut)
            async for chunk in response.aiter_stream():
                body.feed(chunk)
                time.deadline = latest + body.received / request.limits.slowest_rate
                if body.is_full:
                    break
            return replace(answer, body=body.whole(), took_s=anyio.current_time() - began)

    def _all(self, request: _Request) -> Mapping[str, str]:
        return {**self._headers, **request.headers}


async def _drain(response: httpcore2.Response, answer: Answer) -> None:
    """Whatever becomes of the body: the answer is known, and a 404 that is cut off is a 404."""
    length = answer.header("content-length")
    left = int(length) if length.isdecimal() else 0
    if left > _DRAINED:
        return
    read = 0
    with anyio.move_on_after(_DRAIN_S), suppress(httpcore2.NetworkError, httpcore2.ProtocolError):
        async for chunk in response.aiter_stream():
            read += len(chunk)
            if read > _DRAINED:
                return


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name not in joined:
            joined[name] = value
        elif name not in _SINGLE:
            joined[name] += (SEPARATOR if name in _BY_LINE else ", ") + value
    return joined


def _words(error: Exception) -> str:
    return str(error).strip() or type(error).__name__
