"""New databases as copies of one, in tests that are about something else: to make all tables takes longer.

That is a quarter of what it takes to open an engine and to close it. ``tests/store/test_schema.py`` makes them as the
program does.
"""

import functools
import sqlite3
from collections.abc import Callable
from threading import Lock
from typing import Any

from phaseflow.store import schema

made = schema._create
"""How the program makes the tables of a file."""
_one_at_a_time = Lock()
_NUMBERS = "UPDATE sequences SET last = abs(random() >> 16)"
"""No two databases begin with the same ones."""


def copy_new_databases(set_to: Callable[[Any, str, object], None] = setattr) -> None:
    """From now on, or until ``set_to`` undoes it."""
    set_to(schema, "_create", _copied)


def _copied(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    with _one_at_a_time:
        _pattern().execute(_NUMBERS)
        _pattern().backup(connection)


@functools.cache
def _pattern() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    made(connection)
    return connection
