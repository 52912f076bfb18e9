"""Web sites that send a byte now and then, for ever: they hold no job, and what is slow fails alone."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from phaseflow import BudgetPolicy, GuardPolicy, JobStatus, PhaseFlow, Policies, RetryPolicy, WebSource
from phaseflow.actors import document_reading, loading_limits
from phaseflow.actors.loading_limits import LoadingLimits
from phaseflow.components.protocols import Document, Entry, Skipped
from phaseflow.components.sources.web import Limits, WebLoader
from phaseflow.domain.errors import DocumentError, TransientError
from phaseflow.domain.settings import SOURCE
from tests.engine.components import CountingEmbedder
from tests.engine.test_control import finished, until
from tests.stopwatch import NEVER_S, fail_soon, slowness

TOTAL_S = 0.3 * min(10.0, slowness())
"""What one page may take: a page that does not hang answers within it, also on a busy machine."""
DRIP_S = 0.02
LONG_S = 20.0
"""What would last for ever has not ended by then, however busy the machine is."""
QUICK = Limits(per_second=100_000, total_s=TOTAL_S)
IMPATIENT = Policies(retry=RetryPolicy(first_s=0.01, most_s=1))


def page(*links: str) -> bytes:
    body = "".join(f'<a href="{link}">{link}</a> ' for link in links) + "<p>Plan for a failure of a region.</p>"
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body.encode())


NOT_THERE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000000\r\n\r\n"


class Dripping:
    """A server on loopback. Behind ``ready`` bytes the answer of a path drips a byte at a time, for ever.

    ``steps``: the answer comes in so many parts with a pause between them instead.
    """

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.drips: set[str] = set()
        self.delays: dict[str, float] = {}
        self.steps: dict[str, tuple[int, float]] = {}
        self.asked: Counter[str] = Counter()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # not a query
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._answer)
            yield f"http://127.0.0.1:{port}"
            tasks.cancel_scope.cancel()

    async def _answer(self, stream: SocketStream) -> None:
        async with stream:
            received = BufferedByteReceiveStream(stream)
            with suppress(anyio.BrokenResourceError, anyio.IncompleteRead):  # the crawler has had enough
                while True:
                    head = await received.receive_until(b"\r\n\r\n", 65536)
                    await self._send(head.split()[1].decode(), stream)

    async def _send(self, path: str, stream: SocketStream) -> None:
        self.asked[path] += 1
        await anyio.sleep(self.delays.get(path, 0))
        data = self.answers.get(path, NOT_THERE)
        count, pause_s = self.steps.get(path, (1, 0.0))
        size = -(-len(data) // count)
        for start in range(0, len(data), size):
            await stream.send(data[start : start + size])
            await anyio.sleep(pause_s)
        while path in self.drips:
            await stream.send(b"x")
            await anyio.sleep(DRIP_S)


def loader(url: str, limits: Limits = QUICK, max_pages: int = 500) -> WebLoader:
    source = SOURCE.validate_python({"type": "web", "urls": [f"{url}/"], "max_pages": max_pages})
    assert isinstance(source, WebSource)
    return WebLoader(source, allow_private=[url.removeprefix("http://")], limits=limits)


@asynccontextmanager
async def impatient(url: str, **limits: int) -> AsyncIterator[WebLoader]:
    """A loader that has so little time for a page, once it knows the site: however busy the machine is, only what it is
    asked for from here on can be too slow."""
    patient = Limits(per_second=100_000, total_s=NEVER_S, **limits)
    async with loader(url, patient) as web:
        with pytest.raises(DocumentError, match="404"):
            await web.load(Entry(f"{url}/not-there"), None)
        object.__setattr__(patient, "total_s", TOTAL_S)
        yield web


HEADERS = b"HTTP/1.1 200 OK\r\nX-Slow: "


@pytest.mark.parametrize("start", [b"HTTP/1.1 200", HEADERS, ENDLESS], ids=["status", "headers", "body"])
async def test_a_page_that_drips_is_tried_twice_and_then_fails(start: bytes) -> None:
    site = Dripping()
    site.answers, site.drips = {"/": start}, {"/"}
    async with site.serving() as url, impatient(url) as web:
        with fail_soon(LONG_S):
            with pytest.raises(TransientError, match="not answered to its end"):
                await web.load(Entry(f"{url}/"), None)
            with pytest.raises(DocumentError) as caught:
                await web.load(Entry(f"{url}/"), None)
    assert caught.value.code == "too_slow"
    assert site.asked["/"] == 2


async def test_a_large_file_gets_the_time_that_its_size_takes() -> None:
    site = Dripping()
    large = b"<p>" + b"word " * 40_000
    site.answers["/"] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(large) + large
    site.steps["/"] = 20, TOTAL_S / 8
    async with site.serving() as url:
        async with impatient(url, slowest_rate=5_000) as web:
            with fail_soon(30):
                assert isinstance(await web.load(Entry(f"{url}/"), None), Document)
        async with impatient(url, slowest_rate=1 << 30) as web:
            with fail_soon(30), pytest.raises(TransientError):
                await web.load(Entry(f"{url}/"), None)


async def test_redirects_that_are_slow_each_end_all_the_same() -> None:
    site, limits = Dripping(), replace(QUICK, total_s=1.0, redirects=40)
    for number in range(40):
        site.answers[f"/{number}"] = b"HTTP/1.1 302 Found\r\nLocation: /%d\r\nContent-Length: 0\r\n\r\n" % (number + 1)
        site.delays[f"/{number}"] = limits.total_s / 5  # far from what one of them may take, also on a busy machine
    async with site.serving() as url, loader(url, limits) as web:
        with fail_soon(LONG_S), pytest.raises(TransientError, match="slowly"):
            await web.load(Entry(f"{url}/0"), None)
    assert sum(site.asked.values()) < 15


async def test_a_canonical_page_that_drips_loses_no_page() -> None:
    site = Dripping()
    head = '<html><head><link rel="canonical" href="/real"></head><body><p>Plan for failure.</p></body></html>'
    site.answers["/"] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(head)
    site.answers["/"] += head.encode()
    site.answers["/real"], site.drips = ENDLESS, {"/real"}
    async with site.serving() as url, impatient(url) as web:
        with fail_soon(LONG_S):
            assert isinstance(await web.load(Entry(f"{url}/"), None), Document)


async def test_a_robots_file_that_drips_is_asked_for_once_a_minute_by_all_pages_together() -> None:
    site = Dripping()
    site.answers, site.drips = {"/robots.txt": ENDLESS}, {"/robots.txt"}
    async with site.serving() as url, loader(url) as web:
        with fail_soon(LONG_S):
            with pytest.raises(TransientError, match="robots"):
                [page async for page in web.list()]
            for number in range(20):
                with pytest.raises(TransientError):
                    await web.load(Entry(f"{url}/{number}"), None)
    assert site.asked["/robots.txt"] == 1


async def test_sitemaps_that_drip_are_not_waited_for_one_after_another() -> None:
    site = Dripping()
    names = [f"/sitemap{number}.xml" for number in range(30)]
    text = "".join(f"Sitemap: http://HOST{name}\n" for name in names)
    async with site.serving() as url:
        body = text.replace("http://HOST", url).encode()
        site.answers["/robots.txt"] = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        site.answers |= dict.fromkeys(names, ENDLESS)
        site.drips = set(names)
        async with loader(url) as web:
            with fail_soon(LONG_S):
                listed = [entry.uri async for entries in web.list() for entry in entries]
    assert {url + name for name in names} <= set(listed)
    assert sum(site.asked[name] for name in names) == 3


async def test_pages_that_drip_fail_alone_and_the_wait_is_shown(database: Path) -> None:
    site = Dripping()
    site.answers = {"/": page("/slow", "/a"), "/a": page(), "/slow": ENDLESS}
    site.drips = {"/slow"}
    policies = Policies(retry=RetryPolicy(first_s=0.3, most_s=5))
    async with (
        site.serving() as url,
        PhaseFlow(database, loader=loader(url), embedder=CountingEmbedder(), policies=policies) as flow,
    ):
        job = await flow.start("kb")
        await until(flow, lambda s: s.phase_details[0].waiting_on == "retry")
        final = await finished(job)
        failures = (await flow.failures("kb")).items
    assert (final.status, final.metrics.documents_loaded) == (JobStatus.COMPLETED, 2)
    assert [(one.uri, one.code) for one in failures] == [(f"{url}/slow", "too_slow")]
    assert failures[0].error.endswith("gave up after 2 attempts")
    assert site.asked["/slow"] == 2


async def test_a_site_of_pages_that_all_drip_ends_the_job_with_the_reason(database: Path) -> None:
    site = Dripping()
    names = [f"/{number}" for number in range(60)]
    site.answers = {"/": page(*names)} | dict.fromkeys(names, ENDLESS)
    site.drips = set(names)
    policies = replace(IMPATIENT, budget=BudgetPolicy(in_a_row=4))
    async with (
        site.serving() as url,
        PhaseFlow(database, loader=loader(url), embedder=CountingEmbedder(), policies=policies) as flow,
    ):
        job = await flow.start("kb")
        with fail_soon(LONG_S):
            final = await job.wait()
    assert final.status is JobStatus.FAILED
    assert "not answered to its end" in str(final.error)
    assert len(site.asked) < len(names)


async def test_a_site_without_one_page_to_keep_pauses_the_job_until_it_is_resumed(database: Path) -> None:
    policies = Policies(guard=GuardPolicy(stalled_s=1.0), retry=RetryPolicy(tries=2, first_s=0.01))
    skipping = _Skipping()
    async with PhaseFlow(database, loader=skipping, embedder=CountingEmbedder(), policies=policies) as flow:
        job = await flow.start("kb")
        paused = await until(flow, lambda s: s.status is JobStatus.PAUSED)
        assert "have brought no page to keep" in paused.message
        skipping.keeps = True
        await flow.resume("kb")
        assert (await finished(job)).status is JobStatus.COMPLETED


class _Skipping:
    """A site whose pages all lead to another, slowly, until it ``keeps`` one."""

    follows_links = True

    def __init__(self) -> None:
        self.keeps = False
        self._number = 0

    async def list(self) -> AsyncIterator[list[Entry]]:
        yield [Entry("http://a.test/0")]

    async def load(self, entry: Entry, known: object) -> Document | Skipped:
        if self.keeps:
            return Document(entry, "Plan for failure.", "Plan", "text/plain", bytes(16), "")
        await anyio.sleep(0.05)
        self._number += 1
        return Skipped(entry, "redirects", (Entry(f"http://a.test/{self._number}"),))


async def test_a_site_stalls_once_it_has_brought_nothing_for_long_and_again_after_as_long() -> None:
    limits = LoadingLimits(60, lambda: 0.0, stalled_s=10)
    assert limits.why_stalled(9, stored=False) is None
    assert limits.why_stalled(9, stored=True) is None
    assert limits.why_stalled(9, stored=False) is None
    assert "brought no page" in str(limits.why_stalled(2, stored=False))
    assert limits.why_stalled(9, stored=False) is None  # after the pause it counts anew


async def test_a_page_that_is_given_up_says_after_how_many_attempts(database: Path) -> None:
    site = Dripping()
    site.answers = {"/": page("/500"), "/500": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"}
    policies = Policies(retry=RetryPolicy(tries=3, first_s=0.01))
    async with (
        site.serving() as url,
        loader(url) as web,
        PhaseFlow(database, loader=web, embedder=CountingEmbedder(), policies=policies) as flow,
    ):
        await finished(await flow.start("kb"))
        failures = (await flow.failures("kb")).items
    assert [one.error for one in failures] == [f"{url}/500 answered 500; gave up after 3 attempts"]
    assert site.asked["/500"] == 3


async def test_pages_that_hang_have_both_their_tries_before_one_that_is_always_refused_pauses_the_job(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading_limits, "MOST_S", 0.05)
    monkeypatch.setattr(document_reading, "_AFTER_OTHERS_S", 0.0)
    site = Dripping()
    names = [f"/{number}" for number in range(5)]
    site.answers = {"/": page("/refused", *names)} | dict.fromkeys(names, ENDLESS)
    site.answers["/refused"] = b"HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n"
    site.drips = set(names)
    policies = Policies(guard=GuardPolicy(rate_limited_s=TOTAL_S), retry=RetryPolicy(first_s=0.01, most_s=1))
    async with (
        site.serving() as url,
        loader(url) as web,
        PhaseFlow(database, loader=web, embedder=CountingEmbedder(), policies=policies) as flow,
    ):
        await flow.start("kb")
        for _ in range(2):
            paused = await until(flow, lambda s: s.status is JobStatus.PAUSED)
            assert "answers only with rate limits" in paused.message
            assert {(one.uri, one.code) for one in (await flow.failures("kb")).items} == {
                (url + name, "too_slow") for name in names
            }
            await flow.resume("kb")
            await until(flow, lambda s: s.status is JobStatus.RUNNING)
    assert {site.asked[name] for name in names} == {2}, "what has failed is not tried anew"
