"""What the reading commands show to a person, on stderr."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from phaseflow.cli.plain_text import cell, one_line
from phaseflow.domain.documents import DocumentInfo
from phaseflow.domain.status import JobStatusResponse, KnowledgeBase, SearchHit

_PASSAGE_LINES = 4
_PLACES_NAMED = 5
"""Other places of the same text, at most."""
_PASSAGE_CHARACTERS = 2_000


def kbs(items: Sequence[KnowledgeBase]) -> Table:
    """One row for each knowledge base with its latest job."""
    table = _table("KB", "documents", "chunks", "status", "progress", "failed", "")
    for kb in items:
        job = kb.job
        state, progress, message = ("never ran", "", "") if job is None else (job.status, _percent(job), job.message)
        told = (state, progress, _number(kb.counts.failed), message)
        table.add_row(_text(kb.kb_id), f"{kb.documents:,}", f"{kb.chunks:,}", *map(_text, told))
    return table


def jobs(items: Sequence[JobStatusResponse]) -> Table:
    """One row for each job, newest first."""
    table = _table("job", "status", "progress", "started", "ended", "failed", "")
    for job in items:
        table.add_row(
            _text(job.job_id),
            job.status,
            _percent(job),
            _at(job.started_at),
            _at(job.completed_at),
            _number(job.metrics.documents_failed),
            _text(job.message),
        )
    return table


def documents(items: Sequence[DocumentInfo]) -> Table:
    """One row for each document, by uri."""
    table = _table("uri", "status", "title", "type", "chunks", "")
    for one in items:
        told = (one.uri, _stands(one), one.title, one.media_type or "")
        table.add_row(*map(_text, told), f"{one.chunks:,}", _text(one.error or ""))
    return table


def document(one: DocumentInfo) -> Table:
    """One document, a row for each thing there is to say."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    told: dict[str, str | None] = {
        "uri": one.uri, "id": one.id, "status": _stands(one), "searchable": "yes" if one.searchable else "no",
        "title": one.title, "type": one.media_type, "size": None if one.size is None else f"{one.size:,} bytes",
        "source": one.source, "chunks": f"{one.chunks:,}", "attempts": f"{one.attempts:,}", "error": one.error,
        "code": one.code, "created": _at(one.created_at), "changed": _at(one.updated_at),
        "indexed": _at(one.indexed_at), **{f"metadata.{key}": str(value) for key, value in one.metadata.items()},
    }  # fmt: skip
    for name, text in told.items():
        if text:
            table.add_row(_text(name), _text(text))
    return table


def _stands(one: DocumentInfo) -> str:
    return f"{one.status} ({one.phase})" if one.phase else str(one.status)


def hits(items: Sequence[SearchHit]) -> Iterator[str]:
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


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in table.columns:
        column.overflow = "fold"
    return table


def _text(value: str) -> Text:
    return Text(cell(value))


def _percent(job: JobStatusResponse) -> str:
    return f"{job.progress:.0f} %"


def _number(failed: int) -> str:
    """Documents that failed; empty when none has, so that those are seen that have."""
    return f"{failed:,}" if failed else ""


def _at(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
