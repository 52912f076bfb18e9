"""A database in which something was changed in place is no copy that anybody would restore."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from phaseflow.domain.errors import NotADatabase
from phaseflow.store import failpoints
from phaseflow.store.backup import copy_database
from phaseflow.store.content_check import changed_content
from phaseflow.store.copy_check import CopyStop
from phaseflow.store.documents import StagedDocuments, text_hash
from phaseflow.store.session import open_session
from phaseflow.store.texts import SEGMENT
from tests.store.stock import NOW, Stock, cut, stock

LONG = "".join(f"sentence {number}. " for number in range(3 * SEGMENT // 14))


def changed(path: Path) -> str | None:
    with closing(sqlite3.connect(path)) as connection:
        return changed_content(connection)


def turn(path: Path, before: bytes, after: bytes) -> None:
    """Change bytes in place, as a disk may: no structure of SQLite is touched."""
    data = path.read_bytes()
    assert data.count(before) == 1
    path.write_bytes(data.replace(before, after))


@pytest.fixture
async def made(path: Path) -> Stock:
    """Documents with passages, one over several segments, one with headings above them; closed, so all in the file."""
    async with open_session(path) as database:
        made = await stock(database)
        await made.publish(("a", "the first of all letters"), ("b", "änd the second one"), ("long", LONG))
        headed = [replace(cut(each), contexts=("Of headings",)) for each in await made.load(("headed", "short"))]
        headed = [replace(each, hashes=[text_hash(text) for text in each.embedded_texts()]) for each in headed]
        await database.write(lambda tx: StagedDocuments(tx).cut(headed, NOW))
    return made


async def test_what_was_stored_is_sound(path: Path, made: Stock) -> None:
    assert changed(path) is None
    assert copy_database(path, path.with_name("copy.db")) > 0


@pytest.mark.parametrize(
    ("before", "after", "uri"),
    [
        (b"first of all", b"first of bll", "a"),
        ("\u00e4nd the".encode(), b"\xc3\x24nd the", "b"),  # no UTF-8 any more
        (b"sentence 13000.", b"sentence 13001.", "long"),
        (b"Of headings", b"Of readings", "headed"),
    ],
)
async def test_text_that_was_changed_in_place_is_found_and_named(
    path: Path, made: Stock, before: bytes, after: bytes, uri: str
) -> None:
    turn(path, before, after)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with pytest.raises(NotADatabase, match=rf"the text of {uri} in kb is not what was stored; phaseflow retry"):
        copy_database(path, copy := path.with_name("copy.db"))
    assert not list(path.parent.glob("copy.db*"))
    assert copy_database(path, copy, check=False) > 0


async def test_a_text_that_is_lost_is_found(path: Path, made: Stock) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM texts")
        connection.commit()
    told = changed(path)
    assert told is not None
    assert all(f"{uri} in kb" in told for uri in ("a", "b", "long", "headed"))
    assert "others" not in told


async def test_of_many_the_first_are_named(path: Path, made: Stock) -> None:
    async with open_session(path) as database:
        more = replace(made, database=database)
        await more.publish(*((f"more{number}", "of more") for number in range(3)))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE texts SET text = upper(text)")
        connection.commit()
    told = changed(path)
    assert told is not None
    assert (told.count(" in kb"), "more0 in kb and others is not" in told) == (5, True)


async def test_what_is_gone_is_not_looked_at(path: Path, made: Stock) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE texts SET text = 'x'")
        connection.execute("UPDATE documents SET state = 10 WHERE uri <> 'headed'")
        connection.commit()
        assert "headed" in str(changed(path))
        connection.execute("UPDATE knowledge_bases SET name = NULL")
        connection.commit()
    assert changed(path) is None


async def test_what_was_pushed_and_stands_in_a_file_or_is_of_a_deleted_knowledge_base_is_passed_over(
    path: Path, made: Stock
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO knowledge_bases (id, settings, created_at, updated_at) VALUES ('gone~2', '{}', '', '')"
        )
        for key, uri, content in ((made.key, "large", None), ("gone~2", "small", b"not what was sent")):
            connection.execute(
                "INSERT INTO pushed (kb_id, uri, size, digest, content, pushed_at) VALUES (?, ?, 1, 'x', ?, '')",
                (key, uri, content),
            )
        connection.commit()
    assert changed(path) is None


async def test_what_was_pushed_is_compared_with_its_digest(path: Path, made: Stock) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for uri, sent in (("x", b"a letter"), ("y", b"a latter")):
            connection.execute(
                "INSERT INTO pushed (kb_id, uri, size, digest, content, pushed_at) VALUES (?, ?, 8, ?, ?, '')",
                (made.key, uri, text_hash("a letter").hex(), sent),
            )
        connection.commit()
    assert changed(path) == "what was pushed as y in kb is not what was sent; push it again"


async def test_nobody_waits_for_texts_that_are_compared(path: Path, made: Stock) -> None:
    stop = CopyStop()

    def ask() -> None:
        patient = Thread(target=stop.ask)  # another thread than the one that copies
        patient.start()
        patient.join()

    failpoints.install("backup.checking_contents", ask)
    try:
        assert copy_database(path, path.with_name("copy.db"), stop) == 0
    finally:
        failpoints.clear()
    assert not list(path.parent.glob("copy.db*"))
