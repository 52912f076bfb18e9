"""Knowledge bases: their source, their settings, and which vectors search uses."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from phaseflow.domain.errors import KnowledgeBaseNotFound
from phaseflow.domain.status import timestamp
from phaseflow.store.transaction import Row, Transaction


class KnowledgeBaseRecord(NamedTuple):
    """A knowledge base as the database holds it. ``sources`` and the settings are JSON.

    ``id`` is its name. ``key`` is what rows refer to it by; one that is made anew under the same name has another.
    """

    key: str
    id: str
    sources: str | None
    settings: str
    index_version: int
    model: str | None
    live_settings: str | None
    next_model: str | None
    search_revision: int
    created_at: datetime
    updated_at: datetime

    def holders(self) -> set[str]:
        """The names of its sources that hold documents: what was uploaded is held by no source."""
        sources = json.loads(self.sources or "{}")
        return {name for name, source in sources.items() if source.get("type") != "upload"}


_COLUMNS = (
    "id, name, sources, settings, index_version, model, live_settings, next_model, search_revision, created_at,"
    " updated_at"
)


KEY_OF = "(SELECT id FROM knowledge_bases WHERE name = ?)"
"""SQL for the key of a knowledge base that is known by its name."""
VERSIONS_IN_USE = (
    "(SELECT index_version FROM knowledge_bases WHERE id = ?1 UNION SELECT index_version FROM"
    " (SELECT index_version FROM ingestion_jobs WHERE kb_id = ?1 ORDER BY seq DESC LIMIT 1))"
)
"""SQL for the index version that search sees, and the one that the newest job builds; ``?1`` is the key."""
IS_LIVE = "kb_id IN (SELECT id FROM knowledge_bases WHERE name IS NOT NULL)"
"""SQL for rows of a knowledge base that was not deleted."""


def name_of(key: str) -> str:
    """The name of the knowledge base that a key was made for."""
    return key.partition("~")[0]


@dataclass(frozen=True, slots=True)
class KnowledgeBases:
    """All knowledge bases, and what search sees of each."""

    tx: Transaction

    def live(self) -> dict[str, str]:
        """The names of all knowledge bases, by their keys."""
        return dict(self.tx.rows("SELECT id, name FROM knowledge_bases WHERE name IS NOT NULL"))

    def put(self, kb_id: str, sources: str | None, settings: str, at: datetime) -> bool:
        """Create or change a knowledge base; True when it was created. Sources of None leave those that it has."""
        known = self.find(kb_id)
        self.tx.run(
            "INSERT INTO knowledge_bases (id, name, sources, settings, created_at, updated_at)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?5)"
            " ON CONFLICT (id) DO UPDATE SET sources = coalesce(?3, sources), settings = ?4, updated_at = ?5",
            _new_key(self.tx, kb_id) if known is None else known.key, kb_id, sources, settings, timestamp(at),
        )  # fmt: skip
        return known is None

    def find(self, kb_id: str) -> KnowledgeBaseRecord | None:
        """One knowledge base, or None."""
        row = self.tx.row(f"SELECT {_COLUMNS} FROM knowledge_bases WHERE name = ?", kb_id)
        return None if row is None else _record(row)

    def get(self, kb_id: str) -> KnowledgeBaseRecord:
        """One knowledge base. Raises KnowledgeBaseNotFound."""
        record = self.find(kb_id)
        if record is None:
            raise KnowledgeBaseNotFound(kb_id)
        return record

    def page(self, limit: int, after: str) -> list[KnowledgeBaseRecord]:
        """Knowledge bases by name, those behind ``after``."""
        rows = self.tx.rows(
            f"SELECT {_COLUMNS} FROM knowledge_bases WHERE name > ? ORDER BY name LIMIT ?", after, limit
        )
        return [_record(row) for row in rows]

    def by_age(self, beyond: str | None, limit: int, *, newest_first: bool) -> list[str]:
        """The names of knowledge bases by their creation, those behind the one named."""
        sign, order = ("<", "DESC") if newest_first else (">", "ASC")
        rows = self.tx.rows(
            "SELECT name FROM knowledge_bases WHERE name IS NOT NULL AND (?1 IS NULL OR (created_at, name)"
            f" {sign} (SELECT created_at, name FROM knowledge_bases WHERE name = ?1))"
            f" ORDER BY created_at {order}, name {order} LIMIT ?2",
            beyond, limit,
        )  # fmt: skip
        return [row[0] for row in rows]

    def holders(self, uri: str) -> list[str]:
        """The knowledge bases that know a document of this uri."""
        rows = self.tx.rows(
            "SELECT k.name FROM knowledge_bases AS k WHERE k.name IS NOT NULL"
            " AND EXISTS (SELECT 1 FROM catalogue AS c WHERE c.kb_id = k.id AND c.uri = ?)",
            uri,
        )  # fmt: skip
        return [row[0] for row in rows]

    def count(self) -> int:
        """How many there are."""
        return int(self.tx.value("SELECT count(*) FROM knowledge_bases WHERE name IS NOT NULL"))

    def remove(self, kb_id: str) -> None:
        """Delete it: one row, however large it is. Nobody finds it any more; the janitor removes what hangs on it."""
        self.tx.run("UPDATE knowledge_bases SET name = NULL, sources = NULL WHERE name = ?", kb_id)

    def target(self, record: KnowledgeBaseRecord, model: str, settings: str, server: str | None = None) -> int:
        """The index version that a job with these vectors writes to, in an index outside the database where ``server``
        names one, noting what is being built.

        Today's when it has the same vectors, wherever they are searched, or has none yet; else a later one, which
        search does not see until ``switch``. An unfinished rebuild of the same kind is continued; another one keeps its
        version to itself.
        """
        if record.model is None or record.model == model:
            self.tx.run(
                "UPDATE knowledge_bases SET model = ?2, live_settings = ?3, next_model = NULL WHERE id = ?1",
                record.key, model, settings,
            )  # fmt: skip
            return record.index_version
        self.tx.run("UPDATE knowledge_bases SET next_model = ?2 WHERE id = ?1", record.key, model)
        same, highest = (
            self.tx.rows(
                "SELECT max(j.index_version) FILTER (WHERE j.model = ?2 AND s.server IS ?4), max(j.index_version)"
                " FROM ingestion_jobs AS j LEFT JOIN index_spaces AS s ON s.kb_id = j.kb_id"
                "  AND s.index_version = j.index_version WHERE j.kb_id = ?1 AND j.index_version > ?3",
                record.key, model, record.index_version, server,
            )
        )[0]  # fmt: skip
        return int(same or (highest or record.index_version) + 1)

    def switch(self, key: str, index_version: int, model: str) -> None:
        """Let search see ``index_version`` from now on. One row, however large the knowledge base."""
        self.tx.run(
            "UPDATE knowledge_bases SET index_version = ?2, model = ?3, next_model = NULL,"
            " search_revision = search_revision + 1 WHERE id = ?1 AND index_version < ?2",
            key, index_version, model,
        )  # fmt: skip

    def set_live_settings(self, key: str, index_version: int, settings: str) -> None:
        """Note what made all that search sees, once a job has made all of it."""
        self.tx.run(
            "UPDATE knowledge_bases SET live_settings = ? WHERE id = ? AND index_version = ?",
            settings,
            key,
            index_version,
        )

    def next_search_revision(self, key: str) -> int:
        """Note that what search sees is about to change; the new search revision."""
        return int(
            self.tx.value(
                "UPDATE knowledge_bases SET search_revision = search_revision + 1 WHERE id = ? RETURNING"
                " search_revision",
                key,
            )
        )


def _new_key(tx: Transaction, name: str) -> str:
    number = tx.value(
        "INSERT INTO sequences (name, last) VALUES ('knowledge_bases', 1)"
        " ON CONFLICT (name) DO UPDATE SET last = last + 1 RETURNING last"
    )
    return f"{name}~{number}"


def _record(row: Row) -> KnowledgeBaseRecord:
    key, name, sources, settings, index_version, model, live, following, search_revision, created_at, updated_at = row
    created, updated = datetime.fromisoformat(created_at), datetime.fromisoformat(updated_at)
    return KnowledgeBaseRecord(
        key, name, sources, settings, index_version, model, live, following, search_revision, created, updated
    )
