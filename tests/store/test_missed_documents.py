"""What changed while a client was away is found without looking through all documents."""

import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from phaseflow.domain.status import timestamp
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import missed_documents
from phaseflow.store.catalogue import Catalogue
from phaseflow.store.failures import FailedDocument, Failures
from phaseflow.store.inbox import Inbox
from phaseflow.store.session import open_session
from phaseflow.store.states import DocumentState
from phaseflow.store.transaction import Transaction
from tests.store.probes import Plans, Steps
from tests.store.stock import NOW, stock

LATER = NOW + timedelta(hours=1)
OF_A_STATE = {
    "loaded": DocumentState.LOADED,
    "chunked": DocumentState.CHUNKED,
    "embedded": DocumentState.EMBEDDED,
    "indexed": DocumentState.SEARCHABLE,
}
OTHERS = ("asked", "failed", "new", "noted", "skipped")
CHANGED = sorted([*OF_A_STATE, *OTHERS])


@pytest.fixture(autouse=True)
def few_rows_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed_documents, "AHEAD", 10)


async def fill(path: Path, count: int) -> str:
    """So many documents in each state since ``NOW``, and one ``LATER``; the key of their knowledge base."""
    async with open_session(path) as database:
        made = await stock(database)
        await made.note(*(name for name in OTHERS if name != "new"))
    before, after = timestamp(NOW), timestamp(LATER)
    with closing(sqlite3.connect(path)) as connection, connection:
        for name, state in OF_A_STATE.items():
            rows = [(f"{name}/{n:05}", before) for n in range(count)] + [(name, after)]
            connection.executemany(
                "INSERT INTO documents (kb_id, job_seq, index_version, uri, title, media_type, content_hash, recipe,"
                " state, search_revision, changed_at, indexed_at) VALUES (?, ?, 1, ?, '', '', '', '', ?, ?, ?, ?)",
                [(made.key, made.seq, uri, state, 1 if state == 4 else None, at, at) for uri, at in rows],
            )
            connection.executemany(
                "INSERT INTO catalogue (kb_id, uri, document_id, created_at, changed_at) VALUES (?, ?, ?, ?, ?)",
                [(made.key, uri, uri, before, before) for uri, _ in rows],
            )
            connection.executemany(
                "INSERT INTO failures VALUES (?, ?, ?, 'loading', 'code', 'error', 1, ?)",
                [(made.key, f"{name}/{n:05}", made.seq, before) for n in range(0, count, 4)],
            )
    async with open_session(path) as database:
        write, key = database.write, made.key
        await write(lambda tx: Catalogue(tx, key).note("default", ["new"], LATER))
        await write(lambda tx: Catalogue(tx, key).set_skipped("skipped", skipped=True, at=LATER))
        await write(lambda tx: Catalogue(tx, key).set_metadata("noted", "{}", replaces=True, at=LATER))
        await write(lambda tx: Inbox(tx, key).ask(["asked"], LATER))
        bad = [FailedDocument("failed", "code", "error")]
        await write(lambda tx: Failures(tx, key).add(made.seq, JobPhase.EMBEDDING, bad, LATER))
    return key


async def test_every_kind_of_change_is_found_and_nothing_older(path: Path) -> None:
    key = await fill(path, 30)
    with closing(sqlite3.connect(path)) as connection:
        tx = Transaction(connection)
        assert missed_documents.since(tx, key, LATER, 100) == CHANGED
        assert missed_documents.since(tx, key, LATER, 4) == CHANGED[:4]
        assert missed_documents.since(tx, key, LATER + timedelta(seconds=1), 100) == []
        assert len(missed_documents.since(tx, key, None, 50)) == 50


async def test_what_it_costs_does_not_grow_with_the_knowledge_base(tmp_path: Path) -> None:
    taken = []
    for count in (100, 1000):
        path = tmp_path / f"{count}.db"
        key = await fill(path, count)
        with closing(sqlite3.connect(path)) as connection:
            steps, plans = Steps(connection), Plans(connection)
            assert missed_documents.since(steps, key, LATER, 20) == CHANGED
            assert missed_documents.since(steps, key, None, 20)
            taken.append(steps.taken)
            missed_documents.since(plans, key, LATER, 20)
            assert [line for line in plans.lines if re.search(r"SCAN [cdfr]|B-TREE FOR ORDER", line)] == []
    assert taken[1] < 1.2 * taken[0]
