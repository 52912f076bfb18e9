"""Knowledge bases: their source, their settings, and which vectors search uses."""

from dataclasses import dataclass
from datetime import datetime

from phaseflow.domain.errors import KnowledgeBaseNotFound
from phaseflow.domain.status import timestamp
from phaseflow.store.transaction import Row, Transaction


@dataclass(frozen=True, slots=True)
class KnowledgeBaseRecord:
    """A knowledge base as the database holds it. ``source`` and the settings are JSON."""

    id: str
    source: str | None
    settings: str
    epoch: int
    model: str | None
    live_settings: str | None
    next_model: str | None
    generation: int
    created_at: datetime
    updated_at: datetime


_COLUMNS = "id, source, settings, epoch, model, live_settings, next_model, generation, created_at, updated_at"


def put(tx: Transaction, kb_id: str, source: str | None, settings: str, at: datetime) -> bool:
    """Create or change a knowledge base; True when it was created. A source of None leaves the source as it is."""
    created = find(tx, kb_id) is None
    tx.run(
        "INSERT INTO knowledge_bases (id, source, settings, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)"
        " ON CONFLICT (id) DO UPDATE SET source = coalesce(?2, source), settings = ?3, updated_at = ?4",
        kb_id, source, settings, timestamp(at),
    )  # fmt: skip
    return created


def find(tx: Transaction, kb_id: str) -> KnowledgeBaseRecord | None:
    """One knowledge base, or None."""
    row = tx.row(f"SELECT {_COLUMNS} FROM knowledge_bases WHERE id = ?", kb_id)
    return None if row is None else _record(row)


def get(tx: Transaction, kb_id: str) -> KnowledgeBaseRecord:
    """One knowledge base. Raises KnowledgeBaseNotFound."""
    record = find(tx, kb_id)
    if record is None:
        raise KnowledgeBaseNotFound(kb_id)
    return record


def page(tx: Transaction, limit: int, after: str | None) -> list[KnowledgeBaseRecord]:
    """Knowledge bases by name, those behind ``after``."""
    rows = tx.rows(
        f"SELECT {_COLUMNS} FROM knowledge_bases WHERE ?1 IS NULL OR id > ?1 ORDER BY id LIMIT ?2", after, limit
    )
    return [_record(row) for row in rows]


def count(tx: Transaction) -> int:
    """How many there are."""
    return int(tx.value("SELECT count(*) FROM knowledge_bases"))


def remove(tx: Transaction, kb_id: str) -> None:
    """Delete it with its jobs, log and failures. Its documents are to be withdrawn first."""
    tx.run("DELETE FROM knowledge_bases WHERE id = ?", kb_id)


def target(tx: Transaction, record: KnowledgeBaseRecord, model: str, settings: str) -> int:
    """The epoch that a job with these vectors writes to, noting what is being built.

    The epoch of today when it has the same vectors, or has none yet; else a later one, which search does not see until
    ``switch``. An unfinished rebuild with the same vectors is continued; one with others keeps its epoch to itself.
    """
    if record.model is None or record.model == model:
        tx.run(
            "UPDATE knowledge_bases SET model = ?2, live_settings = ?3, next_model = NULL WHERE id = ?1",
            record.id, model, settings,
        )  # fmt: skip
        return record.epoch
    tx.run("UPDATE knowledge_bases SET next_model = ?2 WHERE id = ?1", record.id, model)
    same, highest = (
        tx.rows(
            "SELECT max(epoch) FILTER (WHERE model = ?2), max(epoch) FROM ingestion_jobs"
            " WHERE kb_id = ?1 AND epoch > ?3",
            record.id, model, record.epoch,
        )
    )[0]  # fmt: skip
    return int(same or (highest or record.epoch) + 1)


def switch(tx: Transaction, kb_id: str, epoch: int, model: str, settings: str) -> None:
    """Let search see ``epoch`` from now on. One row: however large the knowledge base, it changes in one step."""
    tx.run(
        "UPDATE knowledge_bases SET epoch = ?2, model = ?3, live_settings = ?4, next_model = NULL,"
        " generation = generation + 1 WHERE id = ?1 AND epoch < ?2",
        kb_id, epoch, model, settings,
    )  # fmt: skip


def next_generation(tx: Transaction, kb_id: str) -> int:
    """Note that what search sees is about to change; the new generation."""
    return int(
        tx.value("UPDATE knowledge_bases SET generation = generation + 1 WHERE id = ? RETURNING generation", kb_id)
    )


def _record(row: Row) -> KnowledgeBaseRecord:
    kb_id, source, settings, epoch, model, live, following, generation, created_at, updated_at = row
    created, updated = datetime.fromisoformat(created_at), datetime.fromisoformat(updated_at)
    return KnowledgeBaseRecord(kb_id, source, settings, epoch, model, live, following, generation, created, updated)
