"""The loading actor: lists the source, reads what is new, and stores it as text."""

from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

import anyio

from phaseflow.actors.actor import Actor
from phaseflow.actors.batching import in_parts
from phaseflow.actors.loading_limits import LoadingLimits
from phaseflow.actors.storable_text import storable
from phaseflow.components.protocols import Document, Entry, Known, Skipped, Unchanged
from phaseflow.domain.errors import (
    ComponentUnavailable,
    DocumentError,
    RateLimited,
    SourceDown,
    TransientError,
    WorkerUnavailable,
)
from phaseflow.domain.vocabulary import JobPhase, WaitingOn
from phaseflow.store import catalogue, crawl_frontier, documents, failpoints, failures, progress, texts
from phaseflow.store.crawl_frontier import ListedEntry
from phaseflow.store.documents import LoadedText, StagedDocument
from phaseflow.store.failures import FailedDocument
from phaseflow.store.progress import Done
from phaseflow.store.states import EntryState
from phaseflow.store.transaction import Transaction

BATCH = 32
"""Documents read and stored together, where reading them takes no longer than ``STORE_S``."""
STORE_S = 0.5
"""What has been read waits no longer to be stored: a site that answers every ten seconds is lost a page by a kill, not
a batch, and its progress is seen."""
IN_FLIGHT = 4
"""Documents read at once, unless the loader has an ``in_flight`` of its own."""

STORE_CHARACTERS = 32 * texts.SEGMENT
"""Characters of text stored in one transaction, some 20 ms."""

Outcome = Document | Unchanged | Skipped | FailedDocument
Loaded = tuple[ListedEntry, Outcome]


