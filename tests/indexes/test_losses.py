"""An index that has lost what it was given: search says so instead of finding less, and the rows come back."""

import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from phaseflow import NewDocument
from phaseflow.actors import index_audit, index_delivery
from phaseflow.components.indexes import Candidate, IndexDocument, Query, Space, losses
from phaseflow.domain.errors import DocumentError, IndexUnavailable
from phaseflow.flow import outside_index, searching
from phaseflow.supervisor import index_keeper
from tests.engine.components import CountingEmbedder
from tests.indexes.file_index import CountingFileIndex, FileIndex
from tests.indexes.postgres import Postgres
from tests.indexes.test_engine import Place, all_found, place_of, run, until, until_whole
from tests.matrices import first_of_each
from tests.stopwatch import NEVER_S, fail_soon

LONG = "all about {name} " * 400
NAMES = tuple(f"n{n:02}" for n in range(12))


@pytest.fixture(autouse=True)
def attentive() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_keeper, "COUNT_S", 0.05)
        patch.setattr(index_keeper, "SELDOM", 1)
        yield


def rows_of(server: Postgres, space: str) -> list[tuple[object, ...]]:
    if not server.rows(f"SELECT 1 FROM pg_tables WHERE tablename = '{space}'"):
        return []
    return server.rows(f'SELECT document_id, position FROM phaseflow."{space}" ORDER BY 1, 2')


@pytest.mark.parametrize(
    "loss",
    first_of_each(
        [
            'DELETE FROM phaseflow."{0}" WHERE position % 2 = 1',
            'TRUNCATE phaseflow."{0}"',
            'DROP TABLE phaseflow."{0}"',
            'DELETE FROM phaseflow."{0}" WHERE document_id % 3 = 1',
            'DELETE FROM phaseflow."{0}"',
        ],
        lambda loss: loss.startswith("DROP"),
    ),
)
async def test_rows_that_somebody_else_has_removed_come_back_and_no_answer_passes_for_whole(
    tmp_path: Path, postgres: Postgres, request: pytest.FixtureRequest, loss: str
) -> None:
    place = place_of("postgres", tmp_path, request)
    place.write(*NAMES, text=LONG)
    async with place.flow() as flow:
        await run(flow, place)
        [(space,)] = place.rows("SELECT name FROM index_spaces")
        whole, found = rows_of(postgres, space), await all_found(flow)
        assert len(whole) > len(NAMES) == len(found)
        paid = place.embedder.paid.total()
        postgres.rows(loss.format(space))
        said: set[str] = set()
        with fail_soon(20):
            while rows_of(postgres, space) != whole:
                try:
                    assert await all_found(flow) == found
                except IndexUnavailable as error:
                    said.add(str(error))
                    assert await flow.search("kb", "all about", mode="words")
        assert all("has lost passages" in each for each in said)
        await until_whole(flow)
        assert await all_found(flow) == found
        assert place.embedder.paid.total() == paid


async def test_a_search_of_an_index_that_was_emptied_says_so_at_once_also_while_nothing_can_be_put_back(
    tmp_path: Path, postgres: Postgres, request: pytest.FixtureRequest
) -> None:
    place = place_of("postgres", tmp_path, request)
    place.write(*NAMES)
    async with place.flow() as flow:
        await run(flow, place)
        job = await flow.start("kb", hold=["loading"])
        assert (await job.wait_until_idle()).status == "paused"
        [(space,)] = place.rows("SELECT name FROM index_spaces")
        postgres.rows(f'DELETE FROM phaseflow."{space}" WHERE document_id % 2 = 0')
        for mode in ("vectors", "hybrid"):
            with pytest.raises(IndexUnavailable, match=r"'main' has lost passages; .* no job .* is paused"):
                await flow.search("kb", "all about", 10, mode=mode)
        assert len(await flow.search("kb", "all about", 10, mode="words")) == 10
        assert "has lost passages" in (await flow.why_index_down() or "")
        await flow.resume("kb")
        await job.wait()
        await until(lambda: len(rows_of(postgres, space)) == len(NAMES))


