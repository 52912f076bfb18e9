"""Knowledge bases in each kind of index: what search finds is what the documents say, whatever happens to the index."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow import FolderSource, NewDocument, PhaseFlow, Reader
from phaseflow.actors import index_audit
from phaseflow.components.indexes import IndexDocument, Space
from phaseflow.domain.errors import (
    ComponentUnavailable,
    DocumentError,
    IndexUnavailable,
    InvalidRequest,
    MissingExtra,
    RateLimited,
)
from phaseflow.domain.status import JobStatusResponse
from phaseflow.flow import outside_index
from tests.engine.components import CountingEmbedder
from tests.indexes.file_index import CountingFileIndex, FileIndex
from tests.indexes.postgres import Postgres
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon
from tests.store.probes import select

KINDS = ["embedded", "file", "postgres"]
Fault = Callable[[str, Sequence[IndexDocument]], Awaitable[None]]


@dataclass
class Place:
    """How to open an engine whose knowledge bases stand in one kind of index."""

    kind: str
    folder: Path
    options: dict[str, Any]
    settings: dict[str, Any]
    embedder: CountingEmbedder

    def flow(self, **more: Any) -> PhaseFlow:
        return PhaseFlow(
            self.folder / "kb.db", embedder=self.embedder, settings=self.settings, **{**self.options, **more}
        )

    @property
    def docs(self) -> Path:
        return self.folder / "docs"

    def write(self, *names: str, text: str = "all about {name}") -> None:
        self.docs.mkdir(exist_ok=True)
        for name in names:
            (self.docs / f"{name}.md").write_text(f"# {name}\n\n{text.format(name=name)}\n")

    def rows(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "kb.db")) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(params=first_of_each(KINDS, lambda kind: kind == "embedded"))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return place_of(request.param, tmp_path, request)


def place_of(kind: str, folder: Path, request: pytest.FixtureRequest) -> Place:
    options: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    if kind == "file":
        options["index"] = FileIndex(folder / "index.db")
    if kind == "postgres":
        options["index_servers"] = {"main": request.getfixturevalue("postgres").url}
        settings["index"] = {"type": "postgres", "server": "main"}
    return Place(kind, folder, options, settings, CountingEmbedder())


async def run(flow: PhaseFlow, place: Place, kb: str = "kb", **more: Any) -> JobStatusResponse:
    with fail_soon(30):
        done = await (await flow.start(kb, FolderSource(str(place.docs)), allow_deletes=True, **more)).wait()
    assert done.status == "completed", done.message
    return done


async def all_found(flow: PhaseFlow | Reader, kb: str = "kb") -> set[str]:
    """The documents that each kind of search can find."""
    found = [{hit.uri for hit in await flow.search(kb, "all about", 100, mode=mode)} for mode in ("vectors", "hybrid")]
    assert found[0] == found[1]
    return found[0]


async def until(holds: Callable[[], bool]) -> None:
    with fail_soon(20):
        while not holds():  # noqa: ASYNC110  # nobody tells when the keeper is done
            await anyio.sleep(0.02)


async def until_whole(flow: PhaseFlow) -> None:
    with fail_soon(10):
        while await flow.why_index_down():  # noqa: ASYNC110  # nobody tells when the keeper is done
            await anyio.sleep(0.02)


async def test_what_is_found_is_what_is_searchable(place: Place) -> None:
    place.write("a", "b", "c")
    async with place.flow() as flow:
        await run(flow, place)
        assert await all_found(flow) == {"a.md", "b.md", "c.md"}
        place.write("b", "d", text="now all about {name}")
        (place.docs / "a.md").unlink()
        await run(flow, place)
        assert await all_found(flow) == {"b.md", "c.md", "d.md"}
        await flow.add("kb", [NewDocument(uri="e", text="all about e")])
        await (await flow.job("kb")).wait()
        assert await all_found(flow) == {"b.md", "c.md", "d.md", "e"}
        await flow.delete_document("kb", "e")
        await flow.skip_document("kb", "d.md")
        assert await all_found(flow) == {"b.md", "c.md"}
        async with Reader(place.folder / "kb.db", index_servers=place.options.get("index_servers")) as reader:
            if place.kind == "postgres":
                assert len(await reader.search("kb", "all about", mode="words")) == 2
        await until(lambda: not place.rows("SELECT 1 FROM index_outbox"))
        assert set(place.embedder.paid.values()) == {1}, "each text is paid once"
        [(least, most)] = place.rows("SELECT min(length(vector)), max(length(vector)) FROM vectors")
        exact = 4 * place.rows("SELECT dimension FROM models")[0][0]
        assert (most == least == exact) if place.kind == "embedded" else (most < exact)
        await flow.delete_kb("kb")  # its vectors go at once
        place.write("z")
        await run(flow, place)
        assert await all_found(flow) == {"b.md", "c.md", "d.md", "z.md"}
        await until(lambda: not place.rows("SELECT 1 FROM index_outbox"))
        assert len(place.rows("SELECT 1 FROM index_spaces")) == (place.kind != "embedded")


async def test_a_filter_still_finds_as_many_as_there_are(place: Place) -> None:
    place.write(*(f"n{n:03}" for n in range(130)))
    async with place.flow() as flow:
        await run(flow, place)
        some = {"type": "glob", "key": "uri", "value": "n12*.md"}
        for mode in ("vectors", "hybrid"):
            hits = await flow.search("kb", "all about n001", 8, filter=some, mode=mode)
            assert len(hits) == 8
            assert {hit.uri[:3] for hit in hits} == {"n12"}
            assert not await flow.search("kb", "x", filter={"type": "eq", "key": "uri", "value": "no"}, mode=mode)
        assert len(await flow.search("kb", "all about", 100, mode="vectors")) == 100


@pytest.mark.parametrize(
    "way",
    [
        *first_of_each([(("embedded", "postgres"),), (("postgres", "embedded"),), (("file", "postgres"),)]),
        ("file", "embedded"),
    ],
)
async def test_a_knowledge_base_moves_while_search_goes_on_and_nothing_is_paid(
    way: tuple[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    old, new = (place_of(kind, tmp_path, request) for kind in way)
    new.embedder = old.embedder
    old.write(*(f"n{n}" for n in range(20)))
    names = {f"n{n}.md" for n in range(20)}
    async with old.flow() as flow:
        await run(flow, old)
    paid = old.embedder.paid.total()
    made = old.rows("SELECT id, indexed_at, search_revision FROM documents WHERE state = 4 ORDER BY id")
    options = {**old.options, **new.options}
    if way[0] == "file":
        del options["index"]
    else:
        options["index_servers"] = {"main": request.getfixturevalue("postgres").url}
    async with new.flow(**options) as flow:
        if way[0] != "file":
            assert await all_found(flow) == names
        old.write("n7", text="now all about {name}")
        moving = new.settings or {"index": {"type": "embedded"}}
        job = await flow.start("kb", settings=moving, hold=["indexing"])
        with fail_soon(30):
            while (await job.status()).phase_details[2].status != "completed":  # noqa: ASYNC110  # nothing tells of it
                await anyio.sleep(0.02)
            if way[0] != "file":
                assert await all_found(flow) == names
                assert [each.setting for each in (await flow.kb("kb")).stale] == ["index"]
            await flow.resume("kb")
            assert (await job.wait()).status == "completed"
        assert await all_found(flow) == names
        assert (await flow.kb("kb")).stale == []
        await until(lambda: not new.rows("SELECT 1 FROM index_outbox WHERE server <> '*'"))
        assert len(new.rows("SELECT 1 FROM index_spaces")) == (way[1] == "postgres")
    assert old.embedder.paid.total() == paid + 1, "of the document that has changed"
    now = new.rows("SELECT id, indexed_at, search_revision FROM documents WHERE state = 4 ORDER BY id")
    assert len(set(now) & set(made)) == 19, "the others were neither read nor indexed again"
    if way[0] == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        assert server.rows("SELECT 1 FROM pg_tables WHERE schemaname = 'phaseflow'") == []


class Slow(FileIndex):
    """Takes documents one call after the other, as the test lets it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, self._wait)
        self.let = 0

    async def _wait(self, call: str, documents: Sequence[IndexDocument]) -> None:
        while call == "put" and self.calls["put"] > self.let:  # noqa: ASYNC110  # the test's own pace
            await anyio.sleep(0.01)


