"""Documents that fail for now and are tried again: they hold nobody else up."""

import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import anyio
import pytest

from phaseflow import GuardPolicy, JobStatus, JobStatusResponse, PhaseFlow, Policies, RateLimited, RetryPolicy
from phaseflow.actors import document_reading, loading_limits, source_reading
from phaseflow.actors.document_reading import DocumentReader
from phaseflow.actors.loading_limits import LoadingLimits
from phaseflow.actors.put_aside import MOST, PutAside
from phaseflow.actors.source_reading import IN_FLIGHT
from phaseflow.components.protocols import Document, Entry, Known
from phaseflow.domain.errors import LeftAlone, TransientError
from phaseflow.domain.policy import BudgetPolicy
from phaseflow.domain.vocabulary import WaitingOn
from tests.engine.components import CountingEmbedder
from tests.engine.test_control import QUICK, finished, until
from tests.stopwatch import fail_soon

PATIENT = Policies(retry=RetryPolicy(tries=3, first_s=50, most_s=60))
"""A second attempt comes after most of a minute: a test that sees the others read has not waited for it."""


class Faulty:
    """A loader in which some documents fail for a while; each one links to the next one of a chain."""

    follows_links = True

    def __init__(self, uris: Sequence[str], failing: dict[str, int], max_depth: int | None = None) -> None:
        self.uris = uris
        self.failing = failing
        self.max_depth = max_depth
        self.read: list[str] = []

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        yield [Entry(uri) for uri in self.uris]

    async def load(self, entry: Entry, known: Known | None) -> Document:
        if self.failing.get(entry.uri, 0):
            self.failing[entry.uri] -= 1
            raise TransientError("the server answered 500")
        self.read.append(entry.uri)
        links = (Entry(f"deeper-{entry.uri}", depth=1),) if entry.depth == 0 else ()
        text = f"What stands in {entry.uri}."
        return Document(entry, text, entry.uri, "text/plain", entry.uri.encode()[:16], links=links)


class Refusing(Faulty):
    """A site with a page that it always refuses for its rate, and that is then left alone for a while, as a whole."""

    closed_until = 0.0

    async def load(self, entry: Entry, known: Known | None) -> Document:
        now = anyio.current_time()
        if now < self.closed_until:
            raise LeftAlone("left alone", retry_after_s=self.closed_until - now)
        if entry.uri in self.failing:
            self.closed_until = now + 0.3
            raise RateLimited("answered 429", retry_after_s=0.3)
        return await super().load(entry, known)


def flow_with(database: Path, loader: Faulty, policies: Policies = PATIENT) -> PhaseFlow:
    return PhaseFlow(database, loader=loader, embedder=CountingEmbedder(), policies=policies)


def is_waiting_after(count: int, status: JobStatusResponse) -> bool:
    loading = status.phase_details[0]
    return loading.items_processed == count and loading.waiting_on == "retry"


async def test_all_others_are_read_while_some_wait_for_their_next_attempt(database: Path) -> None:
    uris = [f"{n}.txt" for n in range(100)]
    loader = Faulty(uris, dict.fromkeys(uris[:5], 1))
    async with flow_with(database, loader) as flow:
        job = await flow.start("kb")
        with fail_soon(20):
            await until(flow, lambda s: is_waiting_after(190, s))
            await flow.pause("kb")
            await until(flow, lambda s: s.status is JobStatus.PAUSED)
            await flow.resume("kb")
            final = await finished(job)
    assert (final.status, final.metrics.documents_found, final.metrics.documents_failed) == (
        JobStatus.COMPLETED,
        200,
        0,
    ), "and after a pause they are tried at once"


@pytest.mark.thorough
async def test_a_page_that_is_always_refused_for_its_rate_keeps_no_other_back(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading_limits, "FIRST_S", 0.5)  # each time it is asked for, the site is closed for all
    monkeypatch.setattr(document_reading, "_AFTER_OTHERS_S", 0.5)
    loader = Refusing([f"{n}.txt" for n in range(60)], {"1.txt": 10**6})
    policies = Policies(guard=GuardPolicy(rate_limited_s=2))
    async with flow_with(database, loader, policies) as flow:
        job = await flow.start("kb")
        with fail_soon(20):
            paused = await until(flow, lambda s: s.status is JobStatus.PAUSED)
            assert "answers only with rate limits" in paused.message
            assert (await flow.kb("kb")).documents == 118, "59 pages and what they link to are searchable"
            await flow.skip_document("kb", "1.txt")
            await flow.resume("kb")
            final = await finished(job)
    assert (final.status, final.metrics.documents_failed) == (JobStatus.COMPLETED, 0)


