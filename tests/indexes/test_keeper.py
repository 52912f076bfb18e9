"""The keeper of an index: it does what is due once, leaves a whole index in peace, and makes way for jobs."""

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from phaseflow import PhaseFlow
from phaseflow.actors import index_audit
from phaseflow.components.indexes import IndexDocument, Space
from phaseflow.domain.errors import IndexUnavailable
from phaseflow.store import failpoints
from phaseflow.store.index_spaces import Spaces
from phaseflow.supervisor import index_keeper
from tests.engine.components import CountingEmbedder
from tests.engine.test_web_jobs import allowed, crawl, manual, page
from tests.indexes.file_index import CountingFileIndex, FileIndex
from tests.indexes.test_engine import Fault, Place, all_found, run, until
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon

NEVER_S = 1000.0


class Looks:
    """Counts how often the keeper has looked whether anything is due."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        is_used = Spaces.is_used

        def look(spaces: Spaces, server: str) -> bool:
            self.count += 1
            return is_used(spaces, server)

        patch.setattr(Spaces, "is_used", look)
        patch.setattr(index_keeper, "LOOK_S", 0.005)

    async def some(self) -> None:
        seen = self.count
        await until(lambda: self.count > seen + 8)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


def place_with(folder: Path, *names: str, fault: Fault | None = None) -> tuple[Place, FileIndex]:
    index = FileIndex(folder / "index.db", fault)
    place = Place("file", folder, {"index": index}, {}, CountingEmbedder())
    place.write(*names)
    return place, index


@pytest.mark.parametrize(("least_s", "times"), [(NEVER_S, 0.0), (0.0, 1e9)])
async def test_an_index_that_is_whole_is_left_in_peace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: Looks, least_s: float, times: float
) -> None:
    monkeypatch.setattr(index_keeper, "COUNT_S", least_s)
    monkeypatch.setattr(index_keeper, "SELDOM", times)
    place, _ = place_with(tmp_path, *"abc")
    index = place.options["index"] = CountingFileIndex(tmp_path / "index.db")
    async with place.flow() as flow:
        await run(flow, place)
        await until(lambda: all(index.calls[each] for each in ("spaces", "passages", "ready", "count")))
        made = index.calls.copy()
        await looks.some()
        del made["ping"], index.calls["ping"]
        assert index.calls == made
        assert (made["spaces"], made["passages"], made["ready"]) == (1, 1, 1)
        place.write("d")
        await run(flow, place)
        await until(lambda: index.calls["ready"] == 2)
        await looks.some()
        assert (index.calls["spaces"], index.calls["passages"], index.calls["ready"]) == (1, 1, 2)


@pytest.mark.parametrize("harm", first_of_each([None, "down", "hangs"], lambda harm: harm is None))
async def test_what_was_deleted_last_goes_with_the_engine_and_else_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str | None
) -> None:
    monkeypatch.setattr(index_keeper, "LOOK_S", NEVER_S)
    is_harmed = harm is not None

    async def fault(call: str, documents: Sequence[IndexDocument]) -> None:
        if call == "drop" and is_harmed:
            if harm == "down":
                raise IndexUnavailable("down")
            await anyio.sleep_forever()

    place, index = place_with(tmp_path, "a", fault=fault)
    with fail_soon(10):
        async with place.flow() as flow:
            await run(flow, place)
            await flow.delete_kb("kb")
            assert index.all_spaces()
    assert index.calls["drop"] == 1
    assert bool(index.all_spaces()) == bool(place.rows("SELECT 1 FROM index_outbox")) == is_harmed
    is_harmed = False
    async with place.flow():
        await until(lambda: not index.all_spaces())
        await until(lambda: not place.rows("SELECT 1 FROM index_outbox"))


async def test_a_comparison_ends_where_a_job_is_started_and_is_made_anew_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: Looks
) -> None:
    monkeypatch.setattr(index_audit, "PAGE", 2)
    place, index = place_with(tmp_path, *"abcdef")
    async with place.flow() as flow:
        await run(flow, place)
    [(space,)] = place.rows("SELECT name FROM index_spaces")
    whole = index.documents(space)
    with closing(sqlite3.connect(tmp_path / "index.db")) as connection:
        connection.execute("DELETE FROM passages WHERE document = ?", (whole[-1],))
        connection.commit()
    go_on = anyio.Event()

    async def fault(call: str, documents: Sequence[IndexDocument]) -> None:
        if call == "document_ids" and index.calls[call] == 2:
            await go_on.wait()

    index = FileIndex(tmp_path / "index.db", fault)
    async with place.flow(index=index) as flow:
        await until(lambda: index.inside == 1)
        job = await flow.start("kb", hold=["loading"])
        assert (await job.wait_until_idle()).status == "paused"
        go_on.set()
        await looks.some()
        assert (index.calls["document_ids"], index.calls["put"]) == (2, 0)
        await flow.cancel("kb")
        await until(lambda: index.documents(space) == whole)


async def test_a_job_does_not_wait_until_an_index_is_made_fast_and_that_is_done_after_it(
    tmp_path: Path, looks: Looks
) -> None:
    async def fault(call: str, documents: Sequence[IndexDocument]) -> None:
        if call == "ready" and index.calls[call] == 1:
            await anyio.sleep_forever()

    place, index = place_with(tmp_path, "a", fault=fault)
    async with place.flow() as flow:
        await run(flow, place)
        await until(lambda: index.inside == 1)
        job = await flow.start("kb", hold=["loading"])
        assert (await job.wait_until_idle()).status == "paused"
        await until(lambda: index.inside == 0)
        await looks.some()
        assert index.calls["ready"] == 1
        await flow.cancel("kb")
        await until(lambda: index.calls["ready"] == 2)
        await looks.some()
        assert index.calls["ready"] == 2
        assert await all_found(flow) == {"a.md"}


async def test_an_index_that_was_down_for_long_is_tidied_soon_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: Looks, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(index_keeper, "LONGEST_WAIT_S", 0.02)

    async def fault(call: str, documents: Sequence[IndexDocument]) -> None:
        if call == "spaces" and index.calls[call] <= 14:  # were its waits only doubled, the last would be 80 s
            raise IndexUnavailable("down")

    place, index = place_with(tmp_path, "a", fault=fault)
    with caplog.at_level(logging.WARNING, "phaseflow"):
        async with place.flow() as flow:
            await run(flow, place)
            await until(lambda: index.calls["ready"] == 1)
    told = [record for record in caplog.records if record.message == "cannot tidy up, trying again"]
    assert len(told) == 14
    assert {getattr(record, "where", None) for record in told} == {"the index of this program"}


class Told(FileIndex):
    """Keeps by which uri it was told of each document."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.uris: dict[int, str] = {}
        self.is_down = False

    async def put(self, space: Space, documents: Sequence[IndexDocument]) -> None:
        await super().put(space, documents)
        if self.is_down:
            raise IndexUnavailable("down")
        self.uris |= {document.document_id: document.uri for document in documents}


