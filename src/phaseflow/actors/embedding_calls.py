"""The calls of the embedding phase: one attempt at a batch, within the limits of the server and the user."""

from collections import OrderedDict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import anyio

from phaseflow.actors.batch_result import BatchResult, TextsRejected
from phaseflow.actors.context import RunContext
from phaseflow.actors.gate import Gate
from phaseflow.actors.pending_documents import Chunk
from phaseflow.actors.release import OrderedRelease
from phaseflow.actors.single_flight import Claim
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import ComponentUnavailable, RateLimited, TransientError
from phaseflow.domain.exception_text import text_of
from phaseflow.domain.policy import LONGEST_WAIT_S
from phaseflow.domain.vocabulary import JobPhase, WaitingOn
from phaseflow.store import failpoints
from phaseflow.store.progress import PhaseProgress

if TYPE_CHECKING:
    from phaseflow.components.protocols import Vectors


_ANSWERED = 2**16
"""Texts that are remembered as answered: more than the batches that were looked up and not yet sent can hold."""


@dataclass(slots=True)
class Spent:
    """What the attempts at one batch took, seconds, without the waits between them."""

    seconds: float = 0.0


@dataclass(slots=True)
class _Budget:
    """Characters of one allowance: ``sent`` and answered, and ``reserved`` by the calls under way."""

    sent: int = 0
    reserved: int = 0


