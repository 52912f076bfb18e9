"""What a database file says, read as rows by another program: is it consistent, and what does search see?"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from phaseflow.domain.transitions import JOB_MOVES, PHASE_MOVES, job_status
from phaseflow.domain.vocabulary import PHASES, JobStatus, PhaseStatus
from phaseflow.store.documents import text_hash

Counts = dict[str, tuple[int, ...]]

_LEGAL_PHASE = {(before, after) for before, row in PHASE_MOVES.items() for after in row.values()}
_LEGAL_JOB = {(before, after) for before, row in JOB_MOVES.items() for after in row}
_BEGINNINGS = {"pending", "paused", "not_started"}


class Contradiction(Exception):
    """What must hold does not."""


@dataclass(frozen=True, slots=True)
class Passages:
    """A searchable document: its content hash, and (start, end, text hash, vector) of each passage."""

    content_hash: str
    passages: tuple[tuple[int, int, bytes, bytes], ...]


def connected(database: Path) -> "closing[sqlite3.Connection]":
    """A read-only connection of a program that knows nothing of the engine."""
    return closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, isolation_level=None))


def rows(database: Path) -> dict[str, list[Any]]:
    """All rows of all jobs and knowledge bases at one moment, by table.

    Without the segments of the full-text index, which are merged while no job runs, and what is noted of that; each
    passage that is indexed changes rows of other tables too. ``PRAGMA data_version`` would not do in place of this:
    it also changes when the WAL is cut, after an idle second.
    """
    with connected(database) as connection:
        connection.execute("BEGIN")
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'passages\\_%' ESCAPE '\\'"
            " AND name <> 'index_tables'"
        ).fetchall()
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in names}


def violations(database: Path) -> list[str]:
    """Everything in the file that contradicts something else in it; empty when the file is as it must be."""
    with connected(database) as connection:
        connection.execute("BEGIN")
        return [
            *_log_faults(connection),
            *_progress_faults(connection),
            *_count_faults(connection),
            *_document_faults(connection),
            *_index_faults(connection),
        ]


def searchable(database: Path, kb_id: str = "kb") -> dict[str, Passages]:
    """What search sees of a knowledge base, by uri."""
    with connected(database) as connection:
        found = connection.execute(
            "SELECT d.uri, d.content_hash, d.id FROM documents AS d JOIN knowledge_bases AS k ON k.id = d.kb_id"
            " WHERE k.name = ? AND d.index_version = k.index_version AND d.state = 4",
            (kb_id,),
        ).fetchall()
        return {uri: Passages(content, tuple(_passages(connection, key))) for uri, content, key in found}


_KEPT = (
    "(EXISTS (SELECT 1 FROM chunks AS c JOIN documents AS d ON d.id = c.id >> 20 JOIN knowledge_bases AS k"
    " ON k.id = d.kb_id WHERE c.vector_id = v.id AND k.name IS NOT NULL) OR EXISTS (SELECT 1 FROM unused_vectors AS u"
    " JOIN knowledge_bases AS k ON k.id = u.kb_id WHERE u.vector_id = v.id AND k.name IS NOT NULL))"
)


def embedded(database: Path, fingerprint: str | None = None, *, kept: bool = False) -> set[bytes]:
    """The hashes of all texts that have a vector, of one model (``%`` stands for anything) or of any.

    ``kept``: not of those that go with a knowledge base that was deleted, as soon as the janitor comes to them.
    """
    with connected(database) as connection:
        try:
            rows = connection.execute(
                "SELECT v.text_hash FROM vectors AS v JOIN models AS m ON m.id = v.model_id"
                f" WHERE (?1 IS NULL OR m.fingerprint LIKE ?1) AND (NOT ?2 OR {_KEPT})",
                (fingerprint, kept),
            )
            return {row[0] for row in rows}
        except sqlite3.OperationalError:  # killed before there was a table
            return set()


def waited_for(database: Path, uri: str | None = None) -> set[bytes]:
    """The hashes of the texts that wait for their vectors: of the document ``uri``, or of all that are wanted."""
    with connected(database) as connection:
        rows = connection.execute(
            "SELECT c.text_hash FROM documents AS d JOIN chunks AS c ON c.id >= d.id << 20 AND c.id < (d.id + 1) << 20"
            " WHERE d.state = 2 AND c.vector_id IS NULL AND iif(?1 IS NULL, EXISTS (SELECT 1 FROM catalogue AS k"
            "  WHERE k.kb_id = d.kb_id AND k.uri = d.uri AND k.skipped = 0), d.uri = ?1)",
            (uri,),
        )
        return {row[0] for row in rows}


def bases(database: Path) -> set[str]:
    """The keys of the knowledge bases that were not deleted."""
    with connected(database) as connection:
        try:
            return {row[0] for row in connection.execute("SELECT id FROM knowledge_bases WHERE name IS NOT NULL")}
        except sqlite3.OperationalError:  # killed before there was a table
            return set()


def last_seq(database: Path) -> int:
    """The highest number that the log has ever given, also when a knowledge base was deleted with its part of it."""
    with connected(database) as connection:
        found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'transitions'").fetchone()
        return int(found[0]) if found else 0


def leftovers(database: Path) -> int:
    """Documents that no search sees and no job will touch again, once all jobs are completed."""
    with connected(database) as connection:
        return int(
            connection.execute(
                "SELECT count(*) FROM documents AS d JOIN knowledge_bases AS k ON k.id = d.kb_id"
                " WHERE d.state NOT IN (4, 9) OR d.index_version <> k.index_version OR k.name IS NULL"
            ).fetchone()[0]
        )


def _passages(connection: sqlite3.Connection, document: int) -> list[Any]:
    return connection.execute(
        "SELECT c.start, c.stop, c.text_hash, v.vector FROM chunks AS c JOIN vectors AS v ON v.id = c.vector_id"
        " WHERE c.id >= ?1 << 20 AND c.id < (?1 + 1) << 20 ORDER BY c.id",
        (document,),
    ).fetchall()


def _log_faults(connection: sqlite3.Connection) -> Iterator[str]:
    seqs = [row[0] for row in connection.execute("SELECT seq FROM transitions ORDER BY seq")]
    if seqs != list(range(1, len(seqs) + 1)) and not _has_deleted(connection):
        yield f"the log has gaps: {seqs}"
    for (job,) in connection.execute(
        "SELECT j.id FROM ingestion_jobs AS j JOIN knowledge_bases AS k ON k.id = j.kb_id WHERE k.name IS NOT NULL"
    ).fetchall():
        for name in (*PHASES, None):
            yield from _chain_faults(connection, job, name)


def _has_deleted(connection: sqlite3.Connection) -> bool:
    """Whether a knowledge base was deleted, with its jobs and its part of the log."""
    first, count, last = connection.execute("SELECT min(seq), count(*), max(seq) FROM ingestion_jobs").fetchone()
    given = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'ingestion_jobs'").fetchone()
    return (first, count, last) != (1, last, given[0] if given else last)


def _chain_faults(connection: sqlite3.Connection, job: str, phase: str | None) -> Iterator[str]:
    moves = connection.execute(
        "SELECT from_status, to_status FROM transitions WHERE job_id = ? AND phase IS ? ORDER BY seq", (job, phase)
    ).fetchall()
    legal = _LEGAL_JOB if phase is None else _LEGAL_PHASE
    is_now = _status(connection, job) if phase is None else _phase_status(connection, job, phase)
    where = f"{phase or 'job'} of {job}"
    for before, after in pairwise(moves):
        if before[1] != after[0]:
            yield f"{where}: {before} is followed by {after}"
    yield from (f"{where}: {move} is no legal move" for move in moves if move not in legal)
    if moves and moves[-1][1] != is_now:
        yield f"{where} is {is_now}, but the log ends with {moves[-1]}"
    if (moves[0][0] if moves else is_now) not in _BEGINNINGS:
        yield f"{where} began with {moves[:1]}"
    ends = [after for _, after in moves if after in {"completed", "cancelled"}]
    if len(ends) > 1:
        yield f"{where} ended {len(ends)} times: {ends}"


def _phase_status(connection: sqlite3.Connection, job: str, phase: str) -> str:
    return str(
        connection.execute(
            "SELECT status FROM ingestion_phase_status WHERE job_id = ? AND phase_name = ?", (job, phase)
        ).fetchone()[0]
    )


def _status(connection: sqlite3.Connection, job: str) -> JobStatus:
    held, cancelled = connection.execute(
        "SELECT held, cancelled_at IS NOT NULL FROM ingestion_jobs WHERE id = ?", (job,)
    ).fetchone()
    phases = connection.execute(
        "SELECT status, held FROM ingestion_phase_status WHERE job_id = ? ORDER BY id", (job,)
    ).fetchall()
    waiting = next((bool(each[1]) for each in phases if each[0] == "not_started"), False)
    statuses = [PhaseStatus(each[0]) for each in phases]
    return job_status(statuses, cancelled=bool(cancelled), held=bool(held), next_held=waiting)


def _progress_faults(connection: sqlite3.Connection) -> Iterator[str]:
    for job, phase, status, progress, done, total in connection.execute(
        "SELECT job_id, phase_name, status, progress, items_processed + items_failed, items_total"
        " FROM ingestion_phase_status"
    ):
        if (progress == 100) != (status == "completed") or not 0 <= progress <= 100:
            yield f"{phase} of {job} is {status} at {progress} %"
        if total is not None and done > total:
            yield f"{phase} of {job} has done {done} of {total}"
        if total and progress < min(99, 100 * done // total):
            yield f"{phase} of {job} has done {done} of {total} and stands at {progress} %"


_STATES = (
    "SELECT d.id, CASE WHEN d.state = 9 THEN coalesce(f.phase, '?') ELSE d.state END AS at,"
    " d.carried_from IS NULL AS is_cut FROM documents AS d"
    " LEFT JOIN failures AS f ON f.kb_id = d.kb_id AND f.uri = d.uri AND f.job_seq IN (d.job_seq, 0, -d.job_seq)"
    " WHERE d.job_seq = ?"
)
"""What was carried over from an older index comes to the job cut, from no phase.

