"""The calls of the embedding phase: limits before each, single flight, back-off after it, halves when refused."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import anyio

from phaseflow.actors.batch_result import BatchResult, TextsRejected
from phaseflow.actors.gate import Gate
from phaseflow.actors.pending_documents import Chunk
from phaseflow.actors.release import OrderedRelease
from phaseflow.actors.single_flight import Claim
from phaseflow.actors.workshop import PhaseFailed, Workshop
from phaseflow.domain.errors import BatchTooLarge, ComponentUnavailable, RateLimited, TransientError
from phaseflow.domain.vocabulary import JobPhase, WaitingOn
from phaseflow.store import faults, progress

if TYPE_CHECKING:
    from phaseflow.components.protocols import Vectors


class EmbeddingCalls:
    """Gets vectors for batches, several at once, and has them stored by ``release``.

    ``hold`` asks for a pause of the phase with a reason: the guards of the phase are here.
    """

    def __init__(self, shop: Workshop, gate: Gate, release: OrderedRelease, hold: Callable[[str], None]) -> None:
        self._shop = shop
        self._gate = gate
        self._release = release
        self._hold = hold
        self._rate_limits = 0
        self._sent = shop.plan.characters_sent
        self._reserved = 0
        self._stopped = False

    def stop(self) -> None:
        """Begin no more calls; those under way end and are stored."""
        self._stopped = True

    async def embed(self, chunks: Sequence[Chunk]) -> None:
        """Get vectors for a batch and store them, however long it takes and however small it must be cut."""
        attempt, waited_s = 1, 0.0
        while not self._stopped and (chunks := self._release.still_wanted(chunks)):
            try:
                async with self._gate:
                    others = await self._within_budget(chunks)
            except TransientError as error:
                wait_s = self._shop.backoff_s(attempt, waited_s, error.retry_after_s)
                if wait_s is None:
                    raise PhaseFailed(f"gave up after {attempt} attempts: {error}") from error
                attempt, waited_s = attempt + 1, waited_s + wait_s
                if await self._back_off(error, wait_s):
                    attempt, waited_s = 1, 0.0
            except TextsRejected as rejected:
                await self._divide(chunks, rejected.cause)
                return
            else:
                for other in others:
                    await other.ended.wait()

    async def _within_budget(self, chunks: Sequence[Chunk]) -> list[Claim]:
        """One attempt, unless the guard forbids it; then the phase is held, and the gate closed."""
        most = self._shop.plan.policies.guard.characters
        size = sum(len(chunk.text) for chunk in chunks)
        if most is not None and self._sent + self._reserved + size > most and (self._sent or self._reserved):
            self._sent = 0  # beyond the gate is only who has been resumed
            self._hold(f"the budget of {most} characters is used up; resume to go on for as many again")
            return []
        self._reserved += size
        try:
            return await self._attempt(chunks)
        finally:
            self._reserved -= size

    async def _attempt(self, chunks: Sequence[Chunk]) -> list[Claim]:
        """One attempt; the claims of other jobs that embed some of these texts right now."""
        texts = {chunk.text_hash: chunk.text for chunk in chunks}
        with self._shop.single_flight.claim(self._shop.plan.model, texts) as (claimed, others):
            known = await self._release.known(list(texts))
            new = [text_hash for text_hash in claimed if text_hash not in known]
            result = BatchResult(texts=[*known, *new], hashes=new)
            if new:
                wanted = [texts[text_hash] for text_hash in new]
                result.characters = sum(map(len, wanted))
                result.vectors = await self._ask(wanted)
                self._sent += result.characters
            if result.texts:
                await self._release.store(result)
            return others

    async def _ask(self, texts: list[str]) -> "Vectors":
        try:
            answer = await self._shop.plan.components.embedder.embed(texts)
            faults.reach("embedding.answered")
        except (TransientError, ComponentUnavailable):
            raise
        except Exception as error:
            raise TextsRejected(error) from error
        self._rate_limits = 0
        return answer

    async def _back_off(self, error: TransientError, wait_s: float) -> bool:
        """Wait for the next attempt; True when the guard has paused the phase instead."""
        limited = isinstance(error, RateLimited)
        self._rate_limits = self._rate_limits + 1 if limited else 0
        most = self._shop.plan.policies.guard.rate_limits
        if most is not None and self._rate_limits >= most:
            self._rate_limits = 0
            self._hold(f"{most} rate-limit answers in a row; resume when the embedding server has room again")
            return True
        reason = WaitingOn.RATE_LIMIT if limited else WaitingOn.RETRY
        async with self._gate:
            await self._shop.write(lambda tx: progress.wait_on(tx, self._shop.plan.run, JobPhase.EMBEDDING, reason))
        await anyio.sleep(wait_s)
        return False

    async def _divide(self, chunks: Sequence[Chunk], error: Exception) -> None:
        """Try halves, so that the text which cannot be embedded is found and its neighbours are not lost."""
        if len(chunks) > 1:
            middle = len(chunks) // 2
            await self.embed(chunks[:middle])
            await self.embed(chunks[middle:])
            return
        code = "text_too_large" if isinstance(error, BatchTooLarge) else getattr(error, "code", "embed_error")
        said = str(error) if hasattr(error, "code") else f"{type(error).__name__}: {error}"
        async with self._gate:
            await self._release.store(BatchResult(rejected={chunks[0].text_hash: (code, said)}))
