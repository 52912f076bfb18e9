"""Which documents of a source are read at once: as some are stored, the next ones of its list are opened."""

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence

import anyio
import anyio.abc

from phaseflow.actors.byte_budget import ByteBudget
from phaseflow.actors.document_reading import Loaded, Outcome
from phaseflow.actors.gate import Gate
from phaseflow.background_task import only_error
from phaseflow.components.contained import not_cancelled_by
from phaseflow.store import failpoints
from phaseflow.store.crawl_frontier import ListedEntry

BATCH = 32
"""Documents stored together, where reading them takes no longer than ``_LOOK_S``."""
_FIRST = 4
"""The same at first, and twice as many each time: the other phases begin with these, and not after ``BATCH``."""
_LOOK_S = 0.5
"""What has been read waits no longer to be stored: a site that answers every ten seconds is lost a page by a kill, not
a batch, and its progress is seen."""
SLOW_S = 5.0
"""After so long it is said which document is being read, where nothing else moves."""
DROP_S = 1.0
"""How long a page that is being read may keep a phase from its pause; then it is dropped, and read again later."""

_OpenMore = Callable[[Collection[int], Collection[int]], Awaitable[list[ListedEntry]]]
"""The next documents of the list without those in hand; the second ones of them do not keep deeper ones back."""
Read = Callable[[ListedEntry], Awaitable[Outcome | None]]
"""Reads a document. None where it stays open in the list."""
Keep = Callable[[list[Loaded], bool, ListedEntry | None], Awaitable[None]]
"""Stores what has been read, if anything; the flag says whether others are still being read, and the last one which of
them has been for long, where nothing else moves."""


