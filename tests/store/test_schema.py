"""Opening a file: ours, not ours, damaged, newer, older. What cannot be used is left as it is."""

import os
import random
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio
import pytest

from phaseflow.domain.errors import NewerDatabase, NotADatabase, StoreError, StoreUnavailable
from phaseflow.domain.vocabulary import JobPhase, PhaseStatus
from phaseflow.store import migration, schema
from phaseflow.store.read_pool import open_readers
from phaseflow.store.session import open_session
from tests import new_databases
from tests.stopwatch import fail_soon
from tests.store.probes import names, put, select
from tests.store.test_lock import HOLD_OPEN, other_process

PHASE_COLUMNS = {
    "id", "job_id", "phase_name", "status", "progress", "items_processed", "items_total", "started_at",
    "completed_at", "error", "created_at", "updated_at",
}  # fmt: skip


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> None:
    """New databases are made here, as by the program, and not copied."""
    monkeypatch.setattr(schema, "_create", new_databases.made)


def files(folder: Path) -> dict[str, bytes]:
    """What stands in a folder, but for the lock."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and not p.name.endswith(".lock")}


async def refused(path: Path, error: type[StoreError], words: str) -> None:
    """Opening it says so and changes no byte."""
    before = files(path.parent)
    with fail_soon(10), pytest.raises(error, match=words) as caught:
        async with open_session(path):
            pass
    assert str(path) in str(caught.value)
    assert files(path.parent) == before


async def some_database(path: Path) -> bytes:
    """A file of ours with a few pages in it."""
    async with open_session(path) as database:
        for n in range(40):
            await database.write(partial(put, name=f"{n}" * 500))
    return path.read_bytes()


async def test_a_new_file_gets_our_tables_and_our_mark(path: Path) -> None:
    async with open_session(path):
        pass
    assert files(path.parent).keys() == {"kb.db"}
    assert select(path, "PRAGMA user_version") == [(schema.VERSION,)]
    assert select(path, "PRAGMA application_id") == [(schema.APPLICATION_ID,)]


async def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.touch()
    async with open_session(path) as database:
        await database.write(lambda tx: put(tx, "a"))
    assert names(path) == ["a"]


async def test_a_file_of_ours_is_opened_again(path: Path) -> None:
    await some_database(path)
    async with open_session(path):
        assert len(names(path)) == 40


async def test_a_name_with_odd_characters_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "kb ?mode=ro&#%41 é.db"
    async with open_session(path) as database:
        await database.write(lambda tx: put(tx, "a"))
    assert path.exists()
    assert names(path) == ["a"]


@pytest.mark.parametrize("content", [b"x", b"# Notes\n" * 1000, bytes(5000), b"SQLite format 3", b"\xff" * 9000])
async def test_a_file_that_is_no_database_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    await refused(path, NotADatabase, "is not a phaseflow database; it was left as it is. Name another file")


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
async def test_a_database_of_another_program_is_left_as_it_is(path: Path, journal: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE notes (text)")
        connection.commit()
    await refused(path, NotADatabase, "belongs to another program; it was left as it is. Name another file")


async def test_what_another_program_has_not_checkpointed_stays_so(path: Path, tmp_path: Path) -> None:
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA journal_mode = WAL');"
        "c.execute('CREATE TABLE notes (text)'); c.commit(); os._exit(0)"
    )
    await anyio.run_process([sys.executable, "-c", code, str(path)])
    before = files(tmp_path)
    assert before["kb.db-wal"]
    with pytest.raises(NotADatabase, match="belongs to another program"):
        async with open_session(path):
            pass
    after = files(tmp_path)
    assert (after["kb.db"], after["kb.db-wal"]) == (before["kb.db"], before["kb.db-wal"])


async def test_a_newer_file_is_left_as_it_is(path: Path) -> None:
    await some_database(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    await refused(path, NewerDatabase, f"has version {schema.VERSION + 1}.*left as it is. Upgrade phaseflow")


@pytest.mark.parametrize("part", [0.02, 0.3, 0.5, 0.9, 0.999])
async def test_a_truncated_file_is_left_as_it_is(path: Path, part: float) -> None:
    whole = await some_database(path)
    path.write_bytes(whole[: int(len(whole) * part)])
    await refused(path, NotADatabase, "is damaged .*it was left as it is. Restore a copy")


@pytest.mark.parametrize("page", [0, 1, 2, 5, 9])
async def test_a_file_with_a_page_of_noise_is_left_as_it_is(path: Path, page: int) -> None:
    whole = bytearray(await some_database(path))
    begin = max(100, page * 4096)
    end = (page + 1) * 4096
    whole[begin:end] = random.Random(page).randbytes(end - begin)  # noqa: S311  # noise, the same each time
    path.write_bytes(whole)
    await refused(path, NotADatabase, "is damaged .*it was left as it is. Restore a copy")


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to a device"])
async def test_what_is_no_regular_file_is_left_alone(path: Path, kind: str) -> None:
    make: dict[str, Callable[[], None]] = {
        "folder": path.mkdir,
        "pipe": partial(os.mkfifo, path),
        "link to a device": partial(path.symlink_to, os.devnull),
    }
    make[kind]()
    with fail_soon(10), pytest.raises(StoreUnavailable, match="is not a regular file; name another one"):
        async with open_session(path):
            pass
    assert list(path.parent.iterdir()) == [path]


async def test_a_missing_folder_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"there is no folder .*nowhere; create it first"):
        async with open_session(tmp_path / "nowhere" / "kb.db"):
            pass
    assert not (tmp_path / "nowhere").exists()


async def test_a_file_that_another_program_has_locked_is_said_to_be(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_S", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with fail_soon(10), pytest.raises(StoreUnavailable, match="locked"):
            async with open_session(path):
                pass


async def test_an_older_file_is_brought_forward_step_by_step(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await some_database(path)
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 2)
    monkeypatch.setitem(migration.MIGRATIONS, schema.VERSION - 2, "CREATE TABLE first (id INTEGER) STRICT;")
    monkeypatch.setitem(migration.MIGRATIONS, schema.VERSION - 1, "ALTER TABLE first RENAME TO second;")
    async with open_session(path):
        assert select(path, "SELECT count(*) FROM second") == [(0,)]
    assert select(path, "PRAGMA user_version") == [(schema.VERSION,)]


async def test_a_step_forward_that_fails_leaves_the_version_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await some_database(path)
    before = schema.VERSION
    monkeypatch.setattr(schema, "VERSION", before + 1)
    monkeypatch.setitem(migration.MIGRATIONS, before, "CREATE TABLE half (id INTEGER) STRICT; nonsense;")
    with pytest.raises(StoreUnavailable):
        async with open_session(path):
            pass
    assert select(path, "PRAGMA user_version") == [(before,)]
    assert select(path, "SELECT name FROM sqlite_schema WHERE name = 'half'") == []


async def test_the_phase_table_has_the_columns_of_the_design_and_is_unique_per_job_and_phase(path: Path) -> None:
    await some_database(path)
    columns = {row[0] for row in select(path, "SELECT name FROM pragma_table_info('ingestion_phase_status')")}
    assert columns >= PHASE_COLUMNS
    unique = select(path, "SELECT name FROM pragma_index_list('ingestion_phase_status') WHERE origin = 'u'")
    assert [select(path, f"SELECT name FROM pragma_index_info('{name}')") for (name,) in unique] == [
        [("job_id",), ("phase_name",)]
    ]
    assert select(path, "SELECT \"table\" FROM pragma_foreign_key_list('ingestion_phase_status')") == [
        ("ingestion_jobs",)
    ]


async def test_every_table_is_strict(path: Path) -> None:
    await some_database(path)
    loose = select(path, "SELECT name FROM pragma_table_list WHERE NOT strict AND type = 'table' AND schema = 'main'")
    assert {name for (name,) in loose} <= {"sqlite_schema", "sqlite_sequence"}


def test_the_checks_of_the_schema_are_the_words_of_the_vocabulary() -> None:
    checks = dict(re.findall(r"CHECK \((phase_name|status) IN \(([^)]*)\)", schema.schema_sql()))
    assert checks == {
        "phase_name": ", ".join(f"'{phase}'" for phase in JobPhase),
        "status": ", ".join(f"'{status}'" for status in PhaseStatus),
    }


@pytest.fixture
def held_elsewhere(path: Path) -> Iterator[None]:
    with other_process(HOLD_OPEN, path):
        yield


@pytest.mark.usefixtures("held_elsewhere")
async def test_a_reader_works_beside_the_holder(path: Path) -> None:
    async with open_readers(path) as pool:
        assert await pool.read(lambda tx: tx.value("SELECT count(*) FROM models")) == 50


async def test_a_reader_works_when_nobody_has_the_file(path: Path) -> None:
    whole = await some_database(path)
    async with open_readers(path) as pool:
        assert await pool.read(lambda tx: tx.value("SELECT count(*) FROM models")) == 40
    assert path.read_bytes() == whole


async def test_a_reader_works_after_the_holder_was_killed(path: Path) -> None:
    with other_process(HOLD_OPEN, path) as process:
        process.kill()
        process.wait()
    async with open_readers(path) as pool:
        assert await pool.read(lambda tx: tx.value("SELECT count(*) FROM models")) == 50


@pytest.mark.parametrize("more", [-1, 1])
def test_a_file_of_another_program_is_refused_whatever_its_id(tmp_path: Path, more: int) -> None:
    with pytest.raises(NotADatabase, match="belongs to another program"):
        schema.check_version(tmp_path / "other.db", schema.APPLICATION_ID + more, schema.VERSION, 3)


async def test_what_a_killed_process_has_left_beside_the_file_counts_before_the_file_is_judged(path: Path) -> None:
    other = path.with_name("made.db")
    async with open_session(other):
        pass
    with closing(sqlite3.connect(other, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 999")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute(f"PRAGMA user_version = {schema.VERSION}")
        for end in ("", "-wal"):  # as a kill leaves them: of the file alone one would say that it is too new
            path.with_name(path.name + end).write_bytes(other.with_name(other.name + end).read_bytes())
    async with open_session(path) as database:
        assert await database.read(lambda tx: tx.value("PRAGMA user_version")) == schema.VERSION
