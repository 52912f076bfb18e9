"""The documents that a knowledge base knows: a row each, which stays the same from version to version."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from phaseflow.domain.identifiers import document_id
from phaseflow.domain.status import timestamp
from phaseflow.store.knowledge_bases import name_of
from phaseflow.store.states import IS_A_DOCUMENT, IS_SEARCHABLE
from phaseflow.store.transaction import Transaction, json_array

PUSH: Final = "push"
"""The name of the source of what was pushed."""

_HELD: Final = (
    "skipped = 1 OR EXISTS (SELECT 1 FROM failures AS f WHERE f.kb_id = c.kb_id AND f.uri = c.uri)"
    " OR EXISTS (SELECT 1 FROM requests AS r WHERE r.kb_id = c.kb_id AND r.uri = c.uri)"
    " OR EXISTS (SELECT 1 FROM pushed AS p WHERE p.kb_id = c.kb_id AND p.uri = c.uri)"
    " OR EXISTS (SELECT 1 FROM documents AS d JOIN knowledge_bases AS k ON k.id = d.kb_id"
    f"  WHERE d.kb_id = c.kb_id AND d.index_version = k.index_version AND d.uri = c.uri AND d.{IS_SEARCHABLE})"
)
"""What keeps a document known that its source does not have (any more)."""


def note(tx: Transaction, kb_key: str, source: str, uris: Sequence[str], at: datetime) -> None:
    """Know these documents, which ``source`` holds now."""
    if not uris:
        return
    known: dict[str, str] = dict(
        tx.rows(
            "SELECT uri, source FROM catalogue WHERE kb_id = ? AND uri IN (SELECT value FROM json_each(?))",
            kb_key, json_array(uris),
        )
    )  # fmt: skip
    name = name_of(kb_key)
    tx.run(
        "INSERT INTO catalogue (kb_id, uri, document_id, source, created_at)"
        " SELECT ?1, value ->> 0, value ->> 1, ?2, ?3 FROM json_each(?4)",
        kb_key, source, timestamp(at), json_array([[uri, document_id(name, uri)] for uri in uris if uri not in known]),
    )  # fmt: skip
    if moved := [uri for uri, held_by in known.items() if held_by != source]:
        tx.run(
            "UPDATE catalogue SET source = ?2 WHERE kb_id = ?1 AND uri IN (SELECT value FROM json_each(?3))",
            kb_key, source, json_array(moved),
        )  # fmt: skip


def count_attempts(tx: Transaction, kb_key: str, uris: Sequence[str]) -> None:
    """These documents have been loaded, or could not be, once more."""
    if uris:
        tx.run(
            "UPDATE catalogue SET attempts = attempts + 1 WHERE kb_id = ? AND uri IN (SELECT value FROM json_each(?))",
            kb_key, json_array(uris),
        )  # fmt: skip


def forget(tx: Transaction, kb_key: str, uris: Sequence[str]) -> None:
    """Know these documents no more, unless one is searchable, failed, skipped, pushed or asked for."""
    if uris:
        tx.run(
            "DELETE FROM catalogue AS c WHERE kb_id = ? AND uri IN (SELECT value FROM json_each(?))"
            f" AND NOT ({_HELD})",
            kb_key, json_array(uris),
        )  # fmt: skip


def missing(
    tx: Transaction, kb_key: str, job_seq: int, uncertain: Sequence[str], after: str, limit: int
) -> tuple[list[str], str | None]:
    """Of the next ``limit`` documents by uri, those that the completed crawl of a job did not find and nothing else
    keeps; and the uri to go on after, None at the end. Of ``uncertain`` sources, none is missing."""
    rows = tx.rows(
        "SELECT c.uri, c.source, EXISTS"
        f" (SELECT 1 FROM job_entries AS e WHERE e.job_seq = ?2 AND e.uri = c.uri AND e.{IS_A_DOCUMENT})"
        f" OR {_HELD} FROM catalogue AS c WHERE c.kb_id = ?1 AND c.uri > ?3 ORDER BY c.uri LIMIT ?4",
        kb_key, job_seq, after, limit,
    )  # fmt: skip
    return [uri for uri, source, is_held in rows if not is_held and source not in uncertain], rows[-1][
        0
    ] if rows else None
