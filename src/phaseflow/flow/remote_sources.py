"""Sources on other machines: what may be read, and by which loader."""

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from phaseflow.components.protocols import Loader
from phaseflow.components.sources.engine_files import REPOSITORIES
from phaseflow.components.sources.git.places import Place
from phaseflow.components.sources.git.repositories import Repositories
from phaseflow.components.sources.remote.client_rules import check_public, check_rules
from phaseflow.components.sources.remote.connections import Connections, NamedConnection
from phaseflow.components.sources.remote.filesystem import file_system
from phaseflow.components.sources.web.address import host_and_port, normalised
from phaseflow.components.sources.web.ssrf import AddressPolicy
from phaseflow.components.workers.recognition import AnyPool
from phaseflow.domain.errors import ComponentUnavailable, InvalidRequest
from phaseflow.domain.remote_sources import FsspecSource, GitSource

_RemoteSource = FsspecSource | GitSource


class RemoteSources:
    """``roots``: the sources come over the HTTP API, so that they read of this machine only repositories below these
    folders, and what is private only where the operator has named it. None: they are not restricted.

    Copies of repositories stand beside ``database``.
    """

    def __init__(
        self,
        *,
        roots: Sequence[str] | None,
        allow_private: Collection[str],
        database: Path | None,
    ) -> None:
        self._roots = roots
        self._allow_private = allow_private
        self._connections: Connections | None = None
        self._repositories = Repositories(
            None if database is None else database.with_name(f"{database.name}{REPOSITORIES}")
        )

    async def check(self, source: _RemoteSource) -> None:
        """Raise InvalidRequest or SourceNotAllowed for a source that cannot or may not be read."""
        await self._connection(source)
        if self._roots is not None:
            await check_public(source, self._allow_private)
        if isinstance(source, FsspecSource):
            await _in_thread(partial(file_system, source))

    async def loader(self, source: _RemoteSource, workers: AnyPool) -> Loader:
        """What reads a source. Raises SourceNotAllowed, and ComponentUnavailable when it cannot be made."""
        try:
            connection = await self._connection(source)
            policy = self._policy_for(source, connection)
            if isinstance(source, GitSource):
                from phaseflow.components.sources.git import GitLoader

                return GitLoader(
                    source, repositories=self._repositories, connection=connection, policy=policy, roots=self._roots,
                    workers=workers,
                )  # fmt: skip
            from phaseflow.components.sources.remote import FsspecLoader

            return await _in_thread(
                partial(FsspecLoader, source, connection=connection, policy=policy, workers=workers)
            )
        except InvalidRequest as error:
            raise ComponentUnavailable(str(error)) from error

    def _policy_for(self, source: _RemoteSource, connection: NamedConnection | None) -> AddressPolicy | None:
        """Where a source that a client may have given connects to: the server of its connection, and else public ones
        and those that are allowed. A page of that server may redirect anywhere."""
        if self._roots is None:
            return None
        if connection is None or (address := normalised(source.url)) is None:
            return AddressPolicy(self._allow_private)
        host, port = host_and_port(address)
        return AddressPolicy([*self._allow_private, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"])

    def read_connections(self) -> Connections:
        """The connections that the operator has set up, read once. Raises InvalidRequest, saying what is wrong in the
        file. Blocking."""
        if self._connections is None:
            self._connections = Connections.read()
        return self._connections

    async def purge(self) -> None:
        """Remove the copies of repositories that no job reads just now: they can be had again."""
        await _in_thread(self._repositories.purge)

    async def _connection(self, source: _RemoteSource) -> NamedConnection | None:
        if self._connections is None:
            self._connections = await _in_thread(Connections.read)
        known = self._connections
        if isinstance(source, GitSource):
            place = Place(source.url)
            await _in_thread(place.check)
            await _in_thread(partial(place.check_below, self._roots))
        if self._roots is not None:
            return await _in_thread(partial(check_rules, source, known))
        if source.connection is None:
            return None
        connection = known.named(source.connection)
        connection.check(source.url)
        return connection


_in_thread = anyio.to_thread.run_sync
