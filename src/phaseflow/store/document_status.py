"""Where each document stands: a view on the catalogue, the inbox, the crawl, the versions and the failures.

Nothing here is stored. A document is, in this order: skipped when the catalogue says so; queued while it is asked for
and the newest job has not taken it, or stands unread in the crawl of that job; processing while that job has a version
of it in hand; failed while a failure of it stands; indexed when a version of it is searchable.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from phaseflow.domain.vocabulary import PHASES, DocumentStatus, JobPhase
from phaseflow.store.pieces import number_of, pieces_of
from phaseflow.store.states import IS_IN_HAND, IS_LISTED, IS_SEARCHABLE, DocumentState
from phaseflow.store.status_candidates import HAS_NONE_QUEUED, Candidates
from phaseflow.store.taken_out import UNWANTED
from phaseflow.store.texts import Texts
from phaseflow.store.transaction import Row, Transaction

if TYPE_CHECKING:
    from phaseflow.domain.documents import DocumentChunk, DocumentInfo

SCAN: Final = 200
"""Documents judged in one statement, …"""
SCANS: Final = 20
"""… and how many of those a page makes: a filter that finds little ends with a short page and a cursor."""
STRIDE: Final = 5000
"""Rows of the catalogue that are compared with what is searchable at once, by a merge of indexes."""
LOOK_S: Final = 0.01
"""CPU seconds for which a page looks for more of the few that it has found, …"""
LOOK_LONGER_S: Final = 0.05
"""… and for the first one, before it ends empty, with a cursor."""


class Wanted(NamedTuple):
    """Which documents: all, or those of a status, of a source, with ``part`` in their uri (case-insensitive)."""

    status: DocumentStatus | None = None
    source: str | None = None
    part: str = ""


# ?1 KB key, ?2 index version, ?3 newest job, ?4 whether that is cancelled. The catalogue's rows are named c.
# A status is worked out when it is asked for. A column would be a second truth, which every write of every phase would
# have to keep. Each join is one look-up in an index.
_BESIDE: Final = (
    " LEFT JOIN requests AS r ON r.kb_id = c.kb_id AND r.uri = c.uri AND (coalesce(r.job_seq, 0) <> ?3 OR ?4)"
    " LEFT JOIN job_entries AS e ON e.job_seq = ?3 AND e.uri = c.uri"
    " LEFT JOIN documents AS o ON o.id = (SELECT max(id) FROM documents AS d"
    f"  WHERE d.kb_id = c.kb_id AND d.uri = c.uri AND d.{IS_IN_HAND} AND d.job_seq = ?3 AND NOT c.skipped)"
    " LEFT JOIN failures AS f ON f.kb_id = c.kb_id AND f.uri = c.uri"
    f" LEFT JOIN documents AS l ON l.kb_id = c.kb_id AND l.index_version = ?2 AND l.uri = c.uri AND l.{IS_SEARCHABLE}"
)
# The first that holds counts, so the order is the rule: what a user has asked for (skip, retry, push) goes before what
# a job has done; what is on its way before how an older version ended; a failure before the version that still answers.
_STATUS: Final = (
    f"CASE WHEN c.skipped THEN 'skipped' WHEN r.id IS NOT NULL OR e.{IS_LISTED} THEN 'queued'"
    " WHEN o.id IS NOT NULL THEN iif(?4, 'queued', 'processing') WHEN f.uri IS NOT NULL THEN 'failed'"
    " WHEN l.id IS NOT NULL THEN 'indexed' WHEN EXISTS (SELECT 1 FROM documents AS d WHERE d.kb_id = c.kb_id"
    f"  AND d.index_version IN %s AND d.uri = c.uri AND d.{IS_SEARCHABLE}) THEN 'processing' ELSE 'queued' END"
)
_COLUMNS: Final = (
    "c.document_id, c.uri, c.source, c.metadata, c.replaces, c.attempts, c.created_at, c.changed_at, r.requested_at,"
    " o.state, o.changed_at, f.phase, f.code, f.error, f.attempts, f.at, l.id, l.indexed_at,"
    " coalesce(o.title, l.title, p.title, c.title), coalesce(o.media_type, l.media_type, c.media_type, p.media_type),"
    " coalesce(o.size, p.size, e.size, l.size, c.size),"
    " coalesce(o.own_metadata, l.own_metadata, c.own_metadata, '{}'),"
    f" iif(o.state > {DocumentState.LOADED} OR l.id IS NULL, o.chunk_count, l.chunk_count)"
)
_PUSHED: Final = " LEFT JOIN pushed AS p ON p.kb_id = c.kb_id AND p.uri = c.uri"


class View(NamedTuple):
    """Whose documents, and by which index version and newest job (0: none) they are judged.

    ``is_cancelled``: what that job has in hand goes nowhere. ``rebuilds``: later index versions that hold documents.
    """

    kb_key: str
    index_version: int
    job_seq: int
    is_cancelled: bool
    rebuilds: tuple[int, ...] = ()

    @classmethod
    def now(cls, tx: Transaction, kb_key: str, index_version: int) -> "View":
        """How the documents of a knowledge base are judged now."""
        row = tx.row(
            "SELECT seq, cancelled_at IS NOT NULL FROM ingestion_jobs WHERE kb_id = ? ORDER BY seq DESC LIMIT 1", kb_key
        )
        seq, is_cancelled = row or (0, False)
        return cls(kb_key, index_version, seq, bool(is_cancelled), tuple(_rebuilds(tx, kb_key, index_version)))

    @property
    def scope(self) -> tuple[str, int, int, bool]:
        """?1 to ?4 of the statements."""
        return self.kb_key, self.index_version, self.job_seq, self.is_cancelled

    def page(
        self, tx: Transaction, wanted: Wanted, limit: int, after: str = ""
    ) -> "tuple[list[DocumentInfo], str | None]":
        """Documents by uri, those behind ``after``, and the uri to go on after (None at the end).

        Looks for a bounded time, so a page may hold fewer than ``limit`` and yet not be the last, and in very large
        knowledge bases even none.
        """
        began = time.thread_time()
        found: list[DocumentInfo] = []
        following: str | None = after
        while following is not None:
            more, following = self._look(tx, wanted, limit - len(found), following)
            found += more
            if len(found) == limit or time.thread_time() >= began + (LOOK_S if found else LOOK_LONGER_S):
                break
        return found, following

    def _look(self, tx: Transaction, wanted: Wanted, limit: int, after: str) -> "tuple[list[DocumentInfo], str | None]":
        """A page of those in the next part of the catalogue."""
        candidates = Candidates(self.rebuilds, self.is_cancelled).of(wanted.status)
        is_filtered = wanted != Wanted()
        end = self._stride(tx, after) if " EXCEPT " in candidates else None
        until = b"" if end is None else end  # to SQLite, a blob comes after every text
        if wanted.status is DocumentStatus.QUEUED and tx.value(HAS_NONE_QUEUED, *self.scope, after, until):
            return [], end
        rows: list[Row] = []
        for _ in range(SCANS):
            room = limit + 1 - len(rows)  # one more says whether this is the last page
            step = SCAN if is_filtered else room
            between = (after, until, step)
            base = f"SELECT uri FROM ({candidates} ORDER BY uri LIMIT ?7)"
            number, last = tx.rows(f"SELECT count(*), max(uri), ?2, ?3, ?4 FROM ({base})", *self.scope, *between)[0][:2]
            rows += tx.rows(
                f"SELECT {self._status()} AS status, {_COLUMNS} FROM ({base}) AS n"
                f" CROSS JOIN catalogue AS c ON c.kb_id = ?1 AND c.uri = n.uri{_BESIDE}{_PUSHED}"
                " WHERE (?8 IS NULL OR status = ?8) AND (?9 IS NULL OR c.source = ?9)"
                " AND (?10 = '' OR holds(c.uri, ?10)) ORDER BY n.uri LIMIT ?11",
                *self.scope, *between, wanted.status, wanted.source, wanted.part, room,
            )  # fmt: skip
            if len(rows) > limit:
                return [_info(row) for row in rows[:limit]], str(rows[limit - 1][2])
            if number < step:
                return [_info(row) for row in rows], end
            after = str(last)
        return [_info(row) for row in rows], after

    def _stride(self, tx: Transaction, after: str) -> str | None:
        """The uri up to which is looked at once; None: to the end."""
        found: str | None = tx.value(
            "SELECT uri FROM catalogue WHERE kb_id = ? AND uri > ? ORDER BY uri LIMIT 1 OFFSET ?",
            self.kb_key, after, STRIDE - 1,
        )  # fmt: skip
        return found

    def find(self, tx: Transaction, name: str) -> "DocumentInfo | None":
        """The document with this id or, where none has it, with this uri; None when there is neither."""
        for column in ("document_id", "uri"):
            row = tx.row(
                f"SELECT {self._status()}, {_COLUMNS} FROM catalogue AS c{_BESIDE}{_PUSHED}"
                f" WHERE c.kb_id = ?1 AND c.{column} = ?5",
                *self.scope, name,
            )  # fmt: skip
            if row is not None:
                return _info(row)
        return None

    def some(self, tx: Transaction, uris: Sequence[str]) -> "dict[str, DocumentInfo]":
        """Those of these documents that are known, by uri."""
        rows = tx.rows(
            f"SELECT {self._status()}, {_COLUMNS} FROM json_each(?5) AS n"
            f" JOIN catalogue AS c ON c.kb_id = ?1 AND c.uri = n.value{_BESIDE}{_PUSHED}",
            *self.scope, json.dumps(list(uris)),
        )  # fmt: skip
        return {str(row[2]): _info(row) for row in rows}

    def version_of(self, tx: Transaction, uri: str) -> tuple[int, str, int] | None:
        """(number, uri, characters) of the version whose text is shown: the searchable one, else the newest in hand."""
        row = tx.row(
            "SELECT id, uri, characters FROM documents WHERE kb_id = ?1 AND index_version = ?2 AND uri = ?3"
            f" AND {IS_SEARCHABLE}",
            self.kb_key, self.index_version, uri,
        ) or tx.row(
            f"SELECT d.id, d.uri, d.characters FROM documents AS d WHERE d.kb_id = ?1 AND d.uri = ?2 AND d.{IS_IN_HAND}"
            f" AND d.state > {DocumentState.STORING} AND NOT {UNWANTED} ORDER BY d.id DESC LIMIT 1",
            self.kb_key, uri,
        )  # fmt: skip
        return None if row is None else (row[0], row[1], row[2])

    def _status(self) -> str:
        return _STATUS % f"({', '.join(map(str, self.rebuilds)) or 'NULL'})"


def chunks(tx: Transaction, document: int, limit: int, after: int) -> "list[DocumentChunk]":
    """The passages of a version, by position, from ``after`` on."""
    spans = tx.rows(
        f"SELECT {number_of('id')}, start, stop FROM chunks WHERE {pieces_of('id', '?1', first='?2')}"
        " ORDER BY id LIMIT ?3",
        document, after, limit,
    )  # fmt: skip
    found = Texts(tx).slices([(document, start, stop) for _, start, stop in spans])
    from phaseflow.domain.documents import DocumentChunk

    return [
        DocumentChunk(position=position, start=start, end=stop, text=text)
        for (position, start, stop), (text, _) in zip(spans, found, strict=True)
    ]


def _rebuilds(tx: Transaction, kb_key: str, index_version: int) -> Iterator[int]:
    """From one to the next: one look-up each, however many documents they hold."""
    version: int | None = index_version
    while version := tx.value(
        f"SELECT min(index_version) FROM documents INDEXED BY documents_live"
        f" WHERE kb_id = ? AND index_version > ? AND {IS_SEARCHABLE}",
        kb_key, version,
    ):  # fmt: skip
        yield version


def _info(row: Row) -> "DocumentInfo":
    from phaseflow.domain.documents import DocumentInfo

    (
        status, document_id, uri, source, given, replaces, attempts, created_at, touched_at, requested_at, in_hand,
        changed_at, phase, code, error, failed_attempts, failed_at, live, indexed_at, title, media_type, size, own,
        count,
    ) = row  # fmt: skip
    has_failed = status == DocumentStatus.FAILED
    moments = [at for at in (created_at, touched_at, requested_at, changed_at, failed_at, indexed_at) if at is not None]
    return DocumentInfo(
        id=document_id,
        uri=uri,
        source=source,
        title=title or uri.rstrip("/").rpartition("/")[2] or uri,
        media_type=media_type,
        size=size,
        status=status,
        phase=_phase(status, in_hand, phase),
        searchable=live is not None,
        chunks=count or 0,
        attempts=max(attempts, (failed_attempts or 0) if has_failed else 0),
        code=code if has_failed else None,
        error=error if has_failed else None,
        metadata=_effective_metadata(_object(own), None if given is None else _object(given), replaces=bool(replaces)),
        created_at=datetime.fromisoformat(created_at),
        updated_at=datetime.fromisoformat(max(moments)),
        indexed_at=None if indexed_at is None else datetime.fromisoformat(indexed_at),
    )


def _effective_metadata(own: Mapping[str, Any], given: Mapping[str, Any] | None, *, replaces: bool) -> dict[str, Any]:
    """What holds: metadata given from outside over that found in the document, or in its place."""
    if given is None:
        return dict(own)
    return dict(given) if replaces else {**own, **given}


def _phase(status: str, in_hand: int | None, failed_in: str | None) -> JobPhase | None:
    if status == DocumentStatus.FAILED:
        return None if failed_in is None else JobPhase(failed_in)
    if status == DocumentStatus.PROCESSING:
        return PHASES[-1] if in_hand is None else PHASES[in_hand]
    return None


def _object(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found
