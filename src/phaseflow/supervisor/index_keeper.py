"""The keeper of indexes outside the database: removes there what is gone here, and puts right what a crash has left.

It works by rows, not by events. What belongs to a knowledge base with an open job it leaves alone: the job makes its
own index calls, inside its gate, and a paused one makes none.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import anyio

from phaseflow.actors.index_audit import IndexAudit, RefusedDocument, has_lost, lacks_any, withdraw_refused
from phaseflow.background_task import only_error
from phaseflow.components.indexes import CountingIndex, Space
from phaseflow.components.indexes.losses import COUNT_S, Comparison
from phaseflow.components.indexes.registry import Indexes, bounded
from phaseflow.domain.errors import EngineStopped, PhaseflowError, StoreError
from phaseflow.domain.log import get_logger
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import failpoints, index_spaces
from phaseflow.store.clock import Clock
from phaseflow.store.database import Database
from phaseflow.store.failures import NO_JOB, Failures
from phaseflow.store.index_outbox import IndexOutbox, Waiting
from phaseflow.store.index_spaces import SpaceContents, Spaces
from phaseflow.store.transaction import Transaction

LOOK_S: Final = 0.5
"""How often it looks whether there is anything to do."""
CALL_S: Final = 10.0
"""What one call may take, seconds."""
LONGEST_WAIT_S: Final = 30.0
"""An index that cannot be reached is tried again after so long, at most."""
FINISH_S: Final = 0.5
"""How long the end of an engine may take for what is due."""
READY_S: Final = 24 * 3600.0
SELDOM: Final = 100
"""Whether an index has lost passages is looked at every ``COUNT_S``, and not more often than so many times what that
takes."""


class _JobStarted(Exception):
    """A job of the knowledge base makes its own calls from here on."""


class IndexKeeper:
    """``only``: the knowledge bases that this engine looks after, by name; what was deleted is everybody's."""

    def __init__(self, database: Database, clock: Clock, indexes: Indexes, only: Collection[str] | None = None) -> None:
        self._database = database
        self._clock = clock
        self._indexes = indexes
        self._only = only
        self._scope = anyio.CancelScope()
        self._audited: dict[str, int] = {}
        self._made_ready: dict[str, int] = {}
        self._look_at: dict[str, float] = {}

    def stop(self) -> None:
        """End at once; what was removed and not settled is removed again."""
        self._scope.cancel()

    async def run(self) -> None:
        """Until ``stop``. Cancelling is the same. Without an index outside the database it ends at once."""
        with self._scope:
            async with anyio.create_task_group() as tasks:
                for server in self._indexes.names():
                    tasks.start_soon(self._keep, server)

    async def finish(self) -> None:
        """At the end of an engine, when nothing runs any more: some of what is due, in a time that nobody notices."""
        with anyio.move_on_after(FINISH_S):
            for server in self._indexes.names():
                try:
                    while await self._remove_some(server):
                        pass
                except PhaseflowError as error:
                    get_logger().debug("what is gone is left to the next start", index=server, error=str(error))

    async def _keep(self, server: str) -> None:
        wait_s = LOOK_S
        while True:
            try:
                while await self._do_some(server):
                    wait_s = LOOK_S
            except EngineStopped:
                return
            except PhaseflowError as error:
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                where = "the database" if isinstance(error, StoreError) else self._indexes.shown(server)
                get_logger().warning("cannot tidy up, trying again", where=where, error=str(error))
            else:
                wait_s = LOOK_S
            await anyio.sleep(wait_s * (1 + random.random() / 4))  # noqa: S311  # so that heads do not come together

    async def _do_some(self, server: str) -> bool:
        """One step; False when nothing is due."""
        if not await self._database.read(lambda tx: Spaces(tx).is_used(server)):
            return False
        return (
            await self._remove_some(server)
            or await self._audit_some(server)
            or await self._put_renamed(server)
            or await self._make_ready(server)
            or await self._look_for_losses(server)
        )

    async def _remove_some(self, server: str) -> bool:
        waiting = await self._database.read(lambda tx: IndexOutbox(tx, server).next_gone())
        if waiting is None:
            return False
        failpoints.hit("index.removing")
        index = await self._indexes.get(server)
        if waiting.document_ids:
            await bounded(index.remove(Space(waiting.space, 0), waiting.document_ids), CALL_S)
            failpoints.hit("index.removed")
        else:
            await bounded(index.drop(waiting.space), CALL_S)
            failpoints.hit("index.dropped")
        while await self._database.write(partial(_settle, server, waiting)):
            failpoints.hit("index.settled")
        return True

    async def _audit_some(self, server: str) -> bool:
        """Compare what the index has with what the database says: once an engine, whenever another process may have had
        the index since, and after each sign of a loss."""
        times = await self._indexes.times_held(server)
        if self._audited.get(server) != times:
            await self._drop_unknown(server)
            self._audited[server] = times
            return True
        losses = self._indexes.losses
        for space, _ in await self._free_spaces(server):
            is_due = self._audited.get(space.name) != times or losses.is_to_be_compared(space.name)
            if is_due and space.dimension is not None:
                if await self._audit(server, space):
                    self._audited[space.name] = times
                    losses.found_whole(space.name)
                    losses.compared(space.name, times)
                return True
        return False

    async def _look_for_losses(self, server: str) -> bool:
        """Every some seconds, where an index can count: True when it has fewer passages than it should."""
        index = await self._indexes.get(server)
        if not isinstance(index, CountingIndex):
            return False
        for space, _ in await self._free_spaces(server):
            began = anyio.current_time()
            if self._look_at.get(space.name, 0.0) > began:
                continue
            is_lost = await has_lost(self._database, index, space)
            if is_lost is None:
                is_lost = await lacks_any(self._database, index, space, Comparison(times_held=0))
            now = anyio.current_time()
            self._look_at[space.name] = now + max(COUNT_S, SELDOM * (now - began))
            if is_lost:
                self._indexes.losses.note(space.name, server)
                return True
        return False

    async def _drop_unknown(self, server: str) -> None:
        index = await self._indexes.get(server)
        ours = await self._database.read(lambda tx: Spaces(tx).owner())
        found: list[str] = []

        async def look() -> None:
            async for name in index.spaces():
                if name.startswith(ours):
                    found.append(name)

        await bounded(look(), CALL_S)
        known = await self._database.read(lambda tx: Spaces(tx).names(server))  # later: none is new to it
        for name in found:
            if name not in known:
                await bounded(index.drop(name), CALL_S)

    async def _audit(self, server: str, space: index_spaces.Space) -> bool:
        """False when a job of its knowledge base was started meanwhile."""
        put = await self._bring_in_line(server, space, IndexAudit.run)
        if put:
            get_logger().info("the index has all passages again", index=server, kb=space.kb_key, passages=put)
        return put is not None

    async def _put_renamed(self, server: str) -> bool:
        """What has another uri than the index was told; a crash in between has it told twice."""
        found = await self._database.read(lambda tx: IndexOutbox(tx, server).next_renamed())
        if found is None:
            return False
        space, waiting = found
        put = await self._bring_in_line(server, space, lambda audit: audit.put_again(waiting.document_ids))
        if put is not None:
            failpoints.hit("index.renamed")
            await self._database.write(partial(_settle, server, waiting))
        return True

    async def _bring_in_line(
        self, server: str, space: index_spaces.Space, work: Callable[[IndexAudit], Awaitable[None]]
    ) -> int | None:
        """How many passages were put; None when a job of the knowledge base was started meanwhile."""

        @asynccontextmanager
        async def turn() -> AsyncIterator[None]:
            if not await self._database.read(lambda tx: SpaceContents(tx, space).is_free()):
                raise _JobStarted
            yield

        def lacking() -> None:
            if space.name not in self._indexes.losses:
                get_logger().warning("the index has lost documents; they are put again", index=server, kb=space.kb_key)
            self._indexes.losses.note(space.name, server)

        audit = IndexAudit(self._database, await self._indexes.get(server), space, turn, lacking=lacking)
        try:
            await work(audit)
        except _JobStarted:
            return None
        if audit.refused:
            await self._database.write(partial(self._fail, space, audit.refused))
        return audit.put

    def _fail(self, space: index_spaces.Space, refused: Sequence[RefusedDocument], tx: Transaction) -> None:
        """The index does not take again what it had: these documents are read again by the next job."""
        at = self._clock.now()
        failed = withdraw_refused(tx, space, refused, at)
        Failures(tx, space.kb_key).add(NO_JOB, JobPhase.INDEXING, failed, at)

    async def _make_ready(self, server: str) -> bool:
        """After each change to what search sees, once no job is open; the index knows whether anything is due."""
        for space, revision in await self._free_spaces(server):
            if self._made_ready.get(space.name) == revision or space.dimension is None:
                continue
            index, at = await self._indexes.get(server), Space(space.name, space.dimension)
            if await self._while_free(space, lambda: index.ready(at)):  # noqa: B023  # called at once
                self._made_ready[space.name] = revision
            return True
        return False

    async def _while_free(self, space: index_spaces.Space, call: Callable[[], Awaitable[None]]) -> bool:
        """Make a long call; False when a job of the knowledge base was started first, and the call dropped."""
        is_done = False

        async def watch() -> None:
            while await self._database.read(lambda tx: SpaceContents(tx, space).is_free()):  # noqa: ASYNC110  # no event tells of a started job
                await anyio.sleep(LOOK_S)
            scope.cancel()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                with anyio.CancelScope() as scope:
                    failpoints.hit("index.readying")
                    await bounded(call(), READY_S)
                    is_done = True
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise only_error(group) from None
        return is_done

    async def _free_spaces(self, server: str) -> list[tuple[index_spaces.Space, int]]:
        return await self._database.read(lambda tx: Spaces(tx).free_spaces(server, self._only))


def _settle(server: str, waiting: Waiting, tx: Transaction) -> bool:
    return IndexOutbox(tx, server).settle(waiting)
