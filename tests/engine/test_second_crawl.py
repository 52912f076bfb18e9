"""A site is looked at once more before most of its pages are taken out: what has come back meanwhile stays."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from phaseflow import PhaseFlow
from phaseflow.actors import second_crawl
from phaseflow.components.protocols import Loader
from phaseflow.components.sources.web import WebLoader
from phaseflow.domain.settings import WebSource
from phaseflow.domain.status import JobStatusResponse
from phaseflow.flow.job import Job
from tests.components.web_site import QUICK, Reply, WebSite
from tests.engine.components import CountingEmbedder, note_waits
from tests.engine.test_control import until
from tests.stopwatch import fail_soon

PAGES = [f"/p{number:02}" for number in range(14)]


def page(name: str, *links: str, head: str = "") -> Reply:
    anchors = "".join(f'<a href="{link}">{link}</a> ' for link in links)
    text = f"<html><head><title>{name}</title>{head}</head><body><p>About {name}.</p>{anchors}</body></html>"
    return Reply(text.encode())


def whole() -> dict[str, Reply]:
    return {"/": page("home", "/list", "/p00"), "/list": page("list", *PAGES), **{name: page(name) for name in PAGES}}


@dataclass
class Asking:
    """A job that has paused before it takes out most of a site."""

    flow: PhaseFlow
    site: WebSite
    job: Job

    async def answered(self) -> JobStatusResponse:
        await self.flow.resume("kb")
        with fail_soon(20):
            return await self.job.wait()

    async def left(self) -> set[str]:
        items = (await self.flow.documents("kb", limit=100)).items
        return {each.uri.removeprefix(self.site.url) for each in items if each.searchable}


@asynccontextmanager
async def asking(database: Path, change: Callable[[WebSite], None]) -> AsyncIterator[Asking]:
    async with WebSite(whole()) as site:

        def loader(source: object) -> Loader:
            assert isinstance(source, WebSource)
            return WebLoader(source, allow_private=[f"127.0.0.1:{site.port}"], limits=QUICK)

        async with PhaseFlow(database, loader=loader, embedder=CountingEmbedder()) as flow:
            with fail_soon(20):
                first = await (await flow.start("kb", {"type": "web", "urls": [f"{site.url}/"]})).wait()
                assert first.metrics.documents_loaded == 16
                change(site)
                job = await flow.start("kb")
                assert (await job.wait_until_idle()).status == "paused"
                site.asked.clear()
                yield Asking(flow, site, job)


def loses_its_list(site: WebSite) -> None:
    site.pages["/list"] = page("list")


def loses_its_pages(site: WebSite) -> None:
    for name in PAGES[1:]:
        del site.pages[name]


async def test_pages_that_are_linked_again_stay(database: Path) -> None:
    async with asking(database, loses_its_list) as job:
        hidden = page("hidden", head='<meta name="robots" content="noindex">')
        job.site.pages |= {"/list": page("list", *PAGES[:12]), **dict.fromkeys(PAGES[10:12], hidden)}
        done = await job.answered()
        assert (done.status, done.metrics.documents_deleted) == ("completed", 4)
        assert await job.left() == {"/", "/list", *PAGES[:10]}


@pytest.mark.thorough
async def test_pages_that_answer_again_stay_and_those_that_do_not_go(database: Path) -> None:
    async with asking(database, loses_its_pages) as job:
        job.site.pages |= {name: page(name) for name in PAGES[:10]}
        done = await job.answered()
        assert (done.status, done.metrics.documents_deleted) == ("completed", 4)
        assert await job.left() == {"/", "/list", *PAGES[:10]}
        assert (await job.flow.kb("kb")).counts.failed == 13, "as they were when the job read them"
        next_one = await (await job.flow.start("kb")).wait()
        assert (await job.flow.kb("kb")).counts.failed == 4
        assert (next_one.metrics.documents_deleted, next_one.metrics.documents_unchanged) == (0, 12)


@pytest.mark.thorough
async def test_a_page_that_may_be_indexed_again_stays(database: Path) -> None:
    def hides(site: WebSite) -> None:
        for name in PAGES:
            site.pages[name] = page(name, head='<meta name="robots" content="noindex">')

    async with asking(database, hides) as job:
        job.site.pages |= {name: page(name) for name in PAGES[:10]}
        assert (await job.answered()).metrics.documents_deleted == 4
        assert await job.left() == {"/", "/list", *PAGES[:10]}


@pytest.mark.parametrize("change", [loses_its_list, loses_its_pages])
async def test_what_stays_away_goes(database: Path, change: Callable[[WebSite], None]) -> None:
    async with asking(database, change) as job:
        assert (await job.answered()).metrics.documents_deleted == 13
        assert await job.left() == {"/", "/list", "/p00"}


async def test_nothing_goes_where_the_site_cannot_be_read_any_more(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_crawl, "_WAITS_S", (0.0,))
    for change in (loses_its_list, loses_its_pages):
        async with asking(database.with_name(f"{change.__name__}.db"), change) as job:
            broken = Reply(b"out of order", status=500)
            job.site.pages |= {"/list": broken, **dict.fromkeys(PAGES, broken)}
            done = await job.answered()
            assert (done.status, done.metrics.documents_deleted) == ("completed", 0)
            told = "13 documents of the source 'default' were not found and stay until all of it can be read: "
            assert (told in done.message) == (change is loses_its_list)


async def test_a_pause_comes_between_and_a_page_that_hangs_does_not_hold_it_up(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_crawl, "DROP_S", 0.0)
    async with asking(database, loses_its_list) as job:
        job.site.pages["/list"] = Reply(hang=True)
        await job.flow.resume("kb")
        with fail_soon(20):
            await job.site.until_asked("/list")
            await until(job.flow, lambda s: "looking once more at what the site has, 1 page so far" in s.message)
            await job.flow.pause("kb")
            assert (await job.job.wait_until_idle()).status == "paused"
        job.site.pages["/list"] = page("list", *PAGES)
        assert (await job.answered()).metrics.documents_deleted == 0


@pytest.mark.parametrize(("retry_after", "waits"), [({}, [1.0, 4.0, 16.0]), ({"Retry-After": "90"}, [60.0] * 3)])
async def test_a_page_that_fails_for_a_moment_is_tried_again_after_a_while(
    database: Path, monkeypatch: pytest.MonkeyPatch, retry_after: dict[str, str], waits: list[float]
) -> None:
    async with asking(database, loses_its_list) as job:
        job.site.pages["/list"] = Reply(b"busy", status=503, headers=retry_after)
        waited = note_waits(monkeypatch)
        assert (await job.answered()).metrics.documents_deleted == 0
    assert waited == waits
