"""A page that hangs takes up one place of a crawl: the others are read, and a pause does not wait for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from phaseflow import JobStatus, PhaseFlow, Policies, RetryPolicy
from phaseflow.actors import reading_window, source_reading
from phaseflow.actors.byte_budget import MOST_BYTES
from phaseflow.actors.reading_window import BATCH
from phaseflow.components.protocols import Document, Entry
from phaseflow.components.sources.web import Limits, WebLoader
from phaseflow.domain.settings import WebSource
from phaseflow.domain.status import JobStatusResponse
from phaseflow.flow.inputs import Source
from tests.components.web_site import QUICK, Reply, WebSite, html
from tests.engine.components import CountingEmbedder
from tests.engine.test_control import finished, until
from tests.stopwatch import fail_soon
from tests.store.probes import select

HANGS = Reply(hang=True)


def flow_with(database: Path, policies: Policies | None = None, limits: Limits = QUICK) -> PhaseFlow:
    def loader(source: Source) -> WebLoader:
        assert isinstance(source, WebSource)
        return WebLoader(source, allow_private=["127.0.0.1"], limits=limits)

    return PhaseFlow(database, loader=loader, embedder=CountingEmbedder(), policies=policies or Policies())


def has_read(count: int) -> Callable[[JobStatusResponse], bool]:
    return lambda status: status.phase_details[0].items_processed == count


async def test_one_page_that_hangs_keeps_no_other_back_and_no_pause(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_reading, "LATE_S", 0.2)
    monkeypatch.setattr(reading_window, "SLOW_S", 0.3)
    pages = {"/": html(*(f"/{n}" for n in range(60)), title="Home", text="home")}
    for n in range(60):
        pages[f"/{n}"] = html(f"/{n}/deeper", title=f"Page {n}", text=f"word{n}")
        pages[f"/{n}/deeper"] = html(title=f"Deeper {n}", text=f"deep{n}")
    hanging = pages["/3"]
    async with WebSite({**pages, "/3": HANGS}) as site, flow_with(database) as flow:
        job = await flow.start("kb", {"type": "web", "urls": [site.url + "/"]})
        with fail_soon(20):  # of the minute that the page would have
            await until(flow, has_read(1 + 59 + 59))
            await until(flow, lambda s: f"still reading {site.url}/3" in s.message)
            await flow.pause("kb")
            await until(flow, lambda s: s.status is JobStatus.PAUSED)
            asked = site.paths.total()
            site.pages["/3"] = hanging
            assert site.paths.total() == asked
            await flow.resume("kb")
            final = await finished(job)
    assert (final.status, final.metrics.documents_loaded, final.metrics.documents_failed) == (
        JobStatus.COMPLETED,
        121,
        0,
    ), "what was dropped is read after the pause, and nothing else"
    assert {path for path, times in site.paths.items() if times > 1} - {"/robots.txt"} == {"/3"}


async def test_as_many_pages_that_hang_as_a_site_has_places_do_not_hold_it(database: Path) -> None:
    limits = replace(QUICK, at_once=4, hangs_s=0.2)
    hanging = [f"/hangs/{n}" for n in range(5)]
    pages = {"/": html(*hanging, *(f"/{n}" for n in range(30)), title="Home", text="home")}
    pages |= {f"/{n}": html(title=f"Page {n}", text=f"word{n}") for n in range(30)} | dict.fromkeys(hanging, HANGS)
    async with WebSite(pages) as site, flow_with(database, limits=limits) as flow:
        await flow.start("kb", {"type": "web", "urls": [site.url + "/"]})
        with fail_soon(20):  # of the minute that each of them would have
            await until(flow, has_read(31))
            await flow.cancel("kb")
    assert [site.paths[path] for path in hanging] == [1] * 5


async def test_what_turns_out_to_lie_nearer_is_read_again_for_its_links(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_reading, "LATE_BY_DEPTH_S", 0.1)
    pages = {
        "/": html("/late", "/one", title="Home", text="home"),
        "/late": Reply(b"", 500),
        "/one": html("/two", title="One", text="one"),
        "/two": html("/near", title="Two", text="two"),
        "/near": html("/end", title="Near", text="near"),
        "/end": html("/beyond", title="End", text="end"),
        "/beyond": html(title="Beyond", text="beyond"),
    }
    patient = Policies(retry=RetryPolicy(first_s=1.5))
    async with WebSite(pages) as site, flow_with(database, patient) as flow:
        job = await flow.start("kb", {"type": "web", "urls": [site.url + "/"], "max_depth": 3})
        with fail_soon(20):
            await until(flow, has_read(4))
            site.pages["/late"] = html("/near", title="Late", text="late")
            final = await finished(job)
        found = {each.uri.removeprefix(site.url) for each in (await flow.documents("kb")).items}
    assert (final.status, final.metrics.documents_loaded) == (JobStatus.COMPLETED, 6)
    assert found == {"/", "/late", "/one", "/two", "/near", "/end"}, "as if /late had answered at once"
    assert site.paths["/near"] == 2


async def test_a_site_that_hangs_before_it_has_named_a_page_holds_up_no_pause(database: Path) -> None:
    pages = {"/": html(title="Home", text="home"), "/robots.txt": HANGS}
    async with WebSite(pages) as site, flow_with(database) as flow:
        job = await flow.start("kb", {"type": "web", "urls": [site.url + "/"]})
        with fail_soon(10):
            await site.until_asked("/robots.txt")
            await flow.pause("kb")
            await until(flow, lambda s: s.status is JobStatus.PAUSED)
            del site.pages["/robots.txt"]
            await flow.resume("kb")
            final = await finished(job)
    assert (final.status, final.metrics.documents_loaded) == (JobStatus.COMPLETED, 1)


class Busy:
    """Many documents, of which the first are read at once and the others once as many are being read as may be."""

    fingerprint = "busy"
    in_flight = BATCH + 8
    count = 4 * in_flight
    first = in_flight + 5

    def __init__(self) -> None:
        self.inside = 0
        self.is_full = anyio.Event()

    async def list(self) -> AsyncIterator[list[Entry]]:
        yield [Entry(f"{n:04}") for n in range(self.count)]

    async def load(self, entry: Entry, known: object) -> Document:
        if int(entry.uri) >= self.first:
            self.inside += 1
            assert self.inside <= self.in_flight
            if self.inside == self.in_flight:
                self.is_full.set()
            await self.is_full.wait()
            self.inside -= 1
        return Document(entry, entry.uri, entry.uri, "text/plain", entry.uri.encode().ljust(16, b"\0"))


async def test_every_place_of_a_loader_is_busy_while_there_is_more_to_read(database: Path) -> None:
    loader = Busy()
    async with PhaseFlow(database, loader=loader, embedder=CountingEmbedder()) as flow:
        final = await finished(await flow.start("kb"))
    assert loader.is_full.is_set()
    assert (final.status, final.metrics.documents_loaded) == (JobStatus.COMPLETED, loader.count)


class Large:
    """Documents that fill the room for what is in memory, each alone; notes how many were stored as each was read."""

    fingerprint = "large"

    def __init__(self, database: Path) -> None:
        self._database = database
        self.stored: list[int] = []

    async def list(self) -> AsyncIterator[list[Entry]]:
        yield [Entry(f"{n}", size=MOST_BYTES) for n in range(4)]

    async def load(self, entry: Entry, known: object) -> Document:
        self.stored.append(select(self._database, "SELECT count(*) FROM documents")[0][0])
        return Document(entry, entry.uri, entry.uri, "text/plain", entry.uri.encode().ljust(16, b"\0"))


async def test_what_was_read_holds_its_room_until_it_is_stored(database: Path) -> None:
    loader = Large(database)
    async with PhaseFlow(database, loader=loader, embedder=CountingEmbedder()) as flow:
        final = await finished(await flow.start("kb"))
    assert (final.status, loader.stored) == (JobStatus.COMPLETED, [0, 1, 2, 3])


class Tasks:
    """Many documents; remembers the tasks that read them."""

    fingerprint = "tasks"
    count = 6 * BATCH

    def __init__(self) -> None:
        self.seen: set[object] = set()

    async def list(self) -> AsyncIterator[list[Entry]]:
        yield [Entry(f"{n:04}") for n in range(self.count)]

    async def load(self, entry: Entry, known: object) -> Document:
        self.seen.add(asyncio.current_task())
        return Document(entry, entry.uri, entry.uri, "text/plain", entry.uri.encode().ljust(16, b"\0"))


async def test_a_task_reads_one_document_after_the_other(database: Path) -> None:
    loader = Tasks()
    async with PhaseFlow(database, loader=loader, embedder=CountingEmbedder()) as flow:
        final = await finished(await flow.start("kb"))
    assert final.metrics.documents_loaded == loader.count
    assert len(loader.seen) < loader.count / 2
