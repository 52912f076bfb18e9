"""Documents that are pushed, whatever the job of their knowledge base does."""

import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio
import pytest

from phaseflow import (
    DocumentStatus,
    FolderSource,
    HeldBySource,
    InvalidRequest,
    Job,
    JobPhase,
    JobStatus,
    NewDocument,
    PhaseFlow,
    PhaseStatus,
    UploadSource,
)
from phaseflow.actors import indexing, requests
from phaseflow.actors.source_reading import SourceReader
from phaseflow.components.protocols import Document, Entry, Known, Skipped, Unchanged
from phaseflow.components.sources.pushed import PushLoader
from phaseflow.domain.status import JobStatusResponse
from phaseflow.store import failpoints
from phaseflow.store.catalogue import PUSH
from tests.engine.components import CountingEmbedder, write_folder
from tests.matrices import first_of_each
from tests.stopwatch import NEVER_S, fail_soon
from tests.store.probes import select


@pytest.fixture
def embedder() -> CountingEmbedder:
    return CountingEmbedder()


@pytest.fixture
async def flow(database: Path, embedder: CountingEmbedder) -> AsyncIterator[PhaseFlow]:
    async with PhaseFlow(database, embedder=embedder) as flow:
        yield flow
    failpoints.clear()


def note(name: str, words: str = "") -> NewDocument:
    return NewDocument(uri=name, text=f"The letter {name}. {words}")


async def searchable(flow: PhaseFlow, *uris: str, kb: str = "kb") -> None:
    """Until exactly these documents are."""
    with fail_soon(20):
        while True:
            hint = flow.tracker.feed.hint()
            if {hit.uri for hit in await flow.search(kb, "letter", limit=100)} == set(uris):
                return
            with anyio.move_on_after(0.1):
                await hint.wait()


async def until(flow: PhaseFlow, condition: Callable[[JobStatusResponse], bool]) -> JobStatusResponse:
    with fail_soon(20):
        async for status in (await flow.job("kb")).watch():
            if condition(status):
                return status
    raise AssertionError


async def over(flow: PhaseFlow) -> JobStatusResponse:
    with fail_soon(20):
        return await (await flow.job("kb")).wait()


async def test_a_push_creates_the_knowledge_base_and_is_searchable_soon(flow: PhaseFlow) -> None:
    taken = await flow.add("kb", [note("a"), {"uri": "b", "text": "The letter b."}])
    assert (taken.uris, taken.job_id) == (["a", "b"], (await flow.status("kb")).job_id)
    await searchable(flow, "a", "b")
    assert (await flow.kb("kb")).source == UploadSource()
    assert (await over(flow)).metrics.documents_loaded == 2


async def test_what_comes_alone_waits_for_no_other(flow: PhaseFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "ASKED_FOR_WAIT_S", NEVER_S)
    monkeypatch.setattr(requests, "LINGER_S", NEVER_S)
    await flow.add("kb", [note("a")])
    await searchable(flow, "a")


@pytest.mark.thorough
async def test_pushes_one_after_the_other_are_one_job(flow: PhaseFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "LINGER_S", NEVER_S)
    monkeypatch.setattr(requests, "_TAKE_S", NEVER_S)
    for number in range(40):
        await flow.add("kb", [note(f"n{number}")])
    await searchable(flow, *(f"n{number}" for number in range(40)))
    assert len((await flow.jobs("kb")).items) == 1


@pytest.mark.parametrize(("take_s", "jobs"), [(NEVER_S, 1), (0.0, 2)], ids=["in time", "later"])
async def test_a_push_joins_a_job_that_waits_for_more_unless_it_has_had_its_turn(
    flow: PhaseFlow, monkeypatch: pytest.MonkeyPatch, take_s: float, jobs: int
) -> None:
    monkeypatch.setattr(requests, "LINGER_S", NEVER_S)
    monkeypatch.setattr(requests, "_TAKE_S", take_s)
    await flow.add("kb", [note("a")])
    await searchable(flow, "a")
    await flow.add("kb", [note("b")])
    await searchable(flow, "a", "b")
    assert len((await flow.jobs("kb")).items) == jobs


