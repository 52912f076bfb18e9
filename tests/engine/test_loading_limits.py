"""Sources that ask to be left alone, are partly unreachable, or need a package that is missing."""

import errno
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import anyio
import pytest

from phaseflow import (
    GuardPolicy,
    JobStatus,
    JobStatusResponse,
    NewDocument,
    PhaseFlow,
    Policies,
    RateLimited,
    RetryPolicy,
)
from phaseflow.actors.loading_limits import LoadingLimits
from phaseflow.components.protocols import Document, Entry, Known
from phaseflow.components.sources.pushed import PushLoader
from phaseflow.domain.errors import SourceDown, TransientError
from phaseflow.domain.vocabulary import WaitingOn
from tests.engine.components import CountingEmbedder
from tests.engine.test_control import finished, until
from tests.stopwatch import NEVER_S, fail_soon

IMPATIENT = RetryPolicy(tries=2, first_s=0.01, most_s=1)


class Pages:
    """A list of pages; ``answer`` may raise instead of letting one be read."""

    def __init__(self, count: int, answer: Callable[[str], None]) -> None:
        self._count = count
        self.answer = answer

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        yield [Entry(f"page{number:02}") for number in range(self._count)]

    async def load(self, entry: Entry, known: Known | None) -> Document:
        self.answer(entry.uri)
        text = f"What stands on {entry.uri}."
        return Document(entry, text, entry.uri, "text/plain", blake2b(text.encode(), digest_size=16).digest(), "")


class Limiting:
    """Lets ``room`` pages pass, then asks for a wait, again and again; notes requests that came too early."""

    def __init__(self, room: int, wait_s: float) -> None:
        self.room = room
        self._wait_s = wait_s
        self._left = room
        self._closed_until = 0.0
        self.early = 0

    def __call__(self, _: str) -> None:
        now = anyio.current_time()
        if self._left == 0 and self._closed_until and now >= self._closed_until:
            self._left, self._closed_until = self.room, 0.0
        if self._left:
            self._left -= 1
            return
        self.early += bool(self._closed_until)
        self._closed_until = self._closed_until or now + self._wait_s
        raise RateLimited("slow down", retry_after_s=self._closed_until - now)


class Listing(Pages):
    """Its list is refused so many times, from its second page on."""

    drops_reads = False

    def __init__(self, refusals: int) -> None:
        super().__init__(3, lambda _: None)
        self.refusals = refusals

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        yield [Entry("page00")]
        if self.refusals:
            self.refusals -= 1
            raise RateLimited("slow down", retry_after_s=0.05)
        async for page in super().list():
            yield page


class Refused(Pages):
    """Its list is refused before its first page."""

    has_room = False

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        if not self.has_room:
            raise RateLimited("slow down", retry_after_s=30)
        yield []


