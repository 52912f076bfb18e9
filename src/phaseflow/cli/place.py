"""Where a command works: on a database of this machine, or through a running service."""

import functools
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from phaseflow.cli import options, server_options
from phaseflow.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from phaseflow.client import Client
    from phaseflow.flow import PhaseFlow, Reader


class Place(NamedTuple):
    """A database, or the service at ``server`` where that is given."""

    db: Path
    server: str | None = None
    token: str | None = None

    def reading(self) -> "Reader | Client":
        """Who answers questions, as an asynchronous context manager."""
        if self.server:
            return self.client()
        from phaseflow.flow import Reader

        return Reader(self.db, index_servers=options.index_servers())

    def client(self) -> "Client":
        """A client of the service. Only with ``server``."""
        assert self.server is not None
        module = importlib.import_module("phaseflow.client")
        service: Client = module.Client(self.server, token=self.token)
        return service

    @asynccontextmanager
    async def changing(self) -> "AsyncIterator[PhaseFlow | Client]":
        """Who makes changes: the service, or an engine in this process that runs no job."""
        if self.server:
            async with self.client() as client:
                yield client
            return
        from phaseflow.flow import PhaseFlow

        async with PhaseFlow(self.db, slots=0, index_servers=options.index_servers()) as flow:
            yield flow


def existing(db: Path) -> Path:
    """The database that a command works on and is not to make. Raises StoreUnavailable when there is none."""
    if not db.exists():
        raise StoreUnavailable(f"there is no database {db}; name it with --db, or ingest something first")
    return db.absolute()


def anywhere(command: Callable[..., Any]) -> Callable[..., Any]:
    """--db, --json, --server and --token; the command gets ``place`` and ``as_json``."""

    @functools.wraps(command)
    def placed(*, db: Path, server: str | None, token: str | None, **given: Any) -> Any:
        return command(place=Place(db, server, token), **given)

    return server_options.server(options.common(placed))