async def test_documents_that_are_skipped_while_they_are_aside_hold_nothing_up(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = 0
    show = DocumentReader.show

    async def counted(reader: DocumentReader, reason: WaitingOn) -> None:
        nonlocal shown
        shown += 1
        await show(reader, reason)

    monkeypatch.setattr(DocumentReader, "show", counted)
    most = BudgetPolicy().in_a_row
    failing = [f"a{n}.txt" for n in range(most)]
    loader = Faulty([*failing, "z.txt"], dict.fromkeys(failing, 10**6))
    policies = Policies(retry=RetryPolicy(tries=3, first_s=1))
    async with flow_with(database, loader, policies) as flow:
        job = await flow.start("kb")
        with fail_soon(20):
            await until(flow, lambda s: is_waiting_after(0, s))
            for uri in failing:
                await flow.skip_document("kb", uri)
            final = await finished(job)
    assert (final.status, final.metrics.documents_failed, "z.txt" in loader.read) == (JobStatus.COMPLETED, 0, True)
    assert 0 < shown < 5 * most, "and nobody looks again and again"


async def test_with_a_depth_limit_the_deeper_ones_wait_but_not_for_ever(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_reading, "LATE_BY_DEPTH_S", 2.0)
    uris = [f"{n}.txt" for n in range(40)]
    loader = Faulty(uris, {uris[0]: 1}, max_depth=3)
    async with flow_with(database, loader) as flow:
        await flow.start("kb")
        with fail_soon(20):
            await until(flow, lambda s: is_waiting_after(39, s))
            assert sorted(loader.read) == sorted(uris[1:])
            await until(flow, lambda s: is_waiting_after(78, s))
        await flow.cancel("kb")


async def test_a_document_that_never_can_be_read_fails_after_its_attempts(database: Path) -> None:
    loader = Faulty(["a.txt", "b.txt"], {"a.txt": 100})
    async with flow_with(database, loader, QUICK) as flow:
        final = await finished(await flow.start("kb"))
        [failed] = (await flow.failures("kb")).items
    assert (final.status, failed.uri) == (JobStatus.COMPLETED, "a.txt")
    assert failed.error.endswith("gave up after 4 attempts")
    assert loader.failing["a.txt"] == 96


async def test_a_source_that_fails_every_document_is_asked_for_few(database: Path) -> None:
    uris = [f"{n}.txt" for n in range(1000)]
    loader = Faulty(uris, dict.fromkeys(uris, 100))
    async with flow_with(database, loader) as flow:
        await flow.start("kb")
        with fail_soon(20):
            await until(flow, lambda s: is_waiting_after(0, s))
        asked = sum(100 - left for left in loader.failing.values())
        await flow.cancel("kb")
    assert asked == BudgetPolicy().in_a_row


async def test_while_others_pass_more_are_put_aside_but_not_all(database: Path) -> None:
    uris = [f"{n}.txt" for n in range(1000)]
    loader = Faulty(uris, {uri: 100 for n, uri in enumerate(uris) if n % 2})
    async with flow_with(database, loader) as flow:
        await flow.start("kb")
        with fail_soon(20):
            await until(flow, lambda s: s.phase_details[0].waiting_on == "retry")
        asked = sum(100 - left for left in loader.failing.values())
        await flow.cancel("kb")
    assert MOST <= asked <= MOST + IN_FLIGHT


async def test_those_aside_are_due_in_their_time() -> None:
    now = [100.0]
    limits = LoadingLimits(None, lambda: now[0])
    aside = PutAside(limits, few=2)
    aside.put(1, aside.tries(1), 5)
    assert (aside.has_room(), aside.sorted_out(), aside.next([1])) == (True, ([1], []), (5, WaitingOn.RETRY))
    aside.put(2, aside.tries(2), 9)
    assert (aside.has_room(), aside.has_room(2), aside.has_room(3)) == (False, True, False)
    now[0] = 107
    assert (aside.sorted_out(), aside.next([2])[0]) == (([2], [1]), 2)
    assert (aside.tries(1).attempt, aside.tries(1).waited_s, aside.tries(1).began) == (2, 5, 100)
    limits.passed()
    assert aside.has_room(3), "others pass: it is not the source"
    aside.settle(1)
    assert (aside.tries(1).attempt, aside.next([2])[0]) == (1, 2)
    aside.forget()
    assert aside.sorted_out() == ([], [])


async def test_it_is_known_which_have_failed_for_long_and_when_the_next_one_will_have() -> None:
    now = [100.0]
    aside = PutAside(LoadingLimits(None, lambda: now[0]), few=2)
    assert (aside.late(10), aside.until_late_s(10)) == ([], math.inf)
    aside.put(1, aside.tries(1), 5)
    now[0] = 103
    aside.put(2, aside.tries(2), 50)
    assert (aside.late(10), aside.until_late_s(10)) == ([], 7)
    now[0] = 110
    assert (aside.late(10), aside.until_late_s(10)) == ([1], 3)
    aside.put(1, aside.tries(1), 5)
    assert aside.late(10) == [1], "since its first attempt"
    now[0] = 113
    assert (aside.late(10), aside.until_late_s(10)) == ([1, 2], math.inf)
    assert aside.next([1, 2]) == (2, WaitingOn.RETRY)
    now[0] = 120
    assert aside.next([1, 2])[0] == 0, "due for some time"


async def test_a_document_awaits_others_that_have_failed_or_are_being_tried_not_those_that_were_only_limited() -> None:
    aside = PutAside(LoadingLimits(None, lambda: 100.0), few=2)
    with aside.trying(1):
        assert (aside.awaits_others(1), aside.awaits_others(2)) == (False, True)
    assert not aside.awaits_others(2)
    aside.put_limited(1, aside.tries(1), 5)
    assert (aside.awaits_others(2), aside.next([1]), aside.tries(1).attempt) == (False, (5, WaitingOn.RATE_LIMIT), 1)
    aside.put(1, aside.tries(1), 5)
    assert (aside.awaits_others(1), aside.awaits_others(2)) == (False, True)
    aside.drop([1, 2])
    assert not aside.awaits_others(2)
