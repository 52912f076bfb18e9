"""The loading actor: lists the source, reads what is new, and stores it as text."""

from collections.abc import Callable, Sequence
from functools import partial

import anyio

from phaseflow.actors.actor import Actor
from phaseflow.actors.batching import in_parts
from phaseflow.actors.context import RunContext
from phaseflow.actors.document_reading import Followed, Loaded
from phaseflow.actors.handoff import Receiver, Sender
from phaseflow.actors.outcomes import OutcomeRows, Outcomes
from phaseflow.actors.requests import Requests
from phaseflow.actors.source_lists import SourceLists
from phaseflow.actors.source_reading import SourceReader
from phaseflow.components.protocols import Document
from phaseflow.domain.errors import ComponentUnavailable, SourceDown
from phaseflow.domain.exception_text import text_of
from phaseflow.domain.log import get_logger
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import failpoints, taken_out, texts
from phaseflow.store.catalogue import PUSH
from phaseflow.store.crawl_frontier import ListedEntry
from phaseflow.store.documents import StagedDocument, StagedDocuments
from phaseflow.store.failures import FailedDocument
from phaseflow.store.job_sources import JobSources
from phaseflow.store.loaded_text import LoadedText
from phaseflow.store.progress import Done
from phaseflow.store.states import DocumentState
from phaseflow.store.taken_out import OnTheirWay
from phaseflow.store.texts import Texts
from phaseflow.store.transaction import Transaction

STORE_CHARACTERS = 32 * texts.SEGMENT
"""Characters of text stored in one transaction, some 20 ms."""


