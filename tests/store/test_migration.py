"""A file of version 1 becomes one of today's: the same documents, whatever their state, also when it is broken off."""

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from phaseflow.domain.errors import StoreUnavailable
from phaseflow.domain.identifiers import document_id
from phaseflow.flow.reader import Reader
from phaseflow.store import failpoints, migration, schema
from phaseflow.store.content_check import changed_content
from phaseflow.store.documents import StagedDocument, StagedDocuments, text_hash
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.passages import Scope, SearchablePassages
from phaseflow.store.session import open_session
from phaseflow.store.states import DocumentState
from phaseflow.store.transaction import Transaction
from tests.store.full_text import check_consistent, containing
from tests.store.probes import select
from tests.store.stock import clean

VERSION_1 = Path(__file__).parent / "schema_version_1.sql"
LONG = "\n".join(f"Zeile {n} mit Wörtern und 🎈" for n in range(9000))
PARTS = [[0, "page 1"], [70_000, "page 2"], [140_000, "page 3"]]
TEXTS = {1: ("loaded", 1, "one whale"), 2: ("chunked", 2, "two whales"), 3: ("embedded", 3, "three whales"),
         4: ("long", 4, LONG), 5: ("failed", 9, "four whales"), 6: ("empty", 4, "")}  # fmt: skip
SIZE = 1000
COMPLETED = "2026-01-01T00:00:07.000Z"