class ReadingWindow:
    """Documents of one source on their way: a slow one takes up a place and keeps no other back.

    ``in_flight`` says how many are read at once. A document holds its room in ``budget`` until it is stored. After
    ``late_s`` those that are deeper do not wait for it any longer. ``may_drop``: what hangs when the gate closes is
    dropped, and stays open in the list.
    """

    def __init__(
        self,
        gate: Gate,
        budget: ByteBudget,
        *,
        in_flight: Callable[[], int],
        open_more: _OpenMore,
        read: Read,
        keep: Keep,
        late_s: float,
        may_drop: bool,
    ) -> None:
        self._gate = gate
        self._in_flight = in_flight
        self._budget = budget
        self._open_more = open_more
        self._read = read
        self._keep = keep
        self._late_s = late_s
        self._may_drop = may_drop
        self._in_hand: dict[int, ListedEntry] = {}  # in the order in which they were opened
        self._reading: set[int] = set()
        self._queue: deque[ListedEntry] = deque()
        self._readers = 0
        self._began: dict[int, float] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._batch = _FIRST
        self._failure: Exception | None = None
        self._is_dropped = False
        self._changed = anyio.Event()

    async def run(self, first: Sequence[ListedEntry]) -> None:
        """Read documents, the ``first`` ones and what follows them in the list, until there is nothing to be read now,
        or the gate has closed. Call it inside the gate.

        Raises what reading one has raised, once what was read before is stored. Cancelling drops what is not stored.
        """
        async with anyio.create_task_group() as tasks:
            if self._may_drop:
                tasks.start_soon(self._drop_when_closed)
            self._take_in(first)
            has_more = len(first) >= BATCH  # else it was all that there is, until some of it is stored
            while self._in_hand and self._failure is None and not self._is_dropped:
                # What is opened and not stored is in memory, and a kill loses it: no more than fills a batch, or keeps
                # every place busy while what was read before is stored.
                self._fill_places(tasks)
                if has_more and self._gate.is_open and len(self._in_hand) <= max(BATCH, 2 * self._in_flight()):
                    self._take_in(await self._open_more(self._in_hand, self._late()))
                    self._fill_places(tasks)
                await self._wait()
                await self._store()
                has_more = True
                failpoints.hit("loading.between")
            tasks.cancel_scope.cancel()
        if self._outcomes:
            await self._store()
        if self._failure is not None:
            raise self._failure

    async def _drop_when_closed(self) -> None:
        await self._gate.closed_for(DROP_S)
        self._is_dropped = True
        self._changed.set()

    def _take_in(self, entries: Sequence[ListedEntry]) -> None:
        self._in_hand.update((entry.id, entry) for entry in entries)
        self._reading.update(entry.id for entry in entries)
        self._queue.extend(entries)

    def _fill_places(self, tasks: anyio.abc.TaskGroup) -> None:
        """A task for each place, as long as there is something to read: one for each document would cost as much as
        reading a small one."""
        for _ in range(min(self._in_flight() - self._readers, len(self._queue))):
            self._readers += 1
            tasks.start_soon(self._read_some, tasks)

    async def _read_some(self, tasks: anyio.abc.TaskGroup) -> None:
        try:
            with not_cancelled_by("the loader"):
                while self._queue and self._readers <= self._in_flight():
                    await self._read_one(self._queue.popleft())
                    self._fill_places(tasks)  # there may be more by now
        except Exception as error:  # noqa: BLE001  # raised by ``run``: from here it would cancel what is being stored
            cause = only_error(error)
            self._failure = self._failure or (cause if isinstance(cause, Exception) else error)
            self._changed.set()
        finally:
            self._readers -= 1

    async def _read_one(self, entry: ListedEntry) -> None:
        await self._budget.take(entry.size)
        outcome = None
        try:
            self._began[entry.id] = anyio.current_time()
            outcome = await self._read(entry)
        finally:
            self._reading.discard(entry.id)
            self._began.pop(entry.id, None)
            if outcome is None:
                del self._in_hand[entry.id]
                self._budget.give_back(entry.size)
            else:  # it keeps its room: what was read is in memory until it is stored
                self._outcomes[entry.id] = outcome
        if self._has_news():
            self._changed.set()

    async def _wait(self) -> None:
        """Wait until it is time to store something, or to look what has become of the gate and the list."""
        self._changed = anyio.Event()
        if not self._has_news():
            with anyio.move_on_after(_LOOK_S):
                await self._changed.wait()

    def _has_news(self) -> bool:
        if self._failure is not None or self._is_dropped or not self._reading or len(self._outcomes) >= BATCH:
            return True
        if self._batch < BATCH and self._in_order() >= self._batch:
            return True
        if not self._outcomes:
            return False
        return self._budget.has_line or (not self._queue and all(map(self._is_late, self._reading)))

    def _in_order(self) -> int:
        """So many have been read, from the first one on. A few are not stored before one that the list has before them:
        they are handed over, and count, in the order in which they are stored."""
        return next((n for n, key in enumerate(self._in_hand) if key not in self._outcomes), len(self._in_hand))

    async def _store(self) -> None:
        read = [key for key in self._in_hand if key in self._outcomes]
        if self._batch < BATCH and (in_order := self._in_order()) >= self._batch:
            read = read[:in_order]
        done = [(self._in_hand[key], self._outcomes.pop(key)) for key in read]
        self._batch = min(BATCH, 2 * self._batch)
        try:
            await self._keep(done, bool(self._reading), None if done else self._slow())
        finally:
            for entry, _ in done:
                self._budget.give_back(entry.size)
        for entry, _ in done:  # only now: else they would be opened again
            del self._in_hand[entry.id]

    def _slow(self) -> ListedEntry | None:
        first = next((entry_id for entry_id in self._in_hand if self._is_late(entry_id, SLOW_S)), None)
        return None if first is None or not all(map(self._is_late, self._began)) else self._in_hand[first]

    def _late(self) -> list[int]:
        return [entry_id for entry_id in self._in_hand if self._is_late(entry_id)]

    def _is_late(self, entry_id: int, after_s: float | None = None) -> bool:
        began = self._began.get(entry_id)
        return began is not None and anyio.current_time() - began >= (self._late_s if after_s is None else after_s)
