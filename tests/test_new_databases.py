"""The databases that most tests begin with are those that the program makes."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from phaseflow.store import schema
from tests import new_databases

_NUMBERS = "SELECT last FROM sequences ORDER BY name"
_KEPT = ("application_id", "user_version", "auto_vacuum", "journal_mode", "page_size", "page_count", "freelist_count")


Make = Callable[[sqlite3.Connection], None]


def _made_by(make: Make, path: Path) -> tuple[list[object], list[int]]:
    """All that is in a new file, and the numbers that tell it from others."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        make(connection)
        numbers: list[int] = [last for (last,) in connection.execute(_NUMBERS)]
        connection.execute("UPDATE sequences SET last = 0")
        said: list[object] = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _KEPT]
        said += connection.execute("SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema ORDER BY rowid")
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            said += connection.execute(f"SELECT * FROM {name}")
    return said, numbers


def test_a_copy_is_what_the_program_makes_with_numbers_of_its_own(tmp_path: Path) -> None:
    copy: Make = schema._create
    assert copy is new_databases._copied
    made, numbers = _made_by(new_databases.made, tmp_path / "made.db")
    for name in ("copied", "copied again"):
        copied, others = _made_by(copy, tmp_path / name)
        assert copied == made
        numbers += others
    assert len(set(numbers)) == 3 * len(others)
