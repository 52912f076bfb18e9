"""The crawl of a real site, against what is known of it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from phaseflow.components.protocols import Unchanged
from phaseflow.domain.errors import DocumentError
from tests.components.web_site import Crawl, Reply, WebSite, crawl, robots, static_files
from tests.stopwatch import fail_soon

FRAME = ("Show Source", "Report a Bug", "Quick search", "Previous topic", "Next topic", "modules |", "¶")


@dataclass(frozen=True, slots=True)
class Crawled:
    site: WebSite
    done: Crawl


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the module, since the sites below belong to it."""
    return "asyncio"


@pytest.fixture(scope="module")
def expected(corpora: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((corpora / "site" / "crawl-expected.json").read_text())
    return found


@asynccontextmanager
async def served(corpora: Path, expected: dict[str, Any]) -> AsyncIterator[WebSite]:
    async with WebSite() as site:
        site.pages = static_files(corpora / "site" / "www", expected["base_url"], site.url)
        yield site


@pytest.fixture(scope="module")
async def by_links(anyio_backend: str, corpora: Path, expected: dict[str, Any]) -> AsyncIterator[Crawled]:
    """A crawl of the site without its sitemap, for all tests that only look at what it has found."""
    async with served(corpora, expected) as site:
        without_sitemap(site)
        with fail_soon(60):
            done = await crawl(site.loader(expected["start"]))
        yield Crawled(site, done)


@pytest.fixture(scope="module")
async def by_sitemap(anyio_backend: str, corpora: Path, expected: dict[str, Any]) -> AsyncIterator[Crawled]:
    """The same with it."""
    async with served(corpora, expected) as site:
        with fail_soon(60):
            done = await crawl(site.loader(expected["start"]))
        yield Crawled(site, done)


@pytest.mark.thorough
async def test_the_links_lead_to_every_allowed_page_and_to_no_other(
    by_links: Crawled, expected: dict[str, Any]
) -> None:
    site, done = by_links.site, by_links.done
    allowed = {page["path"]: page for page in expected["pages"] if page["allowed"]}
    found = {uri.removeprefix(site.url): document for uri, document in done.documents.items()}
    assert found.keys() == allowed.keys()
    assert len(found) == expected["reachable_by_links_respecting_robots"] == 45
    for path, page in allowed.items():
        assert found[path].title == page["title"]
        assert done.depths[site.url + path] == page["depth"]
    for path, snippet in expected["snippets"].items():
        assert snippet in " ".join(found[path].text.split())
    assert not set(expected["disallowed_by_robots"]) & set(site.paths)


async def test_dead_links_are_reported_and_do_not_end_the_crawl(by_links: Crawled, expected: dict[str, Any]) -> None:
    site, failures = by_links.site, by_links.done.failures
    assert len(failures) == expected["missing_link_targets_respecting_robots"] == 174
    assert {site.url + path for path in expected["missing_examples"]} <= failures.keys()
    for error in failures.values():
        assert isinstance(error, DocumentError)
        assert (error.code, error.counts, error.gone) == ("not_found", False, True)


@pytest.mark.thorough
async def test_with_its_sitemap_the_same_pages_are_found(by_sitemap: Crawled, expected: dict[str, Any]) -> None:
    site, done = by_sitemap.site, by_sitemap.done
    assert len(done.documents) == 45
    missing = {site.url + path for path in expected["sitemap_missing_page"]}
    assert len(done.failures) == 174 + len(missing)
    assert missing <= done.failures.keys()
    assert not set(expected["disallowed_by_robots"]) & set(site.paths)


@pytest.mark.thorough
async def test_a_second_crawl_fetches_only_what_changed(corpora: Path, expected: dict[str, Any]) -> None:
    async with served(corpora, expected) as site:
        with fail_soon(60):
            first = await crawl(site.loader(expected["start"]))
        changed = "/tutorial/classes.html"
        site.pages[changed] = Reply(site.pages[changed].body + b"<!-- new -->", headers={"etag": '"new"'})
        with fail_soon(60):
            second = await crawl(site.loader(expected["start"]), first.known())
    assert list(second.documents) == [site.url + changed]
    assert len(second.of(Unchanged)) == 44
    assert second.failures.keys() == first.failures.keys()


async def test_a_page_is_its_content_without_the_frame_of_the_site(by_links: Crawled) -> None:
    for document in by_links.done.documents.values():
        assert not [words for words in FRAME if words in document.text], document.entry.uri


def without_sitemap(site: WebSite) -> None:
    rules, _, _ = site.pages["/robots.txt"].body.partition(b"Sitemap:")
    site.pages["/robots.txt"] = robots(rules.decode())
    del site.pages["/sitemap.xml"]