async def test_a_document_that_an_index_does_not_take_again_is_failed_and_known_as_it_was(tmp_path: Path) -> None:
    has_changed = False

    async def refuse(call: str, documents: Sequence[IndexDocument]) -> None:
        if has_changed and any(document.uri == "b.md" for document in documents):
            raise DocumentError("no", code="not_wanted")

    index = FileIndex(tmp_path / "index.db", refuse)
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write(*"abc")
    async with place.flow() as flow:
        await run(flow, place)
        before = await flow.document("kb", "b.md")
        [(space,)] = place.rows("SELECT name FROM index_spaces")
        whole = index.documents(space)
    with closing(sqlite3.connect(index.path)) as connection, connection:
        connection.execute("DELETE FROM passages")
    has_changed = True
    [(revision,)] = place.rows("SELECT search_revision FROM knowledge_bases")
    async with place.flow() as flow:
        await until(lambda: len(index.documents(space)) == len(whole) - 1)
        with fail_soon(10):
            while (after := await flow.document("kb", "b.md")).searchable:  # noqa: ASYNC110  # nobody tells
                await anyio.sleep(0.01)
        assert (after.status, after.code, after.title, after.size) == (
            "failed",
            "not_wanted",
            before.title,
            before.size,
        )
        assert await all_found(flow) == {"a.md", "c.md"}
        assert place.rows("SELECT search_revision FROM knowledge_bases") > [(revision,)], "else answers are kept"


async def test_an_index_that_still_has_what_is_gone_has_lost_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_keeper, "LOOK_S", 0.05)
    index = CountingFileIndex(tmp_path / "index.db")
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write(*NAMES)
    async with place.flow() as flow:
        await run(flow, place)
        await until(lambda: index.calls["passages"] > 0)  # the comparison that each engine makes once
        looked = index.calls["count"]
        await until(lambda: index.calls["count"] > looked + 2)
        [(space,)] = place.rows("SELECT name FROM index_spaces")
        with closing(sqlite3.connect(tmp_path / "index.db")) as connection:
            connection.execute("INSERT INTO passages VALUES (?, 1000000, 0, x'')", (space,))
            connection.commit()
        compared, looked = index.calls["passages"], index.calls["count"]
        await until(lambda: index.calls["count"] > looked + 3)
        assert index.calls["passages"] == compared


async def test_a_loss_that_a_look_has_found_is_made_good_at_once_not_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_keeper, "LOOK_S", NEVER_S)
    losing: list[str] = []

    async def lose(call: str, documents: Sequence[IndexDocument]) -> None:
        if call == "count" and losing:
            losing.pop()
            with closing(sqlite3.connect(tmp_path / "index.db")) as connection:
                connection.execute("DELETE FROM passages")
                connection.commit()

    index = CountingFileIndex(tmp_path / "index.db", lose)
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write(*NAMES)
    async with place.flow() as flow:
        await run(flow, place)
        [(space,)] = place.rows("SELECT name FROM index_spaces")
        whole = index.documents(space)
    losing.append("all, just before they are counted")
    async with place.flow():  # its keeper looks once, and then not for a long time
        await until(lambda: not losing and index.documents(space) == whole)


async def test_an_index_that_cannot_count_is_filled_again_once_a_search_finds_nothing(tmp_path: Path) -> None:
    async def slowly(call: str, documents: Sequence[IndexDocument]) -> None:
        await anyio.sleep(0.01)

    index = FileIndex(tmp_path / "index.db", slowly)
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write(*NAMES)
    async with place.flow() as flow:
        await run(flow, place)
        [(space,)] = place.rows("SELECT name FROM index_spaces")
        whole = index.documents(space)
        with closing(sqlite3.connect(tmp_path / "index.db")) as connection:
            connection.execute("DELETE FROM passages")
            connection.commit()
        with pytest.raises(IndexUnavailable, match="the index of this program has lost passages"):
            await flow.search("kb", "all about", mode="vectors")
        await until(lambda: index.documents(space) == whole)
        await until_whole(flow)
        assert await all_found(flow) == {f"{name}.md" for name in NAMES}


