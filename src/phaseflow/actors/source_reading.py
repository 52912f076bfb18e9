"""How loading reads one source: lists it, then reads what is new, at the pace that the source allows."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Protocol

from phaseflow.actors.byte_budget import ByteBudget
from phaseflow.actors.context import RunContext
from phaseflow.actors.document_reading import DocumentReader, Followed, Loaded, Outcome
from phaseflow.actors.gate import Gate
from phaseflow.actors.listing import CannotList, ListDropped, next_page
from phaseflow.actors.loading_limits import LoadingLimits
from phaseflow.actors.put_aside import PutAside
from phaseflow.actors.reading_window import BATCH, ReadingWindow
from phaseflow.components.contained import not_cancelled_by
from phaseflow.components.loader_answers import pages_of
from phaseflow.components.protocols import Document, Entry, Loader, Unchanged
from phaseflow.domain.errors import ComponentError, RateLimited, TransientError
from phaseflow.domain.vocabulary import JobPhase, WaitingOn
from phaseflow.store import failpoints
from phaseflow.store.crawl_frontier import Frontier, ListedEntry
from phaseflow.store.displaced import DisplacedEntries
from phaseflow.store.progress import PhaseProgress
from phaseflow.store.transaction import Transaction
from phaseflow.store.twins import Twins

EXPECTED = 1000
"""Documents that a loader is told of at once."""
IN_FLIGHT = 4
"""Documents read at once, unless the loader has an ``in_flight`` of its own."""
_SHOWN = 200
"""Characters of the uri of a document that takes long."""
LATE_S = 2.0
"""Short ways come first, but for a page that takes longer than this nothing deeper waits."""
LATE_BY_DEPTH_S = 10.0
"""The same where the depth is limited. What was read meanwhile, and then turns out to lie nearer, is read again."""


class _Lists(Protocol):
    """What the sources of a job have."""

    def store(self, tx: Transaction, reader: "SourceReader", found: Sequence[Entry], *, is_last: bool) -> None: ...
    async def let_in(self, reader: "SourceReader") -> None: ...


class _Loading(Protocol):
    """The phase that a reader works for."""

    context: RunContext
    gate: Gate

    @property
    def lists(self) -> _Lists: ...
    @property
    def rounds(self) -> int: ...
    def hold(self, reason: str) -> None: ...
    def is_alone(self, reader: "SourceReader") -> bool: ...
    async def has_more(self, reader: "SourceReader") -> bool: ...
    async def store(self, reader: "SourceReader", done: list[Loaded]) -> None: ...
    async def give_up(self, reader: "SourceReader", error: Exception) -> None: ...


class SourceReader:
    """One source of a job. ``error`` is why nothing more of it can be read."""

    def __init__(self, loading: _Loading, name: str, loader: Loader, error: Exception | None = None) -> None:
        self.name = name
        self.error = error
        self.is_done = False
        self.follows_links = bool(getattr(loader, "follows_links", False))  # the others list what they have
        self.has_let_in = False  # what others have in place of what it does not have any more (``SourceLists.let_in``)
        target, policies = loading.context.plan.target, loading.context.plan.policies
        self.known = (target.kb_key, target.index_version, target.recipe, target.mark)
        self.max_entries: int | None = getattr(loader, "max_entries", None)
        self._loading = loading
        self._context = loading.context
        self._gate = loading.gate
        self._note: str | None = None
        self._loader = loader
        stalled_s = policies.guard.stalled_s if self.follows_links else None
        self._limits = LoadingLimits(policies.guard.rate_limited_s, stalled_s=stalled_s)
        self._budget = ByteBudget()
        self._aside = PutAside(self._limits, max(policies.budget.in_a_row, self._in_flight()))
        self._documents = DocumentReader(
            loading.context, loading.gate, loader, self._limits, self._aside, self._pause_if
        )
        self.has_max_depth = getattr(loader, "max_depth", None) is not None
        self._may_drop = bool(getattr(loader, "drops_reads", False))
        self._looked = 0.0
        self.seen = 0
        """The rounds of the phase before the last look at what there is to read."""

    async def run(self, is_listed: bool) -> None:
        """Read all there is, and what is asked for beside it, until the phase says that no more will come. What the
        source itself fails with is the phase's to judge. Cancelling drops what is not stored."""
        try:
            await self._say_what_is_known()
            await self._read(is_listed)
            while await self._loading.has_more(self):
                await self._read(is_listed=True)
        finally:
            self.is_done = True

    async def _say_what_is_known(self) -> None:
        """Tell the loader which documents there are, if it wants to know."""
        if (expect := getattr(self._loader, "expect_documents", None)) is None:
            return
        key, seq = self.known[0], self._context.plan.attempt.job_seq

        def searchable(tx: Transaction, after: str) -> tuple[list[tuple[str, bytes]], str | None]:
            return Twins(tx).documents_of(key, self.name, after, EXPECTED)

        def in_hand(tx: Transaction, after: str) -> tuple[list[tuple[str, bytes]], str | None]:
            return Twins(tx).documents_in_hand(key, seq, self.name, after, EXPECTED)

        for look in (searchable, in_hand):
            after: str | None = ""
            while after is not None:
                found, after = await self._context.reads.read(partial(look, after=after))
                expect(found)

    async def _read(self, is_listed: bool) -> None:
        """Read what there is now."""
        self.seen = self._loading.rounds
        try:
            if self.error is not None:
                await self._loading.give_up(self, self.error)
                return
            with not_cancelled_by("the loader"):
                if not is_listed:
                    await self._list()
                await self._loading.lists.let_in(self)
                await self._read_listed()
                if self.follows_links:  # only now it has named all it has
                    await self._loading.lists.let_in(self)
        except (CannotList, ComponentError) as error:
            self._aside.forget()
            await self._loading.give_up(self, error.cause if isinstance(error, CannotList) else error)

    async def _read_listed(self) -> None:
        while True:
            self.seen = self._loading.rounds
            waiting, due = self._aside.sorted_out()
            if page := await self._open_more():
                async with self._gate:
                    await self._read_window(page)
            elif due and not await self.open_page(only=due):
                self._aside.drop(due)  # their time has come, and they are not in the list any more
            elif waiting:
                await self._wait_for_those_aside(waiting)
            else:
                return

    async def _open_more(self, in_hand: Collection[int] = (), late: Collection[int] = ()) -> list[ListedEntry]:
        """The next documents to be read, beside those in hand. Deeper ones wait for those that are neither ``late``
        nor aside; where the depth is limited, for those aside too until they are late."""
        waiting, due = self._aside.sorted_out()
        due = [entry_id for entry_id in due if entry_id not in in_hand]
        only = None if self._aside.has_room() else due
        passed = self._aside.late(LATE_BY_DEPTH_S) if self.has_max_depth else waiting
        return await self.open_page([*waiting, *in_hand], only, {*late, *passed}.difference(due))

    async def open_page(
        self, aside: Sequence[int] = (), only: Sequence[int] | None = None, passed: Collection[int] = ()
    ) -> list[ListedEntry]:
        """The next documents that have not been read, then the pages that others hold, for their links; without those
        put ``aside``, or of ``only`` these. None is deeper than one aside that is not ``passed``."""
        seq, most = self._context.plan.attempt.job_seq, max(BATCH, 2 * self._in_flight())

        def look(tx: Transaction) -> list[ListedEntry]:
            page = Frontier(tx, seq).open_page(self.name, most, self.known, aside=aside, only=only, passed=[*passed])
            if page or not self.follows_links:
                return page
            return DisplacedEntries(tx, seq).open_page(self.name, most, aside=aside, only=only)

        return await self._context.reads.read(look)

    async def _wait_for_those_aside(self, waiting: Sequence[int]) -> None:
        """Wait, outside the gate, until a document that failed for now may be tried again."""
        wait_s, reason = self._aside.next(waiting)
        if self.has_max_depth:
            wait_s = min(wait_s, self._aside.until_late_s(LATE_BY_DEPTH_S))
        async with self._gate:
            await self._documents.show(reason)
        began = self._limits.now()
        await self._gate.sleep(wait_s)
        if reason is WaitingOn.RETRY:  # what a source asked for is no standstill
            self._pause_if(self._limits.why_stalled(self._limits.now() - began, stored=False))
        if not self._gate.is_open:
            self._aside.forget()
            self._limits.forget()

    def _in_flight(self) -> int:
        found: int = getattr(self._loader, "in_flight", IN_FLIGHT)
        return max(1, found)

    async def _list(self) -> None:
        limited, attempt, waited_s = 0, 1, 0.0
        while True:
            try:
                if await self._list_all():
                    return
                failpoints.hit("loading.dropped")
            except CannotList as error:
                if isinstance(error.cause, RateLimited):
                    limited += 1  # no attempt: it is waited out, and the list begun anew
                    await self._wait_to_list(error.cause, limited)
                    continue
                if not isinstance(error.cause, TransientError):
                    raise
                wait_s = self._context.backoff_s(attempt, waited_s, error.cause.retry_after_s)
                if wait_s is None:
                    raise
                attempt, waited_s = attempt + 1, waited_s + wait_s
                await self._wait_shown(WaitingOn.RETRY, wait_s)

    async def _wait_to_list(self, error: RateLimited, times: int) -> None:
        """Wait, outside the gate, as long as the source asks; or pause the phase when that is too long."""
        if not self._pause_if(self._limits.why_pause(error)):
            await self._wait_shown(WaitingOn.RATE_LIMIT, self._limits.wait_s(error, times))

    async def _wait_shown(self, reason: WaitingOn, wait_s: float) -> None:
        async with self._gate:
            await self._documents.show(reason)
        await self._gate.sleep(wait_s)
        if not self._gate.is_open:
            self._limits.forget()
        async with self._gate:  # a list that is begun anew may bring nothing new for long
            await self._documents.show(None)

    async def _list_all(self) -> bool:
        """False where the list was dropped: it is begun anew once the gate is open, and what is known is passed."""
        try:
            async with pages_of(self._loader) as pages:
                while await self._list_page(pages):
                    failpoints.hit("loading.listed")
        except ListDropped:
            return False
        return True

    async def _list_page(self, pages: Any) -> bool:
        async with self._gate:
            page = await next_page(self._loader, pages, self._gate)
            if page is None:  # not before: a list that is begun anew is no answer, however often its first page comes
                self._limits.passed()
            await self._context.write(lambda tx: self._loading.lists.store(tx, self, page or (), is_last=page is None))
            return page is not None

    async def _read_window(self, first: list[ListedEntry]) -> None:
        window = ReadingWindow(
            self._gate, self._budget, in_flight=self._in_flight, open_more=self._open_more, read=self._read_one,
            keep=self._keep, late_s=LATE_BY_DEPTH_S if self.has_max_depth else LATE_S, may_drop=self._may_drop,
        )  # fmt: skip
        self._looked = self._limits.now()
        await window.run(first)

    async def _keep(self, done: list[Loaded], reads_on: bool, slow: ListedEntry | None) -> None:
        """Store what has been read."""
        if done:
            await self._loading.store(self, done)
        since, self._looked = self._looked, self._limits.now()
        stored = any(isinstance(outcome, Document | Unchanged | Followed) for _, outcome in done)
        self._pause_if(self._limits.why_stalled(self._looked - since, stored=stored))
        if reads_on:
            await self._say_what_takes_long(slow)

    def _pause_if(self, reason: str | None) -> bool:
        """Pause the phase for a reason, unless other sources still have something to read: they are not held up."""
        if reason is None or not self._loading.is_alone(self):
            return False
        self._loading.hold(reason)
        return True

    async def _read_one(self, entry: ListedEntry) -> Outcome | None:
        # Without room it stays open in the list, for later.
        return await self._documents.read(entry) if self._aside.has_room(entry.id) else None

    async def _say_what_takes_long(self, slow: ListedEntry | None) -> None:
        words = self._context.plan.components.working_on
        note = words() if words is not None else None
        if note is None and slow is not None:
            note = f"still reading {slow.uri[:_SHOWN]}"
        if note is not None and note != self._note:
            attempt = self._context.plan.attempt
            await self._context.write(lambda tx: PhaseProgress(tx, attempt, JobPhase.LOADING).note(note))
        self._note = note
