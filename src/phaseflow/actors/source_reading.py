"""How loading reads one source: lists it, then reads what is new, at the pace that the source allows."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

import anyio

from phaseflow.actors.byte_budget import ByteBudget
from phaseflow.actors.context import RunContext
from phaseflow.actors.document_reading import DocumentReader, Followed, Loaded, Outcome
from phaseflow.actors.gate import Gate
from phaseflow.actors.loading_limits import LoadingLimits
from phaseflow.actors.put_aside import PutAside
from phaseflow.background_task import only_error
from phaseflow.components.contained import contained
from phaseflow.components.loader_answers import checked_page, pages_of
from phaseflow.components.protocols import Document, Entry, Loader, Unchanged
from phaseflow.domain.errors import ComponentError
from phaseflow.domain.vocabulary import JobPhase, WaitingOn
from phaseflow.store import failpoints
from phaseflow.store.crawl_frontier import Frontier, ListedEntry
from phaseflow.store.displaced import DisplacedEntries
from phaseflow.store.progress import PhaseProgress
from phaseflow.store.transaction import Transaction
from phaseflow.store.twins import Twins

BATCH = 32
"""Documents read and stored together, where reading them takes no longer than ``_STORE_S``."""
_STORE_S = 0.5
"""What has been read waits no longer to be stored: a site that answers every ten seconds is lost a page by a kill, not
a batch, and its progress is seen."""
EXPECTED = 1000
"""Documents that a loader is told of at once."""
IN_FLIGHT = 4
"""Documents read at once, unless the loader has an ``in_flight`` of its own."""


class _CannotList(Exception):
    """What a loader raised while it was listing."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Lists(Protocol):
    """What the sources of a job have."""

    def store(self, tx: Transaction, reader: "SourceReader", found: Sequence[Entry], *, is_last: bool) -> None: ...
    async def let_in(self, reader: "SourceReader") -> None: ...


class Loading(Protocol):
    """The phase that a reader works for."""

    context: RunContext
    gate: Gate

    @property
    def lists(self) -> Lists: ...
    def hold(self, reason: str) -> None: ...
    def is_alone(self, reader: "SourceReader") -> bool: ...
    async def has_more(self, reader: "SourceReader") -> bool: ...
    async def store(self, reader: "SourceReader", done: list[Loaded]) -> None: ...
    async def give_up(self, reader: "SourceReader", error: Exception) -> None: ...