@pytest.mark.parametrize(
    ("kind", "is_open"),  # without a job, and with a paused one
    first_of_each(
        [
            (CountingFileIndex, False),
            (FileIndex, True),
            (CountingFileIndex, True),
            (FileIndex, False),
        ]
    ),
)
async def test_a_search_before_the_keeper_has_compared_says_that_an_index_lacks_what_an_older_copy_has(
    tmp_path: Path, kind: type[FileIndex], is_open: bool
) -> None:
    is_held, compared = anyio.Event(), anyio.Event()

    async def hold(call: str, documents: Sequence[IndexDocument]) -> None:
        if call == "spaces" and is_held.is_set():
            await compared.wait()

    index = kind(tmp_path / "index.db", hold)
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write("a", "b", "c")
    async with place.flow() as flow:
        await run(flow, place)
        if is_open:
            await (await flow.start("kb", hold=["loading"])).wait_until_idle()
    older = {path.name: path.read_bytes() for path in tmp_path.glob("kb.db*")}
    async with place.flow() as flow:
        if is_open:
            await flow.cancel("kb")
        place.write("a", text="now all about {name}")  # another document to the index, which forgets the one before
        await run(flow, place)
        await until(lambda: not place.rows("SELECT 1 FROM index_outbox"))
    for path in tmp_path.glob("kb.db*"):
        path.unlink()
    for name, content in older.items():
        (tmp_path / name).write_bytes(content)
    is_held.set()
    async with place.flow() as flow:
        [(space,)] = place.rows("SELECT name FROM index_spaces")
        wanted = [row[0] for row in place.rows("SELECT id FROM documents WHERE state = 4 ORDER BY id")]
        assert len(index.documents(space)) == len(wanted) > len({*wanted} & {*index.documents(space)})
        for _ in range(2):
            with pytest.raises(IndexUnavailable, match="has lost passages"):
                await flow.search("kb", "all about", 10, mode="vectors")
        compared.set()
        if is_open:
            await flow.cancel("kb")
        await until(lambda: index.documents(space) == wanted)
        await until_whole(flow)
        assert await all_found(flow) == {"a.md", "b.md", "c.md"}


class LateIndex(CountingFileIndex):
    """Its answers to searches arrive late. ``late`` is awaited when one has been found, and None: they do not.
    ``early`` is called once, in the step in which the next is looked for: nobody comes in between."""

    late: Callable[[], Awaitable[None]] | None = None
    early: Callable[[], None] | None = None

    async def search(self, space: Space, query: Query) -> Sequence[Candidate]:
        early, self.early = self.early, None
        if early is not None:
            early()
        found = await super().search(space, query)
        if self.late is not None:
            await self.late()
        return found


HARMS = ["a deletion waits", "it cannot count", "a push is published"]


@pytest.mark.parametrize("harm", [HARMS[1], *first_of_each([HARMS[0], HARMS[2]])])
async def test_a_loss_that_no_count_shows_is_seen_document_by_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    monkeypatch.setattr(losses, "COUNT_S", 0.0)
    monkeypatch.setattr(index_keeper, "COUNT_S", NEVER_S)  # only searches look

    async def fail(call: str, documents: Sequence[IndexDocument]) -> None:
        if call == {HARMS[0]: "remove", HARMS[1]: "count"}.get(harm):
            raise ConnectionResetError("gone")

    index = LateIndex(tmp_path / "index.db")
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write(*NAMES)
    async with place.flow() as flow:
        await flow.add("kb", [NewDocument(uri="p", text="all about p")])
        await (await flow.job("kb")).wait()
        await run(flow, place)
        assert len(await flow.search("kb", "all about", 20, mode="vectors")) == len(NAMES) + 1
        await until(lambda: index.calls["passages"] > 0 and index.calls["count"] > 0)  # it was compared, and counted
        index.fault = fail
        if harm == HARMS[0]:
            await flow.delete_document("kb", "p")
        elif harm == HARMS[2]:

            async def publish() -> None:
                index.late = None
                await flow.add("kb", [NewDocument(uri="q", text="all about q")])
                await (await flow.job("kb")).wait()

            index.late = publish
        with closing(sqlite3.connect(index.path)) as connection:
            connection.execute("DELETE FROM passages WHERE document = (SELECT max(document) FROM passages)")
            connection.commit()
        for _ in range(2):
            with pytest.raises(IndexUnavailable, match="has lost passages"):
                await flow.search("kb", "all about", 20, mode="vectors")


class ApproximateIndex(CountingFileIndex):
    """Has more than it proposes."""

    async def search(self, space: Space, query: Query) -> Sequence[Candidate]:
        return (await super().search(space, query))[:-1]


