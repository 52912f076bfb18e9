"""The indexing actor: makes whole documents searchable, each in one transaction, and closes a completed crawl."""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

import anyio

from phaseflow.actors.actor import Actor
from phaseflow.actors.batching import ALONE_S, in_parts
from phaseflow.actors.index_delivery import IndexDelivery, Refused
from phaseflow.actors.older_documents import OlderDocuments
from phaseflow.actors.transaction_size import TransactionSize
from phaseflow.actors.withdrawal import CLEAN_UP, Withdrawal
from phaseflow.components.abandonable_thread import call_in_abandonable_thread
from phaseflow.domain.errors import TransientError
from phaseflow.domain.indexed_with import LiveIndex
from phaseflow.domain.vocabulary import JobPhase, WaitingOn
from phaseflow.store import (
    failpoints,
    passages,
    taken_out,
)
from phaseflow.store.documents import StagedDocument, StagedDocuments
from phaseflow.store.failures import Failures
from phaseflow.store.inbox import Inbox
from phaseflow.store.index_spaces import Spaces
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.passages import Scope, SearchablePassages
from phaseflow.store.postings import Packed
from phaseflow.store.progress import Done, PhaseProgress
from phaseflow.store.states import DocumentState
from phaseflow.store.transaction import Transaction
from phaseflow.store.twins import Twins

BATCH_CHUNKS = 1024
"""Chunks made searchable in one transaction at most: full-text inserts are cheaper in large ones; a verb waits for
one."""
_BATCH_CHARACTERS = 1_000_000
"""Characters of them, where they are long."""
BATCH_WAIT_S = 0.25
"""How long a smaller batch waits for more, seconds."""
ASKED_FOR_WAIT_S = 0.01
"""The same where the job only takes what is asked for: somebody waits for it. What comes alone is not kept waiting."""
_TWINS = 16
"""Addresses of documents of the same bytes looked at in one transaction: of each, one passage is indexed anew."""
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 5.0
"""An index that cannot be reached is tried again after so long, at first and at most."""


