"""Release in order: stores what the batches came to, and hands over documents in the order of their ids."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from types import MappingProxyType

import anyio

from phaseflow.actors.batch_result import BatchResult
from phaseflow.actors.context import RunContext
from phaseflow.actors.gate import Gate
from phaseflow.actors.handoff import Sender
from phaseflow.actors.pending_documents import Chunk, PendingDocuments
from phaseflow.components.abandonable_thread import call_in_abandonable_thread
from phaseflow.components.stored_vectors import stored, unit
from phaseflow.domain.vocabulary import JobPhase, WaitingOn
from phaseflow.store import taken_out
from phaseflow.store.documents import StagedDocument, StagedDocuments
from phaseflow.store.failures import FailedDocument
from phaseflow.store.progress import Done, JobCounts, PhaseProgress
from phaseflow.store.states import DocumentState
from phaseflow.store.transaction import Transaction
from phaseflow.store.unused_vectors import UnusedVectors
from phaseflow.store.vectors import Model, ModelVectors, check_length

STORE_CHUNKS = 1024
"""Chunks looked up, or given their vectors, in one transaction: some 10 ms."""


class OrderedRelease:
    """What the embedding phase has in hand, and the only one that writes its rows.

    A batch is stored as soon as it has its answer, together with whatever other batches have brought meanwhile. A
    document leaves when all its chunks and all documents before it are done. ``spend`` counts each document against
    the error budget, with its error or None. ``is_old``: a document that comes may have been taken out before.
    """

    dimension: int | None = None
    """How many numbers the vectors stored of this model have, as far as ``look_up_dimension`` has looked; None while
    there are none. Nothing else is stored."""

    def __init__(
        self,
        context: RunContext,
        gate: Gate,
        sender: Sender,
        spend: Callable[[str | None], None],
        is_old: Callable[[StagedDocument], bool],
    ) -> None:
        self._is_old = is_old
        self._context = context
        self._gate = gate
        self._sender = sender
        self._spend = spend
        self._pending = PendingDocuments()
        self._storing = anyio.Lock(fast_acquire=True)
        self._results: list[BatchResult] = []
        self._openings = 0
        self._told = self._looked = 0
        self._bare = Counter[int]()

    def taken_out(self) -> None:
        """Documents were skipped or deleted: what is in hand of them is to be dropped, and what comes that is from
        before (``is_old``)."""
        self._told += 1

    async def drop_taken_out(self) -> None:
        """Drop what is in hand of documents that were skipped or deleted, before anything is paid for it. Inside the
        gate."""
        while self._looked != self._told:  # also if more were taken out during the look
            async with self._storing:
                told, ids = self._told, self._pending.ids
                wanted = await self._context.reads.read_long(partial(_in_hand, ids))
                is_shorter = self._pending.drop(set(ids) - wanted)
                self._looked = told
            if is_shorter:
                await self.store(BatchResult())  # those behind them may be ready

    async def take_in(self, staged: Sequence[StagedDocument]) -> list[Chunk]:
        """Take documents in; their chunks whose texts have to be asked for. What has its vector is stored as done."""
        chunks: list[Chunk] = []
        for document in staged:
            chunks += self._pending.add(document, await _open_chunks_of(document))
        if any(map(self._is_old, staged)):
            self._told += 1  # looked at once more, with what is in hand
        wanted: list[Chunk] = []
        for part in _parts(chunks):
            async with self._gate:  # from the look-up on: no vector is freed while the phase runs
                known = await self.known([chunk.text_hash for chunk in part])
                if done := [chunk for chunk in part if chunk.text_hash in known]:
                    await self.store(BatchResult(done))
            wanted += self._pending.wait([chunk for chunk in part if chunk.text_hash not in known])
        if any(all(document.embedded) for document in staged):  # nothing else may come to hand them over
            async with self._gate:
                await self.store(BatchResult())
        return wanted

    async def known(self, hashes: Sequence[bytes]) -> set[bytes]:
        """Those of these texts that have a vector in the store."""
        model_id = self._context.plan.model_id
        return await self._context.reads.read_long(lambda tx: ModelVectors(tx, model_id).known(hashes))

    async def look_up_dimension(self) -> None:
        """Look how long vectors have to be, once for each time that the gate was opened: while it is open the phase
        runs, and none is freed; while it was closed all may have been. Inside the gate."""
        openings = self._gate.openings
        if self._openings != openings:
            model = self._context.plan.model
            self.dimension = await self._context.reads.read(lambda tx: Model(tx, model).dimension())
            self._openings = openings

    async def store_vectors(self, result: BatchResult) -> None:
        """Store a result. Raises DimensionMismatch, and stores nothing of it, when its vectors have another length than
        those stored."""
        if result.vectors is None:
            await self.store(result)
            return
        length = int(result.vectors.shape[1])
        if self.dimension is not None:
            check_length(self.dimension, length)
            await self.store(result)
            return
        async with self._context.single_flight.first_answer(self._context.plan.model):
            await self._context.write(partial(self._note_dimension, length))
            await self.store(result)
            self.dimension = length

    def _note_dimension(self, length: int, tx: Transaction) -> None:
        plan = self._context.plan
        PhaseProgress(tx, plan.attempt, JobPhase.EMBEDDING).check()
        ModelVectors(tx, plan.model_id).check_dimension(length)

    def still_wanted(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """Those of these chunks whose text is still waited for."""
        return self._pending.still_wanted(chunks)

    def waited_for(self, text_hashes: Iterable[bytes]) -> set[bytes]:
        """Those of these texts whose vector a document in hand still needs."""
        return self._pending.waited_for(text_hashes)

    async def store(self, result: BatchResult) -> None:
        """Store a result, and whatever other batches have brought meanwhile.

        In one transaction, unless a text stands in so many chunks that they take several: each counts what it stores,
        and the last one hands over.
        """
        self._results.append(result)
        async with self._storing:
            # Whoever had the lock before us may have stored ours too. So a dozen calls in flight are one transaction,
            # not a dozen.
            if result.is_stored:
                return
            results, self._results = self._results, []
            failed, bare = self._rejected(results)
            had = (chunk for each in results for chunk in each.done)
            got = self._pending.take(chain.from_iterable(each.texts for each in results))
            done = [chunk for chunk in self._pending.still_open([*had, *got]) if chunk.document_id not in failed]
            ready = self._pending.ready([*done, *bare], failed)
            computed = sum(len(each.hashes) for each in results)
            # Documents leave with the last part only. If an earlier one is all that gets stored, its chunks have their
            # vectors and their documents are read again from the store: nothing is handed over half.
            *most, last = _parts(done) or [[]]
            gone: set[int] = set()
            for n, part in enumerate(most):
                stored = results if n == 0 else ()
                gone |= await self._context.write(partial(self._write, results=stored, done=part, computed=computed))
                computed = max(0, computed - len(part))
            stored = () if most else results
            gone |= await self._context.write(
                partial(self._write, results=stored, done=last, computed=computed, failed=failed, ready=ready)
            )
            self._pending.drop(gone)
            failed = {key: failure for key, failure in failed.items() if key not in gone}
            ready = [document for document in ready if document.id not in gone]
            # Memory follows the rows: had it changed first, a write that fails would leave chunks that count as done
            # here and nowhere else, and their documents would never leave.
            self._settle(results, [*done, *bare], failed, ready)

    def _rejected(self, results: Sequence[BatchResult]) -> tuple[dict[int, FailedDocument], list[Chunk]]:
        """The documents with a text that was rejected. And the chunks that do without their vector: a document that is
        carried over is found by words rather than not at all. An index outside the database takes only vectors."""
        failed: dict[int, FailedDocument] = {}
        bare: list[Chunk] = []
        for text_hash, said in (rejected for each in results for rejected in each.rejected.items()):
            for chunk in self._pending.take([text_hash]):
                document = self._pending.document(chunk.document_id)
                if document.is_carried and self._context.plan.space is None:
                    bare.append(chunk)
                else:
                    failed[document.id] = FailedDocument(document.uri, *said)
        self._bare.update(chunk.document_id for chunk in bare)
        return failed, bare

    def _write(
        self,
        tx: Transaction,
        *,
        results: Sequence[BatchResult],
        done: Sequence[Chunk],
        computed: int,
        failed: Mapping[int, FailedDocument] = MappingProxyType({}),
        ready: Sequence[StagedDocument] = (),
    ) -> set[int]:
        """The documents of which nothing is stored, for they were skipped or deleted meanwhile. ``computed``: so many
        of the chunks ``done`` have a vector that was computed for them."""
        plan = self._context.plan
        vectors = ModelVectors(tx, plan.model_id)
        ids = {*failed, *(chunk.document_id for chunk in done), *(document.id for document in ready)}
        gone = ids - taken_out.in_hand(tx, ids, DocumentState.CHUNKED)
        unwanted = [chunk for chunk in done if chunk.document_id in gone]
        done = [chunk for chunk in done if chunk.document_id not in gone]
        failed = {key: failure for key, failure in failed.items() if key not in gone}
        ready = [document for document in ready if document.id not in gone]
        counts = Done(
            processed=len(done),
            failed=sum(self._pending.open_chunks(key) for key in failed) + sum(self._bare[d.id] for d in ready),
            reused=max(0, len(done) - computed),
            handed_over=sum(len(document.spans) for document in ready),
        )
        self._context.advance(tx, JobPhase.EMBEDDING, counts)
        for each in results:
            if each.vectors is not None:
                is_small = plan.space is not None  # an index outside the database has them, too
                vectors.add(each.hashes, stored(unit(each.vectors), small=is_small))
        JobCounts(tx, plan.attempt.job_seq).add_characters(sum(each.characters for each in results))
        vectors.attach([chunk.chunk_id for chunk in done])
        at = self._context.clock.now()
        StagedDocuments(tx).move([d.id for d in ready], DocumentState.CHUNKED, DocumentState.EMBEDDED, at)
        if failed:
            carried = {key for key in failed if self._pending.document(key).is_carried}
            self._context.fail(tx, JobPhase.EMBEDDING, [f for key, f in failed.items() if key not in carried])
            self._context.fail_carried(tx, JobPhase.EMBEDDING, [failed[key] for key in carried])
            StagedDocuments(tx).move(failed, DocumentState.CHUNKED, DocumentState.FAILED, at)
        if self._context.plan.components.embedder.throttle.wait_s():
            # Again, since counting says that it moves: what was stored here had been asked for before.
            PhaseProgress(tx, plan.attempt, JobPhase.EMBEDDING).wait_on(WaitingOn.RATE_LIMIT)
        if unwanted:  # their vectors are paid for: kept for a while, as those of a document that was deleted
            rows = [(None, chunk.text_hash) for chunk in unwanted]
            UnusedVectors(tx).let_go(plan.target.kb_key, rows, at_once=False)
        return gone

    def _settle(
        self,
        results: Sequence[BatchResult],
        done: Sequence[Chunk],
        failed: dict[int, FailedDocument],
        ready: Sequence[StagedDocument],
    ) -> None:
        for each in results:
            each.is_stored = True
        self._pending.settle(done)
        for document_id, failure in failed.items():
            if self._pending.document(document_id).is_carried:
                self._pending.drop([document_id])  # its document has failed before: that is no news of the embedder
            else:
                self._pending.fail(document_id, f"{failure.uri}: {failure.error}")
        self._pending.close(ready)
        self._sender.offer(ready)
        # In the order of the documents, not of the answers: ten failures in a row must mean the same however many calls
        # are in flight.
        for error in self._pending.decided():
            self._spend(error)


def _in_hand(ids: Sequence[int], tx: Transaction) -> set[int]:
    return taken_out.in_hand(tx, ids, DocumentState.CHUNKED)


async def _open_chunks_of(document: StagedDocument) -> list[Chunk]:
    if len(document.spans) <= STORE_CHUNKS:
        return Chunk.open_of(document)
    return await call_in_abandonable_thread(partial(Chunk.open_of, document))


def _parts(chunks: Sequence[Chunk]) -> list[Sequence[Chunk]]:
    return [chunks[first : first + STORE_CHUNKS] for first in range(0, len(chunks), STORE_CHUNKS)]
