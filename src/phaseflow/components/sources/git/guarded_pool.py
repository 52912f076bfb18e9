"""HTTP connections for dulwich that go only where the policy lets them, also after a redirect."""

import socket
from collections.abc import Callable
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from phaseflow.components.sources.git.places import CONNECT_S
from phaseflow.components.sources.web.ssrf import Addresses

_READ_S = 60.0
_REDIRECTS = 5


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
        retries=urllib3.Retry(total=_REDIRECTS, connect=0, read=0, redirect=_REDIRECTS, other=0),
    )
    pool.pool_classes_by_scheme = {
        "http": _pool_of(HTTPConnectionPool, HTTPConnection, connect),
        "https": _pool_of(HTTPSConnectionPool, HTTPSConnection, connect),
    }
    return pool


def _pool_of(pool: Any, connection: Any, connect: Callable[[Any], socket.socket]) -> Any:
    class Guarded(connection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class Pool(pool):
        ConnectionCls = Guarded

    return Pool
