"""The loading actor: lists the source, reads what is new, and stores it as text."""

from collections.abc import Callable, Sequence
from functools import partial

import anyio

from phaseflow.actors.actor import Actor
from phaseflow.actors.batching import in_parts
from phaseflow.actors.context import RunContext
from phaseflow.actors.document_reading import Followed, LeftOut, Loaded
from phaseflow.actors.handoff import Receiver, Sender
from phaseflow.actors.requests import Requests
from phaseflow.actors.source_lists import SourceLists
from phaseflow.actors.source_reading import SourceReader
from phaseflow.actors.storable_text import storable
from phaseflow.components.protocols import Document, Entry, Skipped, Unchanged
from phaseflow.domain.errors import ComponentUnavailable, SourceDown
from phaseflow.domain.log import get_logger
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import crawl_frontier, failpoints, taken_out, texts
from phaseflow.store.catalogue import PUSH, Catalogue
from phaseflow.store.crawl_frontier import Frontier, ListedEntry
from phaseflow.store.displaced import DisplacedEntries
from phaseflow.store.documents import StagedDocument, StagedDocuments
from phaseflow.store.failures import FailedDocument, Failures
from phaseflow.store.inbox import Inbox
from phaseflow.store.job_sources import JobSources
from phaseflow.store.loaded_text import LoadedText
from phaseflow.store.progress import Done
from phaseflow.store.states import DocumentState, EntryState
from phaseflow.store.texts import Texts
from phaseflow.store.transaction import Transaction
from phaseflow.store.twins import Twins

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
        self._storing = anyio.Lock()
        self._requests = Requests(context, self.gate)

    async def work(self) -> None:
        plan = self.context.plan
        if plan.loaded:
            return  # the gate stays closed: what is asked for waits for the next job
        seq = plan.attempt.job_seq
        await self._requests.take()  # first: what is asked for is read even if its source lists it as unchanged
        failed = await self.context.database.read(lambda tx: JobSources(tx, seq).failed())
        listed = await self.context.database.read(lambda tx: JobSources(tx, seq).listed())
        self._readers = [
            SourceReader(self, name, loader, ComponentUnavailable(failed[name]) if name in failed else None)
            for name, loader in plan.components.loaders.items()
        ]
        await self.lists.begin(self._readers)
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
        has_more = await self._requests.next_round()
        reader.is_done = not has_more
        return has_more

    def is_alone(self, reader: SourceReader) -> bool:
        """Whether no other source has anything left to read."""
        return all(each.is_done for each in self._readers if each is not reader)

    async def give_up(self, reader: SourceReader, error: Exception) -> None:
        """Go on without a source that cannot be read. Raises its error when there is no other that can."""
        is_known, reader.error = reader.error is not None, error
        if self._is_hopeless(reader):
            raise error
        if not is_known:
            get_logger().warning("a source cannot be read; going on without it", source=reader.name, error=str(error))
            async with self.gate:
                await self.context.write(lambda tx: self.lists.give_up(tx, reader.name, str(error)))
        code, why = getattr(error, "code", SourceDown.code), str(error)

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
        loaded = [_text(entry, outcome) for entry, outcome in part if isinstance(outcome, Document)]
        # A large text is alone in its part (``in_parts``), so it is enough to look at the first.
        begun = None
        if loaded and len(loaded[0].text) > STORE_CHARACTERS:
            begun = await self._store_text(loaded[0])
        await self.context.write(
            partial(self._store, reader=reader, done=part, loaded=loaded, begun=begun), self._hand_over
        )
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
        self,
        tx: Transaction,
        reader: SourceReader,
        done: list[Loaded],
        loaded: list[LoadedText],
        begun: StagedDocument | None,
    ) -> list[StagedDocument]:
        # All that may become of a document in one function, and all of it in one transaction: an entry that is settled
        # without its text, failure, request or count would stay like that after a crash.
        plan, at = self.context.plan, self.context.clock.now()
        seq, known = plan.attempt.job_seq, (plan.target.kb_key, plan.target.index_version)
        frontier, catalogue = Frontier(tx, seq), Catalogue(tx, plan.target.kb_key)
        unchanged = [(entry, outcome) for entry, outcome in done if isinstance(outcome, Unchanged)]
        skipped = [entry for entry, outcome in done if isinstance(outcome, Skipped)]
        twin_of = [(o.twin, entry.uri, o.is_same) for entry, o in done if isinstance(o, Skipped) and o.twin]
        listed_again = 0
        left_out = [entry for entry, outcome in done if isinstance(outcome, LeftOut)]
        DisplacedEntries(tx, seq).settle([entry.id for entry, outcome in done if isinstance(outcome, Followed)])
        failed = [(entry, outcome) for entry, outcome in done if isinstance(outcome, FailedDocument)]
        if begun is not None:
            StagedDocuments(tx).finish(begun.id, at)
            staged = [begun]
        else:
            staged = StagedDocuments(tx).add(plan.target, loaded, at) if loaded else []
        frontier.settle([text.entry_id for text in loaded], EntryState.LOADED)
        if unchanged:
            frontier.settle([entry.id for entry, _ in unchanged], EntryState.UNCHANGED)
            stamps = [(entry.uri, outcome.stamp) for entry, outcome in unchanged]
            crawl_frontier.refresh_stamps(tx, known, stamps, reader.name)
            # Only of these: a document that was read anew keeps its failure, and its request below, until it is
            # searchable, for a later phase may fail it again.
            Failures(tx, plan.target.kb_key).clear([entry.uri for entry, _ in unchanged])
        # Not SKIPPED, which means that the source has no such document: it has this one, so it counts and stays.
        frontier.settle([entry.id for entry in left_out], EntryState.UNCHANGED)
        inbox = Inbox(tx, plan.target.kb_key)
        inbox.leave_newer(seq, [(entry.uri, entry.request) for entry, _ in done if not entry.is_held])
        settled = [entry.uri for entry in (*(entry for entry, _ in unchanged), *skipped, *left_out)]
        inbox.settle(seq, settled)
        if skipped:
            frontier.settle([entry.id for entry in skipped], EntryState.SKIPPED)
            catalogue.forget([entry.uri for entry in skipped])
            Twins(tx).note(plan.target, [(twin, uri) for twin, uri, _ in twin_of])
            if canonical := [uri for _, uri, is_same in twin_of if not is_same]:
                JobSources(tx, seq).add_canonical(reader.name, canonical)
            listed_again = Twins(tx).mark_same(seq, [(twin, uri) for twin, uri, is_same in twin_of if is_same])
        if failed:
            frontier.settle([entry.id for entry, f in failed if not f.gone], EntryState.FAILED)
            frontier.settle([entry.id for entry, f in failed if f.gone], EntryState.GONE)
            self.context.fail(tx, self.phase, [outcome for _, outcome in failed])
        tried = [entry.uri for entry, outcome in done if not isinstance(outcome, Skipped | LeftOut | Followed)]
        catalogue.count_attempts(tried)
        found = [link for _, outcome in done if not isinstance(outcome, FailedDocument) for link in outcome.links]
        # Several pages lead to the same address: the shortest way counts, so the deepest come first and are
        # overwritten. Else the depth limit would depend on which page was read first.
        links = {link.uri: link for link in sorted(found, key=_depth, reverse=True)}
        if links:
            self.lists.store(tx, reader, list(links.values()), is_last=False)
        total = self.lists.total(tx) if links or skipped or reader.follows_links else None
        as_before = len(unchanged) + len(left_out)
        # Last, where other phases count first: the total depends on the links above. A stale attempt is refused all the
        # same, and what it has written here is rolled back with it.
        counts = Done(len(loaded) + as_before, len(failed), as_before, len(loaded), total, listed_again - len(skipped))
        self.context.advance(tx, self.phase, counts)
        # What was skipped or deleted while it was read is loaded, and goes no further.
        taken_out.take_out_some(tx, plan.target.kb_key, [each.uri for each in staged])
        wanted = taken_out.in_hand(tx, [each.id for each in staged], DocumentState.LOADED)
        return [each for each in staged if each.id in wanted]

    def _hand_over(self, staged: list[StagedDocument]) -> None:
        assert self._sender is not None
        self._sender.offer(staged)


def _depth(link: Entry) -> int:
    return link.depth


def _text(entry: ListedEntry, document: Document) -> LoadedText:
    return LoadedText(
        entry_id=entry.id,
        uri=entry.uri,
        title=storable(document.title),
        media_type=document.read_as or document.media_type,
        text_type=document.media_type,
        content_hash=document.content_hash.hex(),
        stamp=document.stamp,
        text=storable(document.text),
        parts=document.parts,
        source=entry.source,
        size=entry.size if document.size is None else document.size,
        metadata=document.metadata,
    )


def _characters(loaded: Loaded) -> tuple[int]:
    return (len(loaded[1].text) if isinstance(loaded[1], Document) else 0,)
