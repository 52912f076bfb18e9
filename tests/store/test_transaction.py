"""How statements get their parameters."""

import json
import math
from pathlib import Path

import pytest

from phaseflow.store.session import open_session
from phaseflow.store.transaction import json_array


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


def test_an_array_holds_what_json_has_and_halves_of_characters_are_told_otherwise() -> None:
    values = ["a", 1, None, 2.5, {"key": ["b", 3]}, ("c",)]
    same = ["a", 1, None, 2.5, {"key": ["b", 3]}, ["c"]]
    assert json.loads(json_array(values)) == same
    assert json.loads(json_array(iter(values))) == same
    assert json.loads(json_array([math.nan, math.inf])) == [None, None]
    (told, *rest) = json.loads(json_array(["x\ud800", *values, {"y\udfff": ["z\udfff", math.nan]}]))
    assert rest[:-1] == same
    ((key, (inside, number)),) = rest[-1].items()
    assert (told[0], key[0], inside[0], number) == ("x", "y", "z", None)
    assert not any("\ud800" <= each <= "\udfff" for each in told + key + inside)
