"""Copies of one database on one server: only one head has it at a time, and the next one has it at once."""

import shutil
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow import FolderSource, NewDocument, Reader
from phaseflow.components.indexes import postgres_claim
from phaseflow.components.indexes.postgres import PostgresIndex
from phaseflow.domain.errors import IndexUnavailable
from phaseflow.supervisor import index_keeper
from tests.indexes.postgres import Postgres
from tests.indexes.test_engine import Place, all_found, place_of, run, until, until_whole
from tests.indexes.test_protocol import SPACE, a_document, some_vectors
from tests.stopwatch import fail_soon

OWNER = "pf_test"
IN_USE = "the index server 'main' is in use by another phaseflow, which has a copy of this database"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_claim, "PATIENCE_S", 0.2)


def cut_off_the_head(server: Postgres) -> None:
    """The server lets go of the connection by which a head has it, as when a network breaks."""
    server.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'phaseflow head'"
    )


async def heads(server: Postgres) -> tuple[PostgresIndex, PostgresIndex]:
    """Two of one owner; the first has the server, and a space with a document."""
    first, second = (PostgresIndex("main", server.url, OWNER) for _ in range(2))
    await first.create(SPACE)
    await first.put(SPACE, [a_document(1, some_vectors(2))])
    return first, second


async def test_a_second_head_can_do_nothing_until_the_first_has_ended(postgres: Postgres) -> None:
    first, second = await heads(postgres)
    other = PostgresIndex("main", postgres.url, "pf_other")
    reader = PostgresIndex("main", postgres.url)
    for call in (
        second.hold(), second.ping(), second.create(SPACE), second.remove(SPACE, [1]), second.drop(SPACE.name),
        second.put(SPACE, [a_document(2, some_vectors(1))]), second.ready(SPACE), second.count(SPACE),
    ):  # fmt: skip
        with pytest.raises(IndexUnavailable, match=IN_USE):
            await call
    await reader.ping()
    await other.remove(SPACE, [7])
    assert await first.document_ids(SPACE, 0, 9) == [1]
    assert (await first.hold(), await reader.hold()) == (1, 0)
    await first.aclose()
    await second.remove(SPACE, [1])
    assert await second.count(SPACE) == 0
    for index in (second, other, reader):
        await index.aclose()


async def test_a_head_that_was_cut_off_writes_nothing_more_and_says_when_it_has_it_again(postgres: Postgres) -> None:
    first, second = await heads(postgres)
    cut_off_the_head(postgres)
    with fail_soon(5):
        await second.remove(SPACE, [1])
    for _ in range(2):
        with pytest.raises(IndexUnavailable, match=IN_USE):
            await first.put(SPACE, [a_document(3, some_vectors(1))])
    assert await second.count(SPACE) == 0
    await second.aclose()
    await first.put(SPACE, [a_document(3, some_vectors(1))])
    cut_off_the_head(postgres)
    await first.remove(SPACE, [3])
    assert await first.hold() == 3, "whoever has had it in between may have changed it"
    await first.aclose()


async def test_whoever_takes_over_waits_for_the_end_of_what_the_head_before_was_writing(postgres: Postgres) -> None:
    first, second = await heads(postgres)
    is_writing, may_end = anyio.Event(), anyio.Event()
    order = []

    async def write(connection: Any) -> None:
        is_writing.set()
        await may_end.wait()
        order.append("written")

    async def take_over() -> None:
        await second.hold()
        order.append("taken over")

    assert first._claim is not None
    with fail_soon(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first._claim.run, write)
            await is_writing.wait()
            cut_off_the_head(postgres)
            tasks.start_soon(take_over)
            waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            while not await anyio.to_thread.run_sync(postgres.rows, waiting):  # noqa: ASYNC110  # only the server knows
                await anyio.sleep(0.01)
            may_end.set()
    assert order == ["written", "taken over"]
    for index in (first, second):
        await index.aclose()


HEAD = """
import anyio, sys
from phaseflow.components.indexes.postgres import PostgresIndex

async def main():
    index = PostgresIndex("main", sys.argv[1], sys.argv[2])
    await index.hold()
    print("there", flush=True)
    await anyio.sleep_forever()

anyio.run(main)
"""


async def test_after_a_kill_the_next_head_has_the_server_at_once(postgres: Postgres) -> None:
    next_one = PostgresIndex("main", postgres.url, OWNER)
    words = [sys.executable, "-c", HEAD, postgres.url, OWNER]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as head:  # noqa: ASYNC220  # a moment
        assert head.stdout is not None
        try:
            assert await anyio.to_thread.run_sync(head.stdout.readline) == "there\n"
            with pytest.raises(IndexUnavailable, match=IN_USE):
                await next_one.hold()
        finally:
            head.kill()
    with fail_soon(2):
        while True:
            try:
                assert await next_one.hold() == 1
                break
            except IndexUnavailable:
                continue
    await next_one.aclose()


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    place = place_of("postgres", tmp_path, request)
    place.write(*"abc")
    return place


