"""The full-text index, looked at from outside: its tables, and which passages they hold."""

import sqlite3
from contextlib import closing
from pathlib import Path

from phaseflow.store.passages import Scope, SearchablePassages
from phaseflow.store.postings import WordIndex
from phaseflow.store.transaction import Transaction
from phaseflow.store.word_table import WordTable


def check_consistent(tx: Transaction) -> None:
    """FTS5's own check of all tables that are in use."""
    for (number,) in tx.rows("SELECT DISTINCT shard FROM index_shards"):
        tx.run(f"INSERT INTO passages_{number} (passages_{number}) VALUES ('integrity-check')")


def containing(tx: Transaction, scope: Scope, expression: str, limit: int = 100) -> list[int]:
    """The searchable passages that an FTS5 expression finds, by id."""
    table = WordIndex(tx, scope.kb_key, scope.index_version).table()
    found = [] if table is None else WordTable(tx, table).holding(expression, limit)
    return sorted(SearchablePassages(tx, scope).fetch(found))


def indexed_passages(path: Path) -> list[tuple[int]]:
    """The passages in all tables, by id."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT shard FROM index_tables").fetchall()
        return sorted(
            row for (number,) in tables for row in connection.execute(f"SELECT id FROM passages_{number}_docsize")
        )