0 and negative: somebody has asked for a retry, so the job counts the failure no more; the phase does, till then."""


def _count_faults(connection: sqlite3.Connection) -> Iterator[str]:
    newest = connection.execute(
        "SELECT max(seq) FROM ingestion_jobs AS j JOIN knowledge_bases AS k ON k.id = j.kb_id AND k.name IS NOT NULL"
        " WHERE managed GROUP BY kb_id"
    ).fetchall()
    for (seq,) in newest:
        job = connection.execute("SELECT id FROM ingestion_jobs WHERE seq = ?", (seq,)).fetchone()[0]
        expected = _counted(connection, seq)
        for phase, *stated in connection.execute(
            "SELECT phase_name, items_processed, items_failed, items_available FROM ingestion_phase_status"
            " WHERE job_id = ?",
            (job,),
        ):
            if tuple(stated) != expected[phase]:
                yield f"{phase} of {job} states {stated}, its rows are {expected[phase]} (done, failed, available)"


def _counted(connection: sqlite3.Connection, seq: int) -> Counts:
    """(processed, failed, available) of each phase, counted from the rows that each has written."""
    entries: dict[object, int] = dict(
        connection.execute("SELECT state, count(*) FROM job_entries WHERE job_seq = ? GROUP BY state", (seq,))
    )
    documents: dict[object, int] = {}
    chunks: dict[object, int] = {}
    vectors: dict[object, int] = {}
    for at, count, cut, done in connection.execute(
        "SELECT s.at, count(DISTINCT iif(s.is_cut, s.id, NULL)), count(c.id), count(c.vector_id)"
        f" FROM ({_STATES}) AS s LEFT JOIN chunks AS c ON c.id >= s.id << 20 AND c.id < (s.id + 1) << 20 GROUP BY s.at",
        (seq,),
    ):
        documents[at], chunks[at], vectors[at] = count, cut, done
    was_cut = (2, 3, 4, "embedding", "indexing")
    was_embedded = (3, 4, "indexing")
    loaded = sum(count for at, count in documents.items() if at not in {0, 10})
    return {
        "loading": (
            entries.get(1, 0) + entries.get(2, 0),
            entries.get(3, 0) + entries.get(5, 0),
            _of(entries, (0, 1, 2, 3, 5)),
        ),
        "chunking": (_of(documents, was_cut), documents.get("chunking", 0), loaded),
        "embedding": (
            _of(vectors, was_cut),
            _of(chunks, ("embedding", 3, 4)) - _of(vectors, ("embedding", 3, 4)),
            _of(chunks, was_cut),
        ),
        "indexing": (chunks.get(4, 0), chunks.get("indexing", 0), _of(chunks, was_embedded)),
    }


def _of(counts: dict[object, int], keys: tuple[object, ...]) -> int:
    return sum(counts.get(key, 0) for key in keys)


def _document_faults(connection: sqlite3.Connection) -> Iterator[str]:
    for key, uri, state, chunk_count, characters in connection.execute(
        "SELECT d.id, d.uri, d.state, d.chunk_count, d.characters FROM documents AS d"
        " JOIN knowledge_bases AS k ON k.id = d.kb_id AND k.name IS NOT NULL WHERE d.state NOT IN (0, 10)"
    ).fetchall():
        text = _text(connection, key)
        if text is None or len(text) != characters:
            yield f"{uri} has no text, or half of it"
            continue
        chunks = connection.execute(
            "SELECT c.start, c.stop, c.context, c.text_hash, v.text_hash FROM chunks AS c LEFT JOIN vectors AS v"
            " ON v.id = c.vector_id WHERE c.id >= ?1 << 20 AND c.id < (?1 + 1) << 20",
            (key,),
        ).fetchall()
        if state not in {1, 9} and len(chunks) != chunk_count:
            yield f"{uri} has {len(chunks)} chunks instead of {chunk_count}"
        for start, stop, context, stated, vector_of in chunks:
            if text_hash(f"{context}\n\n{text[start:stop]}" if context else text[start:stop]) != stated:
                yield f"{uri} [{start}:{stop}] is not the text that was hashed"
            if vector_of not in ({stated} if state in {3, 4} else {stated, None}):
                yield f"{uri} [{start}:{stop}] in state {state} has the vector of another text, or none"
    for table in ("chunks", "texts"):
        orphans = connection.execute(
            f"SELECT count(*) FROM {table} AS t WHERE NOT EXISTS (SELECT 1 FROM documents AS d WHERE d.id = t.id >> 20)"
        ).fetchone()[0]
        if orphans:
            yield f"{orphans} {table} belong to no document"


def _text(connection: sqlite3.Connection, document: int) -> str | None:
    rows = connection.execute(
        "SELECT text FROM texts WHERE id >= ?1 << 20 AND id < (?1 + 1) << 20 ORDER BY id", (document,)
    ).fetchall()
    return "".join(row[0] for row in rows) if rows else None


def _index_faults(connection: sqlite3.Connection) -> Iterator[str]:
    tables = connection.execute("SELECT DISTINCT shard FROM index_shards").fetchall()
    indexed = {row[0] for (n,) in tables for row in connection.execute(f"SELECT rowid FROM passages_{n}")}
    wanted = {
        row[0]
        for row in connection.execute(
            "SELECT c.id FROM chunks AS c JOIN documents AS d ON d.id = c.id >> 20 WHERE c.id & 0xFFFFF < d.indexed"
            " AND (d.kb_id, d.index_version) IN (SELECT kb_id, index_version FROM index_shards)"
        )
    }
    half = connection.execute(
        "SELECT count(*) FROM documents AS d JOIN knowledge_bases AS k ON k.id = d.kb_id AND k.name IS NOT NULL"
        " WHERE d.state = 4 AND d.indexed <> d.chunk_count"
    ).fetchone()[0]
    if half:
        yield f"{half} searchable documents are not in the full-text index as a whole"
    if indexed != wanted:
        yield f"the full-text index has {len(indexed - wanted)} passages too many and {len(wanted - indexed)} too few"


def index_is_whole(database: Path) -> bool:
    """SQLite's own look at the file and at the full-text index. Writes, so only where no engine has the file."""
    with closing(sqlite3.connect(database)) as connection:
        for (number,) in connection.execute("SELECT DISTINCT shard FROM index_shards").fetchall():
            connection.execute(f"INSERT INTO passages_{number} (passages_{number}) VALUES ('integrity-check')")
        return bool(connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok")
