"""Vectors by (model, text hash): paid for once, kept for every document, job and knowledge base that needs them."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from phaseflow.domain.errors import DimensionMismatch
from phaseflow.store.documents import HASH_BYTES
from phaseflow.store.index_spaces import IS_FREE
from phaseflow.store.transaction import Transaction, json_array

_IS_STORED: Final = "EXISTS (SELECT 1 FROM vectors AS v WHERE v.model_id = m.id)"
_HELD: Final = (
    f"({_IS_STORED} OR EXISTS (SELECT 1 FROM index_spaces AS s"
    " JOIN ingestion_jobs AS j ON j.kb_id = s.kb_id AND j.index_version = s.index_version WHERE j.model ="
    " m.fingerprint))"
)
"""SQL: a length is fixed while a vector of the model is stored, or there is a space for them in an index outside the
database, which may have been made for this length."""


class Model(NamedTuple):
    """A model, by the fingerprint of its embedder."""

    tx: Transaction
    fingerprint: str

    def number(self) -> int:
        """Its number, given at its first use."""
        self.tx.run("INSERT INTO models (fingerprint) VALUES (?) ON CONFLICT DO NOTHING", self.fingerprint)
        return int(self.tx.value("SELECT id FROM models WHERE fingerprint = ?", self.fingerprint))

    def dimension(self) -> int | None:
        """How many numbers one of its vectors has; None while none is stored: then the next one decides."""
        row = self.tx.row(f"SELECT m.dimension FROM models AS m WHERE m.fingerprint = ? AND {_HELD}", self.fingerprint)
        return None if row is None else row[0]

    def last_dimension(self) -> int | None:
        """How many numbers the last of its vectors had that were stored; they may be gone."""
        row = self.tx.row("SELECT dimension FROM models WHERE fingerprint = ?", self.fingerprint)
        return None if row is None else row[0]

    def forget_dimension(self, kb_key: str) -> None:
        """Before a run: where no vector of a model is stored, let nothing keep its length but the spaces of other
        knowledge bases with an open job. The other spaces of this model are empty: they go, and are made anew at their
        next run."""
        is_noted = f"m.fingerprint = ? AND m.dimension IS NOT NULL AND NOT {_IS_STORED}"
        if self.tx.row(f"SELECT 1 FROM models AS m WHERE {is_noted}", self.fingerprint):
            self.tx.run(
                "DELETE FROM index_spaces AS s WHERE EXISTS (SELECT 1 FROM ingestion_jobs AS j WHERE j.kb_id = s.kb_id"
                " AND j.index_version = s.index_version AND j.model = ?1)"
                f" AND (s.kb_id = ?2 OR {IS_FREE.format('s')})",
                self.fingerprint, kb_key,
            )  # fmt: skip
            self.tx.run(f"UPDATE models AS m SET dimension = NULL WHERE {is_noted} AND NOT {_HELD}", self.fingerprint)


class ModelVectors(NamedTuple):
    """The vectors of one model."""

    tx: Transaction
    model: int

    def check_dimension(self, dimension: int) -> None:
        """Note how many numbers its vectors have. Raises DimensionMismatch when those that are stored have another
        length."""
        there = self.tx.value(
            f"UPDATE models AS m SET dimension = iif(m.dimension IS NOT NULL AND {_HELD}, m.dimension, ?2)"
            " WHERE m.id = ?1 RETURNING dimension",
            self.model,
            dimension,
        )
        check_length(there, dimension)

    def known(self, hashes: Sequence[bytes]) -> set[bytes]:
        """Which of these texts have a vector of this model."""
        rows = self.tx.rows(
            "SELECT key FROM json_each(?1) WHERE EXISTS"
            " (SELECT 1 FROM vectors WHERE model_id = ?2 AND text_hash = substr(?3, 1 + ?4 * key, ?4))",
            json_array([0] * len(hashes)), self.model, b"".join(hashes), HASH_BYTES,
        )  # fmt: skip
        return {hashes[row[0]] for row in rows}

    def add(self, hashes: Sequence[bytes], vectors: Sequence[bytes]) -> None:
        """Store vectors (``components/stored_vectors``). One that is there already stays."""
        if not hashes:
            return
        self.tx.run(
            "INSERT INTO vectors (model_id, text_hash, vector)"
            " SELECT ?1, substr(?2, 1 + ?3 * key, ?3), substr(?4, 1 + (value ->> 0), value ->> 1) FROM json_each(?5)"
            " WHERE true ON CONFLICT DO NOTHING",
            self.model, b"".join(hashes), HASH_BYTES, b"".join(vectors), json_array(_places(vectors)),
        )  # fmt: skip

    def attach(self, chunk_ids: Sequence[int]) -> None:
        """Note that chunks have their vectors, which must be stored."""
        self.tx.run(
            "UPDATE chunks SET vector_id ="
            " (SELECT v.id FROM vectors AS v WHERE v.model_id = ?1 AND v.text_hash = chunks.text_hash)"
            " WHERE id IN (SELECT value FROM json_each(?2))",
            self.model, json_array(chunk_ids),
        )  # fmt: skip


def check_length(stored: int, dimension: int) -> None:
    """Raise DimensionMismatch unless vectors of this many numbers can be compared with those stored."""
    if stored != dimension:
        raise DimensionMismatch(
            f"the embedder answers with vectors of {dimension} numbers, but those stored under its name have {stored}: "
            "it has another model now; give that model another name (or the embedder another `fingerprint`). If those "
            "stored are the wrong ones, delete the knowledge bases they were made for, and free what is kept of them "
            "with `phaseflow vacuum --keep-vectors 0`"
        )


def _places(vectors: Sequence[bytes]) -> list[tuple[int, int]]:
    sizes = [len(each) for each in vectors]
    return list(zip(accumulate(sizes, initial=0), sizes, strict=False))