@pytest.mark.thorough
async def test_a_move_that_is_paused_cancelled_and_called_off_leaves_search_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_audit, "TOGETHER", 1)
    place = Place("embedded", tmp_path, {}, {}, CountingEmbedder())
    place.write(*(f"n{n}" for n in range(9)))
    names = {f"n{n}.md" for n in range(9)}
    async with place.flow() as flow:
        await run(flow, place)
    index = Slow(tmp_path / "index.db")
    async with place.flow(index=index) as flow:
        job = await flow.start("kb")
        index.let = 3
        await until(lambda: index.calls["put"] == 4)
        status = await job.status()
        assert (status.status, status.phase) == ("running", "indexing")
        await flow.pause("kb")
        index.let = 4
        with fail_soon(10):
            assert (await job.wait_until_idle()).status == "paused"
        assert len(index.documents(index.all_spaces()[0])) == 4
        assert await all_found(flow) == names
        await flow.resume("kb")
        await until(lambda: index.calls["put"] == 5)
        assert "bringing the vectors to the index" in (await job.status()).message
        await flow.cancel("kb")
        await job.wait()
        assert await all_found(flow) == names
    async with place.flow(index=index) as flow:  # it goes on where it was
        index.let = 10**6
        await run(flow, place)
        assert index.calls["put"] == 5 + 9 - 4
        assert await all_found(flow) == names
    assert len(place.rows("SELECT 1 FROM documents")) == 9
    async with place.flow() as flow:
        await run(flow, place)
        assert await all_found(flow) == names
        assert place.rows("SELECT 1 FROM index_spaces") == []
    async with place.flow(index=index) as flow:
        await until(lambda: index.all_spaces() == [])
        index.let = index.calls["put"] + 1
        await flow.start("kb")
        await until(lambda: index.calls["put"] > index.let)
        await flow.cancel("kb")
        assert len(place.rows("SELECT 1 FROM index_spaces WHERE is_next")) == 1
    async with place.flow() as flow:
        await run(flow, place)
        assert place.rows("SELECT 1 FROM index_spaces") == []
    async with place.flow(index=index) as flow:
        await until(lambda: index.all_spaces() == [])
    assert place.embedder.paid.total() == 9


