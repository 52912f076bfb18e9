"""What was pushed: the rows of the source ``push``. A small document is in its row, a larger one in a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Final, NamedTuple

from phaseflow.domain.status import timestamp
from phaseflow.store.transaction import Row, Transaction, json_array

INLINE_BYTES: Final = 64 * 1024
"""A larger document is kept in a file."""
STAMP: Final = "push "
"""Begins the stamp of every version that was pushed."""


@dataclass(frozen=True, slots=True)
class Push:
    """A document as it was pushed. ``digest`` is hex, BLAKE2b-128 of its bytes; they are in ``content``, or in the file
    of this name. ``metadata`` is JSON; None when none was given. ``origin``: where it came from, as its sender calls
    it."""

    uri: str
    size: int
    digest: str
    content: bytes | None = None
    file: str | None = None
    title: str | None = None
    media_type: str | None = None
    metadata: str | None = None
    origin: str | None = None


class Pushed(NamedTuple):
    """What is kept of a push. ``stamp`` changes with everything that loading makes of it."""

    id: int
    uri: str
    title: str | None
    media_type: str | None
    size: int
    digest: str
    file: str | None
    origin: str | None

    @property
    def stamp(self) -> str:
        """The number of its row, so that what is pushed again after a deletion is another document; and a digest."""
        what = "\n".join((self.digest, self.title or "", self.media_type or "")).encode(errors="surrogatepass")
        return f"{STAMP}{self.id} {blake2b(what, digest_size=16).hexdigest()}"


_COLUMNS: Final = "id, uri, title, media_type, size, digest, file, origin"


class PushedDocuments(NamedTuple):
    """What was pushed to one knowledge base, and is kept."""

    tx: Transaction
    kb_key: str

    def of(self, uris: Sequence[str]) -> dict[str, Pushed]:
        """What is kept of these documents, by uri."""
        rows = self.tx.rows(
            f"SELECT {_COLUMNS} FROM pushed WHERE kb_id = ? AND uri IN (SELECT value FROM json_each(?))",
            self.kb_key, json_array(uris),
        )  # fmt: skip
        return {row[1]: Pushed(*row) for row in rows}

    def put(self, push: Push, older: Pushed | None, at: datetime) -> None:
        """Keep a document in place of an older one."""
        self.tx.run(
            "INSERT INTO pushed (kb_id, uri, title, media_type, size, digest, file, content, pushed_at, origin)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (kb_id, uri) DO UPDATE SET title = ?3,"
            " media_type = ?4, size = ?5, digest = ?6, file = ?7, content = ?8, pushed_at = ?9, origin = ?10",
            self.kb_key, push.uri, push.title, push.media_type, push.size, push.digest, push.file, push.content,
            timestamp(at), push.origin,
        )  # fmt: skip
        _count_bytes(self.tx, self.kb_key, push.size - (0 if older is None else older.size))

    def set_origin(self, uris: Sequence[str], origin: str | None) -> None:
        """What is kept of these documents has come from there last."""
        if uris:
            self.tx.run(
                "UPDATE pushed SET origin = ?2 WHERE kb_id = ?1 AND uri IN (SELECT value FROM json_each(?3))",
                self.kb_key, origin, json_array(uris),
            )  # fmt: skip

    def by_uri(self, origin: str | None, limit: int, after: str) -> list[Pushed]:
        """The first documents behind ``after``, of one origin; of all for None."""
        which = "" if origin is None else " AND origin = ?4"
        rows = self.tx.rows(
            f"SELECT {_COLUMNS} FROM pushed WHERE kb_id = ?1 AND uri > ?2{which} ORDER BY uri LIMIT ?3",
            self.kb_key, after, limit, *([] if origin is None else [origin]),
        )  # fmt: skip
        return [Pushed(*row) for row in rows]

    def remove(self, uri: str) -> Pushed | None:
        """Keep it no more; what was kept of it, None when there was nothing."""
        row = self.tx.row(f"DELETE FROM pushed WHERE kb_id = ? AND uri = ? RETURNING {_COLUMNS}", self.kb_key, uri)
        if row is None:
            return None
        gone = Pushed(*row)
        _count_bytes(self.tx, self.kb_key, -gone.size)
        return gone

    def is_all(self) -> bool:
        """Whether documents were pushed into a knowledge base, and it has no others."""
        row = self.tx.row(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM pushed WHERE kb_id = ?1)"
            " AND NOT EXISTS (SELECT 1 FROM catalogue WHERE kb_id = ?1 AND source <> 'push')",
            self.kb_key,
        )  # fmt: skip
        return row is not None

    def kept_bytes(self) -> int:
        """The sizes of all that was pushed into a knowledge base, added up."""
        return int(self.tx.value("SELECT pushed_bytes FROM knowledge_bases WHERE id = ?", self.kb_key) or 0)


class PushesOfJob(NamedTuple):
    """What was pushed to the knowledge base of a job."""

    tx: Transaction
    job_seq: int

    def with_content(self, uri: str) -> tuple[Pushed, bytes | None] | None:
        """A document with its bytes, where they are in the row; None when it is not there."""
        row = self.tx.row(
            f"SELECT {_COLUMNS}, content FROM pushed"
            " WHERE kb_id = (SELECT kb_id FROM ingestion_jobs WHERE seq = ?) AND uri = ?",
            self.job_seq, uri,
        )  # fmt: skip
        return None if row is None else (Pushed(*row[:-1]), row[-1])

    def page(self, after: int, limit: int) -> list[Pushed]:
        """The documents by number, those behind ``after``."""
        rows = self.tx.rows(
            f"SELECT {_COLUMNS} FROM pushed"
            " WHERE kb_id = (SELECT kb_id FROM ingestion_jobs WHERE seq = ?) AND id > ? ORDER BY id LIMIT ?",
            self.job_seq, after, limit,
        )  # fmt: skip
        return [Pushed(*row) for row in rows]


def files(tx: Transaction, kb_id: str, names: Sequence[str]) -> set[str]:
    """Those of these files that hold a document of a knowledge base."""
    rows: list[Row] = tx.rows(
        "SELECT file FROM pushed WHERE kb_id = (SELECT id FROM knowledge_bases WHERE name = ?)"
        " AND file IN (SELECT value FROM json_each(?))",
        kb_id, json_array(names),
    )  # fmt: skip
    return {row[0] for row in rows}


def _count_bytes(tx: Transaction, kb_key: str, more: int) -> None:
    tx.run("UPDATE knowledge_bases SET pushed_bytes = pushed_bytes + ? WHERE id = ?", more, kb_key)
