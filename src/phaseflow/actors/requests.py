"""How the loading phase takes what waits in the inbox into the entries of its job."""

from typing import Final

import anyio

from phaseflow.actors.context import RunContext
from phaseflow.actors.gate import Gate
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import failpoints
from phaseflow.store.crawl_frontier import Frontier
from phaseflow.store.inbox import Inbox
from phaseflow.store.progress import Done
from phaseflow.store.transaction import Transaction

_TAKE: Final = 500
"""Documents taken in one transaction."""
LINGER_S: Final = 0.5
"""How long a job that only takes what is asked for waits for more: so that a thousand pushes make a few jobs."""
TOGETHER_S: Final = 0.2
"""While other documents are read, what is asked for is taken no more often than this: however little it is, each of the
four phases makes a batch of it."""
_TAKE_S: Final = 30.0
"""How long a job takes what is asked for once it has read all else: then it is the turn of another job."""


class Requests:
    """What is asked for beside a job's source, taken inside the gate: a job that is paused takes nothing.

    The inbox is looked at, not remembered: ``note`` is a hint, and a lost one costs nothing.
    """

    def __init__(self, context: RunContext, gate: Gate) -> None:
        self._context = context
        self._gate = gate
        self._noted = anyio.Event()
        self._until: float | None = None
        self._taken_at = float("-inf")
        self._idle = 0
        self.rounds = 0
        """How often readers were asked to look again."""
        self._changed = anyio.Event()
        self._round = anyio.Event()
        self._is_over = False

    def note(self) -> None:
        """Something has come."""
        self._noted.set()
        self._changed.set()

    def end(self) -> None:
        """Take nothing more, and wait for nothing more: what comes is for another job."""
        self._until = anyio.current_time()
        self.note()

    async def run(self, readers: int) -> None:
        """Take what comes, and let ``readers`` look again after each time, until all have read everything and nothing
        more is asked for."""
        while not self._is_over:
            await self._changed.wait()
            self._changed = anyio.Event()
            await self._collect(readers)
            found = self._noted.is_set() and await self.take()
            # The phase may end only when all readers are idle at once and the store has nothing for them: a reader that
            # found nothing may have looked a moment before something was taken.
            if not found and self._idle == readers:
                found = await self.take_more() or await self._context.reads.read(self._has_unread)
                self._is_over = not found
            if found or self._is_over:
                self._idle = 0
                self.rounds += 1
                # Replaced before it is set: a reader that is woken may come round again before we do, and has to find
                # the new one.
                woken, self._round = self._round, anyio.Event()
                woken.set()

    async def next_round(self, seen: int) -> bool:
        """Wait until a reader that has read all it had should look again; False when nothing more will come.

        ``seen`` are the ``rounds`` before its last look. What was taken since may not have been there to be found, and
        nobody would tell it again before something else is asked for: the others may be busy for hours.
        """
        if self.rounds != seen and not self._is_over:
            return True
        self._idle += 1
        self._changed.set()
        await self._round.wait()
        return not self._is_over

    async def take(self) -> bool:
        """Take all that waits; whether there was anything."""
        key, taken, found = self._context.plan.target.kb_key, _TAKE, False
        while taken == _TAKE and not self._is_ended:
            async with self._gate:
                self._noted = anyio.Event()  # before the look: what is committed after it is told of again
                if not await self._context.reads.read(lambda tx: Inbox(tx, key).has_waiting()):
                    return found
                taken = await self._context.write(self._take)
            found, self._taken_at = True, anyio.current_time()
            failpoints.hit("loading.taken")
        if self._is_ended:
            self._noted = anyio.Event()
        return found

    @property
    def _is_ended(self) -> bool:
        return self._until is not None and anyio.current_time() >= self._until

    async def _collect(self, readers: int) -> None:
        """Wait for more of what is asked for, while any of the readers has other documents to read."""
        while self._noted.is_set() and self._idle < readers and not self._is_ended:
            wait_s = self._taken_at + TOGETHER_S - anyio.current_time()
            if wait_s <= 0:
                return
            with anyio.move_on_after(wait_s):
                await self._changed.wait()
                self._changed = anyio.Event()

    async def take_more(self) -> bool:
        """Whether more is asked for, when all else is read. A job that does nothing else waits a little for it."""
        if self._until is None:
            self._until = anyio.current_time() + _TAKE_S
        if await self.take():
            return True
        if self._context.plan.lists:
            return False
        with anyio.move_on_after(LINGER_S):
            await self._noted.wait()
        return await self.take()

    def _has_unread(self, tx: Transaction) -> bool:
        """A reader may have looked just before something was taken."""
        return Frontier(tx, self._context.plan.attempt.job_seq).has_unread()

    def _take(self, tx: Transaction) -> int:
        plan = self._context.plan
        failpoints.hit("loading.taking")
        taken, new = Inbox(tx, plan.target.kb_key).take(plan.attempt.job_seq, _TAKE, plan.components.loaders)
        self._context.advance(tx, JobPhase.LOADING, Done(found=new))
        return taken
