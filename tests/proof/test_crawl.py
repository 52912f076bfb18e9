"""A crawl that is killed, paused, or loses its site, and goes on: nothing that was stored is asked for again."""

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import anyio
import pytest

from phaseflow import JobStatus, PhaseFlow, PhaseStatus
from phaseflow.actors.context import Policies
from phaseflow.components.sources.web import WebLoader
from phaseflow.domain.policy import RetryPolicy
from phaseflow.domain.settings import WebSource
from phaseflow.flow.inputs import Source
from tests.cli.forked import program
from tests.components.web_site import QUICK, Reply, WebSite, html, moved
from tests.engine.components import CountingEmbedder
from tests.proof import outcome
from tests.stopwatch import fail_soon

PAGES = 90
TURNING = "/47"
"""The page at which something happens: about half of the site is known by then, and a good part is read."""
IMPATIENT = Policies(retry=RetryPolicy(tries=3, first_s=0.01))


def website() -> WebSite:
    """A tree of pages, two links on each, with a dead link and a redirect here and there."""
    pages: dict[str, Reply] = {}
    for at in range(PAGES):
        links = [f"/{child}" for child in (2 * at + 1, 2 * at + 2) if child < PAGES]
        links += [f"/dead{at}"] if at % 10 == 3 else []
        links += [f"/old{at}"] if at % 10 == 5 else []
        pages[f"/{at}"] = html(*links, title=f"Page {at}", text=f"word{at}")
        pages[f"/old{at}"] = moved(f"/new{at}")
        pages[f"/new{at}"] = html(title=f"New {at}", text=f"new{at}")
    return WebSite(pages)


def engine(database: Path, embedder: CountingEmbedder | None = None) -> PhaseFlow:
    """An engine that crawls without politeness and does not try for long."""

    def loader(source: Source) -> WebLoader:
        assert isinstance(source, WebSource)
        return WebLoader(source, allow_private=["127.0.0.1"], limits=QUICK)

    return PhaseFlow(database, loader=loader, embedder=embedder or CountingEmbedder(), policies=IMPATIENT)


async def crawl(database: Path, url: str) -> JobStatus:
    """Crawl in this process to the end."""
    async with engine(database) as flow:
        job = await flow.start("kb", {"type": "web", "urls": [f"{url}/0"]})
        return (await job.wait()).status


async def undisturbed(site: WebSite, database: Path) -> tuple[dict[str, outcome.Passages], Counter[str]]:
    """What a crawl without trouble makes of the site, and how often it asks for each path."""
    assert await crawl(database, site.url) is JobStatus.COMPLETED
    whole = outcome.searchable(database)
    assert len(whole) == PAGES + PAGES // 10
    usual = site.paths
    site.asked.clear()
    return whole, usual


def stored(database: Path, site: WebSite) -> set[str]:
    """The paths that the crawl has done with, but for dead links, which a retry tries again."""
    with outcome.connected(database) as connection:
        rows = connection.execute("SELECT uri FROM job_entries WHERE state NOT IN (0, 3, 5)").fetchall()
    return {uri.removeprefix(site.url) for (uri,) in rows}


def went_on(site: WebSite, usual: Counter[str], database: Path, before: set[str], in_hand: int = 0) -> bool:
    """What was stored ``before`` was not asked for more often than usual, and of the rest no more than was in hand."""
    assert len(before) > 20
    assert outcome.violations(database) == []
    again = site.paths - usual
    del again["/robots.txt"]  # each process asks for it
    return not again.keys() & before and again.total() <= in_hand


PROGRAM = """
import pathlib, sys, anyio
from tests.proof.test_crawl import crawl
anyio.run(crawl, pathlib.Path(sys.argv[1]), sys.argv[2])
"""


async def kill_while_asking_for(path: str, site: WebSite, database: Path) -> None:
    """Crawl in a process of its own, which is killed once it has asked for this page."""
    running = program(PROGRAM, database, site.url)
    try:
        await site.until_asked(path)
        running.kill()
        assert await anyio.to_thread.run_sync(running.wait) == -signal.SIGKILL
    finally:
        running.close()


async def test_a_crawl_that_is_killed_goes_on_where_it_stood(database: Path) -> None:
    async with website() as site:
        with fail_soon(30):
            whole, usual = await undisturbed(site, database.with_name("whole.db"))
            page, site.pages[TURNING] = site.pages[TURNING], Reply(hang=True)
            await kill_while_asking_for(TURNING, site, database)
            before = stored(database, site)
            site.pages[TURNING] = page
            async with engine(database) as flow:
                final = await (await flow.job("kb")).wait()
    assert final.status is JobStatus.COMPLETED
    assert outcome.searchable(database) == whole
    assert went_on(site, usual, database, before, in_hand=32)


