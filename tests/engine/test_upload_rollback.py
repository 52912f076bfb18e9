"""Uploaded files and the database change together: a request that is not stored leaves the files as they were."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from phaseflow import KnowledgeBaseNotFound, PhaseFlow, UploadSource
from phaseflow.domain.errors import StoreUnavailable
from phaseflow.store import failpoints
from tests.cli.forked import program
from tests.engine.components import CountingEmbedder
from tests.stopwatch import fail_soon

A, B = ("a.md", b"the letter alpha. " * 5000), ("b.md", b"the letter beta. " * 5000)
NEWER = ("a.md", b"another letter. " * 5000)
"""So large that each is kept in a file."""


@pytest.fixture
async def flow(database: Path) -> AsyncIterator[PhaseFlow]:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await _add(flow, "waf", A)
        yield flow
        failpoints.clear()


async def _add(flow: PhaseFlow, kb_id: str, *files: tuple[str, bytes]) -> None:
    with fail_soon(20):
        await (await flow.add_documents(kb_id, files)).wait()


def _files(database: Path) -> dict[str, bytes | None]:
    root = database.with_name(f"{database.name}.uploads")
    return {str(p.relative_to(root)): p.read_bytes() if p.is_file() else None for p in root.rglob("*")}


def _refuse() -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


CALLS: dict[str, Callable[[PhaseFlow], Awaitable[object]]] = {
    "delete": lambda flow: flow.delete_kb("waf"),
    "put": lambda flow: flow.put_kb("new", UploadSource()),
    "start": lambda flow: flow.start("new", UploadSource()),
    "add": lambda flow: flow.add_documents("waf", [NEWER, B]),
    "add to a new one": lambda flow: flow.add_documents("new", [A, B]),
    "remove": lambda flow: flow.remove_document("waf", "a.md"),
}


async def test_what_cannot_be_stored_moves_no_file(flow: PhaseFlow) -> None:
    before = _files(flow.path)
    for name, call in CALLS.items():
        failpoints.install("store.before_commit", _refuse)
        with pytest.raises(StoreUnavailable):
            await call(flow)
        failpoints.clear()
        assert _files(flow.path) == before, name
        assert (await flow.kb("waf")).documents == 1, name
        with pytest.raises(KnowledgeBaseNotFound):
            await flow.kb("new")


async def test_a_deletion_and_a_new_one_of_the_same_name_are_both_taken_back(flow: PhaseFlow) -> None:
    """The writer may carry out both in one transaction."""
    before = _files(flow.path)

    def both(tx: object) -> None:
        flow._engine.definitions.remove(tx, "waf")  # type: ignore[arg-type]  # a Transaction, as the writer gives it
        flow._engine.definitions.to_push(tx, "waf", flow._engine.hub.clock.now())  # type: ignore[arg-type]  # a Transaction, as the writer gives it
        _refuse()

    with pytest.raises(StoreUnavailable):
        await flow._engine.hub.database.write(both)
    assert _files(flow.path) == before


_CRASH = """
import anyio, os, sys
from phaseflow import PhaseFlow
from phaseflow.store import failpoints
from tests.engine.test_upload_rollback import CALLS, CountingEmbedder

async def main():
    async with PhaseFlow(sys.argv[1], embedder=CountingEmbedder()) as flow:
        failpoints.install("store.before_commit", lambda: os._exit(9))
        await CALLS[sys.argv[2]](flow)

anyio.run(main)
"""


async def _killed(database: Path, call: str) -> None:
    running = program(_CRASH, database, call)
    try:
        _, said = await anyio.to_thread.run_sync(running.communicate)
    finally:
        running.close()
    assert running.returncode == 9, said


async def test_a_deletion_that_a_crash_broke_off_loses_no_file(database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await _add(flow, "waf", A)
    before = _files(database)
    await _killed(database, "delete")
    assert _files(database) != before, "it was killed in between"
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        assert _files(database) == before
        await _add(flow, "waf", B)
        assert (await flow.kb("waf")).documents == 2


async def test_an_upload_that_a_crash_broke_off_is_no_document_of_a_later_one(database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()):
        pass
    await _killed(database, "add to a new one")
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        with pytest.raises(KnowledgeBaseNotFound):
            await flow.kb("new")
        await _add(flow, "new", NEWER)
        assert [each.uri for each in (await flow.documents("new")).items] == ["a.md"]
        assert [data for data in _files(database).values() if data is not None] == [NEWER[1]]
