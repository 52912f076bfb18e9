"""Knowledge bases that are to be kept in step with their sources."""

from datetime import datetime
from typing import NamedTuple

from phaseflow.store.jobs import parse_time
from phaseflow.store.transaction import Transaction


class Listing(NamedTuple):
    """The newest job of a knowledge base that listed sources: its number, and when it was made."""

    seq: int
    at: datetime

    @classmethod
    def last(cls, tx: Transaction, kb_key: str) -> "Listing | None":
        """The newest job of a knowledge base that listed sources."""
        row = tx.row(
            "SELECT seq, created_at FROM ingestion_jobs WHERE kb_id = ? AND lists ORDER BY seq DESC LIMIT 1", kb_key
        )
        return None if row is None else cls.made(*row)

    @classmethod
    def made(cls, seq: int | None, at: str | None) -> "Listing | None":
        """From what its row holds; None where there is none."""
        made_at = parse_time(at)
        return None if seq is None or made_at is None else cls(seq, made_at)


class Synced(NamedTuple):
    """One of them. ``last``: its newest job that listed sources; ``is_open``: one is not over.

    ``is_whole``: its newest job is completed, and its index is not being built anew. ``is_indexed``: it has an
    index, and no other is being built.
    """

    key: str
    name: str
    settings: str
    sources: str
    last: Listing | None
    is_open: bool
    is_whole: bool
    is_indexed: bool

    @classmethod
    def all(cls, tx: Transaction) -> "list[Synced]":
        """All whose settings say how."""
        rows = tx.rows(
            "SELECT k.id, k.name, k.settings, k.sources,"
            " l.seq, l.created_at,"
            " EXISTS (SELECT 1 FROM ingestion_jobs AS j WHERE j.kb_id = k.id"
            "  AND (j.completed_at IS NULL OR j.intent IS NOT NULL)),"
            " k.next_model IS NULL AND k.model IS NOT NULL AND EXISTS (SELECT 1 FROM ingestion_phase_status AS p"
            "  WHERE p.job_id = (SELECT id FROM ingestion_jobs AS j WHERE j.kb_id = k.id ORDER BY seq DESC LIMIT 1)"
            "  AND p.phase_name = 'indexing' AND p.status = 'completed'),"
            " k.next_model IS NULL AND k.model IS NOT NULL"
            " FROM knowledge_bases AS k LEFT JOIN ingestion_jobs AS l ON l.seq ="
            "  (SELECT seq FROM ingestion_jobs AS j WHERE j.kb_id = k.id AND j.lists ORDER BY seq DESC LIMIT 1)"
            " WHERE k.name IS NOT NULL AND k.sources IS NOT NULL"
            " AND k.settings ->> '$.sync' IS NOT NULL ORDER BY k.name"
        )
        return [
            cls(key, name, settings, sources, Listing.made(seq, at), bool(is_open), bool(is_whole), bool(is_indexed))
            for key, name, settings, sources, seq, at, is_open, is_whole, is_indexed in rows
        ]
