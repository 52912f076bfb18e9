"""Upkeep of the file: freeing what is no longer needed, and copies of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import anyio

from phaseflow.components.sources.engine_files import EngineFiles
from phaseflow.components.uploads import UploadLimits, Uploads, disk
from phaseflow.domain.errors import BackupFailed, Busy
from phaseflow.domain.status import Vacuumed
from phaseflow.flow import inputs
from phaseflow.flow.engine import Engine
from phaseflow.store.backup import Progress, copy_database
from phaseflow.store.copy_check import CopyStop
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.leftovers import Leftovers
from phaseflow.store.transaction import Transaction
from phaseflow.store.upkeep import FreeSpace
from phaseflow.supervisor.janitor import Janitor
from phaseflow.tracker import NextJob


class Upkeep:
    """Looks after the file of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_copying = False

    async def delete_kb(self, kb_id: str) -> None:
        """Delete a knowledge base with all that is kept for it."""
        engine, hub, scheduler = self._engine, self._engine.hub, self._engine.scheduler

        def remove(tx: Transaction) -> str:
            KnowledgeBases(tx).get(inputs.as_text("kb_id", kb_id))
            NextJob(tx, kb_id).make_room(hub.clock.now(), "delete")
            return engine.definitions.remove(tx, kb_id)

        def removed(_: str) -> None:
            hub.feed.forget(kb_id)
            scheduler.abandon(kb_id)  # not before: a deletion that is refused drops nothing

        key = await hub.database.write(remove, durable=True, then=removed)
        engine.index.forget(key)
        await anyio.to_thread.run_sync(engine.uploads.empty_trash, key)
        await engine.components.sources.remote.purge()

    async def vacuum(self, *, rebuild: bool = False) -> Vacuumed:
        """Free what nobody needs, in steps; ``rebuild`` then writes the file anew."""
        hub, rebuild = self._engine.hub, inputs.as_flag("rebuild", rebuild)
        database = hub.database
        before = await database.read(lambda tx: FreeSpace(tx).size())
        janitor = Janitor(database, hub.clock, self._engine.keep_vectors)
        await janitor.vacuum()
        await self._engine.components.sources.remote.purge()
        if rebuild:
            await database.rebuild()
            await janitor.vacuum()

        def look(tx: Transaction) -> tuple[int, list[str]]:
            return FreeSpace(tx).size().total, Leftovers(tx).kept_for()

        size, kept = await database.read(look)
        return Vacuumed(size_bytes=size, freed_bytes=max(0, before.total - size), waits_for=kept)

    async def backup(self, path: str | Path, *, check: bool) -> int:
        """Copy the database into a new file; its size in bytes."""
        _ = self._engine.hub  # raises EngineStopped outside the block, as every method does
        place = inputs.as_path("path", path)
        return await backup(self._engine.path, place, check=inputs.as_flag("check", check))

    @asynccontextmanager
    async def copied(self, *, check: bool) -> AsyncIterator[tuple[BinaryIO, int]]:
        """A copy as ``backup`` makes it, open for reading, and its size; it has no name, and is gone after the block.

        Raises Busy while another one is made or read, BackupFailed, StoreUnavailable.
        """
        _ = self._engine.hub  # raises EngineStopped outside the block, as every method does
        if self._is_copying:
            raise Busy("a copy of the database is on its way already; ask again when that has been taken")
        self._is_copying = True
        try:
            with disk():
                folder = await anyio.to_thread.run_sync(self._engine.uploads.stage)
            try:
                size = await backup(self._engine.path, folder / "copy.db", check=check)
                file = await anyio.to_thread.run_sync((folder / "copy.db").open, "rb")
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self._engine.uploads.unstage, folder)
            with file:
                yield file, size
        finally:
            self._is_copying = False


async def backup(source: Path, target: str | Path, *, check: bool = True, progress: Progress = lambda _: None) -> int:
    """Copy a database, which another process may have, into a new file; its size in bytes. Cancelling leaves none.

    What was pushed and stands beside the database is in the copy. ``progress`` is called in another thread. Raises
    what ``copy_database`` raises, and BackupFailed for a name that the database has for what lies beside it.
    """
    stop, files = CopyStop(), Uploads(source, UploadLimits()).root

    def copy() -> int:
        place = Path(target).absolute()
        if EngineFiles(source).claim(place):
            raise BackupFailed(f"{place} is a name that {source.name} has for itself; give the copy another")
        return copy_database(source, place, stop, files, check=check, progress=progress)

    try:
        return await anyio.to_thread.run_sync(copy, abandon_on_cancel=True)
    finally:
        stop.ask()
