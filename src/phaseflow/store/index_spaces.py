"""Index versions whose vectors stand in an index outside the database.

The rows here decide: what is searchable is what ``documents`` says, and what is gone leaves a row in ``index_outbox``
by a trigger, in the same transaction. So a crash at any point leaves at most something in the index that nobody sees,
and that is still known.
"""

import secrets
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from phaseflow.store.connection import other_tables
from phaseflow.store.pieces import document_of, pieces_of
from phaseflow.store.states import IS_GONE, IS_ON_ITS_WAY, IS_SEARCHABLE, DocumentState
from phaseflow.store.transaction import Transaction, json_array

OWN: Final = "*"
"""In place of the name of a server: the index that the program has given."""
_SHORTEST_GAP: Final = 1 << 20
"""Numbers: more than the documents that one run of an engine adds, …"""
_LONGEST_GAP: Final = 1 << 23
"""… and of so many lengths that those which two copies add thousands under hardly ever meet."""
_LAST_GAP: Final = 1 << 42
"""Half of the numbers that passages leave room for (``store/pieces``): 900,000 starts. From there on they follow on."""
IS_FREE: Final = (
    "NOT EXISTS (SELECT 1 FROM ingestion_jobs AS j"
    " WHERE j.kb_id = {0}.kb_id AND j.managed = 1 AND j.completed_at IS NULL)"
)
"""SQL: no job of this knowledge base is open. One that is has its own index calls inside its gate; paused is quiet."""

_MAY_BE_THERE: Final = f"state IN ({DocumentState.EMBEDDED:d}, {DocumentState.FAILED:d})"
"""SQL: a document that an index may have, though search does not see it; leaving these is what fills the outbox."""


class Space(NamedTuple):
    """One index version of a knowledge base in an index outside the database."""

    name: str
    server: str
    kb_key: str
    index_version: int
    dimension: int | None


class _Expected(NamedTuple):
    """What an index must have of a space, at least. ``surplus``: passages that it may have beside, since it has yet to
    forget them, or search has yet to see them: so many can hide that others are lost."""

    search_revision: int
    passages: int
    surplus: int


class _Named(NamedTuple):
    """A document as an index is told of it."""

    uri: str
    title: str
    passages: int


