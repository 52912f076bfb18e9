"""``phaseflow mcp``: the tools for agents on stdin and stdout, over a database of this machine or a running service."""

import io
import os
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from phaseflow.cli import logs, options, server_options
from phaseflow.cli.exit_codes import Exit, run
from phaseflow.cli.parameters import FOLDER
from phaseflow.cli.place import Place

if TYPE_CHECKING:
    from phaseflow.client import Client
    from phaseflow.domain.documents import DocumentInfo
    from phaseflow.domain.new_document import NewDocument
    from phaseflow.domain.status import JobStatusResponse, KnowledgeBase, Page, SearchResults
    from phaseflow.domain.vocabulary import Action, JobPhase
    from phaseflow.mcp.backend import Question


@click.command("mcp")
@click.option(
    "--allow-root",
    type=FOLDER,
    multiple=True,
    help="Sources must be inside this folder. Repeatable; default the current directory.",
)
@options.allow_private
@server_options.server
@options.common
@options.verbose
def _mcp_command(
    allow_root: tuple[Path, ...],
    allow_private: tuple[str, ...],
    server: str | None,
    token: str | None,
    db: Path,
    as_json: bool,
    verbosity: int,
) -> None:
    """Serve agents on stdin and stdout, by the Model Context Protocol."""
    logs.set_up(verbosity)

    async def serve() -> Exit:
        from phaseflow.mcp.backend import FlowBackend
        from phaseflow.mcp.server import make_server

        if server:
            async with Place(db, server, token).client() as service:
                await _talk(make_server(_ServiceBackend(service)))
            return Exit.COMPLETED
        from phaseflow.flow import PhaseFlow
        from phaseflow.http import AllowedRoots

        roots = AllowedRoots(allow_root or [Path.cwd()])
        flow = PhaseFlow(db, check_source=roots, allow_private=allow_private, index_servers=options.index_servers())
        talker = make_server(FlowBackend(flow))  # first: an extra that is missing is no reason to open the database
        async with flow:
            await _talk(talker)
        return Exit.COMPLETED

    run(serve)


async def _talk(server: Any) -> None:
    """Until stdin ends."""
    with _plain_streams():
        await server.run_stdio_async()


@contextmanager
def _plain_streams() -> Iterator[None]:
    """The descriptors themselves: what the command says to people is escaped for terminals, which JSON is not to be."""
    ours = sys.stdin, sys.stdout
    with (
        io.TextIOWrapper(os.fdopen(os.dup(0), "rb"), encoding="utf-8") as stdin,
        io.TextIOWrapper(os.fdopen(os.dup(1), "wb"), encoding="utf-8") as stdout,
    ):
        sys.stdin, sys.stdout = stdin, stdout
        try:
            yield
        finally:
            sys.stdin, sys.stdout = ours


class _ServiceBackend:
    """The tools through a running service."""

    def __init__(self, service: "Client") -> None:
        self._service = service

    async def search(self, kb_id: str, asked: "Question") -> "SearchResults":
        """The passages that answer best."""
        from phaseflow.domain.status import SearchResults
        from phaseflow.mcp.backend import options_of

        return SearchResults.of(await self._service.search(kb_id, **options_of(asked)))

    async def kbs(self, limit: int, cursor: str | None) -> "Page[KnowledgeBase]":
        """A page of the knowledge bases."""
        return await self._service.kbs(limit, cursor)

    async def documents(self, kb_id: str, limit: int, cursor: str | None) -> "Page[DocumentInfo]":
        """A page of the documents."""
        return await self._service.documents(kb_id, limit, cursor)

    async def document(self, kb_id: str, name: str) -> "DocumentInfo":
        """One document."""
        return await self._service.document(kb_id, name)

    async def document_text(self, kb_id: str, name: str) -> str:
        """Its text."""
        return await self._service.document_text(kb_id, name)

    async def add(self, kb_id: str, documents: "Sequence[NewDocument]") -> "JobStatusResponse":
        """Push texts: the newest job."""
        return (await self._service.add(kb_id, documents)).job or await self._service.status(kb_id)

    async def status(self, kb_id: str) -> "JobStatusResponse":
        """The status of the newest job."""
        return await self._service.status(kb_id)

    async def watch(self, kb_id: str) -> "AsyncGenerator[JobStatusResponse, None]":
        """From the feed of the service."""
        async for status in self._service.watch(kb_id):
            yield status

    async def start(
        self, kb_id: str, source: dict[str, Any] | None, full: bool, hold: "Sequence[JobPhase]"
    ) -> "JobStatusResponse":
        """Start a job."""
        from phaseflow.domain.settings import SOURCE

        given = None if source is None else SOURCE.validate_python(source)
        return await self._service.start(kb_id, given, full=full, hold=hold)

    async def act(self, action: "Action", kb_id: str, phase: "JobPhase | None") -> "JobStatusResponse":
        """Carry out a verb."""
        verb = getattr(self._service, action)
        status: JobStatusResponse = await (verb(kb_id) if phase is None else verb(kb_id, phase))
        return status


COMMANDS = [_mcp_command]
