"""HTTP connections for dulwich that go only where the policy lets them, and take what a connection gives of headers
nowhere else: also after a redirect."""

import socket
from collections.abc import Callable
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.util import parse_url

from phaseflow.components.sources.git.places import CONNECT_S
from phaseflow.components.sources.web.ssrf import Addresses

_READ_S = 60.0
_REDIRECTS = 5
_GIT = frozenset({
    "accept", "accept-encoding", "content-encoding", "content-length", "content-type", "git-protocol", "pragma",
    "transfer-encoding", "user-agent",
})  # fmt: skip
"""Headers that say nothing about who asks."""
RETRIES = urllib3.Retry(
    total=_REDIRECTS, connect=0, read=0, redirect=_REDIRECTS, status=0, other=0, respect_retry_after_header=False
)
"""Redirects alone: who tries again can be paused, but urllib3 cannot while it waits, for as long as a server likes."""
_PORTS = {"http": 80, "https": 443}


def guarded_pool(addresses_of: Addresses) -> urllib3.PoolManager:
    """Make a pool whose every connection is checked. No proxies of the environment: they resolve names themselves."""

    def connect(connection: Any) -> socket.socket:
        host, port = connection.host.strip("[]"), connection.port
        try:
            addresses = addresses_of(host, port)
            for place, address in enumerate(addresses):
                try:
                    return socket.create_connection((address, port), CONNECT_S)
                except OSError:
                    if place == len(addresses) - 1:
                        raise
        except OSError as error:
            raise NewConnectionError(connection, f"cannot connect to {host}: {error}") from error
        raise NewConnectionError(connection, f"{host} has no address")

    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=CONNECT_S, read=_READ_S),
        retries=RETRIES,
    )
    pool.pool_classes_by_scheme = {
        "http": _pool_of(HTTPConnectionPool, HTTPConnection, connect),
        "https": _pool_of(HTTPSConnectionPool, HTTPSConnection, connect),
    }
    return pool


def keep_headers(pool: Any, url: str) -> None:
    """Have a pool send to the server of ``url`` what it is given of headers, and to others those of the protocol alone.

    urllib3 takes away ``Authorization`` and cookies where a redirect leads to another server, and dulwich its own user
    and password; a key may have any name, and what follows a redirect is asked there anew.
    """
    home, send = _server(url), pool.urlopen

    def urlopen(method: str, url: str, *args: Any, **options: Any) -> Any:
        headers = options.get("headers")
        if headers and _server(url) != home:
            options["headers"] = {name: value for name, value in headers.items() if name.lower() in _GIT}
        return send(method, url, *args, **options)

    pool.urlopen = urlopen


def _server(url: str) -> tuple[str | None, str | None, int | None]:
    parsed = parse_url(url)
    return parsed.scheme, parsed.host, parsed.port or _PORTS.get(parsed.scheme or "")


def _pool_of(pool: Any, connection: Any, connect: Callable[[Any], socket.socket]) -> Any:
    class Guarded(connection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class Pool(pool):
        ConnectionCls = Guarded

    return Pool
