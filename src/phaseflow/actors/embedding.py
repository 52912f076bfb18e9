"""The embedding actor: a vector for each passage, several batches in flight, no text paid for twice."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from phaseflow.actors.actor import Actor
from phaseflow.actors.inflight import Claim
from phaseflow.actors.ledger import Item, Ledger
from phaseflow.actors.result import Refused, Result, packed
from phaseflow.actors.workshop import PhaseFailed
from phaseflow.domain.errors import BatchTooLarge, ComponentUnavailable, RateLimited, TransientError
from phaseflow.domain.vocabulary import JobPhase, WaitingOn
from phaseflow.store import documents, faults, jobs, progress, vectors
from phaseflow.store.documents import StagedDocument
from phaseflow.store.failures import FailedDocument
from phaseflow.store.progress import Done
from phaseflow.store.transaction import Transaction

if TYPE_CHECKING:
    from phaseflow.components.protocols import Vectors


IN_HAND_S = 10.0
"""How long a phase that fails waits for the answers that are on their way, before it drops them."""
LINGER_S = 0.05
"""How long a smaller batch waits for more texts, seconds: a call costs the same however few it carries."""


class EmbeddingActor(Actor):
    """Documents with passages in; documents whose passages all have vectors out, in the order of their ids."""

    phase = JobPhase.EMBEDDING

    async def work(self) -> None:
        assert self._inbox is not None
        plan = self.shop.plan
        self._embedder = plan.components.embedder
        self._ledger = Ledger()
        self._storing = anyio.Lock()
        self._results: list[Result] = []
        self._rate_limits = 0
        self._sent = plan.characters_sent
        self._reserved = 0
        self._dimension = 0
        self._model = plan.model_id
        send: MemoryObjectSendStream[list[Item]]
        receive: MemoryObjectReceiveStream[list[Item]]
        send, receive = anyio.create_memory_object_stream(0)
        self._fault: Exception | None = None
        self._working, self._feeding = anyio.CancelScope(), anyio.CancelScope()
        with self._working:
            async with receive, anyio.create_task_group() as tasks:
                for _ in range(self._embedder.in_flight):
                    tasks.start_soon(self._work_off, receive)
                async with send:
                    with self._feeding:
                        await self._feed(send)
        if self._fault is not None:
            raise self._fault
        if self._inbox.is_complete:
            await self.refuse_only_failures()

    async def _feed(self, send: MemoryObjectSendStream[list[Item]]) -> None:
        """Cut what comes into batches of texts that nobody has asked for; a smaller one when no more come in time."""
        waiting: list[Item] = []
        size = self._embedder.batch_size
        while (documents_in := await self._next(linger=bool(waiting))) != []:
            if documents_in is None:
                await send.send(waiting)
                waiting = []
                continue
            waiting.extend(await self._open(documents_in))
            while len(waiting) >= size:
                await send.send(waiting[:size])
                del waiting[:size]
        if waiting:
            await send.send(waiting)

    async def _next(self, *, linger: bool) -> Sequence[StagedDocument] | None:
        """The next documents, none at the end. With ``linger``, None when there are none in a moment."""
        assert self._inbox is not None
        if not linger:
            return list(await self._inbox.next())
        with anyio.move_on_after(LINGER_S):
            return list(await self._inbox.next())
        return None

    async def _open(self, documents_in: Sequence[StagedDocument]) -> list[Item]:
        """Take documents into the book; the chunks whose texts have to be asked for. What has its vector is done."""
        items = [item for document in documents_in for item in self._ledger.add(document)]
        known = await self._known([item.text_hash for item in items])
        done = [item for item in items if item.text_hash in known]
        if done or any(all(document.embedded) for document in documents_in):
            async with self.gate:
                await self._store(Result(done))
        return [item for item in items if item.text_hash not in known and self._ledger.wait(item)]

    async def _known(self, hashes: Sequence[bytes]) -> set[bytes]:
        return await self.shop.database.read(lambda tx: vectors.known(tx, self._model, hashes))

    async def _work_off(self, receive: MemoryObjectReceiveStream[list[Item]]) -> None:
        async for items in receive:
            try:
                await self._embed(items)
            except Exception as error:  # noqa: BLE001  # raised again once the other calls, which are paid for, are in
                self._give_up(error)
            faults.reach("embedding.between")

    def _give_up(self, error: Exception) -> None:
        """Begin nothing more, and let the batches in flight end and be stored."""
        self._fault = self._fault or error
        self._feeding.cancel()
        self._working.deadline = min(self._working.deadline, anyio.current_time() + IN_HAND_S)

    async def _embed(self, items: Sequence[Item]) -> None:
        """Get vectors for a batch and store them, however long it takes and however small it must be cut."""
        attempt, waited_s = 1, 0.0
        while self._fault is None and (items := self._ledger.still_wanted(items)):
            try:
                async with self.gate:
                    others = await self._embed_within_budget(items)
            except TransientError as error:
                wait_s = self.shop.backoff_s(attempt, waited_s, error.retry_after_s)
                if wait_s is None:
                    raise PhaseFailed(f"gave up after {attempt} attempts: {error}") from error
                attempt, waited_s = attempt + 1, waited_s + wait_s
                if await self._back_off(error, wait_s):
                    attempt, waited_s = 1, 0.0
            except Refused as refused:
                await self._divide(items, refused.cause)
                return
            else:
                for other in others:
                    await other.ended.wait()

    async def _embed_within_budget(self, items: Sequence[Item]) -> list[Claim]:
        """One attempt, unless the guard forbids it; then the phase is held, and the gate closed."""
        most = self.shop.plan.policies.guard.characters
        size = sum(len(item.text) for item in items)
        if most is not None and self._sent + self._reserved + size > most and (self._sent or self._reserved):
            self._sent = 0  # beyond the gate is only who has been resumed
            self.hold(f"the budget of {most} characters is used up; resume to go on for as many again")
            return []
        self._reserved += size
        try:
            return await self._embed_once(items)
        finally:
            self._reserved -= size

    async def _embed_once(self, items: Sequence[Item]) -> list[Claim]:
        """One attempt; the claims of other jobs that embed some of these texts right now."""
        texts = {item.text_hash: item.text for item in items}
        with self.shop.in_flight.claim(self.shop.plan.model, texts) as (claimed, others):
            known = await self._known(list(texts))
            new = [text_hash for text_hash in claimed if text_hash not in known]
            result = Result(texts=[*known, *new], hashes=new)
            if new:
                wanted = [texts[text_hash] for text_hash in new]
                result.characters = sum(map(len, wanted))
                result.vectors = await self._ask(wanted)
                self._sent += result.characters
            if result.texts:
                await self._store(result)
            return others

    async def _ask(self, texts: list[str]) -> "Vectors":
        try:
            answer = await self._embedder.embed(texts)
            faults.reach("embedding.answered")
        except (TransientError, ComponentUnavailable):
            raise
        except Exception as error:
            raise Refused(error) from error
        self._rate_limits = 0
        return answer

    async def _back_off(self, error: TransientError, wait_s: float) -> bool:
        """Wait for the next attempt; True when the guard has paused the phase instead."""
        limited = isinstance(error, RateLimited)
        self._rate_limits = self._rate_limits + 1 if limited else 0
        most = self.shop.plan.policies.guard.rate_limits
        if most is not None and self._rate_limits >= most:
            self._rate_limits = 0
            self.hold(f"{most} rate-limit answers in a row; resume when the embedding server has room again")
            return True
        reason = WaitingOn.RATE_LIMIT if limited else WaitingOn.RETRY
        async with self.gate:
            await self.shop.write(lambda tx: progress.wait_on(tx, self.shop.plan.run, self.phase, reason))
        await anyio.sleep(wait_s)
        return False

    async def _divide(self, items: Sequence[Item], error: Exception) -> None:
        """Try halves, so that the text which cannot be embedded is found and its neighbours are not lost."""
        if len(items) > 1:
            middle = len(items) // 2
            await self._embed(items[:middle])
            await self._embed(items[middle:])
            return
        code = "text_too_large" if isinstance(error, BatchTooLarge) else getattr(error, "code", "embed_error")
        said = str(error) if hasattr(error, "code") else f"{type(error).__name__}: {error}"
        async with self.gate:
            await self._store(Result(refused={items[0].text_hash: (code, said)}))

    async def _store(self, result: Result) -> None:
        """Store a result, and whatever other batches have brought meanwhile, in one transaction."""
        self._results.append(result)
        async with self._storing:
            if result.is_stored:
                return
            results, self._results = self._results, []
            failed = self._failed(results)
            had = (item for each in results for item in each.done)
            got = self._ledger.take(text_hash for each in results for text_hash in each.texts)
            done = [item for item in self._ledger.still_open([*had, *got]) if item.document_id not in failed]
            ready = self._ledger.ready(done, failed)
            await self.shop.write(lambda tx: self._write(tx, results, done, failed, ready))
            self._settle(results, done, failed, ready)

    def _failed(self, results: Sequence[Result]) -> dict[int, FailedDocument]:
        """The documents with a text that was refused."""
        return {
            item.document_id: FailedDocument(self._ledger.document(item.document_id).uri, code, said)
            for each in results
            for text_hash, (code, said) in each.refused.items()
            for item in self._ledger.take([text_hash])
        }

    def _write(
        self,
        tx: Transaction,
        results: Sequence[Result],
        done: Sequence[Item],
        failed: dict[int, FailedDocument],
        ready: Sequence[StagedDocument],
    ) -> None:
        computed = sum(len(each.hashes) for each in results)
        counts = Done(
            processed=len(done),
            failed=sum(self._ledger.open_chunks(key) for key in failed),
            reused=max(0, len(done) - computed),
            handed_over=sum(len(document.spans) for document in ready),
        )
        self.shop.advance(tx, self.phase, counts)
        for each in results:
            if each.vectors is not None:
                self._check_dimension(tx, each.vectors)
                vectors.add(tx, self._model, each.hashes, packed(each.vectors))
        jobs.count_characters(tx, self.shop.plan.run.job_seq, sum(each.characters for each in results))
        vectors.attach(tx, self._model, [item.chunk_id for item in done])
        documents.move(tx, [d.id for d in ready], documents.CHUNKED, documents.EMBEDDED)
        if failed:
            documents.move(tx, failed, documents.CHUNKED, documents.FAILED)
            self.shop.fail(tx, self.phase, list(failed.values()))

    def _check_dimension(self, tx: Transaction, found: "Vectors") -> None:
        dimension = int(found.shape[1])
        if dimension != self._dimension:
            vectors.check_dimension(tx, self._model, dimension)
            self._dimension = dimension

    def _settle(
        self,
        results: Sequence[Result],
        done: Sequence[Item],
        failed: dict[int, FailedDocument],
        ready: Sequence[StagedDocument],
    ) -> None:
        assert self._outbox is not None
        for each in results:
            each.is_stored = True
        self._ledger.settle(done)
        for document_id in failed:
            self._ledger.fail(document_id)
        self._ledger.close(ready)
        self._outbox.offer(ready)
        for failure in failed.values():
            self.spend(f"{failure.uri}: {failure.error}")
        for _ in ready:
            self.spend(None)
