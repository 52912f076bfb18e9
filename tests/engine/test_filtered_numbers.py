"""Filters on numbers: whole ones are compared to the last digit, as Python compares them."""

import operator
import random
from pathlib import Path
from typing import Any, Final

from phaseflow import PhaseFlow
from phaseflow.domain.filters import as_filter
from phaseflow.domain.new_document import NewDocument
from phaseflow.store import fields
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.passages import Scope
from phaseflow.store.transaction import Transaction
from tests.engine.test_control import finished

_EDGES: Final = [0, 1 << 53, 1 << 60, (1 << 63) - 4]
_FLOATS: Final = [0.0, -0.0, 0.5, 2.0**53, 2.0**53 + 2, 2.0**63, -(2.0**63), 1e18, 1e300, -1e300, 5e-324]
_NUMBERS: Final[list[int | float]] = [
    *(sign * (edge + step) for edge in _EDGES for step in range(-3, 4) for sign in (1, -1)),
    *_FLOATS,
]
_MODEL: Final[dict[str, Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "in": lambda number, values: number in values,
    "nin": lambda number, values: number not in values,
}


def _comparisons() -> list[tuple[str, Any]]:
    choose = random.Random(53)  # noqa: S311  # the same lists in each run
    lists = [choose.sample(_NUMBERS, size) for size in (1, 2, 5, 20) for _ in range(5)]
    single = [(kind, value) for kind in ("eq", "ne", "gt", "gte", "lt", "lte") for value in _NUMBERS]
    return single + [(kind, values) for kind in ("in", "nin") for values in lists]


def _uris(tx: Transaction, kind: str, value: Any) -> set[str]:
    kb = KnowledgeBases(tx).get("kb")
    wanted = as_filter({"type": kind, "key": "n", "value": value})
    assert wanted is not None
    found = {int(each) for each in fields.matching(tx, Scope(kb.key, kb.index_version), wanted).split(",") if each}
    return {uri for number, uri in tx.rows("SELECT id, uri FROM documents") if number in found}


async def test_numbers_are_compared_exactly(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as engine:
        documents = [NewDocument(uri=str(n), text="a", metadata={"n": given}) for n, given in enumerate(_NUMBERS)]
        await engine.add("kb", documents)
        await finished(await engine.job("kb"))

        def wrong(tx: Transaction) -> list[tuple[str, Any]]:
            return [
                (kind, value)
                for kind, value in _comparisons()
                if _uris(tx, kind, value) != {str(n) for n, given in enumerate(_NUMBERS) if _MODEL[kind](given, value)}
            ]

        assert await engine._engine.hub.database.read(wrong) == []


async def test_an_exact_comparison_uses_the_index_of_the_nearest_floats(tmp_path: Path) -> None:
    def plans(tx: Transaction) -> list[str]:
        found = []
        for kind, value in (("eq", 1 << 60), ("in", [1, 1 << 60]), ("gt", 1 << 60), ("lte", 1e300)):
            wanted = as_filter({"type": kind, "key": "n", "value": value})
            assert wanted is not None
            sql, values = fields._statement(Scope("kb", 1), wanted)
            found.append("\n".join(row[3] for row in tx.rows(f"EXPLAIN QUERY PLAN {sql}", *values)))
        return found

    async with PhaseFlow(tmp_path / "kb.db") as engine:
        for plan in await engine._engine.hub.database.read(plans):
            assert "document_fields_by_number (kb_id=? AND key=? AND number" in plan
