"""What a face keeps about a knowledge base, as JSON under keys of its own. It goes with the knowledge base."""

from collections.abc import Sequence
from dataclasses import dataclass

from phaseflow.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Notes:
    """What is kept beside one knowledge base."""

    tx: Transaction
    kb_key: str

    def find(self, key: str) -> str | None:
        """A note, or None."""
        value: str | None = self.tx.value("SELECT value FROM kb_notes WHERE kb_id = ? AND key = ?", self.kb_key, key)
        return value

    def put(self, key: str, value: str) -> None:
        """Keep a note in place of an older one."""
        self.tx.run(
            "INSERT INTO kb_notes (kb_id, key, value) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (kb_id, key) DO UPDATE SET value = ?3",
            self.kb_key, key, value,
        )  # fmt: skip

    def count(self) -> int:
        """How many there are."""
        return int(self.tx.value("SELECT count(*) FROM kb_notes WHERE kb_id = ?", self.kb_key))

    def remove_first(self, prefix: str) -> None:
        """Forget the first note, by key, whose key begins so."""
        self.tx.run(
            "DELETE FROM kb_notes WHERE kb_id = ?1 AND key ="
            " (SELECT min(key) FROM kb_notes WHERE kb_id = ?1 AND key >= ?2 AND key < ?2 || char(1114111))",
            self.kb_key, prefix,
        )  # fmt: skip

    def uris(self, beyond: str | None, limit: int, *, last_first: bool) -> Sequence[str]:
        """The documents by uri, those behind the one named."""
        sign, order = ("<", "DESC") if last_first else (">", "ASC")
        rows = self.tx.rows(
            f"SELECT uri FROM catalogue WHERE kb_id = ?1 AND (?2 IS NULL OR uri {sign} ?2)"
            f" ORDER BY uri {order} LIMIT ?3",
            self.kb_key, beyond, limit,
        )  # fmt: skip
        return [row[0] for row in rows]
