"""Embedding against servers that are slow, break at one text, or are gone."""

import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import anyio
import pytest

from phaseflow import (
    BudgetPolicy,
    EmbedderDown,
    GuardPolicy,
    JobStatus,
    NewDocument,
    PhaseFlow,
    Policies,
    RateLimited,
    RetryPolicy,
    TransientError,
)
from phaseflow.actors import embedding_retries
from phaseflow.components.embedders import throttle
from phaseflow.components.protocols import Entry
from phaseflow.domain.errors import ComponentUnavailable
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import WaitingOn
from tests.engine.components import CountingEmbedder, write_folder
from tests.engine.test_control import QUICK, finished, until
from tests.engine.test_loading_limits import Pages
from tests.matrices import first_of_each
from tests.stopwatch import NEVER_S, fail_soon

IMPATIENT = Policies(retry=RetryPolicy(tries=2, first_s=0.01, most_s=1))
POISON = "word5x"


class Limiting(CountingEmbedder):
    """Takes ``room`` calls, then asks for a wait, again and again; notes calls that came too early."""

    batch_size = 1
    in_flight = 8

    def __init__(self, room: int, wait_s: float) -> None:
        super().__init__(self._limit)
        self._room = room
        self._wait_s = wait_s
        self._left = room
        self._closed_until = 0.0
        self.early = 0
        self.limits = 0

    def _limit(self, texts: Sequence[str]) -> None:
        now = time.monotonic()
        if self._left == 0 and self._closed_until and now >= self._closed_until:
            self._left, self._closed_until = self._room, 0.0
        if self._left:
            self._left -= 1
            return
        self.limits += 1
        if self._closed_until:
            self.early += 1
        self._closed_until = self._closed_until or now + self._wait_s
        raise RateLimited("slow down", retry_after_s=self._closed_until - now)


async def test_a_rate_limit_is_waited_out_by_all_batches_and_is_no_fault(folder: Path, database: Path) -> None:
    embedder = Limiting(room=10, wait_s=1.0)
    async with PhaseFlow(database, embedder=embedder, policies=IMPATIENT) as flow:
        job = await flow.start("kb", folder)
        await until(flow, lambda s: s.phase_details[2].waiting_on == "rate_limit")
        final = await finished(job)
    assert final.status is JobStatus.COMPLETED
    assert final.metrics.documents_failed == 0
    assert embedder.limits >= 2
    rounds = embedder.limits - embedder.early
    assert embedder.early <= 7 * rounds  # only those that were under way with the first of their round
    assert max(embedder.paid.values()) == 1


async def test_after_a_wait_the_server_is_asked_once_and_not_by_everybody(folder: Path, database: Path) -> None:
    rounds: list[int] = []
    last = 0.0

    def fault(texts: Sequence[str]) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before > 0.5:
            rounds.append(0)
        rounds[-1] += 1
        if len(rounds) <= 2:
            raise RateLimited("slow down", retry_after_s=1)

    embedder = CountingEmbedder(fault)
    embedder.batch_size, embedder.in_flight = 1, 8
    async with PhaseFlow(database, embedder=embedder, policies=IMPATIENT) as flow:
        final = await finished(await flow.start("kb", folder))
    assert final.status is JobStatus.COMPLETED
    assert rounds[0] <= 8
    assert rounds[1] == 1


async def test_a_wait_is_shown_although_other_batches_are_stored_meanwhile(folder: Path, database: Path) -> None:
    slow, limited = anyio.Event(), anyio.Event()

    class OneSlow(CountingEmbedder):
        batch_size = 1

        async def embed_documents(self, texts: list[str]) -> list[list[float]]:
            self.calls += 1
            if self.calls == 1:
                await limited.wait()
                slow.set()
            elif not limited.is_set():
                limited.set()
                raise RateLimited("slow down", retry_after_s=2)
            return await super().embed_documents(texts)

    async with PhaseFlow(database, embedder=OneSlow(), policies=IMPATIENT) as flow:
        job = await flow.start("kb", folder)
        await slow.wait()
        status = await until(flow, lambda s: s.phase_details[2].items_processed > 0)
        assert status.phase_details[2].waiting_on == "rate_limit"
        assert (await finished(job)).status is JobStatus.COMPLETED


