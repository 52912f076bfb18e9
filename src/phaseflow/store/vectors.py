"""Vectors by (model, text hash): paid for once, kept for every document, job and knowledge base that needs them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from phaseflow.domain.errors import DimensionMismatch
from phaseflow.store.documents import HASH_BYTES
from phaseflow.store.transaction import Transaction, json_array


def model_id(tx: Transaction, fingerprint: str) -> int:
    """The number of a model, given at its first use."""
    tx.run("INSERT INTO models (fingerprint) VALUES (?) ON CONFLICT DO NOTHING", fingerprint)
    return int(tx.value("SELECT id FROM models WHERE fingerprint = ?", fingerprint))


def dimension(tx: Transaction, fingerprint: str) -> int | None:
    """How many numbers a vector of this model has; None while none is stored."""
    found = tx.value("SELECT dimension FROM models WHERE fingerprint = ?", fingerprint)
    return None if found is None else int(found)


@dataclass(frozen=True, slots=True)
class ModelVectors:
    """The vectors of one model."""

    tx: Transaction
    model: int

    def check_dimension(self, dimension: int) -> None:
        """Note how many numbers its vectors have. Raises DimensionMismatch when it has answered with vectors of another
        length before."""
        there = self.tx.value(
            "UPDATE models SET dimension = coalesce(dimension, ?2) WHERE id = ?1 RETURNING dimension",
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
            "it has another model now; give that model another name (or the embedder another `fingerprint`)"
        )


def _places(vectors: Sequence[bytes]) -> list[tuple[int, int]]:
    sizes = [len(each) for each in vectors]
    return list(zip(accumulate(sizes, initial=0), sizes, strict=False))
