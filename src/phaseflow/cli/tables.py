"""What the reading commands show to a person, on stderr."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from phaseflow.cli.document_metadata import shown_value
from phaseflow.cli.next_command import completed
from phaseflow.cli.plain_text import cell

if TYPE_CHECKING:
    from phaseflow.domain.documents import DocumentInfo
    from phaseflow.domain.status import JobStatusResponse, KnowledgeBase


def kbs(items: "Sequence[KnowledgeBase]") -> Table:
    """One row for each knowledge base with its latest job."""
    table = _table("KB", "documents", "chunks", "status", "progress", "failed", "")
    for kb in items:
        job = kb.job
        state, progress, message = ("never ran", "", "") if job is None else (job.status, _percent(job), _message(job))
        told = (state, progress, _number(kb.counts.failed), message)
        table.add_row(_text(kb.kb_id), f"{kb.documents:,}", f"{kb.chunks:,}", *map(_text, told))
    return table


def jobs(items: "Sequence[JobStatusResponse]") -> Table:
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
            _text(_message(job)),
        )
    return table


def _message(job: "JobStatusResponse") -> str:
    return completed(job.message, job.kb_id)


def documents(items: "Sequence[DocumentInfo]") -> Table:
    """One row for each document, by uri."""
    table = _table("uri", "status", "title", "type", "chunks", "")
    for one in items:
        told = (one.uri, _stands(one), one.title, one.media_type or "")
        table.add_row(*map(_text, told), f"{one.chunks:,}", _text(one.error or ""))
    return table


def document(one: "DocumentInfo") -> Table:
    """One document, a row for each thing there is to say."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    told: dict[str, str | None] = {
        "uri": one.uri, "id": one.id, "status": _stands(one), "searchable": "yes" if one.searchable else "no",
        "title": one.title, "type": one.media_type, "size": None if one.size is None else f"{one.size:,} bytes",
        "source": one.source, "chunks": f"{one.chunks:,}", "attempts": f"{one.attempts:,}", "error": one.error,
        "code": one.code, "created": _at(one.created_at), "changed": _at(one.updated_at),
        "indexed": _at(one.indexed_at),
    }  # fmt: skip
    told |= {f"metadata.{key}": shown_value(value) for key, value in one.metadata.items()}
    for name, text in told.items():
        if text:
            table.add_row(_text(name), _text(text))
    return table


def _stands(one: "DocumentInfo") -> str:
    return f"{one.status} ({one.phase})" if one.phase else str(one.status)


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in table.columns:
        column.overflow = "fold"
    return table


def _text(value: str) -> Text:
    return Text(cell(value))


def _percent(job: "JobStatusResponse") -> str:
    return f"{job.progress:.0f} %"


def _number(failed: int) -> str:
    """Documents that failed; empty when none has, so that those are seen that have."""
    return f"{failed:,}" if failed else ""


def _at(moment: datetime | None) -> str:
    """By the clock of whoever reads; JSON has UTC."""
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
