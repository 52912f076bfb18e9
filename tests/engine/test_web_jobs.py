"""A website through the whole engine: crawled, searched, crawled again."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from pydantic import HttpUrl

from phaseflow import PhaseFlow
from phaseflow.components.sources.web import WebLoader
from phaseflow.domain.documents import DocumentInfo
from phaseflow.domain.errors import InvalidRequest, SourceNotAllowed
from phaseflow.domain.identifiers import document_id
from phaseflow.domain.settings import WebSource
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import DocumentStatus, JobStatus
from phaseflow.store.transaction import Transaction
from tests.components.web_site import QUICK, Reply, WebSite, moved
from tests.engine.components import CountingEmbedder
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon
from tests.store.full_text import check_consistent


def page(title: str, words: str, *links: str) -> Reply:
    anchors = "".join(f'<p><a href="{link}">{link}</a></p>' for link in links)
    text = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{words}</p>{anchors}</body></html>"
    return Reply(text.encode())


def website() -> WebSite:
    return WebSite(
        {
            "/": page("Home", "welcome to the harbour", "/tides", "/gone"),
            "/tides": page("Tides", "high water comes twice a day", "/moon"),
            "/moon": page("Moon", "the moon pulls the sea"),
        }
    )


async def crawl(flow: PhaseFlow, site: WebSite, **source: object) -> JobStatusResponse:
    job = await flow.start("site", {"type": "web", "urls": [site.url + "/"], **source})
    with fail_soon(20):
        return await job.wait()


def allowed(site: WebSite) -> list[str]:
    return [f"127.0.0.1:{site.port}"]


async def test_a_website_is_crawled_by_its_links_and_searched(database: Path) -> None:
    async with (
        website() as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        final = await crawl(flow, site)
        at, hits = site.url, await flow.search("site", "the moon pulls", limit=1)
        failures = (await flow.failures("site")).items
    assert final.status is JobStatus.COMPLETED
    assert final.metrics.documents_loaded == 3
    assert (hits[0].uri, hits[0].title) == (f"{at}/moon", "Moon")
    assert [(f.uri, f.code) for f in failures] == [(f"{at}/gone", "not_found")]


async def test_a_page_that_went_away_leaves_and_an_unchanged_one_is_not_cut_again(database: Path) -> None:
    async with (
        website() as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        await crawl(flow, site)
        del site.pages["/moon"]
        final = await crawl(flow, site)
        kb = await flow.kb("site")
    assert (final.metrics.documents_unchanged, final.metrics.documents_deleted) == (2, 1)
    assert kb.documents == 2


async def test_what_lies_behind_a_page_that_fails_is_not_taken_for_gone(database: Path) -> None:
    async with (
        website() as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        await crawl(flow, site)
        site.pages["/tides"] = Reply(b"forbidden", 403)
        final = await crawl(flow, site)
        kb = await flow.kb("site")
    assert final.metrics.documents_deleted == 0
    assert kb.documents == 3


_HEAD = "<html><head>{}</head><body><h1>Moon</h1><p>secret salaries</p></body></html>"


_NO_DOCUMENT = {
    "noindex": Reply(_HEAD.format('<meta name="robots" content="noindex">').encode()),
    "noindex by header": Reply(b"moon", headers={"X-Robots-Tag": "noindex"}),
    "canonical": Reply(_HEAD.format('<link rel="canonical" href="/tides">').encode()),
    "redirect": moved("/tides"),
    "twin": page("Tides", "high water comes twice a day"),  # the same as /tides
    "not found": Reply(b"gone", 404),
}


@pytest.mark.parametrize(
    ("status", "name"),
    first_of_each(
        [(status, name) for status in (403, 200) for name in _NO_DOCUMENT],
        lambda case: case if case == (403, "not found") else case[0],
    ),
)
async def test_a_page_that_is_read_and_is_no_document_any_more_goes_whatever_others_answer(
    database: Path, status: int, name: str
) -> None:
    reply = _NO_DOCUMENT[name]
    pages = {
        "/": page("Home", "welcome to the harbour", "/tides", "/moonlight", "/dead", "/hub"),
        "/tides": page("Tides", "high water comes twice a day"),
        "/moonlight": page("Moon", "the moon pulls the sea"),
        "/hub": page("Hub", "it leads on", "/leaf"),
        "/leaf": page("Leaf", "nobody else leads here"),
        "/dead": page("Dead", "not for long"),
    }
    async with (
        WebSite(pages) as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        assert (await crawl(flow, site)).metrics.documents_loaded == 6
        site.pages |= {"/moonlight": reply, "/hub": page("Hub", "it leads nowhere")}
        if status != 200:
            site.pages["/dead"] = Reply(b"forbidden", status)
        final = await crawl(flow, site)
        found = {hit.uri.removeprefix(site.url) for hit in await flow.search("site", "the moon pulls", limit=10)}
        kb = await flow.kb("site")
    # What was not seen is kept where a page failed that may have led to it; what was read never is.
    kept = {"/", "/tides", "/hub", "/dead", *(["/leaf"] if status != 200 else [])}
    assert found == kept
    assert final.metrics.documents_deleted == 6 - len(kept)
    assert kb.counts.failed == final.metrics.documents_failed == (status != 200) + (reply.status == 404)


async def test_a_page_that_is_read_well_and_left_out_has_not_failed_any_more(database: Path) -> None:
    site = website()
    async with site, PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:
        await crawl(flow, site)
        site.pages |= {"/moon": Reply(b"picture", type="image/png"), "/gone": Reply(b"forbidden", 403)}
        assert (await crawl(flow, site)).metrics.documents_failed == 2
        site.pages["/moon"] = Reply(_HEAD.format('<meta name="robots" content="noindex">').encode())
        final = await crawl(flow, site)
        failures = [failure.uri for failure in (await flow.failures("site")).items]
        kb = await flow.kb("site")
    assert failures == [f"{site.url}/gone"]
    assert (final.metrics.documents_failed, kb.counts.failed, kb.documents) == (1, 1, 2)


async def test_a_crawl_reads_no_more_than_max_pages(database: Path) -> None:
    async with (
        website() as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        final = await crawl(flow, site, max_pages=2)
    assert final.metrics.documents_found == 2


async def test_a_private_address_is_refused_before_a_job_is_made(database: Path) -> None:
    async with website() as site, PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        with pytest.raises(SourceNotAllowed):
            await flow.put_kb("site", {"type": "web", "urls": [site.url]})
        with pytest.raises(SourceNotAllowed):
            await crawl(flow, site)
    assert not site.asked


async def test_a_crawl_that_was_stopped_goes_on_from_its_frontier(database: Path) -> None:
    async with website() as site:
        async with PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site), slots=0) as flow:
            await flow.start("site", {"type": "web", "urls": [site.url + "/"]})
        async with PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:
            with fail_soon(20):
                async for status in (await flow.job("site")).watch():
                    if status.metrics.documents_loaded:
                        break
        async with PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:
            with fail_soon(20):
                final = await (await flow.job("site")).wait()
    assert final.metrics.documents_loaded == 3
    assert max(site.paths[path] for path in ("/", "/tides", "/moon")) == 1


async def test_a_depth_counts_by_the_shortest_way_whatever_is_found_first(database: Path) -> None:
    pages = {
        "/": page("Home", "home", "/far", "/old"),
        "/far": page("Far", "far", "/near"),
        "/old": moved("/near"),
        "/near": page("Near", "near", "/last"),
        "/last": page("Last", "last", "/beyond"),
        "/beyond": page("Beyond", "beyond"),
    }
    async with (
        WebSite(pages) as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        final = await crawl(flow, site, max_depth=2)
    assert final.metrics.documents_loaded == 4
    assert "/last" in site.paths
    assert "/beyond" not in site.paths


async def test_what_is_known_already_takes_no_room_of_what_is_new(database: Path) -> None:
    pages = {
        "/": page("Home", "home", "/a"),
        "/a": page("A", "a", "/", "/a", "/b"),
        "/b": page("B", "b"),
    }
    async with (
        WebSite(pages) as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        final = await crawl(flow, site, max_pages=3)
    assert final.metrics.documents_loaded == 3


async def test_an_address_with_a_user_name_makes_no_knowledge_base(database: Path) -> None:
    source = {"type": "web", "urls": ["http://user:secret@10.0.0.1/"]}
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        for call in (flow.put_kb("site", source), flow.start("site", source)):
            with pytest.raises(InvalidRequest, match="without a user name") as refused:
                await call
            assert refused.value.field == "source.urls"
            assert "secret" not in str(refused.value)
        assert (await flow.kbs()).items == []


async def test_what_was_read_is_stored_while_another_page_is_slow(database: Path) -> None:
    async with (
        website() as site,
        PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow,
    ):
        site.pages["/slow"] = Reply(hang=True)
        job = await flow.start("site", {"type": "web", "urls": [site.url + "/slow", site.url + "/moon"]})
        with fail_soon(20):
            async for status in job.watch():
                if status.metrics.documents_loaded:
                    break
        await flow.cancel("site")
    assert status.metrics.documents_loaded == 1


async def test_pages_of_the_same_bytes_are_one_document_that_names_the_others(database: Path) -> None:
    site = website()
    site.pages["/"] = page("Home", "welcome to the harbour", "/tides", "/tides?from=home", "/tides.html")
    site.pages["/tides?from=home"] = site.pages["/tides.html"] = site.pages["/tides"]
    async with site, PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:
        for _ in range(2):
            final = await crawl(flow, site)
            assert final.status is JobStatus.COMPLETED
            at = site.url
            found = {each.uri.removeprefix(at): each for each in (await flow.documents("site")).items}
            assert sorted(found) == ["/", "/moon", "/tides"]
            others = found["/tides"].metadata["also_at"]
            assert isinstance(others, list)
            assert sorted(others) == [f"{at}/tides.html", f"{at}/tides?from=home"]
            assert final.metrics.documents_deleted == 0


async def test_what_is_gone_stays_while_a_page_cannot_be_read_and_goes_once_that_is_left_out(database: Path) -> None:
    site = website()
    site.pages["/"] = page("Home", "welcome to the harbour", "/tides", "/extra", "/never")
    site.pages["/never"] = Reply(b"no", 403)
    site.pages["/extra"] = page("Extra", "linked from one page")
    async with site, PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:
        await crawl(flow, site)
        site.pages["/"] = page("Home", "welcome to the harbour", "/tides", "/never")
        kept = await crawl(flow, site)
        assert kept.metrics.documents_deleted == 0
        never = f"{site.url}/never"
        why = f"until {never} can be read, or is skipped: phaseflow skip site {never}"
        assert f"; 1 document of the source 'default' was not found and stays {why}" in kept.message
        await flow.skip_document("site", document_id("site", never))
        final = await crawl(flow, site)
        assert (final.metrics.documents_deleted, "not found" in final.message) == (1, False)
        assert site.url + "/extra" not in {each.uri for each in (await flow.documents("site")).items}


async def test_what_a_sitemap_named_before_stays_while_it_breaks_off(database: Path) -> None:
    site = website()
    site.pages["/"] = page("Home", "welcome to the harbour", "/tides")
    hidden = [f"/hidden{n}" for n in range(3)]
    site.pages |= {path: page(path, f"found by the sitemap alone: {path}") for path in hidden}
    async with site, PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:
        names = "".join(f"<url><loc>{site.url}{path}</loc></url>" for path in hidden)
        whole = Reply(f"<urlset>{names}</urlset>".encode(), type="application/xml")
        site.pages["/sitemap.xml"] = whole
        before = await crawl(flow, site)
        assert before.metrics.documents_failed == 0
        site.pages["/sitemap.xml"] = Reply(whole.body[: whole.body.index(b"/hidden1")], type="application/xml")
        kept = await crawl(flow, site)
        assert (kept.metrics.documents_deleted, kept.metrics.documents_failed) == (0, 1)
        assert f"were not found and stay until {site.url}/sitemap.xml can be read" in kept.message
        site.pages["/sitemap.xml"] = whole
        healed = await crawl(flow, site)
        assert (healed.metrics.documents_deleted, healed.metrics.documents_failed) == (0, 0)
        assert healed.metrics.documents_unchanged == before.metrics.documents_loaded


async def test_a_file_that_is_no_page_keeps_nothing_that_is_gone(database: Path) -> None:
    site = website()
    site.pages["/"] = page("Home", "welcome to the harbour", "/tides", "/extra", "/broken.PDF", "/never.docx")
    site.pages["/extra"] = page("Extra", "linked from one page")
    site.pages["/broken.PDF"] = Reply(b"%PDF-1.7 and no more", type="application/pdf")
    site.pages["/never.docx"] = Reply(b"no", 403)
    async with site, PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:
        assert (await crawl(flow, site)).metrics.documents_failed == 2
        site.pages["/"] = page("Home", "welcome to the harbour", "/tides", "/broken.PDF", "/never.docx")
        final = await crawl(flow, site)
        assert (final.metrics.documents_failed, final.metrics.documents_deleted) == (2, 1)


async def test_a_page_that_is_no_copy_any_more_is_named_by_none(database: Path) -> None:
    site = website()
    same = [f"/tides{n}" for n in range(4)]
    site.pages["/"] = page("Home", "welcome to the harbour", "/tides", *same)
    for each in same:
        site.pages[each] = site.pages["/tides"]
    async with site, PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:

        async def others(of: str = "/tides", *, anew: bool = True) -> list[str]:
            assert not anew or (await crawl(flow, site)).status is JobStatus.COMPLETED
            [document] = [each for each in (await flow.documents("site")).items if each.uri == site.url + of]
            named = document.metadata.get("also_at", [])
            assert isinstance(named, list)
            hits = await flow.search(
                "site", "tides", 10, mode="words", filter={"type": "eq", "key": "also_at", "value": site.url + same[1]}
            )
            assert bool(hits) == (site.url + same[1] in named)
            return sorted(each.removeprefix(site.url) for each in named)

        assert await others() == same
        site.pages[same[0]] = page("Other", "what is written here now")  # of its own
        del site.pages[same[1]]  # gone, and linked
        site.pages["/"] = page("Home", "welcome to the harbour", "/tides", *same[:3])  # linked by nothing
        assert await others() == [same[2]]
        site.pages[same[2]] = site.pages[same[0]]  # the copy of another
        assert await others() == []
        assert await others(same[0], anew=False) == [same[2]]


def manual(*links: str, pages: Sequence[str] = ()) -> WebSite:
    """A page of links, and chapters that stand under an address with ``index.html`` and one without."""
    chapters = {path: page("Chapter", "of " + path.removesuffix("index.html")) for path in (*links, *pages)}
    return WebSite({"/": page("Home", "the manual", *links)} | chapters)


async def held(flow: PhaseFlow, site: WebSite) -> dict[str, DocumentInfo]:
    """The documents by path; counted as the job and its knowledge base count them."""
    found = {each.uri.removeprefix(site.url): each for each in (await flow.documents("site")).items}
    kb, status = await flow.kb("site"), await (await flow.job("site")).status()
    assert kb.documents == len(found) == status.metrics.documents_found - status.metrics.documents_failed
    for uri, document in found.items():
        assert document.id == document_id("site", site.url + uri)
    return found


@pytest.mark.parametrize(
    "order",
    first_of_each([["/t/index.html", "/t/", "/t"], ["/t", "/t/", "/t/index.html"], ["/t/", "/t", "/t/index.html"]]),
)
async def test_the_shortest_address_is_the_document_whatever_is_read_first(
    database: Path, order: tuple[str, ...]
) -> None:
    site, embedder = manual(*order), CountingEmbedder()
    site.pages["/t"] = site.pages["/t/index.html"] = site.pages["/t/"]
    async with site, PhaseFlow(database, embedder=embedder, allow_private=allowed(site)) as flow:
        for crawled in range(3):
            final = await crawl(flow, site)
            found = await held(flow, site)
            assert sorted(found) == ["/", "/t"]
            others = found["/t"].metadata["also_at"]
            assert isinstance(others, list)
            assert sorted(others) == [f"{site.url}/t/", f"{site.url}/t/index.html"]
            counts = final.metrics
            assert (counts.documents_deleted, counts.documents_unchanged) == (0, 2 if crawled else 0)
        assert max(embedder.paid.values()) == 1
        assert (await flow.search("site", "chapter", limit=1))[0].uri == f"{site.url}/t"


async def test_a_document_that_is_called_by_its_address_is_called_by_the_one_it_takes(database: Path) -> None:
    site = manual("/tides/notes.txt", "/n.txt")
    site.pages["/tides/notes.txt"] = site.pages["/n.txt"] = Reply(b"Ebb and flow.", 200, "text/plain")
    async with site, PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:
        await crawl(flow, site)
        assert {name: each.title for name, each in (await held(flow, site)).items()} == {"/": "Home", "/n.txt": "n.txt"}
        assert [hit.title for hit in await flow.search("site", "ebb", limit=1, mode="words")] == ["n.txt"]


async def test_a_shorter_address_that_comes_later_takes_a_document_over_and_gives_it_back(database: Path) -> None:
    names = [f"/t{n}/" for n in range(11)]  # so many that the guard of deletions would ask
    long = [f"{name}index.html" for name in names]
    site, embedder = manual(*long), CountingEmbedder()
    async with site, PhaseFlow(database, embedder=embedder, allow_private=allowed(site)) as flow:
        await crawl(flow, site)
        assert sorted(await held(flow, site)) == sorted(["/", *long])
        await flow.set_metadata("site", f"{site.url}{long[0]}", {"topic": "tides"})
        # Of every second pair the longer one is read first.
        links = [uri for n, pair in enumerate(zip(names, long, strict=True)) for uri in (pair[::-1] if n % 2 else pair)]
        site.pages["/"] = page("Home", "the manual", *links)
        site.pages |= {name: site.pages[name + "index.html"] for name in names}
        paid = embedder.paid.copy()
        final = await crawl(flow, site)
        found = await held(flow, site)
        assert sorted(found) == sorted(["/", *names])
        assert found[names[0]].metadata["topic"] == "tides"
        assert final.metrics.documents_deleted == 0
        assert all("the manual" in text for text in embedder.paid - paid)
        site.pages |= {name: Reply(b"gone", 404) for name in names[:2]}
        await crawl(flow, site)
        gone = {each.uri for each in (await flow.failures("site")).items}
        assert gone == {site.url + name for name in names[:2]}
        left = {each.uri for each in (await flow.documents("site", status=DocumentStatus.INDEXED)).items}
        assert {uri.removeprefix(site.url) for uri in left} == {"/", *long[:2], *names[2:]}
    with closing(sqlite3.connect(database)) as connection:
        check_consistent(Transaction(connection))


async def test_what_an_earlier_run_has_loaded_is_still_the_same_page(database: Path) -> None:
    site, embedder = manual("/t/index.html", "/t/"), CountingEmbedder()
    site.pages["/t/"], text = Reply(hang=True), site.pages["/t/index.html"]
    embedder.gate = anyio.Event()
    async with site:
        async with PhaseFlow(database, embedder=embedder, allow_private=allowed(site)) as flow:
            job = await flow.start("site", {"type": "web", "urls": [site.url + "/"]})
            with fail_soon(20):
                async for status in job.watch():
                    if status.metrics.documents_loaded == 2:
                        break
        site.pages["/t/"] = text
        embedder.gate.set()
        async with PhaseFlow(database, embedder=embedder, allow_private=allowed(site)) as flow:
            with fail_soon(20):
                final = await (await flow.job("site")).wait()
            assert sorted(await held(flow, site)) == ["/", "/t/"]
    assert (final.metrics.documents_loaded, final.metrics.documents_deleted) == (2, 0)


@pytest.mark.thorough
async def test_a_full_crawl_keeps_a_document_that_another_page_is_left_out_for(database: Path) -> None:
    site = manual("/t")
    site.pages["/t/index.html"] = site.pages["/t"]
    async with site, PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:
        await crawl(flow, site, max_pages=2)
        site.pages["/"] = page("Home", "the manual", "/t/index.html")
        final = await crawl(flow, site, max_pages=2)
        assert sorted(await held(flow, site)) == ["/", "/t"]
    assert final.metrics.documents_deleted == 0


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_page_names_those_that_were_left_out_in_its_favour(database: Path, is_first: bool) -> None:
    site = website()
    links = ("/tides", "/tides?sort=a", "/tides?sort=b")
    site.pages["/"] = page("Home", "welcome to the harbour", *(links if is_first else links[:0:-1]))
    tides = b'<html><head><link rel="canonical" href="/tides"></head><body><p>high water at %s</p></body></html>'
    for number, link in enumerate(links):
        site.pages[link] = Reply(tides % str(number).encode())
    async with site, PhaseFlow(database, embedder=CountingEmbedder(), allow_private=allowed(site)) as flow:
        for _ in range(2):
            final = await crawl(flow, site)
            assert final.status is JobStatus.COMPLETED
            why = "since they name another as canonical, for example"
            left_out = f"2 pages of the source 'default' are left out, {why}: {site.url}/tides?"
            assert left_out in final.message
            found = {each.uri.removeprefix(site.url): each for each in (await flow.documents("site")).items}
            others = found["/tides"].metadata["also_at"]
            assert isinstance(others, list)
            assert sorted(others) == [f"{site.url}/tides?sort=a", f"{site.url}/tides?sort=b"]
            assert not found.keys() & set(links[1:])


@pytest.mark.thorough
@pytest.mark.longest(60)
async def test_a_sitemap_of_50000_addresses_is_read(database: Path) -> None:
    site = website()
    names = "".join(f"<url><loc>/page/{number:05}/of/the/manual.html</loc></url>" for number in range(50_000))
    site.pages["/sitemap.xml"] = Reply(f"<urlset>{names}</urlset>".encode(), type="application/xml")
    async with (
        site,
        WebLoader(
            WebSource(urls=(HttpUrl(site.url + "/"),), max_pages=100_000), allow_private=allowed(site), limits=QUICK
        ) as loader,
    ):
        pages = [page async for page in loader.list()]
    assert sum(map(len, pages)) == 50_001