class IndexingActor(Actor):
    """Whole documents in; search sees each, old or new, never half."""

    phase = JobPhase.INDEXING

    async def work(self) -> None:
        assert self._receiver is not None
        target = self.context.plan.target
        self._scope = Scope(target.kb_key, target.index_version)
        self._delivery = self._make_delivery()
        self._is_to_move = self.context.plan.moves
        self._last_at = -ALONE_S
        self._size = TransactionSize(BATCH_CHUNKS)
        while batch := await self._next_batch():
            await self._bring_up_to_date()
            for part in in_parts(batch, _sizes, (self._size.passages, _BATCH_CHARACTERS)):
                await self._publish([await self._index_most(document) for document in part])
                failpoints.hit("indexing.between")
        if self._receiver.is_complete:
            await self.refuse_only_failures()
            await self._bring_up_to_date()
            if self.context.plan.lists:
                await self._finish()

    async def _next_batch(self) -> list[StagedDocument]:
        """Documents until they are enough for a large transaction, or no more come in time."""
        assert self._receiver is not None
        batch = list(await self._receiver.next())
        more: Sequence[StagedDocument] = batch
        with anyio.move_on_after(self._wait_s()):
            while more and sum(len(d.spans) for d in batch) < self._size.passages:
                more = await self._receiver.next()
                batch.extend(more)
        return batch

    def _wait_s(self) -> float:
        if self.context.plan.lists:
            return BATCH_WAIT_S
        now = anyio.current_time()
        is_alone, self._last_at = now - self._last_at > ALONE_S, now
        return 0 if is_alone else ASKED_FOR_WAIT_S

    def _make_delivery(self) -> IndexDelivery | None:
        plan = self.context.plan
        open_index, server = plan.components.open_index, plan.components.index_server
        if open_index is None or server is None or plan.space is None:
            return None
        return IndexDelivery(self.context, self.gate, (open_index, server, plan.space), self.spend)

    async def _bring_up_to_date(self) -> None:
        """Before the first document: what search sees moves to another index, if it is to. And what the index has lost
        since comes back."""
        plan = self.context.plan
        has_lost = plan.space is not None and plan.space in plan.components.index_losses
        if not (self._is_to_move or has_lost):
            return
        if self._delivery is not None:
            await self._until_taken(self._delivery.fill)
            await self._until_taken(self._delivery.make_ready)
        async with self.gate:
            await self.context.write(self._move if self._is_to_move else self._withdraw_refused)
        failpoints.hit("indexing.switched")
        self._is_to_move = False

    def _withdraw_refused(self, tx: Transaction) -> None:
        self.context.advance(tx, self.phase, Done())
        PhaseProgress(tx, self.context.plan.attempt, self.phase).note(None)
        if self._delivery is not None:
            self.context.fail(tx, self.phase, self._delivery.withdraw_refused(tx))

    def _move(self, tx: Transaction) -> None:
        self._withdraw_refused(tx)
        Spaces(tx).complete_move(self._scope.kb_key, self._scope.index_version)
        KnowledgeBases(tx).next_search_revision(self._scope.kb_key)
        live = KnowledgeBases(tx).get(self.context.plan.attempt.kb_id).live_settings
        if live is not None:
            index = LiveIndex.model_validate_json(self.context.plan.live_settings).index
            live = LiveIndex.model_validate_json(live).model_copy(update={"index": index}).model_dump_json()
            KnowledgeBases(tx).set_live_settings(self._scope.kb_key, self._scope.index_version, live)

    async def _publish(self, batch: Sequence[StagedDocument]) -> None:
        if self._delivery is None:
            async with self.gate:
                await self._publish_once(batch)
            return
        await self._until_taken(partial(self._publish_outside, batch, self._delivery))

    async def _publish_outside(self, batch: Sequence[StagedDocument], delivery: IndexDelivery) -> None:
        async with self.gate:
            await self._publish_once(batch)
            await delivery.empty_outbox()

    async def _until_taken(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do a step that needs the index; while it cannot be reached, again and again."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                await step()
            except TransientError as error:
                async with self.gate:
                    await self.context.write(lambda tx: self._wait_on(tx, WaitingOn.INDEX))
                spread = 1 + random.random() / 4  # noqa: S311  # no secret
                await self.gate.sleep(max(wait_s * spread, error.retry_after_s or 0))
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            else:
                return

    def _wait_on(self, tx: Transaction, reason: WaitingOn) -> None:
        PhaseProgress(tx, self.context.plan.attempt, self.phase).wait_on(reason)

    async def _publish_once(self, batch: Sequence[StagedDocument]) -> None:
        good, failed = list(batch), list[Refused]()
        if self._delivery is not None:  # it must not get again what it was told to forget
            good, failed = await self._delivery.put(await self._still_wanted(batch))
        is_stored = not (good or failed)
        while not is_stored:
            packed = await call_in_abandonable_thread(partial(passages.packed_rest, good))
            is_stored = await self.context.write(partial(self._store, good=good, packed=packed, failed=failed))
            if not is_stored:
                good = await self._still_wanted(good)
                kept = {document.id for document in await self._still_wanted([document for document, _ in failed])}
                failed = [each for each in failed if each[0].id in kept]
                is_stored = not (good or failed)
        for _ in good:
            self.spend(None)
        for document, failure in failed:
            if not document.is_carried:
                self.spend(f"{failure.uri}: {failure.error}")

    async def _still_wanted(self, batch: Sequence[StagedDocument]) -> list[StagedDocument]:
        """Without those that were skipped or deleted meanwhile."""
        ids = [document.id for document in batch]
        wanted = await self.context.reads.read(lambda tx: taken_out.in_hand(tx, ids, DocumentState.EMBEDDED))
        return [document for document in batch if document.id in wanted]

    async def _index_most(self, document: StagedDocument) -> StagedDocument:
        """Put the passages of a large document into the full-text index but the last ones, a bounded number at a time.

        Nobody sees them before the document is searchable. How far it has come is in the document's row.
        """
        indexed = document.indexed
        while (step := _step(document, indexed, self._size.passages)) < len(document.spans):
            packed = await call_in_abandonable_thread(partial(passages.packed, document, indexed, step))
            async with self.gate:
                await self.context.write(partial(self._store_some, document.id, packed, indexed, step))
            indexed = step
            failpoints.hit("indexing.indexed_some")
        return replace(document, indexed=indexed)

    def _store_some(self, document_id: int, packed: Packed, before: int, after: int, tx: Transaction) -> None:
        self.context.advance(tx, self.phase, Done())
        if not taken_out.in_hand(tx, [document_id], DocumentState.EMBEDDED):
            return
        SearchablePassages(tx, self._scope).note_indexed(document_id, before, after)
        self._index(tx, packed)

    def _index(self, tx: Transaction, packed: Packed) -> None:
        with self._size.measuring(packed.size):
            SearchablePassages(tx, self._scope).index(packed)

    def _store(
        self,
        tx: Transaction,
        good: list[StagedDocument],
        packed: Packed,
        failed: list[Refused],
    ) -> bool:
        """False, and nothing is stored, when any of them was skipped or deleted meanwhile."""
        ids = [document.id for document in (*good, *(document for document, _ in failed))]
        if len(taken_out.in_hand(tx, ids, DocumentState.EMBEDDED)) < len(ids):
            return False
        done = Done(sum(len(d.spans) for d in good), sum(len(d.spans) for d, _ in failed))
        self.context.advance(tx, self.phase, done)
        self._index(tx, packed)
        at = self.context.clock.now()
        SearchablePassages(tx, self._scope).publish(good, at)
        uris = [d.uri for d in good if not d.is_carried]
        Failures(tx, self._scope.kb_key).clear(uris)
        Inbox(tx, self._scope.kb_key).settle(self.context.plan.attempt.job_seq, uris)
        if failed:
            self.context.fail(tx, self.phase, [failure for d, failure in failed if not d.is_carried])
            self.context.fail_carried(tx, self.phase, [failure for d, failure in failed if d.is_carried])
            StagedDocuments(tx).move([d.id for d, _ in failed], DocumentState.EMBEDDED, DocumentState.FAILED, at)
        return True

    async def _finish(self) -> None:
        """The crawl is complete and all of it is searchable: take out what is gone, switch, clean up."""
        withdrawal = Withdrawal(self.context, self.gate, self._scope, self.hold)
        await withdrawal.run()
        if self._delivery is not None and await self.context.reads.read(self._is_to_switch):
            await self._until_taken(self._delivery.make_ready)
        live = await OlderDocuments(self.context, self.gate, self._scope).live_settings()
        async with self.gate:
            is_new, has_others, has_twins = await self.context.write(partial(self._switch, live))
        failpoints.hit("indexing.switched")
        if is_new:
            await withdrawal.forget_replaced()
        # Not before: what is left of the old index tells a run that goes on here that it has switched.
        while has_others:
            async with self.gate:
                has_others = bool(await self.context.write(self._clean_up))
            failpoints.hit("indexing.cleaned")
        # Last: what the crawl left out is gone by now, and has not gone before somebody has agreed to it.
        after = "" if has_twins else None
        while after is not None:
            async with self.gate:
                after = await self.context.write(partial(self._settle_twins, after))

    def _is_to_switch(self, tx: Transaction) -> bool:
        return KnowledgeBases(tx).get(self.context.plan.attempt.kb_id).index_version != self._scope.index_version

    def _switch(self, live: str, tx: Transaction) -> tuple[bool, bool, bool]:
        """(Whether search sees another index now, whether documents of others are left, and any of the same bytes.)"""
        # One number, and search sees another index: a knowledge base of any size changes in one short transaction, as a
        # whole. Moving the documents' rows to the version that search knows would take as many steps as there are rows,
        # with half of each index in view. First the count: a run that is over may not switch.
        plan = self.context.plan
        self.context.advance(tx, self.phase, Done())
        is_new = self._is_to_switch(tx)
        KnowledgeBases(tx).switch(self._scope.kb_key, self._scope.index_version, plan.model)
        KnowledgeBases(tx).set_live_settings(self._scope.kb_key, self._scope.index_version, live)
        Spaces(tx).keep_only(self._scope.kb_key, self._scope.index_version)
        has_others = SearchablePassages(tx, self._scope).has_other_versions()
        return is_new, has_others, Twins(tx).are_there(plan.attempt.job_seq)

    def _settle_twins(self, after: str, tx: Transaction) -> str | None:
        self.context.advance(tx, self.phase, Done())
        return Twins(tx).settle(self._scope, self.context.plan.attempt.job_seq, after, _TWINS, self.context.clock.now())

    def _clean_up(self, tx: Transaction) -> int:
        self.context.advance(tx, self.phase, Done())
        return SearchablePassages(tx, self._scope).withdraw_other_versions(CLEAN_UP)


def _step(document: StagedDocument, first: int, most: int) -> int:
    """Up to which passage the next transaction goes: so many, or so much text."""
    if len(document.spans) - first <= most and len(document.text) <= _BATCH_CHARACTERS:
        return len(document.spans)
    last, room = first, _BATCH_CHARACTERS
    while last < min(first + most, len(document.spans)) and room > 0:
        start, end = document.spans[last]
        last, room = last + 1, room - (end - start)
    return last


def _sizes(document: StagedDocument) -> tuple[int, int]:
    return len(document.spans), len(document.text)
