"""What is gone, or renamed, and has yet to go to an index outside the database: the rows that triggers have left."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from phaseflow.store.index_spaces import IS_FREE, Space, Spaces
from phaseflow.store.transaction import Transaction, json_array

STEP: Final = 500
"""Rows in one call of an index."""


class Waiting(NamedTuple):
    """Rows of the outbox that belong together. No ``document_ids``: the whole space is gone."""

    space: str
    document_ids: Sequence[int]
    rows: Sequence[int]


class IndexOutbox(NamedTuple):
    """What has yet to go to the index on one server."""

    tx: Transaction
    server: str

    def next_gone(self) -> Waiting | None:
        """What the index on a server should remove next, but nothing of a knowledge base whose job is open."""
        whole = self.tx.row(
            f"SELECT o.space, o.id FROM index_outbox AS o WHERE o.server = ? AND o.document_id IS NULL"
            f" AND {IS_FREE.format('o')} ORDER BY o.space LIMIT 1",
            self.server,
        )
        if whole is not None:
            return Waiting(whole[0], (), (whole[1],))
        first = self.tx.row(
            f"SELECT s.name FROM index_spaces AS s WHERE s.server = ?1 AND {IS_FREE.format('s')} AND EXISTS"
            " (SELECT 1 FROM index_outbox AS o WHERE o.server = ?1 AND o.space = s.name AND o.again = 0) LIMIT 1",
            self.server,
        )
        return None if first is None else self.gone_of(first[0])

    def next_renamed(self) -> tuple[Space, Waiting] | None:
        """Documents that have another uri than the index on a server was told, but none of an open job."""
        rows = self.tx.rows(
            f"SELECT o.space, o.document_id, o.id FROM index_outbox AS o WHERE o.server = ? AND o.again = 1"
            f" AND {IS_FREE.format('o')} ORDER BY o.space, o.id LIMIT ?",
            self.server, STEP,
        )  # fmt: skip
        space = Spaces(self.tx).by_name(rows[0][0]) if rows else None
        if space is None:
            return None
        of_one = [row for row in rows if row[0] == space.name]
        return space, Waiting(space.name, [row[1] for row in of_one], [row[2] for row in of_one])

    def gone_of(self, space: str) -> Waiting | None:
        """What the index should remove from a space next."""
        rows = self.tx.rows(
            "SELECT id, document_id FROM index_outbox WHERE server = ? AND space = ? AND document_id IS NOT NULL"
            " AND again = 0 ORDER BY id LIMIT ?",
            self.server, space, STEP,
        )  # fmt: skip
        return Waiting(space, [row[1] for row in rows], [row[0] for row in rows]) if rows else None

    def settle(self, done: Waiting) -> bool:
        """The index has done it. True when there is more of it to settle: rows of a space that is gone as a whole."""
        if done.document_ids:
            self.tx.run("DELETE FROM index_outbox WHERE id IN (SELECT value FROM json_each(?))", json_array(done.rows))
            return False
        rows = self.tx.rows(
            "DELETE FROM index_outbox WHERE id IN (SELECT id FROM index_outbox WHERE server = ?1 AND space = ?2"
            "  AND document_id IS NOT NULL LIMIT ?3) RETURNING 1",
            self.server, done.space, 4 * STEP,
        )  # fmt: skip
        if rows:
            return True
        self.tx.run("DELETE FROM index_outbox WHERE id IN (SELECT value FROM json_each(?))", json_array(done.rows))
        return False

    def passages_waiting(self, space: str, most: int) -> int:
        """How many passages the index may still propose of a space that are gone, as far as that is up to ``most``
        documents."""
        return int(
            self.tx.value(
                "SELECT coalesce(sum(passages), 0) FROM"
                " (SELECT passages FROM index_outbox WHERE server = ? AND space = ? LIMIT ?)",
                self.server, space, most,
            )
        )  # fmt: skip
