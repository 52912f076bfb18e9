"""How statements get their parameters."""

from pathlib import Path

import pytest

from phaseflow.store.session import open_session


@pytest.mark.parametrize(
    ("sql", "row"),
    [("SELECT ?, ?", (1, "b")), ("SELECT ?2, ?1, ?2", ("b", 1, "b")), ("SELECT ?1 + 1, ?2 IS NULL", (2, 0))],
)
async def test_parameters_are_bound_in_order_or_by_number_on_every_python(
    tmp_path: Path, sql: str, row: tuple[object, ...]
) -> None:
    async with open_session(tmp_path / "kb.db") as database:
        assert await database.read(lambda tx: tx.row(sql, 1, "b")) == row
        assert await database.write(lambda tx: tx.row(sql, 1, "b")) == row
