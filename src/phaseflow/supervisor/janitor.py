"""The janitor: removes in the background what nobody sees any more, a little at a time, with pauses in between."""

from collections.abc import Callable

import anyio

from phaseflow.domain.errors import EngineStopped, StoreError
from phaseflow.domain.log import get_logger
from phaseflow.store import failpoints
from phaseflow.store.clock import Clock
from phaseflow.store.database import Database
from phaseflow.store.leftovers import Leftovers
from phaseflow.store.transaction import Transaction
from phaseflow.store.unused_vectors import UnusedVectors
from phaseflow.store.upkeep import FreeSpace

LOOK_S = 0.2
"""How often it looks whether there is anything to remove."""
RETRY_S = 5.0
"""How long it waits when the database cannot be written."""
_SHARE = 2.0
"""It pauses for this many times as long as a step took, so that the writer is for the others most of the time."""
_IDLE_SHARE = 0.2
"""The same while no job runs."""
MERGE_EVERY_S = 3600.0
"""How long words of removed passages may stay in a large index, of which they are a small part."""
KEEP_DAYS = 30.0
"""How long vectors that nobody uses are kept, unless the program says otherwise."""
FINISH_S = 0.4
"""How long the end of an engine may take for what is due."""
_WAL_S = 5.0
"""How long a vacuum waits for those who read, before it leaves the WAL to the next idle second."""

Step = Callable[[Transaction], bool]


class Janitor:
    """Works by level, not by edge: what a crash has left is removed like anything else.

    Vectors that nobody uses are kept for ``keep_days``. What makes the file smaller is done while no job runs.
    """

    def __init__(self, database: Database, clock: Clock, keep_days: float = KEEP_DAYS) -> None:
        self._database = database
        self._clock = clock
        self._keep_days = keep_days
        self._scope = anyio.CancelScope()
        self._merged_at = anyio.current_time()

    def stop(self) -> None:
        """End at once; a step that the writer has taken is carried out."""
        self._scope.cancel()

    async def run(self) -> None:
        """Until ``stop``. Cancelling is the same."""
        with self._scope:
            while True:
                try:
                    if not await self._do_what_is_due():
                        await anyio.sleep(LOOK_S)
                except EngineStopped:
                    return
                except StoreError as error:
                    get_logger().warning("cannot remove what is gone, trying again", error=str(error))
                    await anyio.sleep(RETRY_S)

    async def finish(self) -> None:
        """At the end of an engine, when nothing runs any more: some of what is due, in a time that nobody notices."""
        with anyio.move_on_after(FINISH_S):
            try:
                while await self._do_what_is_due():
                    pass
            except (StoreError, EngineStopped) as error:
                get_logger().debug("what is gone is left to the next start", error=str(error))

    async def vacuum(self) -> bool:
        """Do all there is to do, also while jobs run, and bring the WAL into the file.

        False when somebody kept the WAL from being cut: it will be in the next idle second. Cancelling leaves the
        rest to ``run``.
        """
        for name, step in self._steps().items():
            await self._repeat(name, step, share=1.0)
        with anyio.move_on_after(_WAL_S):
            while not await self._database.give_back_wal():  # noqa: ASYNC110  # nobody tells when they have read
                await anyio.sleep(LOOK_S)
            return True
        return False

    async def _do_what_is_due(self) -> bool:
        """Whether there was anything; then more may be due."""
        is_time = anyio.current_time() - self._merged_at >= MERGE_EVERY_S
        due, is_idle = await self._database.read(lambda tx: (self._due(tx, merge=is_time), FreeSpace(tx).may_rest()))
        steps = self._steps()
        for name in due:
            alone = name in {"merged", "gave_back"}
            share = _IDLE_SHARE if is_idle else _SHARE
            if alone:
                await self._repeat(name, _while_idle(steps[name]), share)
            else:  # one step: whether more is due is read again, which costs less than a transaction for nothing
                await self._step(name, steps[name], share)
            if name == "merged":
                self._merged_at = anyio.current_time()
        return bool(due)

    def _steps(self) -> dict[str, Step]:
        return {
            "removed_some": lambda tx: Leftovers(tx).remove_some(),
            "freed_vectors": lambda tx: UnusedVectors(tx).free_some(self._due_before()),
            "merged": lambda tx: FreeSpace(tx).merge_some(),
            "gave_back": lambda tx: FreeSpace(tx).give_back_some(),
        }

    def _due_before(self) -> str:
        return UnusedVectors.due_before(self._clock.now(), self._keep_days)

    def _due(self, tx: Transaction, *, merge: bool) -> list[str]:
        """The names of the steps that have something to do now; ``merge``: however little it is worth."""
        due = []
        if Leftovers(tx).are_there():
            due.append("removed_some")
        if UnusedVectors(tx).are_due(self._due_before()):
            due.append("freed_vectors")
        # One kind at a time, in this order: what is removed leaves words to merge, and what is merged leaves pages to
        # give back. Merging or giving back before would do the same work again after the next removal.
        if due or not FreeSpace(tx).may_rest():
            return due
        if FreeSpace(tx).has_removed_words(worth_it=not merge):
            return ["merged"]
        return ["gave_back"] if FreeSpace(tx).has_free_pages() else []

    async def _repeat(self, name: str, step: Step, share: float) -> None:
        while await self._step(name, step, share):
            pass

    async def _step(self, name: str, step: Step, share: float) -> bool:
        began = anyio.current_time()
        if not await self._database.write(step):
            return False
        failpoints.hit(f"janitor.{name}")
        await anyio.sleep(share * (anyio.current_time() - began))
        return True


def _while_idle(step: Step) -> Step:
    return lambda tx: FreeSpace(tx).may_rest() and step(tx)