async def test_a_search_that_cannot_compare_an_index_in_time_says_so_and_the_next_one_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place("file", tmp_path, {"index": CountingFileIndex(tmp_path / "index.db")}, {}, CountingEmbedder())
    place.write(*NAMES)
    async with place.flow() as flow:
        await run(flow, place)
    monkeypatch.setattr(index_audit, "PAGE", 1)
    monkeypatch.setattr(index_audit, "PAGE", 1)
    monkeypatch.setattr(searching, "SEARCH_S", 0.0)
    monkeypatch.setattr(outside_index, "LEAST_COMPARED_S", 0.05)
    hangs = True

    async def hold(call: str, documents: Sequence[IndexDocument]) -> None:
        if call == "spaces" or (call == "passages" and hangs and index.calls[call] > 6):
            await anyio.sleep_forever()

    index = ApproximateIndex(tmp_path / "index.db", hold)
    async with place.flow(index=index) as flow:
        while index.calls["passages"] <= 6:
            with pytest.raises(IndexUnavailable, match="has yet to be compared with the database"):
                await flow.search("kb", "all about", 20, mode="vectors")
        hangs = False
        made = index.calls["passages"]
        monkeypatch.setattr(outside_index, "LEAST_COMPARED_S", NEVER_S)
        assert len(await flow.search("kb", "all about", 20, mode="vectors")) == len(NAMES) - 1
        assert 0 < index.calls["passages"] - made < len(NAMES)
        monkeypatch.setattr(index, "fault", None)
        made = index.calls["passages"]
        assert len(await flow.search("kb", "all about", 20, mode="vectors")) == len(NAMES) - 1
        assert index.calls["passages"] == made


NO_ROOM = """
CREATE FUNCTION phaseflow.no_room() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END$$;
CREATE TRIGGER no_room BEFORE INSERT ON phaseflow."{0}" FOR EACH ROW EXECUTE FUNCTION phaseflow.no_room()
"""


@pytest.mark.parametrize("harm", first_of_each(["stopped", "full"]))
async def test_ingestion_waits_for_a_server_that_stands_still_or_has_no_room_and_goes_on_with_it(
    tmp_path: Path, postgres: Postgres, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    monkeypatch.setattr(index_delivery, "CALL_S", 0.5)
    place = place_of("postgres", tmp_path, request)
    place.write(*NAMES)
    async with place.flow() as flow:
        await run(flow, place)
        [(space,)] = place.rows("SELECT name FROM index_spaces")
        try:
            if harm == "stopped":
                postgres.stop()
            else:
                postgres.rows(NO_ROOM.format(space))
            place.write("more")
            job = await flow.start("kb")
            with fail_soon(20):
                async for status in job.watch():
                    if status.waiting_on == "index":
                        break
            assert (status.status, status.metrics.documents_failed) == ("running", 0)
            assert len(await flow.search("kb", "all about", 100, mode="words")) == len(NAMES)
            if harm == "full":
                assert len(await flow.search("kb", "all about", 100, mode="vectors")) == len(NAMES)
        finally:
            if harm == "stopped":
                postgres.go_on()
            else:
                postgres.rows("DROP FUNCTION phaseflow.no_room CASCADE")
        with fail_soon(20):
            assert (await job.wait()).status == "completed"
        assert await all_found(flow) == {f"{name}.md" for name in (*NAMES, "more")}
        assert set(place.embedder.paid.values()) == {1}


async def test_an_answer_from_before_the_rows_came_back_does_not_pass_for_whole(tmp_path: Path) -> None:
    index = LateIndex(tmp_path / "index.db")
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write(*NAMES)
    async with place.flow() as flow:
        await run(flow, place)
        [(space,)] = place.rows("SELECT name FROM index_spaces")
        whole = index.documents(space)

        async def until_all_is_back() -> None:
            await until(lambda: index.documents(space) == whole)
            await until_whole(flow)

        def lose() -> None:
            with closing(sqlite3.connect(tmp_path / "index.db")) as connection:
                connection.execute("DELETE FROM passages WHERE document % 2 = 0")
                connection.commit()

        index.early, index.late = lose, until_all_is_back
        with pytest.raises(IndexUnavailable, match="has lost passages"):
            await flow.search("kb", "all about", 20, mode="vectors")
        assert len(await flow.search("kb", "all about", 20, mode="vectors")) == len(NAMES)