@pytest.mark.thorough
async def test_a_crawl_that_is_paused_asks_for_no_page_twice(database: Path) -> None:
    async with website() as site:
        with fail_soon(30):
            whole, usual = await undisturbed(site, database.with_name("whole.db"))
            async with engine(database) as flow:
                job = await flow.start("kb", {"type": "web", "urls": [f"{site.url}/0"]})
                await site.until_asked(TURNING)
                await flow.pause("kb")
                assert (await job.wait_until_idle()).status is JobStatus.PAUSED
                before, asked = stored(database, site), len(site.asked)
                await flow.resume("kb")
                final = await job.wait()
    assert asked < len(site.asked)
    assert final.status is JobStatus.COMPLETED
    assert outcome.searchable(database) == whole
    assert went_on(site, usual, database, before)


@pytest.mark.thorough
async def test_a_site_that_goes_down_fails_the_phase_and_a_retry_goes_on(database: Path) -> None:
    site = website()
    with fail_soon(30):
        async with engine(database) as flow:
            async with site:
                whole, usual = await undisturbed(site, database.with_name("whole.db"))
                job = await flow.start("kb", {"type": "web", "urls": [f"{site.url}/0"]})
                await site.until_asked(TURNING)
            failed = await job.wait()
            before = stored(database, site)
            async with WebSite(site.pages, port=site.port) as back:
                await flow.retry("kb")
                while (final := await flow.status("kb")).status is not JobStatus.COMPLETED:
                    await flow.tracker.feed.hint().wait()
    back.asked = site.asked + back.asked
    loading = failed.phase_details[0]
    assert (failed.status, loading.status) == (JobStatus.FAILED, PhaseStatus.FAILED)
    assert loading.error is not None
    assert f"{site.url} cannot be reached" in loading.error
    assert final.status is JobStatus.COMPLETED
    assert outcome.searchable(database) == whole
    assert went_on(back, usual, database, before, in_hand=32)


@pytest.mark.thorough
async def test_a_site_that_answers_nothing_but_errors_fails_the_phase_and_a_retry_goes_on(database: Path) -> None:
    async with website() as site:
        with fail_soon(30):
            whole, usual = await undisturbed(site, database.with_name("whole.db"))
            async with engine(database) as flow:
                job = await flow.start("kb", {"type": "web", "urls": [f"{site.url}/0"]})
                await site.until_asked(TURNING)
                pages, site.pages = site.pages, dict.fromkeys(site.pages, Reply(b"overloaded", 503))
                failed = await job.wait()
                before = stored(database, site)
                site.pages = pages
                usual += site.paths - usual  # what was asked for in vain
                await flow.retry("kb")
                while (final := await flow.status("kb")).status is not JobStatus.COMPLETED:
                    await flow.tracker.feed.hint().wait()
    error = failed.phase_details[0].error
    assert error is not None
    assert "error budget spent" in error
    assert "answered 503" in error
    assert final.metrics.documents_loaded == len(whole)
    assert outcome.searchable(database) == whole
    assert went_on(site, usual, database, before, in_hand=PAGES)


TWINS = 20
"""Pages with two addresses: more than are settled in one transaction."""
DYING = """
import os, pathlib, signal, sys, anyio
from phaseflow.store.twins import Twins
from tests.proof.test_crawl import crawl

settle, last = Twins.settle, [None] * int(sys.argv[3])

def dying(*given):
    found = settle(*given)
    last.pop()
    if not last:
        os.kill(os.getpid(), signal.SIGKILL)
    return found

Twins.settle = dying
anyio.run(crawl, pathlib.Path(sys.argv[1]), sys.argv[2])
"""


def twin_pages() -> WebSite:
    long, short = ([f"/{name}{at}" for at in range(TWINS)] for name in ("the/long/address/of/page/", "p"))
    pages = {
        path: Reply(f"<!doctype html><p>word{at}".encode()) for paths in (long, short) for at, path in enumerate(paths)
    }
    return WebSite({"/0": html(*long, *short), **pages})


@pytest.mark.thorough
async def test_documents_take_their_shortest_addresses_though_the_process_dies_while_they_do(database: Path) -> None:
    async with twin_pages() as site:
        with fail_soon(60):
            # In the second of two transactions: what the first has done stays, and the rest is done again.
            command = [sys.executable, "-c", DYING, str(database), site.url, "2"]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            died = await anyio.run_process(command, env=environment, check=False, stdout=None, stderr=None)
            assert died.returncode == -signal.SIGKILL
            assert outcome.violations(database) == []
            site.asked.clear()
            async with engine(database) as flow:
                assert (await (await flow.job("kb")).wait()).status is JobStatus.COMPLETED
    found = {uri.removeprefix(site.url) for uri in outcome.searchable(database)}
    assert found == {"/0", *(f"/p{at}" for at in range(TWINS))}
    assert not site.paths - Counter(["/robots.txt"])
    assert outcome.violations(database) == []