class SourceReader:
    """One source of a job. ``error`` is why nothing more of it can be read."""

    def __init__(self, loading: Loading, name: str, loader: Loader, error: Exception | None = None) -> None:
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
        self._limit = anyio.CapacityLimiter(self._in_flight())
        self._budget = ByteBudget()
        self._aside = PutAside(self._limits, max(policies.budget.in_a_row, self._in_flight()))
        self._documents = DocumentReader(
            loading.context, loading.gate, loader, self._limits, self._aside, self._pause_if
        )
        self._waits_for_depth = getattr(loader, "max_depth", None) is not None

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
                found, after = await self._context.database.read(partial(look, after=after))
                expect(found)

    async def _read(self, is_listed: bool) -> None:
        """Read what there is now."""
        try:
            if self.error is not None:
                await self._loading.give_up(self, self.error)
                return
            if not is_listed:
                await self._list()
            await self._loading.lists.let_in(self)
            await self._read_listed()
            await self._loading.lists.let_in(self)
        except (_CannotList, ComponentError) as error:
            self._aside.forget()
            await self._loading.give_up(self, error.cause if isinstance(error, _CannotList) else error)

    async def _read_listed(self) -> None:
        while True:
            waiting, due = self._aside.sorted_out()
            only = None if self._aside.has_room() else due
            if page := await self.open_page(waiting, only):
                async with self._gate:
                    await self._load(page)
                failpoints.hit("loading.between")
            elif due:
                self._aside.drop(due)  # their time has come, and they are not in the list any more
            elif waiting:
                await self._wait_for_those_aside(waiting)
            else:
                return

    async def open_page(self, aside: Sequence[int] = (), only: Sequence[int] | None = None) -> list[ListedEntry]:
        """The next documents that have not been read, then the pages that others hold, for their links; without those
        put ``aside``, or of ``only`` these."""
        seq, most = self._context.plan.attempt.job_seq, max(BATCH, 2 * self._in_flight())

        def look(tx: Transaction) -> list[ListedEntry]:
            page = Frontier(tx, seq).open_page(
                self.name, most, self.known, aside=aside, only=only, by_depth=self._waits_for_depth
            )
            if page or not self.follows_links:
                return page
            return DisplacedEntries(tx, seq).open_page(self.name, most, aside=aside, only=only)

        return await self._context.database.read(look)

    async def _wait_for_those_aside(self, waiting: Sequence[int]) -> None:
        """Wait, outside the gate, until a document that failed for now may be tried again."""
        wait_s, reason = self._aside.next(waiting)
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
        async with pages_of(self._loader) as pages:
            while await self._list_page(pages):
                failpoints.hit("loading.listed")

    async def _list_page(self, pages: Any) -> bool:
        async with self._gate:
            try:
                given = await contained(anext(pages, None), "the loader")
                page = None if given is None else checked_page(self._loader, given)
            except Exception as error:
                raise _CannotList(error) from error
            await self._context.write(lambda tx: self._loading.lists.store(tx, self, page or (), is_last=page is None))
            return page is not None

    async def _load(self, page: list[ListedEntry]) -> None:
        outcomes: dict[int, Outcome] = {}
        ended = anyio.Event()
        # A task of its own stores what has been read while the rest of the page is still being read, so that a slow
        # document keeps nobody else's back. A failure is carried past it as a value: raised at once, it would cancel
        # the storing, and what was read already would be read, and paid for, again.
        async with anyio.create_task_group() as keeper:
            keeper.start_soon(self._keep, page, outcomes, ended)
            failure = await _failure_of(lambda: self._load_all(page, outcomes))
            ended.set()
        if failure is not None:
            raise failure

    async def _load_all(self, page: list[ListedEntry], outcomes: dict[int, Outcome]) -> None:
        async with anyio.create_task_group() as tasks:
            for entry in page:
                tasks.start_soon(self._load_one, entry, outcomes)

    async def _keep(self, page: list[ListedEntry], outcomes: dict[int, Outcome], ended: anyio.Event) -> None:
        """Store what has been read, until nothing more will be."""
        is_last = False
        looked = self._limits.now()
        while not is_last:
            with anyio.move_on_after(_STORE_S):
                await ended.wait()
            is_last = ended.is_set()
            done = [(entry, outcomes.pop(entry.id)) for entry in page if entry.id in outcomes]
            if done:
                await self._loading.store(self, done)
            since, looked = looked, self._limits.now()
            stored = any(isinstance(outcome, Document | Unchanged | Followed) for _, outcome in done)
            self._pause_if(self._limits.why_stalled(looked - since, stored=stored))
            if not is_last:
                await self._say_what_takes_long()

    def _pause_if(self, reason: str | None) -> bool:
        """Pause the phase for a reason, unless other sources still have something to read: they are not held up."""
        if reason is None or not self._loading.is_alone(self):
            return False
        self._loading.hold(reason)
        return True

    async def _load_one(self, entry: ListedEntry, outcomes: dict[int, Outcome]) -> None:
        self._limit.total_tokens = self._in_flight()  # it may follow what documents take
        async with self._limit, self._budget.room(entry.size):
            # Without room it stays open in the list, for a later page.
            if self._aside.has_room(entry.id) and (outcome := await self._documents.read(entry)) is not None:
                outcomes[entry.id] = outcome

    async def _say_what_takes_long(self) -> None:
        words = self._context.plan.components.working_on
        note = words() if words is not None else None
        if note is not None and note != self._note:
            attempt = self._context.plan.attempt
            await self._context.write(lambda tx: PhaseProgress(tx, attempt, JobPhase.LOADING).note(note))
        self._note = note


async def _failure_of(work: Callable[[], Awaitable[None]]) -> Exception | None:
    try:
        await work()
    except Exception as error:  # noqa: BLE001  # raised once what was read is stored
        cause = only_error(error)
        return cause if isinstance(cause, Exception) else error
    return None
