"""Two sources with a document under one uri: it stays with its holder; the other is told of, and comes in its turn."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import anyio
import pytest

from phaseflow import FolderSource, NewDocument, PhaseFlow
from phaseflow.components.protocols import Document, Entry, Known
from phaseflow.components.sources import FolderLoader
from phaseflow.domain.errors import SourceDown
from phaseflow.domain.status import JobStatusResponse
from phaseflow.flow.inputs import Source
from phaseflow.flow.source_loaders import LoaderFor
from phaseflow.flow.starting import Starting
from tests.engine.components import CountingEmbedder
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon
from tests.store.probes import select

SHARED = "wiki/x.md"


class Folders:
    """Two folders that have a document of one uri; which of them is listed ``first``, and which is ``down``."""

    def __init__(self, database: Path, here: Path) -> None:
        self.database = database
        self.here = here
        self.first = "default"
        self.down: str | None = None
        self.write("default", SHARED, "The one of default.")
        self.write("default", "a.md", "Of letters.")
        self.write("wiki", "x.md", "The one of wiki.")
        self.write("wiki", "y.md", "Of tides.")
        self.sources: Mapping[str, Source] = {
            name: FolderSource(str(here / name), exclude=("none",)) for name in ("default", "wiki")
        }

    def write(self, source: str, name: str, text: str) -> None:
        path = self.here / source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def loader(self, source: Source) -> "InTurn":
        assert isinstance(source, FolderSource)
        return InTurn(self, source)


class InTurn(FolderLoader):
    """Lists its folder when the one that comes first has been listed to its end, and what it found is stored."""

    def __init__(self, folders: Folders, source: FolderSource) -> None:
        super().__init__(source)
        self._folders = folders
        self._name = Path(source.path).name

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        if self._folders.down == self._name:
            raise SourceDown("the disk does not answer")
        first = (
            f"SELECT 1 FROM job_sources WHERE name = '{self._folders.first}' AND listed = 1"
            " AND job_seq = (SELECT max(seq) FROM ingestion_jobs)"
        )
        with fail_soon(20):
            while self._must_wait() and not select(self._folders.database, first):  # noqa: ASYNC110  # nobody tells when
                await anyio.sleep(0.01)
        async for page in super().list():
            yield page

    def _must_wait(self) -> bool:
        return self._folders.first not in {self._name, self._folders.down}


@pytest.fixture
def folders(database: Path, tmp_path: Path) -> Folders:
    return Folders(database, tmp_path)


@pytest.fixture
async def flow(folders: Folders) -> AsyncIterator[PhaseFlow]:
    async with PhaseFlow(folders.database, embedder=CountingEmbedder(), loader=folders.loader) as flow:
        yield flow


async def run(flow: PhaseFlow, sources: Mapping[str, Source]) -> JobStatusResponse:
    with fail_soon(30):
        final = await (await flow.start("kb", sources=sources)).wait()
    assert final.status == "completed", final.message
    documents = {one.uri: one for one in (await flow.documents("kb")).items}
    assert all(one.searchable for one in documents.values())
    assert sum((await flow.kb("kb")).counts.model_dump().values()) == len(documents)
    return final


async def shared(flow: PhaseFlow) -> tuple[str, str]:
    """(source, text) of the document that both have."""
    return (await flow.document("kb", SHARED)).source, await flow.document_text("kb", SHARED)


LEFT_OUT = f"the source 'default' has one under the same name: {SHARED}"


async def test_it_stays_with_the_source_that_has_had_it_first_whoever_lists_first(
    flow: PhaseFlow, folders: Folders
) -> None:
    for first in ("default", "wiki", "default", "wiki"):
        folders.first = first
        final = await run(flow, folders.sources)
        assert await shared(flow) == ("default", "The one of default.")
        assert final.message.endswith(f"; 1 document of the source 'wiki' is left out, since {LEFT_OUT}")
        found = final.phase_details[0]
        assert (final.metrics.documents_found, found.items_processed, found.items_total) == (3, 3, 3)


@pytest.mark.parametrize("first", ["default", "wiki"])
async def test_the_other_one_comes_in_the_job_that_finds_its_holder_without_it(
    flow: PhaseFlow, folders: Folders, first: str
) -> None:
    await run(flow, folders.sources)
    (folders.here / "default" / SHARED).unlink()
    folders.first = first
    final = await run(flow, folders.sources)
    assert await shared(flow) == ("wiki", "The one of wiki.")
    assert "left out" not in final.message
    assert (final.metrics.documents_found, final.metrics.documents_deleted) == (3, 0)
    assert final.phase_details[0].items_total == 3
    folders.write("default", SHARED, "Back again.")
    final = await run(flow, folders.sources)
    assert await shared(flow) == ("wiki", "The one of wiki.")
    assert "of the source 'default' is left out, since the source 'wiki' has one" in final.message


@pytest.mark.parametrize("text", first_of_each(["The one of another.", "The one of default."]))
async def test_a_document_that_changes_hands_is_read_even_if_it_looks_the_same(
    flow: PhaseFlow, folders: Folders, text: str
) -> None:
    """Size and time of change say nothing about the file of another folder."""
    folders.write("wiki", "x.md", text)
    folders.write("default", SHARED, "The one of default.")
    for path in (folders.here / "default" / SHARED, folders.here / "wiki" / "x.md"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    await run(flow, folders.sources)
    (folders.here / "default" / SHARED).unlink()
    await run(flow, folders.sources)
    assert await shared(flow) == ("wiki", text)
    final = await run(flow, folders.sources)  # its stamp is that of its new source now
    assert final.metrics.documents_unchanged == 3
    stamps = "SELECT DISTINCT source FROM documents WHERE state = 4 AND uri LIKE 'wiki/%'"
    assert select(folders.database, stamps) == [("wiki",)]


async def test_documents_of_a_source_that_was_taken_away_keep_none_out(flow: PhaseFlow, folders: Folders) -> None:
    await run(flow, folders.sources)
    folders.first = "wiki"
    final = await run(flow, {"wiki": folders.sources["wiki"]})
    assert await shared(flow) == ("wiki", "The one of wiki.")
    assert "left out" not in final.message


async def test_a_source_that_cannot_be_read_or_is_not_read_now_keeps_what_it_has(
    flow: PhaseFlow, folders: Folders
) -> None:
    await run(flow, folders.sources)
    folders.down = "default"
    final = await run(flow, folders.sources)
    assert LEFT_OUT in final.message
    assert await shared(flow) == ("default", "The one of default.")
    folders.first = "wiki"
    with fail_soon(30):
        final = await (await Starting(flow._engine).start_in_step("kb", {"wiki"})).wait()
    assert LEFT_OUT in final.message
    assert await shared(flow) == ("default", "The one of default.")


async def test_a_job_on_the_holder_alone_reads_the_other_too(flow: PhaseFlow, folders: Folders) -> None:
    await run(flow, folders.sources)
    await flow.add("kb", [NewDocument(uri="letter", text="A letter.")])  # a job that lists nothing, in between
    await (await flow.job("kb")).wait()
    (folders.here / "default" / SHARED).unlink()
    with fail_soon(30):
        final = await (await Starting(flow._engine).start_in_step("kb", {"default"})).wait()
    assert final.metrics.documents_deleted == 0
    assert await shared(flow) == ("wiki", "The one of wiki.")
    with fail_soon(30):
        final = await (await Starting(flow._engine).start_in_step("kb", {"default"})).wait()
    assert final.metrics.documents_found == 2  # the letter, and its own: nothing is shared any more


async def test_what_is_left_out_is_counted_by_its_holder_and_forgotten_with_the_next_job(
    flow: PhaseFlow, folders: Folders
) -> None:
    await flow.add("kb", [NewDocument(uri="wiki/y.md", text="Pushed.")])
    await run(flow, folders.sources)
    final = await run(flow, folders.sources)
    assert final.message.endswith(
        f"; 1 document of the source 'wiki' is left out, since {LEFT_OUT}"
        "; 1 document of the source 'wiki' is left out, since another was pushed under the same name: wiki/y.md"
    )
    await flow.vacuum()
    seqs = "SELECT DISTINCT job_seq = (SELECT max(seq) FROM ingestion_jobs) FROM displaced_entries"
    assert select(folders.database, seqs) == [(1,)]
    await flow.delete_kb("kb")
    await flow.vacuum()
    assert select(folders.database, "SELECT count(*) FROM displaced_entries") == [(0,)]


class Pages:
    """A site of pages that link to one another, whose total nobody knows before the last; reads note what was told."""

    follows_links = True
    in_flight = 1

    def __init__(
        self, database: Path, links: dict[str, list[str]], max_entries: int | None = None, start: str = "/"
    ) -> None:
        self.links = links
        self.start = start
        self.max_entries = max_entries
        self.told: list[int | None] = []
        self._database = database

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        yield [Entry(self.start)]

    async def load(self, entry: Entry, known: Known | None) -> Document:
        rows = select(
            self._database,
            "SELECT items_total FROM ingestion_phase_status WHERE phase_name = 'loading' ORDER BY id DESC LIMIT 1",
        )
        self.told += [row[0] for row in rows]
        links = tuple(Entry(uri, depth=entry.depth + 1) for uri in self.links.get(entry.uri, ()))
        return Document(entry, f"Of {entry.uri}.", entry.uri, "text/plain", entry.uri.encode().ljust(16), links=links)


CHAIN = {"/": ["/a"], "/a": ["/b", "/"], "/b": ["/c"], "/c": ["/a"]}


@pytest.mark.parametrize(
    ("most", "told", "total"),
    first_of_each(
        [(None, [None, None, None, None], 4), (3, [None, None, 3], 3), (4, [None, None, None, 4], 4)],
        lambda case: case[0] is None,
    ),
)
async def test_how_many_pages_a_site_has_is_told_when_no_more_can_be_found(
    database: Path, most: int | None, told: list[int | None], total: int
) -> None:
    pages = Pages(database, CHAIN, most)
    async with PhaseFlow(database, embedder=CountingEmbedder(), loader=pages) as flow:
        for _ in range(2):
            pages.told.clear()
            final = await (await flow.start("kb", "https://pages.test/", full=True)).wait()
            assert (final.status, pages.told) == ("completed", told)
            assert (final.phase_details[0].items_total, final.metrics.documents_found) == (total, total)


def by_host(sites: Mapping[str, Pages]) -> LoaderFor:
    """The loader of the site that the first part of the address names."""

    def loader(source: Source) -> Pages:
        assert source.type == "web"
        return sites[str(source.urls[0].host).partition(".")[0]]

    return loader


async def run_sites(flow: PhaseFlow, names: Sequence[str]) -> dict[str, str]:
    """(uri, source) of what is searchable after a job on these sites."""
    sources = {name: {"type": "web", "urls": [f"https://{name}.test/"]} for name in names}
    with fail_soon(30):
        final = await (await flow.start("kb", sources=sources)).wait()
    assert final.status == "completed", final.message
    assert final.phase_details[0].items_total == final.metrics.documents_found
    return {one.uri: one.source for one in (await flow.documents("kb")).items if one.searchable}


@pytest.mark.thorough
async def test_pages_that_another_site_has_stay_with_it_until_it_has_them_no_more(database: Path) -> None:
    sites = {
        "default": Pages(database, {"/1": ["/shared"], "/shared": ["/deep"]}, start="/1"),
        "other": Pages(database, {"/2": ["/shared"], "/shared": ["/more"]}, start="/2"),
    }

    async with PhaseFlow(database, embedder=CountingEmbedder(), loader=by_host(sites)) as flow:
        held = partial(run_sites, flow, list(sites))
        first = await held()
        owner = first["/shared"]
        other = ({*sites} - {owner}).pop()
        beyond = {"default": "/deep", "other": "/more"}
        starts = {"/1": "default", "/2": "other"}
        assert first == starts | {"/shared": owner, "/deep": "default", "/more": "other"}
        for _ in range(2):
            assert await held() == first
        sites[owner].links = {}
        assert await held() == starts | {"/shared": other, beyond[other]: other}


async def test_pages_that_another_site_holds_are_read_for_what_they_lead_to(database: Path) -> None:
    sites = {
        "default": Pages(database, {"/1": ["/2"]}, start="/1"),
        "other": Pages(database, {"/2": ["/3", "/4"], "/3": ["/2"]}, max_entries=3, start="/2"),
    }
    async with PhaseFlow(database, embedder=CountingEmbedder(), loader=by_host(sites)) as flow:
        alone = await run_sites(flow, ["default"])
        assert alone == {"/1": "default", "/2": "default"}
        for most, found in ((3, ["/3", "/4"]), (2, ["/3"])):
            sites["other"].max_entries = most  # the page that is read for its links is one of them
            assert await run_sites(flow, ["default", "other"]) == alone | dict.fromkeys(found, "other")
        assert "since the source 'default' has one under the same name: /2" in (await flow.status("kb")).message
        assert (await flow.failures("kb")).items == []


async def test_all_pages_that_another_site_holds_are_read_for_what_they_lead_to_where_there_is_no_limit(
    database: Path,
) -> None:
    sites = {
        "default": Pages(database, {"/1": ["/2", "/3"]}, start="/1"),
        "other": Pages(database, {"/0": ["/2", "/3"], "/2": ["/4"], "/3": ["/5"]}, start="/0"),
    }
    async with PhaseFlow(database, embedder=CountingEmbedder(), loader=by_host(sites)) as flow:
        alone = await run_sites(flow, ["default"])
        assert alone == dict.fromkeys(["/1", "/2", "/3"], "default")
        assert await run_sites(flow, list(sites)) == alone | dict.fromkeys(["/0", "/4", "/5"], "other")