@pytest.mark.parametrize("asked_s", [1e9, *first_of_each([float("inf"), float("nan"), -5.0])])
async def test_a_wait_that_is_no_wait_harms_nobody(folder: Path, database: Path, asked_s: float) -> None:
    left = [1]

    def fault(texts: Sequence[str]) -> None:
        if left[0]:
            left[0] -= 1
            raise RateLimited("slow down", retry_after_s=asked_s)

    embedder = CountingEmbedder(fault)
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        if asked_s == 1e9:
            paused = await until(flow, lambda s: s.phase_details[2].status == "paused")
            assert "hours" in paused.message
        else:
            assert (await finished(job)).status is JobStatus.COMPLETED


@pytest.mark.parametrize("batch_size", first_of_each([1, 4, 64]))
@pytest.mark.parametrize("in_flight", first_of_each([4, 1]))
async def test_one_text_at_which_the_server_breaks_fails_its_document_only(
    folder: Path, database: Path, batch_size: int, in_flight: int
) -> None:
    def fault(texts: Sequence[str]) -> None:
        if any(POISON in text for text in texts):
            raise TransientError("the server answered 500: input is too large to process")

    embedder = CountingEmbedder(fault)
    embedder.batch_size, embedder.in_flight = batch_size, in_flight
    async with PhaseFlow(database, embedder=embedder, policies=QUICK) as flow:
        final = await finished(await flow.start("kb", folder))
        failures = (await flow.failures("kb")).items
        kb = await flow.kb("kb")
    assert final.status is JobStatus.COMPLETED
    assert [(each.uri, each.code) for each in failures] == [("doc005.md", "embedding_failed")]
    assert "input is too large" in failures[0].error
    assert kb.documents == 11
    assert max(embedder.paid.values()) == 1
    assert embedder.calls < 100


@pytest.mark.parametrize("batch_size", first_of_each([12, 64]))
async def test_texts_at_which_the_server_breaks_in_all_parts_of_a_batch_fail_their_documents_only(
    folder: Path, database: Path, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_retries, "_QUICK_WAIT_S", 0.0)
    bad = range(0, 12, 2)

    def fault(texts: Sequence[str]) -> None:
        if any(f"word{number}x" in text for text in texts for number in bad):
            raise TransientError("the server answered 500: input is too large to process")

    embedder = CountingEmbedder(fault)
    embedder.batch_size, embedder.in_flight = batch_size, 1
    async with PhaseFlow(database, embedder=embedder, policies=QUICK) as flow:
        final = await finished(await flow.start("kb", folder))
        failures = {each.uri for each in (await flow.failures("kb")).items}
        documents = (await flow.kb("kb")).documents
    assert (final.status, documents) == (JobStatus.COMPLETED, 6), final.error
    assert failures == {f"doc{number:03}.md" for number in bad}
    assert max(embedder.paid.values()) == 1


class Hanging(CountingEmbedder):
    """A server that does not answer in time where one of these texts is asked for; every call of all: ``[""]``."""

    batch_size = 64
    in_flight = 8
    TIME_OUT_S = 0.1

    def __init__(self, poison: Sequence[str]) -> None:
        super().__init__()
        self.poison = poison

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if any(each in text for text in texts for each in self.poison):
            self.calls += 1
            await anyio.sleep(self.TIME_OUT_S)
            raise TransientError("it did not answer within a minute")
        return await super().embed_documents(texts)