class Partly(CountingEmbedder):
    """Keeps a call with what is about z inside until ``goes_on``."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = anyio.Event()

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if any("about z" in text for text in texts):
            await self.goes_on.wait()
        return await super().embed_documents(texts)


async def test_a_pause_of_indexing_breaks_off_what_makes_a_search_fast_and_it_is_done_before_the_switch(
    tmp_path: Path,
) -> None:
    place = Place("embedded", tmp_path, {}, {}, embedder := Partly())
    hangs, was_hidden = True, list[bool]()

    async def build(call: str, documents: Sequence[IndexDocument]) -> None:
        if call == "ready":
            was_hidden.append(bool(place.rows("SELECT 1 FROM index_spaces WHERE is_next")))
            if hangs:
                await anyio.sleep_forever()

    place.write(*"ab")
    async with place.flow() as flow:
        await run(flow, place)
    index = FileIndex(tmp_path / "index.db", build)
    place.write(*"cz")
    embedder.batch_size = 1
    async with place.flow(index=index) as flow:
        job = await flow.start("kb")
        await until(lambda: was_hidden == [True])
        with fail_soon(10):
            await flow.pause("kb", "indexing")
            while (await job.status()).phase_details[3].status != "paused":
                await flow.tracker.feed.hint().wait()
        assert (index.inside, (await job.status()).phase_details[2].status) == (0, "running")
        hangs = False
        await flow.resume("kb", "indexing")
        await until(lambda: len(was_hidden) > 1)
        embedder.goes_on.set()
        with fail_soon(10):
            assert (await job.wait()).status == "completed"
        assert was_hidden[:2] == [True, True], "made ready anew, and only then seen"
        assert await all_found(flow) == {"a.md", "b.md", "c.md", "z.md"}


@pytest.mark.parametrize("refused", first_of_each([{f"n{n}.md" for n in range(9)}, {"n3.md"}]))
async def test_documents_that_the_other_index_refuses_fail_alone_and_all_of_them_stay_where_they_are(
    tmp_path: Path, refused: set[str]
) -> None:
    async def refuse(call: str, documents: Sequence[IndexDocument]) -> None:
        if any(document.uri in refused for document in documents):
            raise ValueError("no")

    place = Place("embedded", tmp_path, {}, {}, CountingEmbedder())
    place.write(*(f"n{n}" for n in range(9)))
    names = {f"n{n}.md" for n in range(9)}
    async with place.flow() as flow:
        await run(flow, place)
    async with place.flow(index=FileIndex(tmp_path / "index.db", refuse)) as flow:
        job = await flow.start("kb")
        with fail_soon(10):
            done = await job.wait()
        if refused == names:
            assert done.status == "failed"
            assert await all_found(flow) == names
        else:
            assert (done.status, done.metrics.documents_failed) == ("completed", 1)
            assert [(each.uri, each.phase) for each in (await flow.failures("kb")).items] == [("n3.md", "indexing")]
            assert await all_found(flow) == names - refused
        refused.clear()
        await run(flow, place)
        assert await all_found(flow) == names


async def test_a_document_that_cannot_be_read_when_the_embedder_changes_stays(place: Place) -> None:
    place.write("a", "b", "c")
    async with place.flow() as flow:
        await run(flow, place)
    (place.docs / "b.md").write_bytes(b"%PDF-1.7 not one")
    place.embedder = CountingEmbedder()
    place.embedder.fingerprint = "other"
    async with place.flow() as flow:
        assert (await run(flow, place)).metrics.documents_failed == 1
        assert await all_found(flow) == {"a.md", "b.md", "c.md"}
        document = await flow.document("kb", "b.md")
        assert (document.status, document.searchable) == ("failed", True)
        await until(lambda: not place.rows("SELECT 1 FROM index_outbox"))
    async with place.flow() as flow:  # it compares the index with the database
        assert await all_found(flow) == {"a.md", "b.md", "c.md"}


@pytest.mark.thorough
async def test_what_the_new_embedder_refuses_altogether_is_failed_once_in_an_index_outside(tmp_path: Path) -> None:
    def refuse(texts: Sequence[str]) -> None:
        if any("about b" in text for text in texts):
            raise ValueError("a text like this cannot be embedded")

    place = Place("file", tmp_path, {"index": FileIndex(tmp_path / "index.db")}, {}, CountingEmbedder())
    place.write("a", "b", "c")
    async with place.flow() as flow:
        await run(flow, place)
    place.embedder = CountingEmbedder(refuse)
    place.embedder.fingerprint = "other"
    async with place.flow() as flow:
        done = await run(flow, place)
        assert (done.metrics.documents_failed, (await flow.kb("kb")).counts.failed) == (1, 1)
        document = await flow.document("kb", "b.md")
        assert (document.status, document.phase, document.searchable) == ("failed", "embedding", False)
        assert await all_found(flow) == {"a.md", "c.md"}
        place.embedder.fault = None
        await flow.retry_document("kb", "b.md")
        await run(flow, place)
        assert await all_found(flow) == {"a.md", "b.md", "c.md"}


async def test_a_document_that_the_index_refuses_fails_alone(tmp_path: Path) -> None:
    async def refuse(call: str, documents: Sequence[IndexDocument]) -> None:
        if any(document.uri == "b.md" for document in documents):
            raise DocumentError("no", code="not_wanted")
        if any(document.uri == "d.md" for document in documents):
            raise KeyError("d")

    index = FileIndex(tmp_path / "index.db", refuse)
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write(*"abcdefgh")
    async with place.flow() as flow:
        done = await run(flow, place)
        assert done.metrics.documents_failed == 2
        failed = {each.uri: (each.phase, each.code) for each in (await flow.failures("kb")).items}
        assert failed == {"b.md": ("indexing", "not_wanted"), "d.md": ("indexing", "index_error")}
        assert await all_found(flow) == {f"{name}.md" for name in "acefgh"}
        counts = (await flow.kb("kb")).counts
        assert (counts.indexed, counts.failed, counts.processing) == (6, 2, 0)
        assert index.calls["put"] < 12, "documents go out together"


async def test_an_index_that_refuses_every_document_fails_the_phase_and_says_why(tmp_path: Path) -> None:
    async def refuse(call: str, documents: Sequence[IndexDocument]) -> None:
        if documents:
            raise DocumentError("not of my kind")

    place = Place("file", tmp_path, {"index": FileIndex(tmp_path / "index.db", refuse)}, {}, CountingEmbedder())
    place.write(*(f"n{n:02}" for n in range(12)))
    async with place.flow() as flow:
        with fail_soon(20):
            done = await (await flow.start("kb", FolderSource(str(place.docs)))).wait()
        assert done.status == "failed"
        assert done.error == "error budget spent: 10 documents in a row failed; the last one: n09.md: not of my kind"


async def test_copies_that_an_index_refuses_keep_none_back_and_are_said_to_have_failed(tmp_path: Path) -> None:
    refused: set[str] = set()

    async def refuse(call: str, documents: Sequence[IndexDocument]) -> None:
        if any(document.uri in refused for document in documents):
            raise DocumentError("no", code="not_wanted")

    place = Place("file", tmp_path, {"index": FileIndex(tmp_path / "index.db", refuse)}, {}, CountingEmbedder())
    place.write("a")
    wiki = tmp_path / "wiki"
    wiki.mkdir()
    for name in "bcd":
        (wiki / f"{name}.md").write_text(f"# {name}\n\nall about {name}\n")
    two = {"default": FolderSource(str(place.docs)), "wiki": FolderSource(str(wiki))}
    async with place.flow() as flow:
        await (await flow.start("kb", sources=two)).wait()
    wiki.rename(tmp_path / "elsewhere")
    refused.add("wiki/b.md")

    def fault(texts: Sequence[str]) -> None:
        if any("about c" in text for text in texts):
            raise ValueError("a text like this cannot be embedded")

    place.embedder = CountingEmbedder(fault)
    place.embedder.fingerprint = "other"
    async with place.flow() as flow:
        with fail_soon(20):
            done = await (await flow.start("kb")).wait()
        assert done.status == "completed"
        assert await all_found(flow) == {"a.md", "wiki/d.md"}
        failed = {each.uri: (each.phase, each.code) for each in (await flow.failures("kb")).items}
        assert failed == {"wiki/b.md": ("indexing", "not_wanted"), "wiki/c.md": ("embedding", "embed_error")}


async def test_documents_go_out_in_few_calls(tmp_path: Path) -> None:
    index = FileIndex(tmp_path / "index.db")
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write(*(f"n{n}" for n in range(200)))
    async with place.flow() as flow:
        await run(flow, place)
    assert index.calls["put"] < 20
    assert index.calls["create"] == 1
    assert (index.calls["open"], index.calls["aclose"]) == (1, 1)


async def test_short_documents_move_together_and_long_ones_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_audit, "TOGETHER", 4)
    monkeypatch.setattr(index_audit, "_PART", 4)
    place = Place("embedded", tmp_path, {}, {"chunk_size": 100, "chunk_overlap": 0}, CountingEmbedder())
    place.write(*(f"n{n}" for n in range(9)))  # one more than there are in two calls
    place.write("long", text="all about {name} " * 100)
    async with place.flow() as flow:
        await run(flow, place)
        chunks = (await flow.kb("kb")).chunks
    index = CountingFileIndex(tmp_path / "index.db")
    async with place.flow(index=index) as flow:
        await run(flow, place)
        [(space,)] = place.rows("SELECT name FROM index_spaces")
        assert sum(count for _, count in index._passages(Space(space, 0), 0, -1)) == chunks > 9 + 2 * 4
        assert index.calls["put"] == 3 + ceil((chunks - 9) / 4)
    assert set(place.embedder.paid.values()) == {1}


class _LateIndex(FileIndex):
    """One that cannot be opened while ``error`` is set."""

    error: Exception | None = None

    async def open(self) -> None:
        await super().open()
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    "error", first_of_each([RateLimited("later"), ConnectionRefusedError("no"), IndexUnavailable("not up")])
)
async def test_a_job_waits_for_an_index_that_cannot_be_opened_yet(tmp_path: Path, error: Exception) -> None:
    index = _LateIndex(tmp_path / "index.db")
    index.error = error
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write("a", "b")
    async with place.flow() as flow:
        job = await flow.start("kb", FolderSource(str(place.docs)))
        with fail_soon(20):
            async for status in job.watch():
                if status.waiting_on == "index":
                    break
            assert status.metrics.embeddings_computed
            index.error = None
            assert (await job.wait()).status == "completed"
        assert await all_found(flow) == {"a.md", "b.md"}


async def test_a_job_does_not_wait_for_an_index_that_will_never_be_there(tmp_path: Path) -> None:
    index = _LateIndex(tmp_path / "index.db")
    index.error = ComponentUnavailable("no such index; make it")
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write("a")
    async with place.flow() as flow:
        with fail_soon(20):
            failed = await (await flow.start("kb", FolderSource(str(place.docs)))).wait()
    assert (failed.status, failed.error) == ("failed", "no such index; make it")
    assert not failed.metrics.embeddings_computed


@pytest.mark.parametrize("error", first_of_each([ConnectionResetError("gone"), IndexUnavailable("it is down")]))
async def test_ingestion_waits_for_an_index_that_is_down_and_search_says_so(tmp_path: Path, error: Exception) -> None:
    is_down = True

    async def fail(call: str, documents: Sequence[IndexDocument]) -> None:
        if is_down:
            raise error

    place = Place("file", tmp_path, {"index": FileIndex(tmp_path / "index.db", fail)}, {}, CountingEmbedder())
    place.write("a", "b")
    async with place.flow() as flow:
        job = await flow.start("kb", FolderSource(str(place.docs)))
        with fail_soon(20):
            async for status in job.watch():
                if status.waiting_on == "index":
                    break
            assert status.status == "running"
            assert "the index cannot be reached" in status.message
            with pytest.raises(IndexUnavailable, match=str(error)):
                await flow.search("kb", "a", mode="vectors")
            assert await flow.search("kb", "a", mode="words") == []
            await flow.pause("kb")
            assert (await job.wait_until_idle()).status == "paused"
            calls = place.options["index"].calls.total()
            is_down = False
            await flow.resume("kb")
            assert (await job.wait()).status == "completed"
        assert place.options["index"].calls.total() > calls
        assert await all_found(flow) == {"a.md", "b.md"}


async def test_a_search_of_an_index_that_hangs_is_answered_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseflow.flow.searching.SEARCH_S", 0.2)

    async def hang(call: str, documents: Sequence[IndexDocument]) -> None:
        if call == "search":
            await anyio.sleep_forever()

    place = Place("file", tmp_path, {"index": FileIndex(tmp_path / "index.db", hang)}, {}, CountingEmbedder())
    place.write("a")
    assert outside_index.SEARCH_S < 5
    async with place.flow() as flow:
        await run(flow, place)
        with fail_soon(3), pytest.raises(IndexUnavailable, match="did not answer within"):
            await flow.search("kb", "a")
        assert place.options["index"].inside == 0


async def test_an_index_has_a_second_also_when_the_embedding_has_taken_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseflow.flow.searching.SEARCH_S", 0.0)

    async def think(call: str, documents: Sequence[IndexDocument]) -> None:
        await anyio.sleep(0.15)

    place = Place("file", tmp_path, {"index": FileIndex(tmp_path / "index.db", think)}, {}, CountingEmbedder())
    place.write("a")
    async with place.flow() as flow:
        await run(flow, place)
        assert len(await flow.search("kb", "a", mode="vectors")) == 1


async def test_an_index_that_answers_with_something_else_is_an_error_that_says_so(tmp_path: Path) -> None:
    class Odd(FileIndex):
        async def search(self, space: Any, query: Any) -> Any:
            return ["not a candidate"]

    place = Place("file", tmp_path, {"index": Odd(tmp_path / "index.db")}, {}, CountingEmbedder())
    place.write("a")
    async with place.flow() as flow:
        await run(flow, place)
        with pytest.raises(IndexUnavailable, match="the index of this program"):
            await flow.search("kb", "a")


@pytest.mark.thorough
async def test_a_paused_job_makes_no_call_and_deletes_of_others_go_on(tmp_path: Path) -> None:
    index = FileIndex(tmp_path / "index.db")
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write(*"abcd")
    async with place.flow() as flow:
        await run(flow, place)
        await run(flow, place, "other")
        (place.docs / "a.md").unlink()
        place.write("b", text="again all about {name}")
        job = await flow.start("kb", hold=["indexing"])
        with fail_soon(20):
            assert (await job.wait_until_idle()).status == "paused"
        await flow.skip_document("kb", "c.md")
        spaces = dict(place.rows("SELECT kb_id, name FROM index_spaces"))
        kept = index.documents(spaces["kb~1"])
        await flow.skip_document("other", "c.md")
        await flow.delete_kb("other")
        await until(lambda: index.all_spaces() == [spaces["kb~1"]])
        assert index.documents(spaces["kb~1"]) == kept, "what belongs to a paused job waits"
        await until(lambda: place.rows("SELECT DISTINCT kb_id FROM index_outbox") == [("kb~1",)])
        await flow.resume("kb")
        with fail_soon(20):
            await job.wait()
        await until(lambda: not place.rows("SELECT 1 FROM index_outbox"))
        assert len(index.documents(spaces["kb~1"])) == 2
        assert await all_found(flow) == {"b.md", "d.md"}


@pytest.mark.parametrize("kept", first_of_each([0, 3]))
async def test_an_index_that_has_lost_more_than_a_step_is_filled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(index_audit, "PAGE", 4)
    index = FileIndex(tmp_path / "index.db")
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write(*(f"n{n:02}" for n in range(19)))
    async with place.flow() as flow:
        await run(flow, place)
    [(space,)] = place.rows("SELECT name FROM index_spaces")
    all_of = index.documents(space)
    with closing(sqlite3.connect(tmp_path / "index.db")) as connection:
        if not kept:
            connection.execute("DELETE FROM spaces")
        connection.execute("DELETE FROM passages WHERE ? = 0 OR document % ?", (kept, kept or 1))
        connection.commit()
    assert len(index.documents(space)) < 10
    index.calls.clear()
    async with place.flow():
        await until(lambda: index.documents(space) == all_of)
        assert index.calls["document_ids"] < 10, "a step compares as many as a page holds"
    assert place.embedder.paid.total() == 19


async def test_what_is_gone_and_still_in_the_index_takes_no_place_among_the_hits(tmp_path: Path) -> None:
    async def keep(call: str, documents: Sequence[IndexDocument]) -> None:
        if call == "remove":
            raise IndexUnavailable("down")

    index = FileIndex(tmp_path / "index.db", keep)
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write(*(f"n{n:03}" for n in range(150)))
    async with place.flow() as flow:
        await run(flow, place)
        for n in range(140):
            (place.docs / f"n{n:03}.md").unlink()
        await run(flow, place)
        [(space,)] = place.rows("SELECT name FROM index_spaces")
        assert len(index.documents(space)) == 150
        assert len(await flow.search("kb", "all about", 10, mode="vectors")) == 10
        index.fault = None
        await until(lambda: len(index.documents(space)) == 10)


@pytest.mark.parametrize("error", [IndexUnavailable("down"), ComponentUnavailable("no right to remove")])
async def test_an_index_that_cannot_forget_what_is_gone_holds_up_no_job(tmp_path: Path, error: Exception) -> None:
    database, beside_a_job = tmp_path / "kb.db", list[bool]()

    async def keep(call: str, documents: Sequence[IndexDocument]) -> None:
        if call == "remove":
            beside_a_job.append(bool(select(database, "SELECT 1 FROM ingestion_jobs WHERE completed_at IS NULL")))
            raise error

    index = FileIndex(tmp_path / "index.db", keep)
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write(*"abc")
    async with place.flow() as flow:
        await run(flow, place)
        place.write(*"abc", text="now of {name}")
        assert (await run(flow, place)).metrics.documents_failed == 0
        assert any(beside_a_job)
        [(space,)] = place.rows("SELECT name FROM index_spaces")
        assert len(index.documents(space)) == 6
        index.fault = None
        await until(lambda: len(index.documents(space)) == 3)


async def test_a_start_drops_what_nobody_knows_and_puts_back_what_was_lost(tmp_path: Path) -> None:
    index = FileIndex(tmp_path / "index.db")
    place = Place("file", tmp_path, {"index": index}, {}, CountingEmbedder())
    place.write(*"abcd")
    async with place.flow() as flow:
        await run(flow, place)
    [(space,)] = place.rows("SELECT name FROM index_spaces")
    [lost, *kept] = index.documents(space)
    ours = space.rpartition("_")[0]
    with closing(sqlite3.connect(tmp_path / "index.db")) as connection:
        connection.execute("DELETE FROM passages WHERE document = ?", (lost,))
        connection.execute("INSERT INTO passages SELECT space, 7777, position, vector FROM passages LIMIT 1")
        connection.executemany("INSERT INTO spaces VALUES (?, 8)", [(f"{ours}_gone",), ("pfffffffffffff_others",)])
        connection.commit()
    again = FileIndex(tmp_path / "index.db")
    async with place.flow(index=again) as flow:
        await until(lambda: index.documents(space) == [lost, *kept])
        await until_whole(flow)
        assert sorted(index.all_spaces()) == sorted([space, "pfffffffffffff_others"])
        assert await all_found(flow) == {"a.md", "b.md", "c.md", "d.md"}


async def test_without_the_extra_or_the_server_a_job_fails_with_words_that_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Postgres
) -> None:
    place = Place("postgres", tmp_path, {"index_servers": {"main": postgres.url}}, {}, CountingEmbedder())
    place.settings = {"index": {"type": "postgres", "server": "main"}}
    place.write("a")
    with monkeypatch.context() as without:
        without.setitem(__import__("sys").modules, "psycopg", None)
        async with place.flow() as flow:
            done = await (await flow.start("kb", FolderSource(str(place.docs)))).wait()
            assert done.status == "failed"
            assert str(MissingExtra("the index server 'main'", "postgres")) in (done.error or done.message)
    async with place.flow() as flow:
        await flow.retry("kb")
        assert (await (await flow.job("kb")).wait()).status == "completed"
        assert await all_found(flow) == {"a.md"}
    async with PhaseFlow(tmp_path / "kb.db", embedder=place.embedder) as flow:
        with pytest.raises(
            IndexUnavailable, match="this process knows no index server 'main'; the operator has named none; they"
        ):
            await flow.search("kb", "a")
        with pytest.raises(InvalidRequest, match="there is no index server 'main'"):
            await flow.start("kb")
    bad = postgres.url.replace("s3cret-word", "wr0ng-word")
    async with place.flow(index_servers={"main": bad}) as flow:
        with pytest.raises(IndexUnavailable, match="refuses the password") as raised:
            await flow.search("kb", "a")
        assert "wr0ng" not in str(raised.value)
        place.write("b")
        done = await (await flow.start("kb", FolderSource(str(place.docs)))).wait()
        assert (done.status, done.message) == (
            "failed",
            "Indexing failed: the index server 'main' refuses the password",
        )