@pytest.mark.thorough
async def test_an_index_is_told_of_a_document_that_takes_a_shorter_address_also_by_the_next_engine(
    tmp_path: Path, looks: Looks, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(failpoints.clear)
    site, index, embedder = manual("/t/index.html"), Told(tmp_path / "index.db"), CountingEmbedder()

    def flow() -> PhaseFlow:
        return PhaseFlow(tmp_path / "kb.db", embedder=embedder, index=index, allow_private=allowed(site))

    async with site:
        async with flow() as first:
            await crawl(first, site)
            [(document, _)] = [each for each in index.uris.items() if each[1].endswith("/t/index.html")]
            site.pages["/"] = page("Home", "the manual", "/t/index.html", "/t/")
            site.pages["/t/"] = site.pages["/t/index.html"]
            # The job can still index; what comes after it finds the index down.
            failpoints.install("indexing.switched", lambda: setattr(index, "is_down", True))
            await crawl(first, site)
            await looks.some()
            assert index.uris[document].endswith("/t/index.html")
        failpoints.clear()
        index.is_down = False
        async with flow() as second:
            await until(lambda: index.uris[document] == f"{site.url}/t/")
            place = Place("file", tmp_path, {}, {}, embedder)
            await until(lambda: not place.rows("SELECT 1 FROM index_outbox"))
            found = {hit.uri for hit in await second.search("site", "chapter", mode="vectors")}
            assert found == {f"{site.url}/", f"{site.url}/t/"}
    assert max(embedder.paid.values()) == 1


async def test_an_index_is_ready_before_search_sees_what_was_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_keeper, "LOOK_S", NEVER_S)  # the keeper would make up for it later
    place, _ = place_with(tmp_path, "a", "b")
    live = "SELECT index_version FROM knowledge_bases"
    made_ready: dict[str, int] = {}

    class Seen(FileIndex):
        async def ready(self, space: Space) -> None:
            made_ready.setdefault(space.name, place.rows(live)[0][0])
            await super().ready(space)

    place.options["index"] = Seen(tmp_path / "index.db")
    async with place.flow() as flow:
        await run(flow, place)
    (before,), first = place.rows(live)[0], set(place.options["index"].all_spaces())
    place.embedder = CountingEmbedder()
    place.embedder.fingerprint = "another"
    async with place.flow() as flow:
        await run(flow, place)
    assert [version for name, version in made_ready.items() if name not in first] == [before]
    assert place.rows(live)[0][0] > before
