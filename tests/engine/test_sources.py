"""Several sources of one knowledge base: each for itself, none in the way of another, and none lost silently."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow import (
    BudgetPolicy,
    FolderSource,
    InvalidRequest,
    JobPhase,
    PhaseFlow,
    Policies,
    RetryPolicy,
    UploadSource,
)
from phaseflow.components.protocols import Document, Entry, Known, Unchanged
from phaseflow.components.sources import FolderLoader
from phaseflow.components.sources.remote import FsspecLoader
from phaseflow.domain.errors import SourceDown
from phaseflow.flow.inputs import Source
from phaseflow.flow.source_loaders import LoaderFor
from tests.engine.components import CountingEmbedder, write_folder
from tests.engine.test_control import until
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon
from tests.store.probes import select


@pytest.fixture
def two(tmp_path: Path) -> dict[str, FolderSource]:
    """Two folders with files of the same names."""
    return {name: FolderSource(str(write_folder(tmp_path / name, 4))) for name in ("default", "wiki")}


async def uris(flow: PhaseFlow, kb_id: str = "kb") -> list[str]:
    return [document.uri for document in (await flow.documents(kb_id)).items if document.searchable]


NAMES = [f"doc{n:03}.md" for n in range(4)]
BOTH = [*NAMES, *(f"wiki/{name}" for name in NAMES)]


async def test_the_documents_of_another_folder_have_its_name_before_theirs(
    database: Path, two: dict[str, FolderSource]
) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        final = await (await flow.start("kb", sources=two)).wait()
        assert (final.status, final.message) == ("completed", "Completed: 16 chunks indexed")
        assert await uris(flow) == BOTH
        kb = await flow.kb("kb")
        assert (kb.sources, kb.source) == (two, two["default"])
        found = await flow.documents("kb", source="wiki")
        assert [document.uri for document in found.items] == BOTH[4:]
        again = await (await flow.start("kb")).wait()
        assert (again.metrics.documents_unchanged, again.metrics.documents_deleted) == (8, 0)


async def test_one_source_that_is_gone_takes_out_nothing_and_holds_up_nothing(
    database: Path, two: dict[str, FolderSource], tmp_path: Path
) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", sources=two)).wait()
        (tmp_path / "wiki").rename(tmp_path / "elsewhere")
        changed = {**two, "default": replace(two["default"], include=("*",))}
        assert (await flow.put_kb("kb", sources=changed)).sources == changed
        (tmp_path / "default" / "doc000.md").unlink()
        write_folder(tmp_path / "default", 5)
        (tmp_path / "default" / "doc001.md").unlink()
        final = await (await flow.start("kb")).wait()
        assert final.status == "completed"
        assert final.error is not None
        assert final.error.startswith("the source 'wiki' could not be read: ")
        assert final.error in final.message
        assert final.metrics.documents_deleted == 1
        assert "; 4 documents of the source 'wiki' were not found and stay until all of it can be read" in final.message
        assert await uris(flow) == ["doc000.md", "doc002.md", "doc003.md", "doc004.md", *BOTH[4:]]
        (tmp_path / "elsewhere").rename(tmp_path / "wiki")
        healed = await (await flow.start("kb")).wait()
        assert (healed.error, healed.metrics.documents_deleted) == (None, 0)
        assert "not found" not in healed.message


async def test_a_new_or_changed_source_is_read_beside_one_that_is_away(
    database: Path, two: dict[str, FolderSource], tmp_path: Path
) -> None:
    more = FolderSource(str(write_folder(tmp_path / "more", 1)))
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", sources=two)).wait()
        (tmp_path / "wiki").rename(tmp_path / "elsewhere")
        for given in ({**two, "more": more}, {**two, "more": replace(more, include=("*",))}):
            final = await (await flow.start("kb", sources=given)).wait()
            assert final.status == "completed"
            assert (final.error or "").startswith("the source 'wiki' could not be read: ")
            assert await uris(flow) == sorted([*BOTH, "more/doc000.md"])
            assert (await flow.kb("kb")).sources == given
        assert (await flow.put_kb("kb", sources={**two, "more": more})).sources["more"] == more


async def test_a_source_that_is_given_anew_and_away_is_refused_and_so_is_one_that_is_alone(
    database: Path, two: dict[str, FolderSource], tmp_path: Path
) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", sources=two)).wait()
        (tmp_path / "wiki").rename(tmp_path / "elsewhere")
        changed = {**two, "wiki": replace(two["wiki"], include=("*.md",))}
        for given in (changed, {"wiki": two["wiki"]}, {"other": two["wiki"], "default": two["default"]}):
            with pytest.raises(InvalidRequest, match="there is no folder"):
                await flow.start("kb", sources=given)
        assert (await flow.kb("kb")).sources == two


async def test_when_no_source_can_be_read_the_job_fails_and_a_retry_reads_them(
    database: Path, two: dict[str, FolderSource], tmp_path: Path
) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.put_kb("kb", sources=two)
        for name in two:
            (tmp_path / name).rename(tmp_path / f"{name}-away")
        await flow.put_kb("kb", settings={"chunk_size": 500})
        with pytest.raises(InvalidRequest, match="there is no folder"):
            await flow.start("kb")
        (tmp_path / "wiki-away").rename(tmp_path / "wiki")
        job = await flow.start("kb", hold=["loading"])
        (tmp_path / "wiki").rename(tmp_path / "wiki-away")
        await flow.resume("kb")
        assert (await job.wait()).status == "failed"
        for name in two:
            (tmp_path / f"{name}-away").rename(tmp_path / name)
        await flow.retry("kb")
        assert (await (await flow.job("kb")).wait()).error is None
        assert await uris(flow) == BOTH


class StubbornLoader(FolderLoader):
    """A folder that hangs while it lists, or breaks off while it is read."""

    def __init__(self, source: FolderSource, *, hangs: anyio.Event | None = None, breaks: bool = False) -> None:
        super().__init__(source)
        self.hangs = hangs
        self.breaks = breaks

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        if self.hangs is not None:
            await self.hangs.wait()
        async for page in super().list():
            yield page

    async def load(self, entry: Entry, known: Known | None) -> Document | Unchanged:
        if self.breaks:
            raise SourceDown("the disk does not answer")
        return await super().load(entry, known)


def stubborn(**how: Any) -> LoaderFor:
    def loader(source: Source) -> FolderLoader:
        assert isinstance(source, FolderSource)
        is_wiki = Path(source.path).name == "wiki"
        return StubbornLoader(source, **how) if is_wiki else FolderLoader(source)

    return loader


async def test_a_source_that_hangs_holds_no_other_up(database: Path, two: dict[str, FolderSource]) -> None:
    hangs = anyio.Event()
    async with PhaseFlow(database, embedder=CountingEmbedder(), loader=stubborn(hangs=hangs)) as flow:
        job = await flow.start("kb", sources=two)
        with fail_soon(10):
            while await uris(flow) != NAMES:
                await flow.tracker.feed.hint().wait()
        assert (await job.status()).phase_details[0].items_total is None
        hangs.set()
        assert (await job.wait()).status == "completed"
        assert await uris(flow) == BOTH


async def test_what_a_source_that_breaks_off_has_listed_is_failed_not_gone(
    database: Path, two: dict[str, FolderSource]
) -> None:
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder, loader=stubborn(breaks=False)) as flow:
        await (await flow.start("kb", sources=two)).wait()
        before = await uris(flow)
    # Of the source, and not of its documents: it is told once, and they do not use up how many may fail.
    rules = Policies(retry=RetryPolicy(tries=2, first_s=0.01), budget=BudgetPolicy(in_a_row=2))
    async with PhaseFlow(database, embedder=embedder, loader=stubborn(breaks=True), policies=rules) as flow:
        final = await (await flow.start("kb", full=True)).wait()
        assert final.status == "completed"
        assert final.error == "the source 'wiki' could not be read: the disk does not answer"
        assert final.metrics.documents_failed == 4
        assert {failure.code for failure in (await flow.failures("kb")).items} == {"source_down"}
        assert await uris(flow) == before


async def test_a_document_that_is_asked_for_once_its_source_is_given_up_fails_and_does_not_keep_the_job_open(
    database: Path, two: dict[str, FolderSource], tmp_path: Path
) -> None:
    hangs = anyio.Event()

    def loader(source: Source) -> FolderLoader:
        assert isinstance(source, FolderSource)
        is_wiki = Path(source.path).name == "wiki"
        return FolderLoader(source) if is_wiki else StubbornLoader(source, hangs=hangs)

    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await (await flow.start("kb", sources=two)).wait()
    (tmp_path / "wiki").rename(tmp_path / "elsewhere")
    async with PhaseFlow(database, embedder=embedder, loader=loader) as flow:
        job = await flow.start("kb")
        await until(flow, lambda status: status.error is not None)
        await flow.retry_document("kb", "wiki/doc002.md")
        with fail_soon(20):
            await until(flow, lambda status: status.metrics.documents_failed == 1)
            hangs.set()
            assert (await job.wait()).status == "completed"
        assert [(each.uri, each.phase) for each in (await flow.failures("kb")).items] == [("wiki/doc002.md", "loading")]
        assert await uris(flow) == BOTH


@pytest.mark.parametrize("name", first_of_each(["wiki", "default"]))
async def test_a_document_that_is_asked_for_fails_alone_where_its_source_breaks_off(
    database: Path, two: dict[str, FolderSource], name: str
) -> None:
    sources, embedder = {name: two["wiki"]}, CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder, loader=stubborn(breaks=False)) as flow:
        first = await (await flow.start("kb", sources=sources)).wait()
    rules = Policies(retry=RetryPolicy(tries=2, first_s=0.01))
    async with PhaseFlow(database, embedder=embedder, loader=stubborn(breaks=True), policies=rules) as flow:
        asked = (await flow.documents("kb")).items[0].uri
        await flow.retry_document("kb", asked)
        with fail_soon(20):
            while True:
                hint = flow.tracker.feed.hint()
                job = (await flow.kb("kb")).job
                if job is not None and job.job_id != first.job_id and job.status.is_terminal:
                    break
                await hint.wait()
        assert (job.status, job.metrics.documents_failed) == ("completed", 1)
        assert [(one.uri, one.code) for one in (await flow.failures("kb")).items] == [(asked, "source_down")]
        assert len(await uris(flow)) == 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"push": "docs"}, "source of what was pushed"),
        ({"No": "docs"}, "lower-case letters"),
        ({}, "at least 1"),
        ("docs", "a mapping"),
        ({"a": {"type": "folder"}}, "path"),
    ],
)
async def test_sources_that_cannot_be_are_refused(database: Path, given: object, said: str) -> None:
    async with PhaseFlow(database) as flow:
        with pytest.raises(InvalidRequest, match=said):
            await flow.start("kb", sources=given)  # type: ignore[arg-type]  # wrong on purpose
        with pytest.raises(InvalidRequest, match="either source or sources"):
            await flow.put_kb("kb", "docs", sources={"a": "docs"})


@pytest.fixture
def many(tmp_path: Path) -> FolderSource:
    return FolderSource(str(write_folder(tmp_path / "many", 30, words=20)))


def thin_out(source: FolderSource, keep: int) -> None:
    for path in sorted(Path(source.path).glob("*.md"))[keep:]:
        path.unlink()


async def test_a_job_asks_before_it_takes_out_most_of_a_source(database: Path, many: FolderSource) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", many)).wait()
        thin_out(many, 10)
        asked = await (await flow.start("kb")).wait_until_idle()
        assert asked.status == "paused"
        assert "it would take out 20 of 30 documents of the source 'default'" in asked.message
        assert len(await uris(flow)) == 30
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:  # a restart is no answer
        job = await flow.job("kb")
        assert (await job.wait_until_idle()).status == "paused"
        assert len(await uris(flow)) == 30
        await flow.resume("kb")
        final = await job.wait()
        assert (final.status, final.metrics.documents_deleted) == ("completed", 20)
        assert len(await uris(flow)) == 10


async def test_what_comes_back_while_a_job_asks_stays_in_search(database: Path, many: FolderSource) -> None:
    kept = {path.name: path.read_text() for path in Path(many.path).iterdir()}
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", many)).wait()
        thin_out(many, 5)
        job = await flow.start("kb")
        assert (await job.wait_until_idle()).status == "paused"
        back = sorted(kept)[5:25]
        for name in [*back[1:], "never-seen.md"]:
            (Path(many.path) / name).write_text(kept.get(name, "# New\n\nFor the next job."))
        (Path(many.path) / back[0]).write_text("# Changed\n\nFor the next job, too.")
        await flow.resume("kb")
        final = await job.wait()
        assert (final.status, final.metrics.documents_deleted) == ("completed", 5)
        assert len(await uris(flow)) == 25
        counts = (await flow.kb("kb")).counts
        assert (counts.indexed, counts.queued) == (25, 0)
        last = await (await flow.start("kb")).wait()
        assert (last.status, last.metrics.documents_deleted, len(await uris(flow))) == ("completed", 0, 26)
        assert await flow.document_text("kb", back[0]) == "# Changed\n\nFor the next job, too."


async def test_nothing_of_a_source_that_is_away_when_a_job_is_answered_is_taken_out(
    database: Path, many: FolderSource
) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", many)).wait()
        thin_out(many, 5)
        job = await flow.start("kb")
        assert (await job.wait_until_idle()).status == "paused"
        folder = Path(many.path)
        folder.rename(folder.with_name("away"))
        await flow.resume("kb")
        final = await job.wait()
        assert (final.status, final.metrics.documents_deleted) == ("completed", 0)
        assert len(await uris(flow)) == 30


async def test_an_answer_to_a_pause_of_the_user_is_none_to_the_question(database: Path, many: FolderSource) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", many)).wait()
        thin_out(many, 10)
        job = await flow.start("kb", hold=["indexing"])
        assert (await job.wait_until_idle()).status == "paused"
        await flow.resume("kb")
        asked = await job.wait_until_idle()
        assert (asked.status, len(await uris(flow))) == ("paused", 30)
        await flow.cancel("kb")
        assert len(await uris(flow)) == 30


async def test_a_smaller_share_asks_sooner_and_a_yes_beforehand_is_for_any_share(
    database: Path, tmp_path: Path
) -> None:
    folder = FolderSource(str(write_folder(tmp_path / "docs", 21, words=5)))
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", folder, settings={"max_deleted_share": 0.4})).wait()
        thin_out(folder, 11)
        assert (await (await flow.start("kb")).wait_until_idle()).status == "paused"
        await flow.cancel("kb")
        done = await (await flow.start("kb", allow_deletes=True)).wait_until_idle()
        assert (done.status, done.metrics.documents_deleted) == ("completed", 10)


@pytest.mark.thorough
async def test_yes_can_be_said_beforehand_and_the_share_be_set(database: Path, many: FolderSource) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", many)).wait()
        thin_out(many, 15)
        assert (await (await flow.start("kb")).wait()).metrics.documents_deleted == 15  # half is not more than half
        thin_out(many, 2)
        final = await (await flow.start("kb", allow_deletes=True)).wait()
        assert final.metrics.documents_deleted == 13
        write_folder(Path(many.path), 30, words=20)
        await (await flow.start("kb", settings={"max_deleted_share": 0.1})).wait()
        thin_out(many, 20)
        assert (await (await flow.start("kb")).wait_until_idle()).status == "paused"


@pytest.mark.thorough
async def test_a_source_that_is_replaced_or_removed_counts_the_same_way(
    database: Path, many: FolderSource, tmp_path: Path
) -> None:
    few = FolderSource(str(write_folder(tmp_path / "few", 3)))
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", sources={"default": few, "many": many})).wait()
        asked = await (await flow.start("kb", few)).wait_until_idle()
        assert "30 of 30 documents of the source 'many'" in asked.message
        await flow.cancel("kb")
        other = FolderSource(str(write_folder(tmp_path / "other", 1)))
        asked = await (await flow.start("kb", sources={"default": few, "many": other})).wait_until_idle()
        assert "29 of 30 documents of the source 'many'" in asked.message


def replace_all(source: FolderSource, name: str, number: int) -> None:
    """Other files in place of those in the folder."""
    thin_out(source, 0)
    for n in range(number):
        Path(source.path, f"{name}{n:03}.md").write_text(f"Of {name} {n}.")


@pytest.mark.thorough
async def test_what_a_job_has_added_is_not_what_a_source_had(database: Path, many: FolderSource) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", many)).wait()
        replace_all(many, "other", 40)
        asked = await (await flow.start("kb")).wait_until_idle()
        assert (asked.status, len(await uris(flow))) == ("paused", 70)
        assert "30 of 30 documents of the source 'default'" in asked.message
        await flow.cancel("kb")  # is no answer, and what the job has added counts no more in the next
        asked = await (await flow.start("kb")).wait_until_idle()
        assert "30 of 30 documents of the source 'default'" in asked.message
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        job = await flow.job("kb")
        assert "30 of 30 documents" in (await job.wait_until_idle()).message
        await flow.resume("kb")
        assert (await job.wait()).metrics.documents_deleted == 30
        thin_out(many, 20)
        assert (await (await flow.start("kb")).wait()).metrics.documents_deleted == 20  # of 40


@pytest.mark.thorough
async def test_a_job_names_all_sources_of_which_most_would_go_and_takes_out_of_no_other(
    database: Path, many: FolderSource, tmp_path: Path
) -> None:
    other = FolderSource(str(write_folder(tmp_path / "other", 30, words=20)))
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", sources={"default": many, "other": other})).wait()
        thin_out(many, 10)
        thin_out(other, 11)
        job = await flow.start("kb")
        asked = (await job.wait_until_idle()).message
        assert "20 of 30 documents of the source 'default' and 19 of 30 documents of the source 'other'" in asked
        only = asked[asked.index("it would") :].replace(" and 19 of 30 documents of the source 'other'", "")
    with (
        closing(sqlite3.connect(database)) as connection,
        connection,
    ):  # as if it had been asked while the other was down
        connection.execute(
            "UPDATE ingestion_phase_status SET hold_reason = ? WHERE hold_reason LIKE 'it would%'", (only,)
        )
        connection.execute("UPDATE transitions SET reason = ? WHERE reason LIKE 'it would%'", (only,))
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        job = await flow.job("kb")
        await flow.resume("kb")
        again = await job.wait_until_idle()
        assert (again.status, len(await uris(flow))) == ("paused", 60)
        assert "19 of 30 documents of the source 'other'" in again.message
        await flow.resume("kb")
        assert (await job.wait()).metrics.documents_deleted == 39


async def test_an_index_that_is_built_anew_asks_too(database: Path, many: FolderSource) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", many)).wait()
    other = CountingEmbedder()
    other.fingerprint = "other"
    thin_out(many, 10)
    async with PhaseFlow(database, embedder=other) as flow:
        job = await flow.start("kb")
        assert (await job.wait_until_idle()).status == "paused"
        assert len(await uris(flow)) == 30
        await flow.resume("kb", JobPhase.INDEXING)
        assert (await job.wait()).status == "completed"
        assert len(await uris(flow)) == 10
        assert select(database, "SELECT allow_deletes FROM ingestion_jobs ORDER BY seq DESC LIMIT 1") == [(1,)]


async def test_a_source_that_uploads_replace_is_taken_out(database: Path, tmp_path: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", str(write_folder(tmp_path / "docs", 2)))).wait()
        await flow.add("kb", [{"uri": "pushed.md", "text": "A letter."}])
        job = await flow.start("kb", UploadSource(), allow_deletes=True)
        assert (await job.wait()).status == "completed"
        assert [one.uri for one in (await flow.documents("kb")).items] == ["pushed.md"]


async def test_uploads_alone_are_indexed_anew_with_another_embedder(database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.add("kb", [{"uri": "pushed.md", "text": "A letter."}])
        await (await flow.job("kb")).wait()
    other = CountingEmbedder()
    other.fingerprint = "other"
    async with PhaseFlow(database, embedder=other) as flow:
        job = await flow.start("kb")
        assert (await job.wait()).status == "completed", (await job.status()).error
        assert (await flow.search("kb", "letter"))[0].uri == "pushed.md"


async def test_the_loaders_of_a_job_are_closed_together(
    database: Path, two: dict[str, FolderSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs takes none of the time of another."""
    closing = 0
    both = anyio.Event()

    async def aclose(loader: FsspecLoader) -> None:
        nonlocal closing
        closing += 1
        if closing == len(two):
            both.set()
        await both.wait()
        together.append(loader)

    together: list[FsspecLoader] = []
    monkeypatch.setattr(FsspecLoader, "aclose", aclose)
    sources = {name: {"type": "fsspec", "url": Path(source.path).as_uri()} for name, source in two.items()}
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        assert (await (await flow.start("kb", sources=sources)).wait()).status == "completed"
    assert len(together) == 2