async def test_a_push_joins_a_job_that_still_loads(tmp_path: Path, flow: PhaseFlow) -> None:
    folder, held = write_folder(tmp_path / "docs", 1), anyio.Event()
    (folder / "doc000.md").write_text("The letter x.")
    failpoints.install("loading.between", held.set)
    job = await flow.start("kb", folder, hold=["loading"])
    await flow.add("kb", [note("a")])
    await flow.resume("kb")
    with fail_soon(20):
        final = await job.wait()
    assert (final.metrics.documents_found, final.metrics.documents_loaded) == (2, 2)
    assert len((await flow.jobs("kb")).items) == 1
    await searchable(flow, "a", "doc000.md")


class SlowLoader:
    """A source of one document, which is being read until ``go_on``."""

    def __init__(self) -> None:
        self.is_read, self.go_on = anyio.Event(), anyio.Event()

    async def list(self) -> AsyncIterator[list[Entry]]:
        yield [Entry("slow")]

    async def load(self, entry: Entry, known: Known | None) -> Document:
        self.is_read.set()
        await self.go_on.wait()
        return Document(entry, "The letter slow.", "slow", "text/plain", b"slow")


async def test_pushes_beside_a_source_that_is_read_are_taken_together_and_wake_nobody(
    database: Path, embedder: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "TOGETHER_S", NEVER_S)
    loader, taken = SlowLoader(), list[None]()
    failpoints.install("loading.taken", lambda: taken.append(None))
    async with PhaseFlow(database, embedder=embedder, loader=loader) as flow:
        with fail_soon(20):
            job = await flow.start("kb", FolderSource("any"))
            await loader.is_read.wait()
            await flow.add("kb", [note("first")])
            await searchable(flow, "first")
            feed = flow.tracker.feed
            revision, woken = feed.revision("kb"), flow._engine.scheduler._woken
            for number in range(20):
                await flow.add("kb", [note(f"n{number}")])
            assert (len(taken), feed.has_moved("kb", revision), woken.is_set()) == (1, False, False)
            loader.go_on.set()
            assert (await job.wait()).metrics.documents_loaded == 22
        assert len(taken) == 2
    failpoints.clear()


class SlowListing(SlowLoader):
    """A source of one document, which is being listed until ``go_on``."""

    async def list(self) -> AsyncIterator[list[Entry]]:
        self.is_read.set()
        await self.go_on.wait()
        yield [Entry("slow")]


async def test_pushes_are_taken_as_long_as_a_source_is_still_listed(database: Path, embedder: CountingEmbedder) -> None:
    loader = SlowListing()
    async with PhaseFlow(database, embedder=embedder, loader=loader) as flow:
        with fail_soon(30):
            job = await flow.start("kb", FolderSource("any"))
            await loader.is_read.wait()
            await flow.add("kb", [note("first")])
            await searchable(flow, "first")
            await flow.add("kb", [note("second")])
            await searchable(flow, "first", "second")
            loader.go_on.set()
            assert (await job.wait()).metrics.documents_loaded == 3