class Spaces(NamedTuple):
    """The spaces of this file in all indexes outside it."""

    tx: Transaction

    def owner(self) -> str:
        """What the names of all spaces of this file begin with, and those of no other."""
        number: int | None = self.tx.value("SELECT last FROM sequences WHERE name = 'index'")
        if number is None:
            raise other_tables("the database", "a row of `sequences` is missing")
        return f"pf{number:012x}_"

    def part_from_copies(self) -> bool:
        """Leave a gap in the numbers of documents, where anything of this file stands outside it; whether it is so.

        For the start of an engine. Two copies of a file go on from the same number, and use the same index one after
        the other at most. With a gap of another length each, an index never holds a document of one copy under the
        number of another one's, so that comparing numbers tells what is missing.
        """
        if self.tx.value("SELECT 1 FROM index_spaces LIMIT 1") is None:
            return False
        gap = _SHORTEST_GAP + secrets.randbelow(_LONGEST_GAP - _SHORTEST_GAP)
        self.tx.run("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'documents' AND seq < ?", gap, _LAST_GAP)
        return True

    def server_of(self, kb_key: str, index_version: int) -> str | None:
        """Where the vectors of an index version stand; None: in the database."""
        found: str | None = self.tx.value(
            "SELECT server FROM index_spaces WHERE kb_id = ? AND index_version = ? AND is_next = 0",
            kb_key,
            index_version,
        )
        return found

    def ensure(self, kb_key: str, index_version: int, server: str | None, *, moves: bool) -> str | None:
        """The space that a job writes to, made at its first run; None when it writes to the database alone. ``moves``:
        not the one that is searched, but the one that takes its place; one for another server, that a job has left,
        goes."""
        self.tx.run(
            "DELETE FROM index_spaces WHERE kb_id = ?1 AND is_next = 1"
            " AND NOT (?3 AND index_version = ?2 AND server IS ?4)",
            kb_key, index_version, moves, server,
        )  # fmt: skip
        if server is None:
            return None
        self.tx.run(
            "INSERT INTO index_spaces (name, kb_id, index_version, server, is_next) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            self.owner() + secrets.token_hex(8), kb_key, index_version, server, moves,
        )  # fmt: skip
        name: str = self.tx.value(
            "SELECT name FROM index_spaces WHERE kb_id = ? AND index_version = ? AND is_next = ?",
            kb_key, index_version, moves,
        )  # fmt: skip
        return name

    def complete_move(self, kb_key: str, index_version: int) -> None:
        """Search the next space of an index version from now on, or the database where there is none."""
        where = "WHERE kb_id = ? AND index_version = ? AND is_next ="
        self.tx.run(f"DELETE FROM index_spaces {where} 0", kb_key, index_version)
        self.tx.run(f"UPDATE index_spaces SET is_next = 0 {where} 1", kb_key, index_version)

    def find(self, kb_key: str, index_version: int) -> Space | None:
        """The space of an index version; None when it is searched in the database."""
        rows = self.tx.rows(
            f"{_SPACES} WHERE s.kb_id = ? AND s.index_version = ? AND s.is_next = 0", kb_key, index_version
        )
        return Space(*rows[0]) if rows else None

    def is_searched(self, name: str) -> bool:
        """Whether a space is still the one that searches ask."""
        return bool(self.tx.row("SELECT 1 FROM index_spaces WHERE name = ? AND is_next = 0", name))

    def by_name(self, name: str) -> Space | None:
        """A space; None when it is gone."""
        rows = self.tx.rows(f"{_SPACES} WHERE s.name = ?", name)
        return Space(*rows[0]) if rows else None

    def keep_only(self, kb_key: str, index_version: int) -> None:
        """All spaces of a knowledge base but those of this version go."""
        self.tx.run("DELETE FROM index_spaces WHERE kb_id = ? AND index_version <> ?", kb_key, index_version)

    def names(self, server: str) -> set[str]:
        """All spaces that a server should have."""
        return {row[0] for row in self.tx.rows("SELECT name FROM index_spaces WHERE server = ?", server)}

    def is_used(self, server: str) -> bool:
        """Whether anything stands on a server, or has yet to go there."""
        return bool(
            self.tx.row("SELECT 1 FROM index_spaces WHERE server = ? LIMIT 1", server)
            or self.tx.row("SELECT 1 FROM index_outbox WHERE server = ? LIMIT 1", server)
        )

    def needed_servers(self) -> list[str]:
        """Where vectors stand that can be searched, and where open jobs bring theirs. What a job that is over has left
        without a searchable document is needed by nobody."""
        return [
            row[0]
            for row in self.tx.rows(
                "SELECT DISTINCT s.server FROM index_spaces AS s JOIN knowledge_bases AS k"
                " ON k.id = s.kb_id AND k.name IS NOT NULL"
                f" WHERE NOT {IS_FREE.format('s')} OR (k.index_version = s.index_version AND s.is_next = 0"
                "  AND EXISTS (SELECT 1 FROM documents AS d INDEXED BY documents_live WHERE d.kb_id = s.kb_id"
                f"   AND d.index_version = s.index_version AND d.{IS_SEARCHABLE})) ORDER BY 1"
            )
        ]

    def free_spaces(self, server: str, only: Collection[str] | None) -> list[tuple[Space, int]]:
        """(space, search revision) of the knowledge bases without an open job, of all or only some by name."""
        rows = self.tx.rows(
            f"SELECT s.*, k.search_revision FROM ({_SPACES} WHERE s.server = ?1 AND s.is_next = 0) AS s"
            " JOIN knowledge_bases AS k ON k.id = s.kb_id AND k.index_version = s.index_version WHERE k.name IS NOT"
            " NULL"
            f" AND {IS_FREE.format('s')}"
            " AND (?2 IS NULL OR k.name IN (SELECT value FROM json_each(?2))) ORDER BY s.name",
            server, None if only is None else json_array(list(only)),
        )  # fmt: skip
        return [(Space(*row[:5]), row[5]) for row in rows]


_SPACES: Final = (
    "SELECT s.name, s.server, s.kb_id, s.index_version, (SELECT m.dimension FROM models AS m WHERE m.fingerprint ="
    "  (SELECT j.model FROM ingestion_jobs AS j WHERE j.kb_id = s.kb_id AND j.index_version = s.index_version"
    "   AND j.model IS NOT NULL LIMIT 1)) FROM index_spaces AS s"
)


