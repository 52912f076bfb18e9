"""The commands that read. They work beside a process that holds the database."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from phaseflow.cli import options
from phaseflow.cli.exit_codes import Exit, run
from phaseflow.cli.terminal import answer, draw, pour, say
from phaseflow.domain.vocabulary import DocumentStatus

if TYPE_CHECKING:
    from pydantic import BaseModel

    from phaseflow.client import Client
    from phaseflow.flow import Reader


@click.command()
@click.argument("kb", required=False)
@options.common
@options.one_page
def status(kb: str | None, db: Path, as_json: bool, limit: int, cursor: str | None) -> None:
    """The latest job of KB, phase by phase; without KB, all knowledge bases."""
    run(lambda: _all_kbs(db, as_json, limit, cursor) if kb is None else _one_kb(db, as_json, kb))


async def _all_kbs(db: Path, as_json: bool, limit: int, cursor: str | None) -> Exit:
    from phaseflow.cli import tables
    from phaseflow.flow import Reader

    async with Reader(db) as reader:
        page = await reader.kbs(limit=limit, cursor=cursor)
    if as_json:
        return _print(page)
    if page.items:
        draw(tables.kbs(page.items))
    else:
        say("no knowledge bases yet: phaseflow ingest FOLDER --kb NAME makes one")
    return _more(page.next_cursor)


async def _one_kb(db: Path, as_json: bool, kb_id: str) -> Exit:
    from phaseflow.cli.progress_bars import picture
    from phaseflow.flow import Reader

    async with Reader(db) as reader:
        latest, kb = await reader.status(kb_id), await reader.kb(kb_id)
    if as_json:
        return _print(latest)
    draw(picture(latest))
    for each in kb.stale:
        say(f"the index was made with another {each.setting}; in the next run {each.cost}")
    return Exit.COMPLETED


@click.command()
@click.argument("kb")
@options.common
@options.one_page
def jobs(kb: str, db: Path, as_json: bool, limit: int, cursor: str | None) -> None:
    """The jobs of KB, newest first."""
    run(lambda: _jobs(db, as_json, kb, limit, cursor))


async def _jobs(db: Path, as_json: bool, kb_id: str, limit: int, cursor: str | None) -> Exit:
    from phaseflow.cli import tables
    from phaseflow.flow import Reader

    async with Reader(db) as reader:
        page = await reader.jobs(kb_id, limit=limit, cursor=cursor)
    if as_json:
        return _print(page)
    draw(tables.jobs(page.items))
    return _more(page.next_cursor)


@click.command()
@click.argument("kb")
@options.common
@options.one_page
def failures(kb: str, db: Path, as_json: bool, limit: int, cursor: str | None) -> None:
    """The documents of KB that failed, and why."""
    run(lambda: _failures(db, as_json, kb, limit, cursor))


async def _failures(db: Path, as_json: bool, kb_id: str, limit: int, cursor: str | None) -> Exit:
    from phaseflow.cli import messages
    from phaseflow.flow import Reader

    async with Reader(db) as reader:
        page = await reader.failures(kb_id, limit=limit, cursor=cursor)
    if as_json:
        return _print(page)
    for one in page.items:
        say(messages.failure(one))
    if not page.items:
        say("no failures")
    return _more(page.next_cursor)


@click.command()
@click.argument("kb")
@click.option(
    "--filter", "part", metavar="TEXT", default="", help="Only those whose uri contains TEXT, case-insensitive."
)
@click.option("--status", type=click.Choice([str(one) for one in DocumentStatus]), help="Only those with this status.")
@click.option("--source", metavar="NAME", help="Only those of this source.")
@options.server
@options.common
@options.one_page
def documents(
    kb: str,
    part: str,
    status: str | None,
    source: str | None,
    server: str | None,
    token: str | None,
    db: Path,
    as_json: bool,
    limit: int,
    cursor: str | None,
) -> None:
    """The documents of KB, and where each stands."""
    wanted = {"status": status, "source": source}
    run(lambda: _documents(_library(db, server, token), as_json, kb, limit, cursor, part, wanted))


def _library(db: Path, server: str | None, token: str | None) -> "Reader | Client":
    if server:
        client = importlib.import_module("phaseflow.client")
        service: Client = client.Client(server, token=token)
        return service
    from phaseflow.flow import Reader

    return Reader(db)


async def _documents(
    library: "Reader | Client",
    as_json: bool,
    kb_id: str,
    limit: int,
    cursor: str | None,
    part: str,
    wanted: dict[str, str | None],
) -> Exit:
    from phaseflow.cli import tables

    async with library:
        page = await library.documents(kb_id, limit, cursor, part, **wanted)
    if as_json:
        return _print(page)
    if page.items:
        draw(tables.documents(page.items))
    else:
        say("no documents")
    return _more(page.next_cursor)


@click.command()
@click.argument("kb")
@click.argument("uri")
@click.option("--text", is_flag=True, help="Print the text that was extracted from it, on stdout.")
@options.server
@options.common
def document(kb: str, uri: str, text: bool, server: str | None, token: str | None, db: Path, as_json: bool) -> None:
    """One document of KB, by its URI or id: where it stands, its metadata, or its text."""
    run(lambda: _document(_library(db, server, token), as_json, kb, uri, text))


async def _document(library: "Reader | Client", as_json: bool, kb_id: str, uri: str, text: bool) -> Exit:
    from phaseflow.cli import tables

    async with library:
        if text:
            pour(await library.document_text(kb_id, uri))
            return Exit.COMPLETED
        one = await library.document(kb_id, uri)
    if as_json:
        return _print(one)
    draw(tables.document(one))
    return Exit.COMPLETED


@click.command()
@click.argument("kb")
@click.argument("query")
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="Maximum number of passages.")
@options.common
def search(kb: str, query: str, limit: int, db: Path, as_json: bool) -> None:
    """The best passages of KB for QUERY: text, document, position."""
    run(lambda: _search(db, as_json, kb, query, limit))


async def _search(db: Path, as_json: bool, kb_id: str, query: str, limit: int) -> Exit:
    from phaseflow.cli import tables
    from phaseflow.domain.status import SearchResults
    from phaseflow.flow import Reader

    async with Reader(db) as reader:
        found = await reader.search(kb_id, query, limit=limit)
    if as_json:
        return _print(SearchResults.of(found))
    if found.degraded:
        say(found.degraded)
    for line in tables.hits(found):
        say(line)
    if not found:
        say("nothing found")
    return Exit.COMPLETED


def _print(value: "BaseModel") -> Exit:
    answer(value)
    return Exit.COMPLETED


def _more(cursor: str | None) -> Exit:
    if cursor:
        say(f"there is more: --cursor {cursor}")
    return Exit.COMPLETED
