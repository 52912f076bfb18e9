"""What the reading commands show to a person, on stderr."""

import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from phaseflow.cli import words
from phaseflow.domain.status import IndexedDocument, JobStatusResponse, KnowledgeBase, SearchHit

_WIDE = 160
"""Columns where no terminal says how wide it is: enough for a line to stay one line."""
_PASSAGE_LINES = 4


def show(picture: RenderableType) -> None:
    """Draw on stderr, in colour where that is a terminal."""
    width = None if sys.stderr.isatty() else _WIDE
    Console(file=sys.stderr, stderr=True, width=width, highlight=False).print(picture)


def kbs(items: Sequence[KnowledgeBase]) -> Table:
    """One row for each knowledge base with its latest job."""
    table = _table("KB", "documents", "chunks", "status", "progress", "")
    for kb in items:
        job = kb.job
        state = ("never ran", "", "") if job is None else (job.status, _percent(job), words.printable(job.message))
        table.add_row(kb.kb_id, f"{kb.documents:,}", f"{kb.chunks:,}", *map(_text, state))
    return table


def jobs(items: Sequence[JobStatusResponse]) -> Table:
    """One row for each job, newest first."""
    table = _table("job", "status", "progress", "started", "ended", "failed", "")
    for job in items:
        table.add_row(
            job.job_id,
            job.status,
            _percent(job),
            _at(job.started_at),
            _at(job.completed_at),
            f"{job.metrics.documents_failed:,}",
            _text(words.printable(job.message)),
        )
    return table


def documents(items: Sequence[IndexedDocument]) -> Table:
    """One row for each document, by uri."""
    table = _table("uri", "title", "type", "chunks")
    for one in items:
        table.add_row(
            *(_text(words.printable(text)) for text in (one.uri, one.title, one.media_type)), f"{one.chunks:,}"
        )
    return table


def hits(items: Sequence[SearchHit]) -> Iterator[str]:
    """The passages found, best first: where each stands, then its first lines."""
    for number, hit in enumerate(items, start=1):
        title = f"  {words.printable(hit.title)}" if hit.title else ""
        yield f"{number}. {words.printable(hit.uri)} {hit.start}–{hit.end}  score {hit.score:.3f}{title}"
        yield textwrap.indent(_first_lines(hit.text), "   ")


def _first_lines(text: str) -> str:
    flat = " ".join(words.printable(text).split())
    return "\n".join(textwrap.wrap(flat, width=100, max_lines=_PASSAGE_LINES, placeholder=" …"))


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in table.columns:
        column.overflow = "fold"
    return table


def _text(value: str) -> Text:
    return Text(value)


def _percent(job: JobStatusResponse) -> str:
    return f"{job.progress:.0f} %"


def _at(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
