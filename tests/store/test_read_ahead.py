"""How a file is read ahead: what is needed first, then from its beginning on in large steps, until it is enough."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from phaseflow.store import read_ahead
from phaseflow.store.open_file import connected
from phaseflow.store.passage_vectors import PassageVectors
from phaseflow.store.passages import Scope, SearchablePassages, sizes_of
from phaseflow.store.read_ahead import ReadAhead
from phaseflow.store.schema import schema_sql
from phaseflow.store.transaction import Transaction

pytestmark = pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system takes no such advice")
NEEDED = [*read_ahead.PASSAGES, *read_ahead.VECTORS]


@pytest.fixture
def advised(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(where, how much) of each advice."""
    found = list[tuple[int, int]]()
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, at, length, advice: found.append((at, length)))
    return found


@pytest.mark.parametrize(
    ("size", "places"), [(0, []), (1, [0]), (8 << 20, [0]), ((16 << 20) + 1, [0, 8 << 20, 16 << 20])]
)
def test_a_file_is_read_whole_in_steps_of_eight_megabytes(
    tmp_path: Path, advised: list[tuple[int, int]], size: int, places: list[int]
) -> None:
    path = tmp_path / "kb.db"
    path.touch()
    os.truncate(path, size)
    fd = os.open(path, os.O_RDONLY)
    try:
        read_ahead._Reading(fd, 4096, [], ReadAhead()).run()
        assert advised == [(at, 8 << 20) for at in places]
        advised.clear()
        over = ReadAhead()
        over.end()
        read_ahead._Reading(fd, 4096, [], over).run()
        assert advised == [(at, 8 << 20) for at in places[:1]]
    finally:
        os.close(fd)


def test_nothing_is_read_ahead_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kb.db"
    path.touch()
    os.truncate(path, 24 << 20)
    advised, has_begun, is_held, has_asked = list[int](), Event(), Event(), Event()

    class Asked(ReadAhead):
        def goes_on(self) -> bool:
            has_asked.set()
            return super().goes_on()

    ahead = Asked()

    def noted(fd: int, at: int, length: int, advice: int) -> None:
        advised.append(at)
        has_begun.set()
        assert is_held.wait(60)

    monkeypatch.setattr(os, "posix_fadvise", noted)
    fd = os.open(path, os.O_RDONLY)
    thread = Thread(target=read_ahead._Reading(fd, 4096, [], ahead).run)
    thread.start()
    try:
        assert has_begun.wait(60)
        with ahead.held():
            is_held.set()  # the piece in hand is done
            assert has_asked.wait(60)
            assert advised == [0]
        thread.join(60)
        assert advised == [0, 8 << 20, 16 << 20]
    finally:
        ahead.end()
        thread.join()
        os.close(fd)


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Transaction]:
    path = tmp_path / "kb.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection, connected(path):
        connection.executescript(schema_sql())
        yield Transaction(connection)


@pytest.mark.parametrize(
    ("own", "others", "is_read"), [(10, 30, True), (10, 31, False), (9, 0, False), (10, 0, True), (1000, 3000, True)]
)
def test_a_file_is_read_ahead_for_what_is_large_and_a_good_part_of_it(
    tx: Transaction, monkeypatch: pytest.MonkeyPatch, own: int, others: int, is_read: bool
) -> None:
    monkeypatch.setattr(read_ahead, "LEAST", 10)
    tx.many(
        "INSERT INTO index_shards (kb_id, index_version, shard, passages) VALUES (?, ?, 1, ?)",
        [("kb~1", 1, own // 2), ("kb~1", 2, own - own // 2), ("kb~2", 1, others)],
    )
    assert (read_ahead._file_to_read(tx, "kb~1") is not None) == is_read


@pytest.mark.parametrize(("room", "is_read"), [(2, True), (1.99, False), (100, True)])
def test_half_of_the_memory_has_to_hold_the_file(
    tx: Transaction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: float, is_read: bool
) -> None:
    monkeypatch.setattr(read_ahead, "LEAST", 1)
    monkeypatch.setattr(read_ahead, "_CONTROL_GROUP", limit := tmp_path / "memory.max")
    tx.run("INSERT INTO index_shards (kb_id, index_version, shard, passages) VALUES ('kb~1', 1, 1, 5)")
    limit.write_text(f"{int((tmp_path / 'kb.db').stat().st_size * room)}\n", "ascii")
    assert (read_ahead._file_to_read(tx, "kb~1") is not None) == is_read
    assert read_ahead._file_to_read(tx, "kb~2") is None


def test_the_memory_is_that_of_the_machine_where_nobody_limits_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__)
    monkeypatch.setattr(read_ahead, "_CONTROL_GROUP", limit := tmp_path / "memory.max")
    found = [read_ahead._memory()]
    for text in ("max\n", "4095999\n", "4096001\n"):
        limit.write_text(text, "ascii")
        found.append(read_ahead._memory())
    assert found == [4_096_000, 4_096_000, 4_095_999, 4_096_000]


def test_what_is_named_is_read_before_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "LEAST", 1)
    monkeypatch.setattr(read_ahead, "_GAP", 0)
    places, has_begun_anew = list[int](), Event()

    def noted(file: int, at: int, length: int, advice: int) -> None:
        places.append(at)
        if not at:
            has_begun_anew.set()

    monkeypatch.setattr(os, "posix_fadvise", noted)
    path = tmp_path / "kb.db"
    with connected(path), closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(schema_sql())
        connection.execute("INSERT INTO index_shards VALUES ('kb~1', 1, 1, 1)")
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_schema"))
        page = connection.execute("PRAGMA page_size").fetchone()[0]
    with (
        connected(path),
        closing(sqlite3.connect(path)) as connection,
        read_ahead.reading_ahead(Transaction(connection), "kb~1", NEEDED),
    ):
        assert has_begun_anew.wait(60)
    assert places == [*((roots[name] - 1) * page for name in NEEDED), 0]


def test_what_is_read_first_is_what_the_statements_of_a_first_search_go_through() -> None:
    plans, tables = list[str](), set[str | None]()

    class Explained(Transaction):
        def rows(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
            plans.extend(str(row[3]) for row in super().rows(f"EXPLAIN QUERY PLAN {sql}", *parameters))
            return super().rows(sql, *parameters)

    def noted(action: int, table: str | None, *rest: object) -> int:
        tables.add(table)
        return sqlite3.SQLITE_OK

    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema_sql())
        connection.set_authorizer(noted)
        passages = SearchablePassages(Explained(connection), Scope("kb~1", 1))
        passages.live_documents()
        passages.sizes_since(-1)
        sizes_of(passages.tx, [1])
        PassageVectors(passages.tx, passages.scope).since(-1, 0, 1 << 30)
        connection.set_authorizer(None)
        known = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    indexes = re.findall(r"USING (?:COVERING )?INDEX (\w+)", " ".join(plans))
    # A row for each knowledge base: that of one is not worth reading ahead.
    assert {*(tables & known), *indexes} - {"knowledge_bases", "sqlite_autoindex_knowledge_bases_1"} == set(NEEDED)
