"""The commands that read. They work beside a process that holds the database."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from phaseflow.cli import messages, options
from phaseflow.cli.exit_codes import Exit, run
from phaseflow.cli.knowledge_bases import list_kbs
from phaseflow.cli.next_command import next_command
from phaseflow.cli.parameters import KB, NAME, QUERY, Number
from phaseflow.cli.place import Place, anywhere
from phaseflow.cli.plain_text import cell, one_line
from phaseflow.cli.server_options import refuse
from phaseflow.cli.terminal import answer, answer_text, draw, pour, say, say_lines
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.filters import as_filter
from phaseflow.domain.vocabulary import DocumentStatus, JobStatus, SearchMode

if TYPE_CHECKING:
    from pydantic import BaseModel

    from phaseflow.domain.status import SearchHit

_PASSAGE_LINES = 4
_PLACES_NAMED = 5
"""Other places of the same text, at most."""
_PASSAGE_CHARACTERS = 2_000


@click.command("status")
@click.argument("kb", type=KB, required=False)
@anywhere
@options.one_page
def _status_command(kb: str | None, place: Place, as_json: bool, limit: int, cursor: str | None) -> None:
    """The latest job of KB, phase by phase; without KB, all knowledge bases."""
    if kb is not None:
        refuse(("limit", "cursor"), "{} is for the list of all knowledge bases; leave it or KB out")
    run(lambda: list_kbs(place, as_json, limit, cursor) if kb is None else _one_kb(place, as_json, kb))


async def _one_kb(place: Place, as_json: bool, kb_id: str) -> Exit:
    async with place.reading() as reader:
        latest, kb = await reader.status(kb_id), await reader.kb(kb_id)
    if as_json:
        return _print(latest)
    from phaseflow.cli.progress_bars import picture

    draw(picture(latest))
    say_lines(messages.beside(latest))  # a picture has no room for it
    if kb.counts.queued and latest.status in {JobStatus.COMPLETED, JobStatus.CANCELLED}:
        begins = next_command("start", kb_id)
        say(f"{counted(kb.counts.queued, 'document')} {_waits(kb.counts.queued)} for a start: {begins}")
    for each in kb.stale:
        say(f"the index was made with another {each.called}; in the next run {each.cost}")
    return Exit.COMPLETED


def _waits(count: int) -> str:
    return "waits" if count == 1 else "wait"


@click.command("jobs")
@click.argument("kb", type=KB)
@anywhere
@options.one_page
def _jobs_command(kb: str, place: Place, as_json: bool, limit: int, cursor: str | None) -> None:
    """The jobs of KB, newest first."""
    run(lambda: _jobs(place, as_json, kb, limit, cursor))


async def _jobs(place: Place, as_json: bool, kb_id: str, limit: int, cursor: str | None) -> Exit:
    async with place.reading() as reader:
        page = await reader.jobs(kb_id, limit=limit, cursor=cursor)
    if as_json:
        return _print(page)
    from phaseflow.cli import tables

    draw(tables.jobs(page.items))
    return _more(page.next_cursor)


@click.command("failures")
@click.argument("kb", type=KB)
@anywhere
@options.one_page
def _failures_command(kb: str, place: Place, as_json: bool, limit: int, cursor: str | None) -> None:
    """The documents of KB that failed, and why."""
    run(lambda: _failures(place, as_json, kb, limit, cursor))


async def _failures(place: Place, as_json: bool, kb_id: str, limit: int, cursor: str | None) -> Exit:
    async with place.reading() as reader:
        page = await reader.failures(kb_id, limit=limit, cursor=cursor)
    if as_json:
        return _print(page)
    for one in page.items:
        say(messages.failure(one))
    if not page.items:
        say("no failures")
    return _more(page.next_cursor)


@click.command("documents")
@click.argument("kb", type=KB)
@click.option(
    "--filter", "part", metavar="TEXT", default="", help="Only those whose uri contains TEXT, case-insensitive."
)
@click.option("--status", type=click.Choice([str(one) for one in DocumentStatus]), help="Only those with this status.")
@click.option("--source", type=NAME, metavar="NAME", help="Only those of this source.")
@anywhere
@options.one_page
def _documents_command(
    kb: str,
    part: str,
    status: str | None,
    source: str | None,
    place: Place,
    as_json: bool,
    limit: int,
    cursor: str | None,
) -> None:
    """The documents of KB, and where each stands."""
    wanted = {"status": status, "source": source}
    run(lambda: _documents(place, as_json, kb, limit, cursor, part, wanted))


async def _documents(
    place: Place,
    as_json: bool,
    kb_id: str,
    limit: int,
    cursor: str | None,
    part: str,
    wanted: dict[str, str | None],
) -> Exit:
    async with place.reading() as library:
        page = await library.documents(kb_id, limit, cursor, part, **wanted)
    if as_json:
        return _print(page)
    from phaseflow.cli import tables

    if page.items:
        draw(tables.documents(page.items))
    else:
        say("no documents")
    return _more(page.next_cursor)


@click.command("document")
@click.argument("kb", type=KB)
@click.argument("uri", type=NAME)
@click.option("--text", is_flag=True, help="Print the text that was extracted from it, on stdout.")
@anywhere
def _document_command(kb: str, uri: str, text: bool, place: Place, as_json: bool) -> None:
    """One document of KB, by its URI or id: where it stands, its metadata, or its text."""
    run(lambda: _document(place, as_json, kb, uri, text))


async def _document(place: Place, as_json: bool, kb_id: str, uri: str, text: bool) -> Exit:
    async with place.reading() as library:
        if text:
            extracted = await library.document_text(kb_id, uri)
            if as_json:
                answer_text(json.dumps({"text": extracted}))
            else:
                pour(extracted)
            return Exit.COMPLETED
        one = await library.document(kb_id, uri)
    if as_json:
        return _print(one)
    from phaseflow.cli import tables

    draw(tables.document(one))
    return Exit.COMPLETED


def _checked_filter(_: click.Context, __: click.Parameter, wanted: str | None) -> str | None:
    """A filter that cannot be used is a mistake of usage, like any other option."""
    try:
        as_filter(wanted, "filter")
    except InvalidRequest as error:
        raise click.BadParameter(str(error)) from None
    return wanted


@click.command("search")
@click.argument("kb", type=KB)
@click.argument("query", type=QUERY)
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="Maximum number of passages.")
@click.option(
    "--filter", "wanted", metavar="JSON", callback=_checked_filter, help="Only documents that fit this filter."
)
@click.option(
    "--mode",
    type=click.Choice([str(mode) for mode in SearchMode]),
    default=str(SearchMode.HYBRID),
    show_default=True,
    help="Rank by words and vectors, or by one of them.",
)
@click.option("--min-score", type=Number(0, 1), default=0.0, help="Leave out passages with a lower score.")
@anywhere
def _search_command(
    kb: str,
    query: str,
    limit: int,
    wanted: str | None,
    mode: str,
    min_score: float,
    place: Place,
    as_json: bool,
) -> None:
    """The best passages of KB for QUERY: text, document, position."""
    asked = {"limit": limit, "filter": wanted, "mode": mode, "min_score": min_score}
    run(lambda: _search(place, as_json, kb, query, asked))


async def _search(place: Place, as_json: bool, kb_id: str, query: str, asked: dict[str, Any]) -> Exit:
    from phaseflow.domain.status import SearchResults

    async with place.reading() as reader:
        found = await reader.search(kb_id, query, **asked)
    if as_json:
        return _print(SearchResults.of(found))
    if found.degraded:
        say(found.degraded)
    for line in hit_lines(found):
        say(line)
    if not found:
        say("nothing found")
    return Exit.COMPLETED


def hit_lines(items: "Sequence[SearchHit]") -> Iterator[str]:
    """The passages found, best first: where each stands, then its first lines."""
    for number, hit in enumerate(items, start=1):
        title = f"  {cell(hit.title)}" if hit.title else ""
        yield f"{number}. {one_line(hit.uri)} {hit.start}–{hit.end}  score {hit.score:.3f}{title}"
        yield from (f"   {line}" for line in _first_lines(hit.text))
        if hit.also_in:
            named = ", ".join(dict.fromkeys(one_line(place.uri) for place in hit.also_in[:_PLACES_NAMED]))
            left = len(hit.also_in) - _PLACES_NAMED
            yield f"   also in {named}{f' and {left} more' if left > 0 else ''}"


def _first_lines(text: str) -> list[str]:
    """The first lines of a passage; one of a megabyte is not wrapped whole for them."""
    flat = one_line(" ".join(text[:_PASSAGE_CHARACTERS].split()))
    return textwrap.wrap(flat, width=100, max_lines=_PASSAGE_LINES, placeholder=" …")


def _print(value: "BaseModel") -> Exit:
    answer(value)
    return Exit.COMPLETED


def _more(cursor: str | None) -> Exit:
    if cursor:
        say(f"there is more: --cursor {cursor}")
    return Exit.COMPLETED


COMMANDS = [_status_command, _jobs_command, _failures_command, _documents_command, _document_command, _search_command]
