"""The indexing actor: makes whole documents searchable, each in one transaction, and closes a completed crawl."""

from collections.abc import Sequence

import anyio

from phaseflow.actors.actor import Actor
from phaseflow.components.protocols import IndexDocument, Passage, Span
from phaseflow.domain.errors import DocumentError, TransientError
from phaseflow.domain.vocabulary import JobPhase, WaitingOn
from phaseflow.store import documents, entries, failures, faults, jobs, knowledge_bases, passages, progress, vectors
from phaseflow.store.documents import StagedDocument
from phaseflow.store.failures import FailedDocument
from phaseflow.store.passages import Scope
from phaseflow.store.progress import Done
from phaseflow.store.transaction import Transaction

BATCH_CHUNKS = 1024
"""Chunks made searchable in one transaction: full-text inserts are far cheaper in large ones; a pause waits for one."""
LINGER_S = 0.25
"""How long a smaller batch waits for more, seconds."""
CLEAN_UP = 20
"""Documents taken out in one transaction."""


class IndexingActor(Actor):
    """Whole documents in; search sees each, old or new, never half."""

    phase = JobPhase.INDEXING

    async def work(self) -> None:
        assert self._inbox is not None
        staging = self.shop.plan.staging
        self._scope = Scope(staging.kb_id, staging.epoch)
        self._follows_links: bool = getattr(self.shop.plan.components.loader, "follows_links", False)
        while batch := await self._next_batch():
            for part in _by_chunks(batch):
                await self._publish(part)
                faults.reach("indexing.between")
        if self._inbox.is_complete:
            await self.refuse_only_failures()
            await self._finish()

    async def _next_batch(self) -> list[StagedDocument]:
        """Documents until they are enough for a large transaction, or no more come in time."""
        assert self._inbox is not None
        batch = list(await self._inbox.next())
        more: Sequence[StagedDocument] = batch
        with anyio.move_on_after(LINGER_S):
            while more and sum(len(d.spans) for d in batch) < BATCH_CHUNKS:
                more = await self._inbox.next()
                batch.extend(more)
        return batch

    async def _publish(self, batch: Sequence[StagedDocument]) -> None:
        attempt, waited_s = 1, 0.0
        while True:
            async with self.gate:
                try:
                    await self._publish_once(batch)
                except TransientError as error:
                    wait_s = self.shop.backoff_s(attempt, waited_s, error.retry_after_s)
                    if wait_s is None:
                        raise
                    await self.shop.write(lambda tx: self._wait_on(tx, WaitingOn.RETRY))
                    attempt, waited_s = attempt + 1, waited_s + wait_s
                else:
                    return
            await self.gate.sleep(wait_s)

    def _wait_on(self, tx: Transaction, reason: WaitingOn) -> None:
        progress.wait_on(tx, self.shop.plan.run, self.phase, reason)

    async def _publish_once(self, batch: Sequence[StagedDocument]) -> None:
        good, failed = await self._put_outside(batch)
        encoded = passages.encoded(good)
        await self.shop.write(lambda tx: self._store(tx, good, encoded, failed))
        for _ in good:
            self.spend(None)
        for _, failure in failed:
            self.spend(f"{failure.uri}: {failure.error}")

    async def _put_outside(
        self, batch: Sequence[StagedDocument]
    ) -> tuple[list[StagedDocument], list[tuple[StagedDocument, FailedDocument]]]:
        """Give documents to an index outside the database, one by one; (those taken, those refused)."""
        index = self.shop.plan.components.index
        if index is None:
            return list(batch), []
        good: list[StagedDocument] = []
        failed: list[tuple[StagedDocument, FailedDocument]] = []
        for document in batch:
            try:
                await index.replace(self._scope.kb_id, [await self._with_vectors(document)])
                good.append(document)
            except DocumentError as error:
                failed.append((document, FailedDocument(document.uri, error.code, str(error))))
        return good, failed

    async def _with_vectors(self, document: StagedDocument) -> IndexDocument:
        import numpy as np

        packed = await self.shop.database.read(lambda tx: vectors.of_document(tx, document.id))
        found = [
            Passage(Span(*span), text, np.frombuffer(vector, "<f4").tolist())
            for span, text, vector in zip(document.spans, document.passages(), packed, strict=True)
        ]
        return IndexDocument(document.uri, document.title, found)

    def _store(
        self,
        tx: Transaction,
        good: list[StagedDocument],
        encoded: str,
        failed: list[tuple[StagedDocument, FailedDocument]],
    ) -> None:
        done = Done(sum(len(d.spans) for d in good), sum(len(d.spans) for d, _ in failed))
        self.shop.advance(tx, self.phase, done)
        passages.publish(tx, self._scope, good, encoded)
        failures.clear(tx, self._scope.kb_id, [d.uri for d in good])
        if failed:
            documents.move(tx, [d.id for d, _ in failed], documents.EMBEDDED, documents.FAILED)
            self.shop.fail(tx, self.phase, [failure for _, failure in failed])

    async def _finish(self) -> None:
        """The crawl is complete and all of it is searchable: take out what is gone, switch, clean up."""
        while True:
            async with self.gate:
                gone = await self.shop.write(self._withdraw_missing)
                if gone and (index := self.shop.plan.components.index) is not None:
                    await index.delete(self._scope.kb_id, gone)
            faults.reach("indexing.withdrawn")
            if not gone:
                break
        async with self.gate:
            await self.shop.write(self._switch)
        faults.reach("indexing.switched")
        while True:
            async with self.gate:
                if not await self.shop.write(self._clean_up):
                    return
            faults.reach("indexing.cleaned")

    def _withdraw_missing(self, tx: Transaction) -> list[str]:
        run = self.shop.plan.run
        self.shop.advance(tx, self.phase, Done())
        if self._follows_links and entries.any_failed(tx, run.job_seq):
            return []  # what could not be read may have led to what seems to be gone
        gone = passages.withdraw_missing(tx, self._scope, run.job_seq, CLEAN_UP)
        jobs.count_deleted(tx, run.job_seq, len(gone))
        return gone

    def _switch(self, tx: Transaction) -> None:
        plan = self.shop.plan
        self.shop.advance(tx, self.phase, Done())
        failures.clear_missing(tx, plan.run.kb_id, plan.run.job_seq)
        knowledge_bases.switch(tx, plan.run.kb_id, self._scope.epoch, plan.model, plan.live_settings)

    def _clean_up(self, tx: Transaction) -> int:
        self.shop.advance(tx, self.phase, Done())
        return passages.withdraw_other_epochs(tx, self._scope, CLEAN_UP)


def _by_chunks(batch: Sequence[StagedDocument]) -> list[list[StagedDocument]]:
    parts: list[list[StagedDocument]] = [[]]
    size = 0
    for document in batch:
        if parts[-1] and size + len(document.spans) > BATCH_CHUNKS:
            parts.append([])
            size = 0
        parts[-1].append(document)
        size += len(document.spans)
    return parts