@pytest.mark.parametrize(
    "bad",
    first_of_each([[5], [0], [11], [1, 7], [0, 3, 6, 9], [1, 2, 4, 5, 7, 8, 10]], lambda bad: len(bad) > 1),
)
async def test_texts_at_which_the_server_hangs_fail_their_documents_only(
    folder: Path, database: Path, bad: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt takes as long as the retries of a batch may."""
    monkeypatch.setattr(embedding_retries, "_SLOW_S", Hanging.TIME_OUT_S / 2)
    policies = Policies(retry=RetryPolicy(first_s=0.01, most_s=Hanging.TIME_OUT_S))
    embedder = Hanging([f"word{number}x" for number in bad])
    async with PhaseFlow(database, embedder=embedder, policies=policies) as flow:
        final = await finished(await flow.start("kb", folder))
        failures = (await flow.failures("kb")).items
    assert (final.status, final.metrics.documents_failed) == (JobStatus.COMPLETED, len(bad)), final.error
    assert {(each.uri, each.code) for each in failures} == {(f"doc{n:03}.md", "embedding_failed") for n in bad}
    assert max(embedder.paid.values()) == 1


async def test_a_server_that_hangs_at_everything_is_found_out_soon(
    folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_retries, "_SLOW_S", Hanging.TIME_OUT_S / 2)
    monkeypatch.setattr(embedding_retries, "_SECONDS_WITHOUT_SUCCESS", 2 * Hanging.TIME_OUT_S)
    policies = Policies(retry=RetryPolicy(first_s=0.01, most_s=Hanging.TIME_OUT_S))
    embedder = Hanging([""])
    async with PhaseFlow(database, embedder=embedder, policies=policies) as flow:
        final = await finished(await flow.start("kb", folder))
        assert (await flow.failures("kb")).items == []
    assert final.status is JobStatus.FAILED
    assert "did not answer" in str(final.error)
    assert embedder.calls <= 1 + 2 + 4, "the batch, its halves and some texts alone"


async def test_texts_whose_vectors_are_none_are_found_too(folder: Path, database: Path) -> None:
    class Nulls(CountingEmbedder):
        batch_size = 64

        async def embed_documents(self, texts: list[str]) -> list[list[float]]:
            rows = await super().embed_documents(texts)
            return [[None] * 8 if POISON in text else row for text, row in zip(texts, rows, strict=True)]  # type: ignore[list-item]  # wrong on purpose

    async with PhaseFlow(database, embedder=Nulls(), policies=QUICK) as flow:
        final = await finished(await flow.start("kb", folder))
        assert final.status is JobStatus.COMPLETED
        assert [each.uri for each in (await flow.failures("kb")).items] == ["doc005.md"]


async def test_a_server_that_breaks_at_everything_fails_the_phase_and_no_document(
    tmp_path: Path, database: Path
) -> None:
    broken = True

    def fault(texts: Sequence[str]) -> None:
        if broken:
            raise TransientError("the server answered 500")

    embedder = CountingEmbedder(fault)
    embedder.batch_size = 64
    async with PhaseFlow(database, embedder=embedder, policies=QUICK) as flow:
        job = await flow.start("kb", write_folder(tmp_path / "many", 200, 20))
        failed = await finished(job)
        assert failed.status is JobStatus.FAILED
        assert "gave up after 4 attempts: the server answered 500" in (failed.error or "")
        assert (await flow.failures("kb")).items == []
        assert embedder.calls < 2 * (4 + 2 * 30) + 10
        broken = False
        await flow.retry("kb")
        assert (await finished(job)).status is JobStatus.COMPLETED
        assert (await flow.kb("kb")).documents == 200


async def test_a_server_that_is_gone_is_not_asked_in_parts(folder: Path, database: Path) -> None:
    def fault(texts: Sequence[str]) -> None:
        raise EmbedderDown("nobody listens")

    embedder = CountingEmbedder(fault)
    embedder.batch_size = 64
    async with PhaseFlow(database, embedder=embedder, policies=QUICK) as flow:
        final = await finished(await flow.start("kb", folder))
    assert final.status is JobStatus.FAILED
    assert embedder.calls == 4


async def test_the_error_budget_goes_by_the_order_of_the_documents(tmp_path: Path, database: Path) -> None:
    """Bad ones that are answered before the good ones between them are no row."""
    held = anyio.Event()

    class BadOnesFirst(CountingEmbedder):
        batch_size = 1
        in_flight = 30

        async def embed_documents(self, texts: list[str]) -> list[list[float]]:
            number = int(texts[0].split("word")[1].split("x")[0])
            if number % 2:
                self.paid.update(texts)
                if self.paid.total() == 10:
                    held.set()
                raise ValueError("bad")
            await held.wait()
            return await super().embed_documents(texts)

    folder = write_folder(tmp_path / "many", 20, 10)
    policies = Policies(budget=BudgetPolicy(in_a_row=3))
    async with PhaseFlow(database, embedder=BadOnesFirst(), policies=policies) as flow:
        final = await finished(await flow.start("kb", folder))
        assert final.status is JobStatus.COMPLETED
        assert len((await flow.failures("kb")).items) == 10


class Refusing(CountingEmbedder):
    """Refuses its first call once a second one is under way, if any can be; that one is answered after it, or refused,
    too."""

    def __init__(self, *, at_once: int, second: str) -> None:
        super().__init__()
        self.in_flight = at_once
        self._second = second
        self._is_inside, self._is_refused = anyio.Event(), anyio.Event()

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self._is_refused.is_set() and self._is_inside.is_set():
            return await super().embed_documents(texts)
        self.calls += 1
        if self.calls == 1:
            if self.in_flight > 1:
                await self._is_inside.wait()
            self._is_refused.set()
            raise ComponentUnavailable("the key was refused")
        self._is_inside.set()
        await self._is_refused.wait()
        for _ in range(50):  # while the phase fails
            await anyio.lowlevel.checkpoint()
        if self._second == "is refused":
            raise ComponentUnavailable("so was this one")
        self.calls -= 1
        return await super().embed_documents(texts)


@pytest.mark.parametrize("second", ["is answered", "is refused"])
async def test_a_call_that_is_under_way_when_the_phase_fails_is_not_paid_for_again(
    folder: Path, database: Path, second: str
) -> None:
    embedder = Refusing(at_once=2, second=second)
    async with PhaseFlow(database, embedder=embedder) as flow:
        job = await flow.start("kb", folder)
        failed = await finished(job)
        assert (failed.status, failed.error) == (JobStatus.FAILED, "the key was refused"), "by what came first"
        assert (embedder.calls, embedder.paid.total()) == (2, 4 if second == "is answered" else 0)
        await flow.retry("kb")
        final = await finished(job)
    assert final.status is JobStatus.COMPLETED
    assert set(embedder.paid.values()) == {1}
    assert embedder.paid.total() == final.metrics.embeddings_computed == final.metrics.chunks_created


async def test_a_batch_that_waits_for_its_turn_when_the_phase_fails_is_not_asked_for(
    folder: Path, database: Path
) -> None:
    embedder = Refusing(at_once=1, second="")
    async with PhaseFlow(database, embedder=embedder) as flow:
        assert (await finished(await flow.start("kb", folder))).status is JobStatus.FAILED
    assert embedder.calls == 1


class Unending(Pages):
    """No end of its list: loading goes on."""

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        yield []
        await anyio.sleep_forever()


@pytest.mark.parametrize("by", ["the guard", "somebody"])
async def test_a_pause_says_nothing_about_how_long_a_server_was_without_room(
    database: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    def limit(_: object) -> None:
        raise RateLimited("slow down")

    def embedding(status: JobStatusResponse) -> tuple[str, WaitingOn | None]:
        return status.phase_details[2].status, status.phase_details[2].waiting_on

    monkeypatch.setattr(throttle, "FIRST_S", 0.01 if by == "the guard" else NEVER_S)
    monkeypatch.setattr(throttle, "MOST_S", NEVER_S)
    embedder, loader = CountingEmbedder(limit), Unending(1, lambda _: None)
    policies = Policies(guard=GuardPolicy(rate_limited_s=0.001))  # less than a pause and a resume take
    async with PhaseFlow(database, loader=loader, embedder=embedder, policies=policies) as flow:
        await flow.add("kb", [NewDocument(uri="pushed.md", text="Words.")])
        job = await flow.start("kb", "anything")
        with fail_soon(10):
            limited = ("running", WaitingOn.RATE_LIMIT)
            if by == "somebody":
                await until(flow, lambda s: embedding(s) == limited)
                await flow.pause("kb", "embedding")
            await until(flow, lambda s: embedding(s)[0] == "paused")
            monkeypatch.setattr(throttle, "FIRST_S", NEVER_S)
            calls = embedder.calls
            await flow.resume("kb", "embedding")
            again = await until(
                flow, lambda s: embedder.calls > calls and (embedding(s)[0] == "paused" or embedding(s) == limited)
            )
            await flow.pause("kb", "embedding")
            await until(flow, lambda s: embedding(s)[0] == "paused")
        log = (await flow.transitions_of(job.job_id)).items
    assert (again.status, embedding(again)) == ("running", limited)
    paused = [each.reason or "" for each in log if (each.phase, each.to_status) == ("embedding", "paused")]
    assert ["rate limits" in reason for reason in paused] == [by == "the guard", False]