async def test_a_list_that_is_refused_at_once_says_so_for_as_long_as_it_waits(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader of pushed documents, which ends its list a moment later, has nothing to say of why another waits."""
    is_shown, was_listed, listed = anyio.Event(), anyio.Event(), PushLoader.list

    async def later(loader: PushLoader) -> AsyncIterator[Sequence[Entry]]:
        await is_shown.wait()
        async for page in listed(loader):
            yield page
        was_listed.set()

    monkeypatch.setattr(PushLoader, "list", later)
    loader = Refused(1, lambda _: None)
    async with PhaseFlow(database, loader=loader, embedder=CountingEmbedder()) as flow:
        job = await flow.start("kb", "anything")
        await until(flow, lambda status: status.waiting_on is WaitingOn.RATE_LIMIT)
        is_shown.set()
        with fail_soon(10):
            await was_listed.wait()
        looks = {(await job.status()).waiting_on for _ in range(50)}
    assert looks == {WaitingOn.RATE_LIMIT}


class Silent(Pages):
    """Its list is refused each time, and it does not say for how long."""

    calls = 0

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        self.calls += 1
        if self.calls:
            raise RateLimited("slow down")
        yield []


async def test_a_pause_says_nothing_about_how_long_a_list_was_refused(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST_S", "MOST_S"):
        monkeypatch.setattr(f"phaseflow.actors.loading_limits.{name}", NEVER_S)
    loader, embedder = Silent(1, lambda _: None), CountingEmbedder()
    embedder.close()  # keeps the run alive while nothing is loaded
    policies = Policies(guard=GuardPolicy(rate_limited_s=0.001))  # less than a pause and a resume take

    def loading(status: JobStatusResponse) -> tuple[str, WaitingOn | None]:
        return status.phase_details[0].status, status.phase_details[0].waiting_on

    async with PhaseFlow(database, loader=loader, embedder=embedder, policies=policies) as flow:
        await flow.add("kb", [NewDocument(uri="pushed.md", text="Words.")])
        await flow.start("kb", "anything")
        with fail_soon(10):
            await embedder.until_called()
        await until(flow, lambda status: loader.calls == 1)
        await flow.pause("kb", "loading")
        await until(flow, lambda status: loading(status)[0] == "paused")
        await flow.resume("kb", "loading")
        refused = ("running", WaitingOn.RATE_LIMIT)
        again = await until(flow, lambda s: loader.calls == 2 and (loading(s)[0] == "paused" or loading(s) == refused))
        embedder.gate.set()
    assert loading(again) == refused


class Hesitating(Pages):
    """Its list is refused once, and then takes until ``goes_on``."""

    def __init__(self) -> None:
        super().__init__(1, lambda _: None)
        self.asked = 0
        self.goes_on = anyio.Event()

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        self.asked += 1
        if self.asked == 1:
            raise RateLimited("slow down", retry_after_s=0.01)
        await self.goes_on.wait()
        async for page in super().list():
            yield page


async def test_a_list_that_is_asked_for_again_is_not_waited_for_any_more(database: Path) -> None:
    loader = Hesitating()
    async with PhaseFlow(database, loader=loader, embedder=CountingEmbedder()) as flow:
        job = await flow.start("kb")
        with fail_soon(10):
            await until(flow, lambda s: loader.asked == 2 and s.phase_details[0].waiting_on is None)
        loader.goes_on.set()
        assert (await finished(job)).status is JobStatus.COMPLETED


class Faltering(Listing):
    """The same, for a fault that may pass."""

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        try:
            async for page in super().list():
                yield page
        except RateLimited:
            raise TransientError("the server answered 500") from None


async def test_a_list_that_fails_for_a_moment_is_begun_anew_and_the_status_says_so(database: Path) -> None:
    loader = Faltering(refusals=1)
    policies = Policies(retry=RetryPolicy(tries=2, first_s=30))
    async with PhaseFlow(database, loader=loader, embedder=CountingEmbedder(), policies=policies) as flow:
        job = await flow.start("kb", "anything")
        await until(flow, lambda status: status.waiting_on is WaitingOn.RETRY)
        await flow.pause("kb")  # which ends the wait
        await until(flow, lambda status: status.status == "paused")
        await flow.resume("kb")
        final = await finished(job)
    assert (final.status, final.metrics.documents_loaded, loader.refusals) == ("completed", 3, 0)


@pytest.mark.parametrize("drops", [False, True])
async def test_a_list_that_goes_on_failing_fails_the_job_after_the_last_attempt(database: Path, drops: bool) -> None:
    loader = Faltering(refusals=9)
    loader.drops_reads = drops
    async with PhaseFlow(
        database, loader=loader, embedder=CountingEmbedder(), policies=Policies(retry=IMPATIENT)
    ) as flow:
        final = await finished(await flow.start("kb", "anything"))
    assert (final.status, 9 - loader.refusals) == ("failed", IMPATIENT.tries)
    assert "the server answered 500" in str(final.error)


async def test_a_rate_limit_of_a_list_is_waited_out_and_the_list_begun_anew(database: Path) -> None:
    loader = Listing(refusals=4)
    async with PhaseFlow(
        database, loader=loader, embedder=CountingEmbedder(), policies=Policies(retry=IMPATIENT)
    ) as flow:
        final = await finished(await flow.start("kb", "anything"))
    assert (final.status, final.metrics.documents_loaded, loader.refusals) == ("completed", 3, 0)


async def test_a_list_whose_first_page_comes_and_no_other_pauses_the_job(database: Path) -> None:
    policies = Policies(guard=GuardPolicy(rate_limited_s=0.1))
    loader = Listing(refusals=1_000_000)
    async with PhaseFlow(database, loader=loader, embedder=CountingEmbedder(), policies=policies) as flow:
        job = await flow.start("kb", "anything")
        paused = await until(flow, lambda s: s.status is JobStatus.PAUSED)
        assert "the source answers only with rate limits" in paused.message
        loader.refusals = 0
        await flow.resume("kb")
        assert (await finished(job)).status is JobStatus.COMPLETED


async def test_rate_limits_are_waited_out_and_are_no_attempts(database: Path) -> None:
    site = Limiting(room=2, wait_s=0.3)
    policies = Policies(retry=IMPATIENT)
    async with PhaseFlow(database, loader=Pages(12, site), embedder=CountingEmbedder(), policies=policies) as flow:
        job = await flow.start("kb")
        await until(flow, lambda s: s.phase_details[0].waiting_on == "rate_limit")
        final = await finished(job)
    assert (final.status, final.metrics.documents_loaded) == (JobStatus.COMPLETED, 12)
    assert final.metrics.documents_failed == 0


async def test_nothing_but_rate_limits_pauses_the_job_until_it_is_resumed(database: Path) -> None:
    site = Limiting(room=0, wait_s=0.05)
    policies = Policies(retry=IMPATIENT, guard=GuardPolicy(rate_limited_s=0.3))
    async with PhaseFlow(database, loader=Pages(3, site), embedder=CountingEmbedder(), policies=policies) as flow:
        job = await flow.start("kb")
        paused = await until(flow, lambda s: s.status is JobStatus.PAUSED)
        assert "the source answers only with rate limits" in paused.message
        assert (await flow.failures("kb")).items == []
        site.room = 100
        await flow.resume("kb")
        final = await finished(job)
    assert (final.status, final.metrics.documents_loaded) == (JobStatus.COMPLETED, 3)


async def test_a_wait_that_was_asked_for_is_waited_out_before_the_guard_counts() -> None:
    at = [0.0]
    limits = LoadingLimits(60, lambda: at[0])
    for at[0] in (0.0, 120.0):
        assert limits.why_pause(RateLimited("x", retry_after_s=120)) is None
    at[0] = 181.0
    assert "for 181 s" in str(limits.why_pause(RateLimited("x", retry_after_s=120)))
    assert limits.wait_s(RateLimited("x", retry_after_s=120), 3) == 120
    assert "asks to wait for 2 hours" in str(limits.why_pause(RateLimited("x", retry_after_s=7200)))


async def test_a_page_that_cannot_be_reached_while_others_can_fails_alone(database: Path) -> None:
    tried = 0

    def answer(uri: str) -> None:
        nonlocal tried
        if uri == "page03":
            tried += 1
            raise SourceDown("no connection")

    policies = Policies(retry=IMPATIENT)
    async with PhaseFlow(database, loader=Pages(12, answer), embedder=CountingEmbedder(), policies=policies) as flow:
        final = await finished(await flow.start("kb"))
        failures = (await flow.failures("kb")).items
    assert (final.status, final.metrics.documents_loaded, tried) == (JobStatus.COMPLETED, 11, 2)
    assert [(one.uri, one.code) for one in failures] == [("page03", "source_down")]


@pytest.mark.parametrize(
    ("error", "says"),
    [(SourceDown("no connection"), "no connection"), (ImportError("no lxml"), "cannot work: no lxml")],
)
async def test_what_no_page_survives_fails_the_job_and_no_document(database: Path, error: Exception, says: str) -> None:
    def answer(_: str) -> None:
        raise error

    policies = Policies(retry=IMPATIENT)
    async with PhaseFlow(database, loader=Pages(5, answer), embedder=CountingEmbedder(), policies=policies) as flow:
        final = await finished(await flow.start("kb"))
        failures = (await flow.failures("kb")).items
    assert final.status is JobStatus.FAILED
    assert says in str(final.error)
    assert failures == []


async def test_what_a_failed_job_has_listed_and_not_read_waits_for_the_next_start(database: Path) -> None:
    is_away = True

    def answer(_: str) -> None:
        if is_away:
            raise SourceDown("no connection")

    policies = Policies(retry=IMPATIENT)
    async with PhaseFlow(database, loader=Pages(5, answer), embedder=CountingEmbedder(), policies=policies) as flow:
        assert (await finished(await flow.start("kb"))).status is JobStatus.FAILED
        await flow.add("kb", [{"uri": "pushed", "text": "Of another sender."}])
        assert (await finished(await flow.job("kb"))).status is JobStatus.COMPLETED
        counts = (await flow.kb("kb")).counts
        assert (counts.queued, counts.indexed) == (5, 1)
        assert len((await flow.documents("kb", status="queued")).items) == 5
        is_away = False
        assert (await finished(await flow.start("kb"))).status is JobStatus.COMPLETED
        assert (await flow.kb("kb")).counts.indexed == 6


async def test_a_loader_that_finds_no_descriptor_is_asked_again(database: Path) -> None:
    asked: list[str] = []

    def answer(uri: str) -> None:
        asked.append(uri)
        if asked.count(uri) == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        if uri == "page01":
            raise OSError(errno.EIO, "Input/output error")

    policies = Policies(retry=IMPATIENT)
    async with PhaseFlow(database, loader=Pages(3, answer), embedder=CountingEmbedder(), policies=policies) as flow:
        assert (await finished(await flow.start("kb"))).status is JobStatus.COMPLETED
        [failure] = (await flow.failures("kb")).items
    assert sorted(asked) == sorted(2 * ["page00", "page01", "page02"])
    assert (failure.uri, failure.code) == ("page01", "load_error")


class Unstorable(Pages):
    """A page with characters that UTF-8 or SQLite's functions cannot hold."""

    async def load(self, entry: Entry, known: Known | None) -> Document:
        return replace(await super().load(entry, known), text="one\0two half \ud83d and three")


async def test_characters_that_cannot_be_stored_are_others_and_as_many(database: Path) -> None:
    async with PhaseFlow(database, loader=Unstorable(1, lambda _: None), embedder=CountingEmbedder()) as flow:
        assert (await finished(await flow.start("kb"))).status is JobStatus.COMPLETED
        [hit] = await flow.search("kb", "three", mode="words")
    assert hit.text == "one two half \ufffd and three"