class SpaceContents(NamedTuple):
    """What an index should have in one space."""

    tx: Transaction
    space: Space

    def is_free(self) -> bool:
        """Whether the space is still there, and no job of its knowledge base is open."""
        return bool(
            self.tx.row(f"SELECT 1 FROM index_spaces AS s WHERE s.name = ? AND {IS_FREE.format('s')}", self.space.name)
        )

    def unknown(self, document_ids: Sequence[int]) -> list[int]:
        """Which of the documents that an index has in a space have no business there."""
        rows = self.tx.rows(
            "SELECT value FROM json_each(?1) WHERE NOT EXISTS (SELECT 1 FROM documents AS d WHERE d.id = value"
            f" AND d.kb_id = ?2 AND d.index_version = ?3 AND NOT d.{IS_GONE})",
            json_array(document_ids), self.space.kb_key, self.space.index_version,
        )  # fmt: skip
        return [row[0] for row in rows]

    def searchable(self, after: int, limit: int) -> list[tuple[int, int]]:
        """(id, passages) of the searchable documents of a space above ``after``, by id: the first ``limit``."""
        rows = self.tx.rows(
            # By id (+: by no index), which is their order: no step sorts all documents.
            "SELECT id, chunk_count FROM documents WHERE id > ?3 AND +kb_id = ?1 AND index_version = ?2"
            f" AND +{IS_SEARCHABLE} AND chunk_count > 0 ORDER BY id LIMIT ?4",
            self.space.kb_key, self.space.index_version, after, limit,
        )  # fmt: skip
        return [(row[0], row[1]) for row in rows]

    def expected(self) -> _Expected | None:
        """What search sees of a space; None when it is not the one that is searched any more."""
        row = self.tx.row(
            "SELECT k.search_revision, (SELECT coalesce(sum(chunk_count), 0) FROM documents AS d"
            f"  WHERE d.kb_id = k.id AND d.index_version = k.index_version AND d.{IS_SEARCHABLE}),"
            " (SELECT coalesce(sum(passages), 0) FROM index_outbox AS o WHERE o.server = s.server AND o.space = s.name)"
            " + (SELECT coalesce(sum(d.chunk_count), 0) FROM ingestion_jobs AS j CROSS JOIN documents AS d"
            f"  INDEXED BY documents_open ON d.job_seq = j.seq AND d.{IS_ON_ITS_WAY} AND d.{_MAY_BE_THERE}"
            "  WHERE j.kb_id = k.id AND d.index_version = k.index_version)"
            " FROM index_spaces AS s JOIN knowledge_bases AS k ON k.id = s.kb_id AND k.index_version = s.index_version"
            " WHERE s.name = ? AND s.is_next = 0",
            self.space.name,
        )
        return None if row is None else _Expected(*row)

    def unproposed(self, proposed: Sequence[int], document_ids: Sequence[int] | None) -> int:
        """How many of the passages that search sees, of all documents or only these, are not among those proposed."""
        only = None if document_ids is None else json_array(document_ids)
        rows = self.tx.rows(
            f"WITH seen AS (SELECT id, chunk_count FROM documents WHERE kb_id = ?1 AND index_version = ?2"
            f"  AND {IS_SEARCHABLE} AND (?4 IS NULL OR id IN (SELECT value FROM json_each(?4))))"
            " SELECT (SELECT coalesce(sum(chunk_count), 0) FROM seen),"
            " (SELECT count(DISTINCT p.value) FROM json_each(?3) AS p JOIN seen AS d ON d.id ="
            f" {document_of('p.value')})",
            self.space.kb_key, self.space.index_version, json_array(proposed), only,
        )  # fmt: skip
        return max(0, int(rows[0][0]) - int(rows[0][1]))

    def named(self, document_id: int) -> _Named | None:
        """A searchable document of a space; None when search sees it no more."""
        row = self.tx.row(
            f"SELECT uri, title, chunk_count FROM documents WHERE id = ? AND kb_id = ? AND index_version = ?"
            f" AND {IS_SEARCHABLE}",
            document_id, self.space.kb_key, self.space.index_version,
        )  # fmt: skip
        return None if row is None else _Named(*row)


def passages_of(tx: Transaction, document_id: int, first: int, limit: int) -> list[tuple[int, int, bytes]]:
    """(start, stop, vector) of the passages of a document from number ``first``."""
    rows = tx.rows(
        "SELECT c.start, c.stop, v.vector FROM chunks AS c JOIN vectors AS v ON v.id = c.vector_id"
        f" WHERE {pieces_of('c.id', '?1', first='?2')} ORDER BY c.id LIMIT ?3",
        document_id, first, limit,
    )  # fmt: skip
    return [(row[0], row[1], row[2]) for row in rows]
