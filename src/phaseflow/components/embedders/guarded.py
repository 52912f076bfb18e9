"""Connections to an embedding server whose address a client chose. Knows the HTTP library, so is imported when used."""

import httpcore2
import httpx2

from phaseflow.components.certificates import trusted
from phaseflow.components.sources.web.ssrf import AddressPolicy
from phaseflow.components.sources.web.transport import GuardedBackend


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """Connects to addresses that the guard has passed, and to no others; uses no proxy, which would get round it.

    The HTTP library takes no network backend of its users, so its pool is replaced; ``tests/test_private_parts.py``
    says what breaks when it is found elsewhere.
    """

    def __init__(self, guard: AddressPolicy, max_connections: int) -> None:
        context = trusted()
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context, max_connections=max_connections, network_backend=GuardedBackend(guard)
        )