class LoadingActor(Actor):
    """Turns what a source has into texts. Documents that did not change cost a hash, or not even that."""

    phase = JobPhase.LOADING

    async def work(self) -> None:
        plan = self.shop.plan
        target = plan.target
        self._known = (target.kb_key, target.index_version, target.recipe)
        self._loader = plan.components.loader
        guard = plan.policies.guard
        is_site = getattr(self._loader, "follows_links", False)  # the others list what they have, and it ends
        self._limits = LoadingLimits(guard.rate_limited_s, stalled_s=guard.stalled_s if is_site else None)
        self._limit = anyio.CapacityLimiter(getattr(self._loader, "in_flight", IN_FLIGHT))
        if not plan.listed:
            await self._list()
        while page := await self._open_page():
            async with self.gate:
                await self._load(page)
            failpoints.hit("loading.between")

    async def _list(self) -> None:
        async with aclosing(self._loader.list()) as pages:  # type: ignore[type-var]  # every async generator has aclose
            while await self._list_page(pages):
                failpoints.hit("loading.listed")

    async def _list_page(self, pages: Any) -> bool:
        async with self.gate:
            page: Sequence[Entry] | None = await anext(pages, None)
            await self.shop.write(lambda tx: self._store_entries(tx, page or (), is_last=page is None))
            return page is not None

    def _store_entries(self, tx: Transaction, found: Sequence[Entry], *, is_last: bool) -> None:
        seq = self.shop.plan.run.job_seq
        trust = None if self.shop.plan.full else self._known
        most: int | None = getattr(self._loader, "max_entries", None)
        rows = [(e.uri, e.size, e.stamp, e.depth) for e in found]
        _, unchanged = crawl_frontier.add(tx, seq, rows, trust, most, at=self.shop.clock.now())
        total = crawl_frontier.count(tx, seq) if is_last else None
        if is_last:
            crawl_frontier.finish_listing(tx, seq)
        self.shop.advance(tx, self.phase, Done(processed=unchanged, reused=unchanged, total=total))

    async def _open_page(self) -> list[ListedEntry]:
        seq = self.shop.plan.run.job_seq
        return await self.shop.database.read(lambda tx: crawl_frontier.open_page(tx, seq, BATCH, self._known))

    async def _load(self, page: list[ListedEntry]) -> None:
        outcomes: dict[int, Outcome] = {}
        ended = anyio.Event()
        async with anyio.create_task_group() as keeper:
            keeper.start_soon(self._keep, page, outcomes, ended)
            failure = await self._load_all(page, outcomes)
            ended.set()
        if failure is not None:
            raise failure

    async def _load_all(self, page: list[ListedEntry], outcomes: dict[int, Outcome]) -> Exception | None:
        try:
            async with anyio.create_task_group() as tasks:
                for entry in page:
                    tasks.start_soon(self._load_one, entry, outcomes)
        except Exception as error:  # noqa: BLE001  # raised once what was read is stored
            return error
        return None

    async def _keep(self, page: list[ListedEntry], outcomes: dict[int, Outcome], ended: anyio.Event) -> None:
        """Store what has been read, until nothing more will be."""
        is_last = False
        looked = self._limits.now()
        while not is_last:
            with anyio.move_on_after(STORE_S):
                await ended.wait()
            is_last = ended.is_set()
            done = [(entry, outcomes.pop(entry.id)) for entry in page if entry.id in outcomes]
            if done:
                await self._store_done(done)
            since, looked = looked, self._limits.now()
            stored = any(isinstance(outcome, Document | Unchanged) for _, outcome in done)
            reason = self._limits.why_stalled(looked - since, stored=stored)
            if reason is not None:
                self.hold(reason)

    async def _store_done(self, done: list[tuple[ListedEntry, Outcome]]) -> None:
        for part in in_parts(done, _characters, (STORE_CHARACTERS,)):
            await self._store_part(part)

    async def _store_part(self, part: list[Loaded]) -> None:
        """Store outcomes in one transaction; the text of a large document in several before it."""
        loaded = [_text(entry, outcome) for entry, outcome in part if isinstance(outcome, Document)]
        begun = None
        if loaded and len(loaded[0].text) > STORE_CHARACTERS:
            begun = await self._store_text(loaded[0])
        await self.shop.write(partial(self._store, done=part, loaded=loaded, begun=begun), self._hand_over)
        for _, outcome in part:
            if not isinstance(outcome, FailedDocument):
                self.spend(None)
            elif outcome.counts:
                self.spend(f"{outcome.uri}: {outcome.error}")

    async def _load_one(self, entry: ListedEntry, outcomes: dict[int, Outcome]) -> None:
        known = None
        if entry.known_hash is not None:
            known = Known(bytes.fromhex(entry.known_hash), entry.known_stamp)
        listed = Entry(entry.uri, entry.size, entry.stamp, entry.depth)
        attempt, waited_s, limited = 1, 0.0, 0
        async with self._limit:
            began = self._limits.now()
            while self.gate.is_open:
                try:
                    outcomes[entry.id] = await self._loader.load(listed, known)
                    self._limits.passed()
                except RateLimited as error:  # no fault of the page, and no attempt
                    limited += 1
                    await self._wait_out(error, limited)
                    continue
                except TransientError as error:
                    wait_s = self.shop.backoff_s(attempt, waited_s, error.retry_after_s)
                    if wait_s is None and isinstance(error, SourceDown) and self._limits.last_success <= began:
                        raise  # while other pages pass, it is this one that cannot be reached
                    if wait_s is None:
                        counts = not isinstance(error, WorkerUnavailable)
                        outcomes[entry.id] = FailedDocument(entry.uri, error.code, str(error), counts)
                        return
                    attempt, waited_s = attempt + 1, waited_s + wait_s
                    await self._show(WaitingOn.RETRY)
                    await self.gate.sleep(wait_s)
                    continue
                except DocumentError as error:
                    self._limits.forget()
                    outcomes[entry.id] = FailedDocument(entry.uri, error.code, str(error), error.counts, error.gone)
                except ComponentUnavailable:
                    raise
                except ImportError as error:
                    message = f"the loader cannot work: {error}; install what is missing"
                    raise ComponentUnavailable(message) from error
                except Exception as error:  # noqa: BLE001  # whatever a loader raises is the document's failure
                    outcomes[entry.id] = FailedDocument(entry.uri, "load_error", f"{type(error).__name__}: {error}")
                return

    async def _wait_out(self, error: RateLimited, times: int) -> None:
        """Wait as the source asks, shown; or pause the phase when it has answered nothing else for too long."""
        reason = self._limits.why_pause(error)
        if reason is not None:
            self.hold(reason)
            return
        await self._show(WaitingOn.RATE_LIMIT)
        self._limits.waiting += 1
        await self.gate.sleep(self._limits.wait_s(error, times))
        self._limits.waiting -= 1
        if not self.gate.is_open:
            self._limits.forget()

    async def _show(self, reason: WaitingOn) -> None:
        run = self.shop.plan.run
        await self.shop.write(lambda tx: progress.wait_on(tx, run, self.phase, reason))

    async def _store_text(self, loaded: LoadedText) -> StagedDocument:
        """Store a large text, some segments at a time. It is nobody's yet: what a crash leaves of it is read again."""
        document = await self.shop.write(partial(self._begin_text, loaded=loaded))
        for first, segments in texts.batches(loaded.text, loaded.parts, STORE_CHARACTERS):
            await self.shop.write(partial(self._store_some, document_id=document.id, first=first, segments=segments))
            failpoints.hit("loading.stored_some")
        return document

    def _begin_text(self, tx: Transaction, loaded: LoadedText) -> StagedDocument:
        self.shop.advance(tx, self.phase, Done())
        return documents.begin(tx, self.shop.plan.target, loaded, self.shop.clock.now())

    def _store_some(self, tx: Transaction, document_id: int, first: int, segments: Sequence[texts.Segment]) -> None:
        self.shop.advance(tx, self.phase, Done())
        texts.add(tx, [(document_id, first + n, each) for n, each in enumerate(segments)])

    def _store(
        self, tx: Transaction, done: list[Loaded], loaded: list[LoadedText], begun: StagedDocument | None
    ) -> list[StagedDocument]:
        plan, at = self.shop.plan, self.shop.clock.now()
        seq, known = plan.run.job_seq, (plan.target.kb_key, plan.target.index_version)
        unchanged = [(entry, outcome) for entry, outcome in done if isinstance(outcome, Unchanged)]
        skipped = [entry for entry, outcome in done if isinstance(outcome, Skipped)]
        failed = [(entry, outcome) for entry, outcome in done if isinstance(outcome, FailedDocument)]
        if begun is not None:
            documents.finish(tx, begun.id, at)
            staged = [begun]
        else:
            staged = documents.add(tx, plan.target, loaded, at) if loaded else []
        crawl_frontier.settle(tx, seq, [text.entry_id for text in loaded], EntryState.LOADED)
        if unchanged:
            crawl_frontier.settle(tx, seq, [entry.id for entry, _ in unchanged], EntryState.UNCHANGED)
            crawl_frontier.refresh_stamps(tx, known, [(entry.uri, outcome.stamp) for entry, outcome in unchanged])
            failures.clear(tx, plan.target.kb_key, [entry.uri for entry, _ in unchanged])
        if skipped:
            crawl_frontier.settle(tx, seq, [entry.id for entry in skipped], EntryState.SKIPPED)
            catalogue.forget(tx, plan.target.kb_key, [entry.uri for entry in skipped])
        if failed:
            crawl_frontier.settle(tx, seq, [entry.id for entry, f in failed if not f.gone], EntryState.FAILED)
            crawl_frontier.settle(tx, seq, [entry.id for entry, f in failed if f.gone], EntryState.GONE)
            self.shop.fail(tx, self.phase, [outcome for _, outcome in failed])
        tried = [entry.uri for entry, outcome in done if not isinstance(outcome, Skipped)]
        catalogue.count_attempts(tx, plan.target.kb_key, tried)
        found = [link for _, outcome in done if not isinstance(outcome, FailedDocument) for link in outcome.links]
        links = {link.uri: link for link in sorted(found, key=_depth, reverse=True)}
        if links:
            self._store_entries(tx, list(links.values()), is_last=False)
        total = crawl_frontier.count(tx, seq) if links or skipped else None
        counts = Done(len(loaded) + len(unchanged), len(failed), len(unchanged), len(loaded), total)
        self.shop.advance(tx, self.phase, counts)
        return staged

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
        media_type=document.media_type,
        content_hash=document.content_hash.hex(),
        stamp=document.stamp,
        text=storable(document.text),
        parts=document.parts,
        source=entry.source,
        size=entry.size,
        metadata=document.metadata,
    )


def _characters(loaded: Loaded) -> tuple[int]:
    return (len(loaded[1].text) if isinstance(loaded[1], Document) else 0,)