async def test_a_push_that_is_taken_just_after_its_reader_looked_waits_for_no_other_source(
    database: Path, embedder: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader, has_looked, is_taken = SlowListing(), anyio.Event(), anyio.Event()
    read_listed = SourceReader._read_listed

    async def wait_after_the_look(reader: SourceReader) -> None:
        await read_listed(reader)
        if reader.name == PUSH and not has_looked.is_set():
            has_looked.set()
            await is_taken.wait()

    monkeypatch.setattr(SourceReader, "_read_listed", wait_after_the_look)
    failpoints.install("loading.taken", is_taken.set)
    try:
        with fail_soon(30):
            async with PhaseFlow(database, embedder=embedder, loader=loader) as flow:
                job = await flow.start("kb", FolderSource("any"))
                await has_looked.wait()
                await flow.add("kb", [note("first")])
                await searchable(flow, "first")
                assert is_taken.is_set()
                assert not loader.go_on.is_set()
                loader.go_on.set()
                assert (await job.wait()).metrics.documents_loaded == 2
    finally:
        failpoints.clear()


async def test_a_push_into_a_job_that_has_loaded_waits_for_the_next_one(
    flow: PhaseFlow, embedder: CountingEmbedder
) -> None:
    embedder.close()
    await flow.add("kb", [note("a")])
    first = await until(flow, lambda status: status.phase_details[0].status is PhaseStatus.COMPLETED)
    taken = await flow.add("kb", [note("b")])
    assert taken.job_id == first.job_id
    embedder.gate.set()
    await searchable(flow, "a", "b")
    assert [job.metrics.documents_loaded for job in (await flow.jobs("kb")).items] == [1, 1]


async def report_all(flow: PhaseFlow, job_id: str) -> None:
    for phase in JobPhase:
        await flow.tracker.start_phase(job_id, phase)
        await flow.tracker.complete_phase(job_id, phase)


async def test_a_push_beside_a_job_of_another_program_is_taken_when_that_is_completed(flow: PhaseFlow) -> None:
    await flow.tracker.initialize_phases("theirs", "kb")
    assert (await flow.add("kb", [note("a")])).job_id == "theirs"
    await report_all(flow, "theirs")
    await searchable(flow, "a")
    assert (await over(flow)).job_id != "theirs"


async def test_a_push_beside_a_job_of_another_program_that_is_cancelled_waits_for_the_next_one(flow: PhaseFlow) -> None:
    await flow.tracker.initialize_phases("theirs", "kb")
    await flow.add("kb", [note("a")])
    await flow.cancel("kb")
    assert (await flow.status("kb")).job_id == "theirs"
    await flow.add("kb", [note("b")])
    await searchable(flow, "a", "b")


async def test_what_was_pushed_is_what_a_knowledge_base_of_another_program_can_be_started_with(
    flow: PhaseFlow,
) -> None:
    await flow.tracker.initialize_phases("theirs", "kb")
    await flow.cancel("kb")
    with pytest.raises(InvalidRequest, match="has no source"):
        await flow.start("kb")
    await flow.tracker.initialize_phases("theirs too", "kb")
    await flow.add("kb", [note("a")])
    await flow.cancel("kb")
    assert (await (await flow.start("kb")).wait()).metrics.documents_loaded == 1
    await searchable(flow, "a")
    assert (await flow.kb("kb")).source == UploadSource()


async def test_a_paused_job_is_left_quiet_and_takes_what_came_when_it_is_resumed(
    database: Path, flow: PhaseFlow
) -> None:
    await flow.put_kb("kb", UploadSource())
    await flow.start("kb", hold=["loading"])
    await flow.pause("kb")
    rows = "SELECT count(*) FROM job_entries UNION ALL SELECT max(updated_at) FROM ingestion_phase_status"
    before = select(database, rows)
    await flow.add("kb", [note("a")])
    with anyio.move_on_after(0.3):
        await until(flow, lambda status: status.status is not JobStatus.PAUSED)
    assert select(database, rows) == before
    await flow.resume("kb")
    await searchable(flow, "a")
    assert len((await flow.jobs("kb")).items) == 1


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_what_a_job_had_taken_that_came_to_nothing_comes_with_the_next_push(
    flow: PhaseFlow, embedder: CountingEmbedder, end: str
) -> None:
    embedder.close()
    await flow.add("kb", [note("a")])
    assert (await _ended(flow, embedder, end)).status == end
    await anyio.sleep(0.1)  # nothing starts by itself: somebody has to see this
    assert (await flow.status("kb")).status == end
    embedder.fault = None
    await flow.add("kb", [note("b")])
    await searchable(flow, "a", "b")


@pytest.mark.parametrize("end", first_of_each(["failed", "cancelled"]))
async def test_after_a_failed_or_cancelled_job_a_retry_of_a_document_waits_for_what_goes_on(
    flow: PhaseFlow, embedder: CountingEmbedder, end: str
) -> None:
    await flow.add("kb", [note("a")])
    await over(flow)
    embedder.close()
    await flow.add("kb", [note("b")])
    ended = await _ended(flow, embedder, end)
    embedder.fault = None
    await flow.retry_document("kb", "a")
    await flow.set_metadata("kb", "a", {"n": 1})
    await flow.skip_document("kb", "b")
    after = await flow.status("kb")
    assert (after.job_id, after.status) == (ended.job_id, end)
    assert (await flow.document("kb", "a")).status is DocumentStatus.QUEUED
    if end == "failed":
        await flow.retry("kb")
    else:
        await flow.add("kb", [note("c")])
    with fail_soon(20):
        while (await flow.document("kb", "a")).attempts < 2:  # noqa: ASYNC110  # by one job or the next
            await anyio.sleep(0.02)
    await over(flow)
    assert (await flow.document("kb", "a")).status is DocumentStatus.INDEXED


async def _ended(flow: PhaseFlow, embedder: CountingEmbedder, end: str) -> JobStatusResponse:
    """Let the job come to nothing in the call that it waits for."""
    with fail_soon(20):
        await embedder.until_called()
    if end == "cancelled":
        await flow.cancel("kb")
    else:
        embedder.fault = _broken
    embedder.gate.set()
    return await over(flow)


def _broken(texts: object) -> None:
    from phaseflow.domain.errors import ComponentUnavailable

    raise ComponentUnavailable("no key")


async def test_the_same_push_again_changes_nothing_and_costs_nothing(
    database: Path, flow: PhaseFlow, embedder: CountingEmbedder
) -> None:
    document = NewDocument(uri="a", text="The letter a.", title="A", metadata={"n": 1})
    await flow.add("kb", [document])
    await searchable(flow, "a")
    await over(flow)
    rows = "SELECT job_seq, stamp, metadata FROM documents UNION ALL SELECT id, pushed_at, digest FROM pushed"
    before, calls = select(database, rows), embedder.calls
    await flow.add("kb", [document])
    assert (select(database, rows), embedder.calls) == (before, calls)
    assert select(database, "SELECT 1 FROM requests") == []
    assert len((await flow.jobs("kb")).items) == 1


async def test_the_same_push_of_a_large_document_leaves_one_file(database: Path, flow: PhaseFlow) -> None:
    document = NewDocument(uri="a", text="The letter a. " * 10_000)
    for _ in range(3):
        await flow.add("kb", [document])
    files = [each.name for each in Path(f"{database}.uploads").rglob("*") if each.is_file()]
    assert [(name,) for name in files] == select(database, "SELECT file FROM pushed")


async def test_of_two_pushes_of_one_uri_the_later_one_counts(flow: PhaseFlow) -> None:
    await flow.add("kb", [note("a", "old")])
    await flow.add("kb", [note("a", "new"), note("b"), note("a", "newest")])
    await searchable(flow, "a", "b")
    with fail_soon(20):
        while not any("newest" in hit.text for hit in await flow.search("kb", "letter a")):  # noqa: ASYNC110  # nobody tells when
            await anyio.sleep(0.02)
    await over(flow)
    assert (await flow.kb("kb")).documents == 2


@pytest.mark.parametrize("verb", first_of_each(["push", "retry", "delete and push"]))
async def test_what_is_asked_for_while_it_is_read_is_read_again(
    database: Path, embedder: CountingEmbedder, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    load, has_read, has_taken, go_on = PushLoader.load, anyio.Event(), anyio.Event(), anyio.Event()
    found: list[Document | Unchanged | Skipped] = []

    async def load_slowly(loader: PushLoader, entry: Entry, known: Known | None) -> Document | Unchanged | Skipped:
        found.append(await load(loader, entry, known))
        has_read.set()
        await go_on.wait()
        return found[-1]

    monkeypatch.setattr(PushLoader, "load", load_slowly)
    monkeypatch.setattr(requests, "TOGETHER_S", 0)
    async with PhaseFlow(database, embedder=embedder) as flow:
        with fail_soon(20):
            await flow.add("kb", [note("a", "Old.")])
            await has_read.wait()
            failpoints.install("loading.taken", has_taken.set)
            if verb == "retry":
                await flow.retry_document("kb", "a")
            elif verb == "delete and push":
                await flow.delete_document("kb", "a")
            if verb != "retry":
                await flow.add("kb", [note("a", "New.")])
            await has_taken.wait()
            go_on.set()
            job: Job | None = await flow.job("kb")
            while job is not None:
                await job.wait()
                job = await flow.next_job(job)
        assert ("New." in await flow.document_text("kb", "a"), len(found)) == (verb != "retry", 2)
    failpoints.clear()


async def test_another_title_of_the_same_text_is_another_document_and_costs_no_embedding(
    flow: PhaseFlow, embedder: CountingEmbedder
) -> None:
    await flow.add("kb", [NewDocument(uri="a", text="The letter a.", title="Old")])
    await searchable(flow, "a")
    await flow.add("kb", [NewDocument(uri="a", text="The letter a.", title="New")])
    with fail_soon(20):
        while (await flow.search("kb", "letter"))[0].title != "New":  # noqa: ASYNC110  # nobody tells when
            await anyio.sleep(0.02)
    await over(flow)
    assert max(embedder.paid.values()) == 1


async def test_a_start_lists_what_was_pushed_too_and_knows_it_at_once(tmp_path: Path, flow: PhaseFlow) -> None:
    folder = write_folder(tmp_path / "docs", 2)
    await flow.add("kb", [note("a"), NewDocument(uri="b", text="The letter b. " + "Other words. " * 10_000)])
    await searchable(flow, "a", "b")
    await over(flow)
    job = await flow.start("kb", folder)
    with fail_soon(20):
        final = await job.wait()
    assert (final.metrics.documents_found, final.metrics.documents_unchanged, final.metrics.documents_deleted) == (
        4, 2, 0,
    )  # fmt: skip
    assert (await flow.kb("kb")).documents == 4


async def test_what_is_pushed_is_safe_before_the_answer_and_taken_by_the_next_engine(database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder(), slots=0) as flow:
        await flow.add("kb", [note("a")])
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await searchable(flow, "a")
        await over(flow)


async def test_a_refused_push_changes_nothing(tmp_path: Path, database: Path, flow: PhaseFlow) -> None:
    job = await flow.start("kb", write_folder(tmp_path / "docs", 1))
    with fail_soon(20):
        await job.wait()
    before = _dump(database)
    for documents in (
        [],
        [{"uri": "a", "text": "x"}, {"uri": "doc000.md", "text": "x"}],
        [{"uri": "a", "text": "x", "metadata": {"size": 1}}],
        [{"uri": "a", "text": "x", "metadata": {"k": {}}}],
        [{"uri": "a", "text": "x", "metadata": {f"k{n}": 1 for n in range(65)}}],
        [{"uri": "a", "text": "x", "metadata": {"k": "x" * 16_384}}],
        [{"uri": "\n", "text": "x"}],
        [{"uri": "a", "text": "\ud800"}],
        [{"uri": "a"}],
        [{"uri": "a", "text": "x", "media_type": "html"}],
    ):
        with pytest.raises((InvalidRequest, HeldBySource)):
            await flow.add("kb", documents)
    assert _dump(database) == before


async def test_a_text_with_a_nul_is_refused_by_name(flow: PhaseFlow) -> None:
    with pytest.raises(InvalidRequest, match=r"U\+0000") as refused:
        await flow.add("kb", [{"uri": "a", "text": "The letter a.\0"}])
    assert refused.value.field == "documents.0.text"
    assert (await flow.kbs()).items == []


async def test_a_field_that_shadows_a_built_in_one_is_named(flow: PhaseFlow) -> None:
    with pytest.raises(InvalidRequest, match=r"documents\.0\.metadata.*'uri' is a field of every document"):
        await flow.add("kb", [{"uri": "a", "text": "x", "metadata": {"uri": "b"}}])


async def test_metadata_that_is_given_goes_over_what_is_found_and_its_change_embeds_nothing(
    database: Path, flow: PhaseFlow, embedder: CountingEmbedder
) -> None:
    text = "---\nauthor: Ada\ntags: [x, y]\n---\nThe letter a."
    await flow.add("kb", [{"uri": "a.md", "text": text, "metadata": {"author": "Bob", "n": 1}}])
    await searchable(flow, "a.md")
    await over(flow)
    own = _metadata(database, "own_metadata")
    assert _metadata(database) == {**own, "author": "Bob", "n": 1}
    calls = embedder.calls
    await flow.add("kb", [{"uri": "a.md", "text": text, "metadata": {"n": 2}}])
    assert _metadata(database) == {**own, "n": 2}
    await flow.set_metadata("kb", "a.md", {"only": True})
    assert _metadata(database) == {"only": True}
    await flow.retry_document("kb", "a.md")
    await over(flow)
    assert _metadata(database) == {"only": True}
    assert embedder.calls == calls


def _metadata(database: Path, column: str = "metadata") -> dict[str, object]:
    ((text,),) = select(database, f"SELECT {column} FROM documents WHERE state = 4")
    found: dict[str, object] = json.loads(text)
    return found


def _dump(database: Path) -> list[str]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return [line for line in connection.iterdump() if "passages" not in line]


async def test_what_is_asked_twice_of_a_document_changes_nothing_the_second_time(
    tmp_path: Path, flow: PhaseFlow
) -> None:
    await flow.add("kb", [{"uri": "a", "text": "The letter."}])
    await over(flow)
    await flow.start("kb", hold=["loading"])
    for verb in (flow.retry_document, partial(flow.set_metadata, metadata={"n": 1}), flow.skip_document):
        await verb("kb", "a")
        once, told = _dump(tmp_path / "kb.db"), await flow.document("kb", "a")
        await verb("kb", "a")
        assert (await flow.document("kb", "a"), _dump(tmp_path / "kb.db")) == (told, once), verb


async def test_skip_takes_out_at_once_and_keeps_out_until_a_retry(tmp_path: Path, flow: PhaseFlow) -> None:
    folder = write_folder(tmp_path / "docs", 2)
    for number in range(2):
        (folder / f"doc00{number}.md").write_text(f"The letter {number}.")
    with fail_soon(20):
        await (await flow.start("kb", folder)).wait()
    assert await flow.skip_document("kb", "doc000.md") == await flow.skip_document("kb", "doc000.md") == "doc000.md"
    await searchable(flow, "doc001.md")
    (folder / "doc000.md").write_text("The letter 0, changed.")
    with fail_soon(20):
        await (await flow.start("kb", full=True)).wait()
    await searchable(flow, "doc001.md")
    await flow.retry_document("kb", "doc000.md")
    await searchable(flow, "doc000.md", "doc001.md")
    await over(flow)


async def test_retry_loads_an_unchanged_document_anew(flow: PhaseFlow, database: Path) -> None:
    await flow.add("kb", [note("a")])
    await searchable(flow, "a")
    await over(flow)
    await flow.retry_document("kb", "a")
    assert (await over(flow)).metrics.documents_loaded == 1
    assert select(database, "SELECT attempts FROM catalogue") == [(2,)]
    await searchable(flow, "a")


@pytest.mark.parametrize("verb", first_of_each(["skip", "delete"]))
async def test_a_version_on_its_way_goes_no_further(flow: PhaseFlow, embedder: CountingEmbedder, verb: str) -> None:
    embedder.close()
    await flow.add("kb", [note("a"), note("b")])
    with fail_soon(20):
        await embedder.until_called()
    await (flow.skip_document if verb == "skip" else flow.delete_document)("kb", "a")
    embedder.gate.set()
    final = await over(flow)
    assert final.status is JobStatus.COMPLETED
    assert final.phase_details[3].items_processed == final.phase_details[3].items_total == 1
    await searchable(flow, "b")
    assert (await flow.kb("kb")).documents == 1


async def test_what_was_deleted_and_pushed_again_is_never_the_old_version(
    flow: PhaseFlow, embedder: CountingEmbedder
) -> None:
    embedder.close()
    await flow.add("kb", [note("a", "secret")])
    with fail_soon(20):
        await embedder.until_called()
    await until(flow, lambda status: status.phase_details[0].status is PhaseStatus.COMPLETED)
    await flow.delete_document("kb", "a")
    await flow.add("kb", [note("a", "harmless")])
    seen: set[str] = set()
    embedder.gate.set()
    with fail_soon(20):
        while not any("harmless" in text for text in seen):
            seen.update(hit.text for hit in await flow.search("kb", "letter"))
            await anyio.sleep(0.01)
    assert not any("secret" in text for text in seen)


async def test_a_bad_document_fails_alone_and_is_tried_again_when_it_is_pushed_anew(flow: PhaseFlow) -> None:
    bad = NewDocument(uri="a", text="The letter a.", media_type="application/pdf")
    await flow.add("kb", [bad, note("b")])
    await searchable(flow, "b")
    assert (await over(flow)).status is JobStatus.COMPLETED
    assert [failure.uri for failure in (await flow.failures("kb")).items] == ["a"]
    await flow.add("kb", [note("a")])
    await searchable(flow, "a", "b")
    assert (await flow.failures("kb")).items == []


@pytest.mark.parametrize(
    ("padding", "media_type"),
    first_of_each(
        [
            (padding, media_type)
            for padding in (1, 300_000)  # in a thread, in a worker
            for media_type in ("text/html; charset=gbk", None, "text/html")
        ],
        lambda case: case[0],
    ),
)
async def test_a_page_that_is_pushed_as_text_is_unicode_whatever_it_declares(
    flow: PhaseFlow, padding: int, media_type: str | None
) -> None:
    text = f"<meta charset=gbk><p>The letter é.<p>{' ' * padding}"
    await flow.add("kb", [NewDocument(uri="a.html", text=text, media_type=media_type)])
    await searchable(flow, "a.html")
    assert (await flow.search("kb", "letter"))[0].text == "The letter é."


async def test_a_text_that_is_given_as_plain_is_plain_whatever_its_name(flow: PhaseFlow) -> None:
    text = "---\nauthor: Ann\n---\n# Head\n\n<b>bold</b> &amp; letter"
    uris, types = ["a", "a.md", "a.html", "a.csv", "a.eml", "b.md"], ["text/plain"] * 5 + ["text/plain; charset=utf-8"]
    given = zip(uris, types, strict=True)
    await flow.add("kb", [NewDocument(uri=uri, text=text, media_type=media_type) for uri, media_type in given])
    await over(flow)
    for uri in uris:
        document = await flow.document("kb", uri)
        assert (document.media_type, document.metadata) == ("text/plain", {})
        assert await flow.document_text("kb", uri) == text


async def test_a_text_that_is_given_as_plain_is_plain_however_it_begins(flow: PhaseFlow) -> None:
    texts = {"a": "%PDF-1.4", "a.pdf": "%PDF-1.4", "b": "{\\rtf1}", "c.xls": "<html>", "c": "MIME-Version: 1.0"}
    texts = {uri: f"{begins} is the first letter" for uri, begins in texts.items()}
    await flow.add("kb", [NewDocument(uri=uri, text=text, media_type="text/plain") for uri, text in texts.items()])
    await over(flow)
    assert {uri: await flow.document_text("kb", uri) for uri in texts} == texts


async def test_the_words_of_a_pdf_can_be_pushed_under_its_name(flow: PhaseFlow) -> None:
    plain = NewDocument(uri="b.pdf", text="The letter b.", media_type="text/plain")
    await flow.add("kb", [NewDocument(uri="a.pdf", text="The letter a."), plain])
    await searchable(flow, "a.pdf", "b.pdf")


async def test_a_skipped_document_leaves_with_its_file_and_is_skipped_again_when_that_comes_back(
    flow: PhaseFlow, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "notes", 3)
    await (await flow.start("kb", FolderSource(str(folder)))).wait()
    await flow.skip_document("kb", "doc001.md")
    skipped = await flow.document("kb", "doc001.md")
    assert skipped.updated_at > (await flow.document("kb", "doc000.md")).updated_at
    (folder / "doc001.md").rename(tmp_path / "away.md")
    await (await flow.start("kb", FolderSource(str(folder)))).wait()
    assert [one.uri for one in (await flow.documents("kb")).items] == ["doc000.md", "doc002.md"]
    (tmp_path / "away.md").rename(folder / "doc001.md")
    await (await flow.start("kb", FolderSource(str(folder)))).wait()
    back = await flow.document("kb", "doc001.md")
    assert (back.status, back.searchable, back.id) == ("skipped", False, skipped.id)
    await flow.retry_document("kb", "doc001.md")
    await (await flow.job("kb")).wait()
    assert (await flow.document("kb", "doc001.md")).status == "indexed"


async def test_a_file_that_has_the_name_of_a_pushed_document_is_left_out_and_the_job_says_so(
    flow: PhaseFlow, tmp_path: Path
) -> None:
    await flow.add("kb", [NewDocument(uri="doc001.md", text="Pushed.")])
    folder = write_folder(tmp_path / "notes", 3)
    final = await (await flow.start("kb", FolderSource(str(folder)))).wait()
    left_out = "1 document of the source 'default' is left out, since another was pushed under the same name: doc001.md"
    assert final.message.endswith(f" indexed; {left_out}")
    assert (await flow.document("kb", "doc001.md")).source == "push"
    await flow.delete_document("kb", "doc001.md")
    final = await (await flow.start("kb", FolderSource(str(folder)))).wait()
    assert "left out" not in final.message
    assert (await flow.document("kb", "doc001.md")).source == "default"


@pytest.mark.parametrize("source", ["", {"type": "folder", "path": ""}])
async def test_an_empty_path_is_no_folder(flow: PhaseFlow, source: str | dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match=r"path: must have at least 1 character"):
        await flow.start("kb", source)
