"""Upkeep of the file: freeing what is no longer needed, and copies of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from typing import BinaryIO

import anyio

from phaseflow.components.index import EmbeddedIndex
from phaseflow.components.uploads import UploadLimits, Uploads, disk
from phaseflow.domain.errors import Busy
from phaseflow.domain.status import SyncState, Vacuumed
from phaseflow.domain.sync import SyncSettings, due_at
from phaseflow.flow import inputs
from phaseflow.flow.control import Control
from phaseflow.flow.definitions import Definitions
from phaseflow.flow.source_sync import SourceSync
from phaseflow.store import knowledge_bases, leftovers, upkeep
from phaseflow.store.backup import copy_database
from phaseflow.store.document_changes import DocumentChanges
from phaseflow.store.synced import last_listing
from phaseflow.store.transaction import Transaction
from phaseflow.supervisor.janitor import Janitor
from phaseflow.tracker import dequeue_failed_job, ensure_no_active_job


class Upkeep(Control):
    """The part of the engine that looks after its file."""

    path: Path
    keep_vectors: float
    _definitions: Definitions
    _index: EmbeddedIndex
    _uploads: Uploads
    _sync: SourceSync | None
    _is_copying = False

    async def delete_kb(self, kb_id: str) -> None:
        """Delete a knowledge base and free its name. Raises JobConflict while a job is not over."""
        hub, scheduler = self._engine()

        def remove(tx: Transaction) -> str:
            knowledge_bases.get(tx, inputs.as_text("kb_id", kb_id))
            ensure_no_active_job(tx, kb_id, "delete")
            dequeue_failed_job(tx, kb_id, hub.clock.now())
            return self._definitions.remove(tx, kb_id)

        def removed(_: str) -> None:
            hub.feed.forget(kb_id)
            scheduler.abandon(kb_id)  # not before: a deletion that is refused drops nothing

        key = await hub.database.write(remove, durable=True, then=removed)
        self._index.forget(key)
        await anyio.to_thread.run_sync(self._uploads.empty_trash, key)

    def _sync_state(self, tx: Transaction, key: str, sync: SyncSettings) -> SyncState:
        if self._sync is None:
            return super()._sync_state(tx, key, sync)
        interval = sync.interval(watch_failed=self._sync.has_failed(key))
        return self._sync.state(key).model_copy(
            update={"next_at": due_at(last_listing(tx, key), interval, self._now())}
        )

    async def vacuum(self, *, rebuild: bool = False) -> Vacuumed:
        """Free everything that nobody needs any more: nothing deleted stays readable in the file, and it shrinks.

        In small steps, beside running jobs; the engine does the same by itself in the background. ``rebuild`` then
        writes the file anew, as compactly as it can be: all writes wait until that is done, and it needs room for two
        more copies. Cancelling leaves the rest for later. Raises StoreUnavailable.
        """
        hub, _ = self._engine()
        database = hub.database
        before = await database.read(upkeep.size)
        janitor = Janitor(database, hub.clock, self.keep_vectors)
        await janitor.vacuum()
        if rebuild:
            await database.rebuild()
            await janitor.vacuum()

        def look(tx: Transaction) -> tuple[int, list[str]]:
            return upkeep.size(tx).total, leftovers.kept_for(tx)

        size, kept = await database.read(look)
        return Vacuumed(size_bytes=size, freed_bytes=max(0, before.total - size), waits_for=kept)

    @property
    def writer_queue(self) -> int:
        """How many requests wait for the database's writer."""
        return self._engine()[0].database.queue_length

    @property
    def document_changes(self) -> DocumentChanges:
        """Which documents have changed, live: hints, from which ``documents_named`` reads."""
        return self._engine()[0].database.document_changes

    async def check_store(self) -> None:
        """Raise StoreUnavailable, with its ``reason``, when the database cannot be written now."""
        await self._engine()[0].database.check()

    async def backup(self, path: str | Path) -> int:
        """Copy the database as it is now into a new file, which only its owner can read; its size in bytes.

        With what was pushed, also what stands beside the database. Jobs go on meanwhile; what they commit later is not
        in it. Cancelling leaves no file. Raises BackupFailed.
        """
        self._engine()
        return await backup(self.path, path)

    @asynccontextmanager
    async def copied(self) -> AsyncIterator[tuple[BinaryIO, int]]:
        """A copy as ``backup`` makes it, open for reading, and its size; it has no name, and is gone after the block.

        Raises Busy while another one is made or read, BackupFailed, StoreUnavailable.
        """
        self._engine()
        if self._is_copying:
            raise Busy("a copy of the database is on its way already; ask again when that has been taken")
        self._is_copying = True
        try:
            with disk():
                folder = await anyio.to_thread.run_sync(self._uploads.stage)
            try:
                size = await backup(self.path, folder / "copy.db")
                file = await anyio.to_thread.run_sync((folder / "copy.db").open, "rb")
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self._uploads.unstage, folder)
            with file:
                yield file, size
        finally:
            self._is_copying = False


async def backup(source: Path, target: str | Path) -> int:
    """Copy a database, which another process may have, into a new file; its size in bytes. Cancelling leaves none.

    What was pushed and stands beside the database is in the copy.
    """
    stop, files = Event(), Uploads(source, UploadLimits()).root

    def copy() -> int:
        return copy_database(source, Path(target).absolute(), lambda: not stop.is_set(), files)

    try:
        return await anyio.to_thread.run_sync(copy, abandon_on_cancel=True)
    finally:
        stop.set()
