"""Knowledge bases that are to be kept in step with their sources."""

from dataclasses import dataclass
from datetime import datetime

from phaseflow.store.jobs import parse_time
from phaseflow.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Synced:
    """One of them. ``last_at``: when its newest job that listed sources was made; ``is_open``: one is not over.

    ``is_whole``: its newest job is completed, and its index is not being built anew. ``is_indexed``: it has an
    index, and no other is being built.
    """

    key: str
    name: str
    settings: str
    sources: str
    last_at: datetime | None
    is_open: bool
    is_whole: bool
    is_indexed: bool


def synced(tx: Transaction) -> list[Synced]:
    """All whose settings say how."""
    rows = tx.rows(
        "SELECT k.id, k.name, k.settings, k.sources,"
        " (SELECT created_at FROM ingestion_jobs AS j WHERE j.kb_id = k.id AND j.lists ORDER BY seq DESC LIMIT 1),"
        " EXISTS (SELECT 1 FROM ingestion_jobs AS j WHERE j.kb_id = k.id"
        "  AND (j.completed_at IS NULL OR j.intent IS NOT NULL)),"
        " k.next_model IS NULL AND k.model IS NOT NULL AND EXISTS (SELECT 1 FROM ingestion_phase_status AS p"
        "  WHERE p.job_id = (SELECT id FROM ingestion_jobs AS j WHERE j.kb_id = k.id ORDER BY seq DESC LIMIT 1)"
        "  AND p.phase_name = 'indexing' AND p.status = 'completed'),"
        " k.next_model IS NULL AND k.model IS NOT NULL"
        " FROM knowledge_bases AS k WHERE k.name IS NOT NULL AND k.sources IS NOT NULL"
        " AND k.settings ->> '$.sync' IS NOT NULL ORDER BY k.name"
    )
    return [
        Synced(key, name, settings, sources, parse_time(last), bool(is_open), bool(is_whole), bool(is_indexed))
        for key, name, settings, sources, last, is_open, is_whole, is_indexed in rows
    ]


def last_listing(tx: Transaction, kb_key: str) -> datetime | None:
    """When the newest job of a knowledge base that listed sources was made."""
    return parse_time(
        tx.value("SELECT created_at FROM ingestion_jobs WHERE kb_id = ? AND lists ORDER BY seq DESC LIMIT 1", kb_key)
    )