@pytest.fixture
def old(path: Path) -> Path:
    """A file as version 1 left it, with a document in each state."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(VERSION_1.read_text(encoding="utf-8"))
        connection.executescript(
            f"PRAGMA application_id = {schema.APPLICATION_ID}; PRAGMA user_version = 1;"
            "INSERT INTO knowledge_bases (id, settings, model, live_settings, created_at, updated_at)"
            " VALUES ('kb', '{}', 'm', '{}', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z');"
            "INSERT INTO ingestion_jobs (id, kb_id, managed, settings, created_at, completed_at)"
            f" VALUES ('job', 'kb', 1, '{{}}', '2026-01-01T00:00:00.000Z', '{COMPLETED}');"
            "INSERT INTO models (fingerprint, dimension) VALUES ('m', 2);"
        )
        for document, (uri, state, text) in TEXTS.items():
            _add(connection, document, uri, state, text)
        connection.commit()
    return path


def _add(connection: sqlite3.Connection, document: int, uri: str, state: int, text: str) -> None:
    spans = [(n, min(n + SIZE, len(text))) for n in range(0, len(text), SIZE)] if state > DocumentState.LOADED else []
    connection.execute(
        "INSERT INTO documents (id, kb_id, job_seq, epoch, uri, title, media_type, content_hash, recipe, chunk_count,"
        " state, generation) VALUES (?, 'kb', 1, 1, ?, ?, 'text/plain', '00', 'r', ?, ?, 1)",
        (document, uri, uri, len(spans), state),
    )
    connection.execute(
        "INSERT INTO texts VALUES (?, ?, ?)", (document, text, json.dumps(PARTS if text == LONG else []))
    )
    for n, (start, stop) in enumerate(spans):
        chunk = (document << 20) + n
        connection.execute(
            "INSERT INTO chunks (id, start, stop, text_hash) VALUES (?, ?, ?, ?)",
            (chunk, start, stop, text_hash(text[start:stop])),
        )
        if state == DocumentState.SEARCHABLE:
            connection.execute("INSERT INTO passages (rowid, text) VALUES (?, ?)", (chunk, text[start:stop]))


@pytest.fixture(autouse=True)
def no_hooks() -> Iterator[None]:
    yield
    failpoints.clear()


_TABLES = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'passages_[0-9]*'"
    " AND name NOT GLOB 'word_*_[0-9]*' ORDER BY name"
)
"""Those of the full-text index are made when they are needed."""


def shape(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that a file decides by its tables: columns, keys, checks and kinds of tables; indexes, triggers and views."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for (name,) in select(path, _TABLES):
        found[f"columns of {name}"] = select(
            path, f"SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo('{name}')"
        )
        found[f"keys of {name}"] = select(
            path,
            f'SELECT "from", "table", "to", on_update, on_delete FROM pragma_foreign_key_list(\'{name}\') ORDER BY 1',
        )
        ((sql,),) = select(path, f"SELECT coalesce(sql, '') FROM sqlite_schema WHERE name = '{name}'")
        found[f"checks of {name}"] = [(" ".join(check.split()),) for check in sorted(_CHECK.findall(str(sql)))]
    found["kinds"] = select(
        path, f"SELECT name, wr, strict FROM pragma_table_list WHERE name IN ({_TABLES}) ORDER BY 1"
    )
    others = select(path, "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger', 'view')")
    found["others"] = sorted((kind, name, " ".join(str(sql).split())) for kind, name, sql in others)
    return found


_CHECK = re.compile(r"CHECK\s*(\((?:[^()]|\([^()]*\))*\))", re.IGNORECASE)


async def test_a_file_of_version_1_has_the_tables_of_a_new_one(old: Path, tmp_path: Path) -> None:
    async with open_session(old), open_session(tmp_path / "new.db"):
        pass
    assert shape(old) == shape(tmp_path / "new.db")
    assert select(old, "PRAGMA auto_vacuum") == [(2,)]


async def test_an_older_file_without_room_to_be_written_anew_is_used_as_it_is(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        free = schema.REBUILD_ROOM * old.stat().st_size - 1
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
        async with open_session(old) as database:
            assert await database._writer.call(lambda c: c.execute("PRAGMA secure_delete").fetchone()) == (1,)
        assert select(old, "PRAGMA auto_vacuum") == [(0,)]
    async with open_session(old):
        pass
    assert select(old, "PRAGMA auto_vacuum") == [(2,)]


async def test_vectors_that_nobody_used_in_version_1_begin_to_be_kept_for_a_while(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("INSERT INTO vectors (model_id, text_hash, vector) VALUES (1, x'00', x'00')")
        connection.execute("INSERT INTO vectors (model_id, text_hash, vector) VALUES (1, x'01', x'01')")
        connection.execute("UPDATE chunks SET vector_id = 1")
        connection.commit()
    async with open_session(old):
        pass
    assert select(old, "SELECT kb_id, vector_id FROM unused_vectors") == [("", 2)]


def _first_of(tx: Transaction, state: DocumentState) -> list[StagedDocument]:
    return StagedDocuments(tx).next_of(1, state, 0, 10, 10**6)


@pytest.mark.parametrize("broken_off_at", [None, 1, 3, 6])
async def test_each_document_of_version_1_is_there_in_its_state(
    old: Path, monkeypatch: pytest.MonkeyPatch, broken_off_at: int | None
) -> None:
    monkeypatch.setattr(migration, "_CATALOGUE_STEP", 2)
    if broken_off_at is not None:
        with pytest.raises(KeyboardInterrupt):
            await _break_off(old, broken_off_at)
        assert select(old, "PRAGMA user_version") == [(schema.VERSION,)]
        with closing(sqlite3.connect(old)) as connection:
            assert changed_content(connection) is None
        with pytest.raises(StoreUnavailable, match="is not up to date yet; if no ingest or serve is doing that now"):
            async with Reader(old):
                pass
    async with open_session(old) as database:
        for state in (DocumentState.LOADED, DocumentState.CHUNKED, DocumentState.EMBEDDED, DocumentState.FAILED):
            (found,) = await database.read(partial(_first_of, state=state))
            assert found.text == next(text for _, at, text in TEXTS.values() if at == state)
        kb = await database.read(lambda tx: KnowledgeBases(tx).get("kb"))
        scope = Scope(kb.key, 1)
        chunks = await database.read(lambda tx: containing(tx, scope, "8999"))
        hits = await database.read(lambda tx: SearchablePassages(tx, scope).fetch(chunks))
        assert [(hit.uri, hit.text) for hit in hits.values()] == [("long", LONG[len(LONG) // SIZE * SIZE :])]
        assert [hit.parts for hit in hits.values()] == ['[[140000,"page 3"]]']
        assert select(old, "SELECT id, characters FROM documents") == [
            (n, len(text)) for n, (_, _, text) in TEXTS.items()
        ]
        times = select(old, "SELECT uri, indexed_at FROM documents WHERE indexed_at IS NOT NULL ORDER BY uri")
        assert [uri for uri, _ in times] == ["empty", "long"]
        assert times[0][1] == COMPLETED
        assert select(old, "SELECT uri, document_id FROM catalogue ORDER BY uri") == [
            (uri, document_id("kb", uri)) for uri in sorted(uri for uri, *_ in TEXTS.values())
        ]
    assert select(old, "SELECT name FROM sqlite_schema WHERE name LIKE '%version_1'") == []
    with closing(sqlite3.connect(old)) as connection:
        assert changed_content(connection) is None
    assert select(old, "SELECT live_settings ->> '$.rules' FROM knowledge_bases") == [("1",)]  # not those of today


@pytest.mark.parametrize("broken_off_at", [None, 2])
async def test_the_old_full_text_index_goes_a_part_at_a_time(
    old: Path, monkeypatch: pytest.MonkeyPatch, broken_off_at: int | None
) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.executemany(
            "INSERT INTO passages (rowid, text) VALUES (?, ?)",
            [(n << 20, " ".join(f"w{n}x{word}" for word in range(300))) for n in range(100, 200)],
        )
        connection.commit()
        (pages,) = connection.execute("SELECT count(*) FROM passages_data").fetchone()
    monkeypatch.setattr(migration, "_DROP_STEP", 5)
    if broken_off_at is not None:
        with pytest.raises(KeyboardInterrupt):
            await _break_off(old, broken_off_at, "schema.emptied")
        assert select(old, "SELECT count(*) FROM passages_data") == [(pages - 5 * broken_off_at,)]
    steps = 0

    def hook() -> None:
        nonlocal steps
        steps += 1

    failpoints.install("schema.emptied", hook)
    async with open_session(old) as database:
        await database.write(check_consistent)
    assert steps > pages / 5 - 3
    assert select(old, "SELECT name FROM sqlite_schema WHERE name GLOB 'passages' OR name GLOB 'passages_[a-z]*'") == []


async def _break_off(path: Path, arrival: int, place: str = "schema.moved") -> None:
    left = arrival

    def hook() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    failpoints.install(place, hook)
    try:
        async with open_session(path):
            pass
    finally:
        failpoints.clear()


async def test_a_knowledge_base_of_version_1_can_be_deleted_and_made_anew(old: Path) -> None:
    async with open_session(old) as database:
        await database.write(lambda tx: KnowledgeBases(tx).remove("kb"))
        await clean(database)
        await database.write(check_consistent)
        for table in ("documents", "texts", "chunks", "passages_1_docsize", "ingestion_jobs", "knowledge_bases"):
            assert select(old, f"SELECT count(*) FROM {table}") == [(0,)], table
