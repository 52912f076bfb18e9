"""Sources on other machines: what may be read, and by which loader."""

from collections.abc import Collection
from functools import partial

import anyio
import anyio.to_thread

from phaseflow.components.protocols import Loader
from phaseflow.components.sources.remote import FsspecLoader
from phaseflow.components.sources.remote.client_rules import check_public, check_rules
from phaseflow.components.sources.remote.connections import (
    Connections,
    NamedConnection,
    connection_named,
    named_connections,
)
from phaseflow.components.sources.remote.filesystem import file_system
from phaseflow.components.sources.web.ssrf import AddressPolicy
from phaseflow.components.workers.pool import ExtractionPool
from phaseflow.domain.errors import ComponentUnavailable, InvalidRequest
from phaseflow.domain.remote_sources import FsspecSource


class RemoteSources:
    """``for_clients``: the sources come over the HTTP API, so that they read nothing of this machine, and what is
    private only where the operator has named it. Else they are not restricted."""

    def __init__(self, *, for_clients: bool, allow_private: Collection[str], workers: ExtractionPool) -> None:
        self._for_clients = for_clients
        self._allow_private = allow_private
        self._workers = workers
        self._connections: Connections | None = None

    async def check(self, source: FsspecSource) -> None:
        """Raise InvalidRequest or SourceNotAllowed for a source that cannot or may not be read."""
        await self._connection(source)
        if self._for_clients:
            await check_public(source, self._allow_private)
        await _in_thread(partial(file_system, source))

    async def loader(self, source: FsspecSource) -> Loader:
        """What reads a source. Raises SourceNotAllowed, and ComponentUnavailable when it cannot be made."""
        try:
            connection = await self._connection(source)
            policy = None
            if self._for_clients and connection is None:
                policy = AddressPolicy(self._allow_private)
            return await _in_thread(
                partial(FsspecLoader, source, connection=connection, policy=policy, workers=self._workers)
            )
        except InvalidRequest as error:
            raise ComponentUnavailable(str(error)) from error

    async def _connection(self, source: FsspecSource) -> NamedConnection | None:
        if self._connections is None:
            self._connections = await _in_thread(named_connections)
        if self._for_clients:
            return await _in_thread(partial(check_rules, source, self._connections))
        return None if source.connection is None else connection_named(source.connection, self._connections)


_in_thread = anyio.to_thread.run_sync
