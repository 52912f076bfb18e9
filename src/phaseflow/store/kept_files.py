"""Files that were sent and belong to no knowledge base (yet), in parts, so that no transaction is long."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from phaseflow.domain.status import timestamp
from phaseflow.store.transaction import Row, Transaction, json_array

PART_BYTES: Final = 256 * 1024
_PARTS_REMOVED: Final = 16
"""Parts deleted in one transaction."""
_PARTS_OF_A_FILE: Final = 1 << 20
_COLUMNS: Final = "number, id, name, purpose, size, created_at, expires_at"
_IS_SEEN: Final = "is_whole = 1 AND coalesce(expires_at, '9') > ?1"


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that is whole. ``number`` grows with each one."""

    number: int
    id: str
    name: str
    purpose: str
    size: int
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeptFileRows:
    """The files that are kept, and those on their way in."""

    tx: Transaction

    def begin(self, id_: str, name: str, at: datetime) -> int:
        """A file is on its way in; its number."""
        row = self.tx.row(
            "INSERT INTO kept_files (id, name, created_at) VALUES (?, ?, ?) RETURNING number", id_, name, timestamp(at)
        )
        assert row is not None
        return int(row[0])

    def add_part(self, number: int, position: int, data: bytes) -> None:
        """More of it."""
        self.tx.run("INSERT INTO kept_parts (id, data) VALUES (?, ?)", number * _PARTS_OF_A_FILE + position, data)

    def finish(self, number: int, purpose: str, size: int, expires_after_s: int | None) -> None:
        """It is whole, and seen from now on, until so long after it began to come."""
        self.tx.run(
            "UPDATE kept_files SET is_whole = 1, purpose = ?2, size = ?3, expires_at = iif(?4 IS NULL, NULL,"
            " strftime('%Y-%m-%dT%H:%M:%fZ', created_at, printf('+%d seconds', ?4))) WHERE number = ?1",
            number, purpose, size, expires_after_s,
        )  # fmt: skip

    def find(self, id_: str, at: datetime) -> KeptFile | None:
        """A file that is whole and has not expired."""
        row = self.tx.row(f"SELECT {_COLUMNS} FROM kept_files WHERE {_IS_SEEN} AND id = ?2", timestamp(at), id_)
        return None if row is None else _file(row)

    def part(self, number: int, position: int) -> bytes | None:
        """A part of a file, the first at position 0; None behind the last."""
        data: bytes | None = self.tx.value(
            "SELECT data FROM kept_parts WHERE id = ?", number * _PARTS_OF_A_FILE + position
        )
        return data

    def page(
        self, at: datetime, purpose: str | None, after: int | None, limit: int, *, newest_first: bool
    ) -> list[KeptFile]:
        """Files by number, those behind the file of number ``after``."""
        beyond, order = ("<", "DESC") if newest_first else (">", "ASC")
        rows = self.tx.rows(
            f"SELECT {_COLUMNS} FROM kept_files WHERE {_IS_SEEN} AND (?2 IS NULL OR purpose = ?2)"
            f" AND (?3 IS NULL OR number {beyond} ?3) ORDER BY number {order} LIMIT ?4",
            timestamp(at), purpose, after, limit,
        )  # fmt: skip
        return [_file(row) for row in rows]

    def totals(self) -> tuple[int, int]:
        """(files, bytes) kept, also of files on their way."""
        files, size = self.tx.rows("SELECT count(*), coalesce(sum(size), 0) FROM kept_files")[0]
        return files, size

    def hide(self, number: int) -> None:
        """It is seen no more; ``remove_some`` deletes it."""
        self.tx.run("UPDATE kept_files SET is_whole = 0 WHERE number = ?", number)

    def remove_some_leftovers(self, at: datetime, coming_in: frozenset[str]) -> bool:
        """Delete a bounded part of what is hidden, expired or was never finished; False when there is nothing (more).

        ``coming_in`` are the ids of files on their way.
        """
        number: int | None = self.tx.value(
            f"SELECT number FROM kept_files WHERE NOT ({_IS_SEEN}) AND id NOT IN (SELECT value FROM json_each(?2))"
            " LIMIT 1",
            timestamp(at), json_array(list(coming_in)),
        )  # fmt: skip
        if number is None:
            return False
        self.remove_some(number)
        return True

    def remove_some(self, number: int) -> bool:
        """Delete a bounded part of a file, at last its row; False when nothing is left."""
        first, last = number * _PARTS_OF_A_FILE, (number + 1) * _PARTS_OF_A_FILE
        gone = self.tx.rows(
            "DELETE FROM kept_parts WHERE id IN (SELECT id FROM kept_parts WHERE id >= ? AND id < ? LIMIT ?) RETURNING"
            " id",
            first, last, _PARTS_REMOVED,
        )  # fmt: skip
        if gone:
            return True
        self.tx.run("DELETE FROM kept_files WHERE number = ?", number)
        return False


def _file(row: Row) -> KeptFile:
    number, id_, name, purpose, size, created_at, expires_at = row
    until = None if expires_at is None else datetime.fromisoformat(expires_at)
    return KeptFile(number, id_, name, purpose, size, datetime.fromisoformat(created_at), until)