class LoadingActor(Actor):
    """Turns what the sources have into texts. Documents that did not change cost a hash, or not even that.

    Sources are read at the same time: one that is slow or down holds no other up.
    """

    phase = JobPhase.LOADING

    def __init__(
        self, context: RunContext, report: Callable[[], None], receiver: Receiver | None, sender: Sender | None
    ) -> None:
        super().__init__(context, report, receiver, sender)
        self._readers: list[SourceReader] = []
        self.lists = SourceLists(context, self.gate)
        self._storing = anyio.Lock(fast_acquire=True)
        self._requests = Requests(context, self.gate)

    async def work(self) -> None:
        plan = self.context.plan
        if plan.loaded:
            return  # the gate stays closed: what is asked for waits for the next job
        seq = plan.attempt.job_seq
        await self._requests.take()  # first: what is asked for is read even if its source lists it as unchanged
        failed, listed, names = await self.context.reads.read(
            lambda tx: (JobSources(tx, seq).failed(), JobSources(tx, seq).listed(), self.lists.names(tx))
        )
        self._readers = [
            SourceReader(self, name, loader, ComponentUnavailable(failed[name]) if name in failed else None)
            for name, loader in plan.components.loaders.items()
        ]
        self.lists.begin(self._readers, names)
        if not plan.lists and not plan.listed:
            async with self.gate:
                await self.context.write(self.lists.begin_without_list)
        async with anyio.create_task_group() as tasks:
            for reader in self._readers:
                tasks.start_soon(reader.run, not plan.lists or reader.name in listed)
            await self._requests.run(len(self._readers))

    def asked(self) -> None:
        """Something has come into the inbox."""
        self._requests.note()

    def hurry(self) -> None:
        """Take nothing more from the inbox."""
        self._requests.end()

    async def has_more(self, reader: SourceReader) -> bool:
        """Whether there may be more for a reader that has read all it had; waits for it."""
        reader.is_done = True
        has_more = await self._requests.next_round(reader.seen)
        reader.is_done = not has_more
        return has_more

    @property
    def rounds(self) -> int:
        """How often readers were asked to look for more."""
        return self._requests.rounds

    def is_alone(self, reader: SourceReader) -> bool:
        """Whether no other source has anything left to read."""
        return all(each.is_done for each in self._readers if each is not reader)

    async def give_up(self, reader: SourceReader, error: Exception) -> None:
        """Go on without a source that cannot be read. Raises its error when there is no other that can."""
        is_known, reader.error = reader.error is not None, error
        if self._is_hopeless(reader):
            raise error
        if not is_known:
            get_logger().warning(
                "a source cannot be read; going on without it", source=reader.name, error=text_of(error)
            )
            async with self.gate:
                await self.context.write(lambda tx: self.lists.give_up(tx, reader.name, text_of(error)))
        code, why = getattr(error, "code", SourceDown.code), text_of(error)

        def outcome(entry: ListedEntry) -> Followed | FailedDocument:
            return Followed() if entry.is_held else FailedDocument(entry.uri, code, why, counts=False)

        while page := await reader.open_page():
            async with self.gate:
                await self.store(reader, [(entry, outcome(entry)) for entry in page])

    def _is_hopeless(self, reader: SourceReader) -> bool:
        """Whether nothing of what the job is for can be read. What was pushed is always beside the sources."""
        if not self.context.plan.lists:
            return reader.name == PUSH
        sources = [each for each in self._readers if each.name != PUSH] or self._readers
        return all(each.error is not None for each in sources)

    async def store(self, reader: SourceReader, done: list[Loaded]) -> None:
        """Store what became of documents of a source. One after the other: documents are handed over in the order of
        their ids, and a large one has its own before its text is stored."""
        for part in in_parts(done, _characters, (STORE_CHARACTERS,)):
            async with self._storing:
                await self._store_part(reader, part)

    async def _store_part(self, reader: SourceReader, part: list[Loaded]) -> None:
        """Store outcomes in one transaction; the text of a large document in several before it."""
        outcomes = Outcomes.of(part)
        loaded = outcomes.loaded
        # A large text is alone in its part (``in_parts``), so it is enough to look at the first.
        begun = None
        if loaded and len(loaded[0].text) > STORE_CHARACTERS:
            begun = await self._store_text(loaded[0])
        await self.context.write(partial(self._store, reader=reader, outcomes=outcomes, begun=begun), self._hand_over)
        for entry, outcome in part:
            if not isinstance(outcome, FailedDocument):
                self.spend(None)
            elif outcome.counts:
                self.spend(f"{outcome.uri}: {outcome.error}", is_known=bool(entry.has_failed))

    async def _store_text(self, loaded: LoadedText) -> StagedDocument:
        """Store a large text, some segments at a time. It is nobody's yet: what a crash leaves of it is read again."""
        document = await self.context.write(partial(self._begin_text, loaded=loaded))
        for first, segments in texts.batches(loaded.text, loaded.parts, STORE_CHARACTERS):
            await self.context.write(partial(self._store_some, document_id=document.id, first=first, segments=segments))
            failpoints.hit("loading.stored_some")
        return document

    def _begin_text(self, tx: Transaction, loaded: LoadedText) -> StagedDocument:
        self.context.advance(tx, self.phase, Done())
        return StagedDocuments(tx).begin(self.context.plan.target, loaded, self.context.clock.now())

    def _store_some(self, tx: Transaction, document_id: int, first: int, segments: Sequence[texts.Segment]) -> None:
        self.context.advance(tx, self.phase, Done())
        Texts(tx).add([(document_id, first + n, each) for n, each in enumerate(segments)])

    def _store(
        self, tx: Transaction, reader: SourceReader, outcomes: Outcomes, begun: StagedDocument | None
    ) -> list[StagedDocument]:
        plan = self.context.plan
        staged = self._stage(tx, outcomes.loaded, begun)
        listed_again = OutcomeRows(tx, self.context, reader.name).settle(outcomes)
        if links := outcomes.links():
            self.lists.store(tx, reader, links, is_last=False)
        total = self.lists.total(tx) if links or outcomes.skipped or reader.follows_links else None
        loaded, as_before = len(outcomes.loaded), outcomes.as_before
        found = listed_again - len(outcomes.skipped)
        # Last, where other phases count first: the total depends on the links above. A stale attempt is refused all the
        # same, and what it has written here is rolled back with it.
        done = Done(loaded + as_before, len(outcomes.failed), as_before, loaded, total, found)
        self.context.advance(tx, self.phase, done)
        # What was skipped or deleted while it was read is loaded, and goes no further.
        OnTheirWay(tx, plan.target.kb_key).take_out_some([each.uri for each in staged])
        wanted = taken_out.in_hand(tx, [each.id for each in staged], DocumentState.LOADED)
        return [each for each in staged if each.id in wanted]

    def _stage(self, tx: Transaction, loaded: list[LoadedText], begun: StagedDocument | None) -> list[StagedDocument]:
        documents, at = StagedDocuments(tx), self.context.clock.now()
        if begun is not None:
            documents.finish(begun.id, at)
            return [begun]
        return documents.add(self.context.plan.target, loaded, at) if loaded else []

    def _hand_over(self, staged: list[StagedDocument]) -> None:
        assert self._sender is not None
        self._sender.offer(staged)


def _characters(loaded: Loaded) -> tuple[int]:
    return (len(loaded[1].text) if isinstance(loaded[1], Document) else 0,)