def there(server: Postgres, place: Place) -> bool:
    """Whether the server has what a database says, and nothing else."""
    [(space,)] = place.rows("SELECT name FROM index_spaces")
    found = server.rows(f'SELECT document_id, count(*) FROM phaseflow."{space}" GROUP BY 1 ORDER BY 1')
    return found == place.rows("SELECT id, chunk_count FROM documents WHERE state = 4 ORDER BY id")


@pytest.mark.thorough
async def test_a_head_with_a_copy_waits_in_words_and_each_brings_the_server_in_line_once_it_has_it(
    tmp_path: Path, postgres: Postgres, request: pytest.FixtureRequest
) -> None:
    place = place_of("postgres", tmp_path / "first", request)
    place.folder.mkdir()
    place.write(*"abc")
    async with place.flow() as flow:
        await run(flow, place)
    shutil.copytree(place.folder, tmp_path / "second")
    copy = replace(place, folder=tmp_path / "second")
    copy.write("d")
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(place.flow())
        assert len(await all_found(first)) == 3
        async with copy.flow() as second:
            job = await second.start("kb", FolderSource(str(copy.docs)))
            with fail_soon(20):
                async for status in job.watch():
                    if status.waiting_on == "index":
                        break
            assert IN_USE in (await second.why_index_down() or "")
            with pytest.raises(IndexUnavailable, match=IN_USE):
                await second.search("kb", "all about", mode="vectors")
            assert len(await second.search("kb", "all about", mode="words")) == 3
            async with Reader(place.folder / "kb.db", index_servers=place.options["index_servers"]) as reader:
                assert "in use" not in (await reader.why_index_down() or "")
            assert there(postgres, place)
            place.write("e", "f")
            await run(first, place)
            await stack.aclose()
            with fail_soon(20):
                assert (await job.wait()).status == "completed"
            await until(lambda: there(postgres, copy))
            assert await all_found(second) == {"a.md", "b.md", "c.md", "d.md"}
    async with place.flow() as first:
        await until(lambda: there(postgres, place))
        await until_whole(first)
        assert await all_found(first) == {"a.md", "b.md", "c.md", "e.md", "f.md"}


async def test_two_copies_that_have_the_server_in_turn_each_find_what_they_have_added(
    tmp_path: Path, postgres: Postgres, request: pytest.FixtureRequest
) -> None:
    first = place_of("postgres", tmp_path / "first", request)
    first.folder.mkdir()
    first.write("a")
    async with first.flow() as flow:
        await run(flow, first)
    shutil.copytree(first.folder, tmp_path / "second")
    second = replace(first, folder=tmp_path / "second")

    async def add(place: Place, name: str) -> list[Any]:
        async with place.flow() as flow:
            await flow.add("kb", [NewDocument(uri=name, text=f"all about {name}")])
            await (await flow.job("kb")).wait()
            await until(lambda: there(postgres, place))
        return _vectors(postgres, place, name)

    was = await add(first, "one")
    await add(second, "two")
    async with first.flow() as flow:
        await until(lambda: there(postgres, first))
        await until_whole(flow)
        assert await all_found(flow) == {"a.md", "one"}
    assert len(was) == 1
    assert _vectors(postgres, first, "one") == was


def _vectors(server: Postgres, place: Place, uri: str) -> list[Any]:
    """What stands on the server under the number that a document has in one copy."""
    [(space,)] = place.rows("SELECT name FROM index_spaces")
    [(number,)] = place.rows(f"SELECT id FROM documents WHERE uri = '{uri}' AND state = 4")
    return server.rows(f'SELECT vector::text FROM phaseflow."{space}" WHERE document_id = {number}')


async def test_a_head_compares_all_again_when_another_one_may_have_had_the_server(
    postgres: Postgres, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_keeper, "COUNT_S", 0.05)
    monkeypatch.setattr(index_keeper, "SELDOM", 1)
    place = place_of("postgres", tmp_path, request)
    place.write(*"abc")
    async with place.flow() as flow:
        await run(flow, place)
        await flow.add("kb", [NewDocument(uri="z", text="all about z")])
        await (await flow.job("kb")).wait()
        await until(lambda: there(postgres, place))
        [(space,)] = place.rows("SELECT name FROM index_spaces")
        # As many rows as before, so that a count tells nothing.
        postgres.rows(f'UPDATE phaseflow."{space}" SET document_id = document_id + 1000 WHERE document_id > 2')
        assert not there(postgres, place)
        cut_off_the_head(postgres)
        await until(lambda: there(postgres, place))