class _Slot:
    """One of the calls that may be under way at once. It is free again with the answer, not when that is stored."""

    def __init__(self, slots: anyio.Semaphore) -> None:
        self._slots = slots
        self._is_taken = False

    async def __aenter__(self) -> Self:
        await self._slots.acquire()
        self._is_taken = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let the next call begin. Once it was called, this does nothing."""
        if self._is_taken:
            self._is_taken = False
            self._slots.release()


class EmbeddingCalls:
    """Makes the calls, several at once, and has their vectors stored by ``release``.

    A rate limit is no fault: it is waited out here, by all batches together, and counts as no attempt. ``hold`` asks
    for a pause of the phase with a reason: the guards of the phase are here.
    """

    def __init__(self, context: RunContext, gate: Gate, release: OrderedRelease, hold: Callable[[str], None]) -> None:
        self._context = context
        self._gate = gate
        self._release = release
        self._hold = hold
        self._embedder = context.plan.components.embedder
        self._slots = anyio.Semaphore(self._embedder.in_flight, fast_acquire=True)
        self._throttle = self._embedder.throttle
        self._throttle.forget_backoff()
        self._limited_since: float | None = None
        self._budget = _Budget(sent=context.plan.characters_sent)
        self._claims_ended = 0
        self._others_ended = context.single_flight.ended
        self._answered: OrderedDict[bytes, None] = OrderedDict()
        self.is_stopped = False

    def stop(self) -> None:
        """Begin no more calls; those under way end and are stored."""
        self.is_stopped = True

    @property
    def successes(self) -> int:
        """How many calls of this embedder were answered, for whomever."""
        return self._throttle.successes

    async def attempt(self, chunks: Sequence[Chunk], spent: Spent) -> None:
        """Get vectors for a batch and store them: one attempt, after all waits that are due.

        Returns without one once ``stop`` was called, or when nobody waits for these texts any more. Raises
        TransientError (never RateLimited), ComponentUnavailable, and TextsRejected for anything else.
        """
        while not self.is_stopped and (chunks := self._release.still_wanted(chunks)):
            await self._await_turn()
            try:
                async with _Slot(self._slots) as slot:
                    others = await self._in_turn(self._release.still_wanted(chunks), spent, slot)
            except RateLimited as error:
                self._guard_against(error)
                continue
            for other in others:
                await other.ended.wait()

    async def show(self, reason: WaitingOn, *, unless: Callable[[], bool] = bool) -> None:
        """Say why the phase does not move, unless that has become untrue."""
        async with self._gate:
            if not unless():
                await self._context.write(
                    lambda tx: PhaseProgress(tx, self._context.plan.attempt, JobPhase.EMBEDDING).wait_on(reason)
                )

    async def sleep(self, seconds: float) -> None:
        """Wait outside the gate, but not longer than until a pause."""
        await self._gate.sleep(seconds)

    async def _await_turn(self) -> None:
        """Wait, outside the gate, until the server may be asked again."""
        while wait_s := self._throttle.wait_s():
            await self.show(WaitingOn.RATE_LIMIT, unless=lambda: not self._throttle.wait_s())
            await self._gate.sleep(wait_s)
            if not self._gate.is_open:
                self._limited_since = None  # time spent paused says nothing about the server
                self._throttle.forget_backoff()
        await self._throttle.until_free()

    async def _in_turn(self, chunks: Sequence[Chunk], spent: Spent, slot: _Slot) -> list[Claim]:
        async with self._gate:
            await self._release.look_up_dimension()
            await self._release.drop_taken_out()
            chunks = self._release.still_wanted(chunks)
            # Asked again inside: the waits before were outside the gate, and by now the gate may have been closed and
            # opened, or another batch may have been told to wait. And one may have used up the budget and closed the
            # gate while this one was looking: what it begins would be counted for whoever resumes.
            with self._throttle.turn() as may_call:
                if not may_call or self.is_stopped or not chunks or not self._gate.is_open:
                    return []  # while the gate was closed or no slot was free, or another batch was faster
                begun = anyio.current_time()
                try:
                    return await self._within_budget(chunks, slot)
                finally:
                    spent.seconds += anyio.current_time() - begun

    def _guard_against(self, error: RateLimited) -> None:
        """Pause the phase when nothing but rate limits has come for too long."""
        most_s = self._context.plan.policies.guard.rate_limited_s
        now = self._throttle.clock()
        if self._limited_since is None:
            self._limited_since = now
        since_s = now - max(self._limited_since, self._throttle.last_success)
        asked_s = error.retry_after_s or 0.0
        if most_s is None or (since_s < most_s and asked_s <= LONGEST_WAIT_S):
            return
        self._limited_since = None
        hours = counted(round(asked_s / 3600), "hour")
        why = f"for {since_s:.0f} s" if since_s >= most_s else f"and asks to wait for {hours}"
        self._hold(
            f"the embedding server answers only with rate limits {why} ({text_of(error)});"
            " resume when it has room again"
        )

    async def _within_budget(self, chunks: Sequence[Chunk], slot: _Slot) -> list[Claim]:
        """One attempt, unless the guard forbids it; then the phase is held, and the gate closed."""
        most = self._context.plan.policies.guard.characters
        texts = {chunk.text_hash: chunk.text for chunk in chunks}
        size = sum(map(len, texts.values()))
        budget = self._budget
        used = budget.sent + budget.reserved
        if most is not None and used and used + size > most:
            # Beyond the gate is only who has been resumed. An object of its own for each allowance, since calls of this
            # one may still be under way: counted in the next, they could use it up before anything is sent.
            self._budget = _Budget()
            self._hold(f"the budget of {counted(most, 'character')} is used up; resume to go on for as many again")
            return []
        # Reserved before the call and counted after it: calls run side by side, and all of them together must stay
        # within the budget, not each of them.
        budget.reserved += size
        try:
            return await self._ask_and_store(texts, slot, budget)
        finally:
            budget.reserved -= size

    async def _ask_and_store(self, texts: dict[bytes, str], slot: _Slot, budget: _Budget) -> list[Claim]:
        """One call for the texts that nobody has; the claims of other jobs that embed some of them right now."""
        with self._context.single_flight.claim(self._context.plan.model, texts) as (claimed, others):
            try:
                await self._ask_what_is_new(texts, claimed, slot, budget)
            finally:
                self._claims_ended += 1
            return others

    async def _ask_what_is_new(
        self, texts: dict[bytes, str], claimed: Sequence[bytes], slot: _Slot, budget: _Budget
    ) -> None:
        known: Set[bytes] = frozenset()
        # Looked up again inside the claim, if another job has embedded anything since this run began, or another batch
        # one of these texts: it may have been stored between the look-up of this batch and the claim. Only a text that
        # is in neither is paid for.
        others = self._context.single_flight.ended - self._claims_ended > self._others_ended
        if others or any(map(self._answered.__contains__, claimed)):
            known = await self._release.known(list(texts))
            await self._release.drop_taken_out()  # meanwhile; from here to the call nothing is waited for
        wanted = self._release.waited_for(claimed) - known
        new = [text_hash for text_hash in claimed if text_hash in wanted]
        result = BatchResult(texts=[*known, *new], hashes=new)
        if new:
            asked = [texts[text_hash] for text_hash in new]
            result.characters = sum(map(len, asked))
            result.vectors = await self._ask(asked)
            self._note_answered(new)
        slot.release()
        try:
            if result.texts:
                await self._release.store_vectors(result)
        finally:
            # Not with the answer: what is being stored is still reserved, and counting it twice would leave too little
            # of the budget for the call that begins meanwhile.
            budget.sent += result.characters

    def _note_answered(self, hashes: Sequence[bytes]) -> None:
        self._answered.update(dict.fromkeys(hashes))
        while len(self._answered) > _ANSWERED:
            self._answered.popitem(last=False)

    async def _ask(self, texts: list[str]) -> "Vectors":
        try:
            with self._gate.calls.on():
                answer = await self._embedder.embed(texts, self._release.dimension)
            failpoints.hit("embedding.answered")
        except (TransientError, ComponentUnavailable):
            raise
        except Exception as error:
            raise TextsRejected(error) from error
        self._limited_since = None
        return answer
