"""Opening a database for one engine: the lock, the check of the file, the connections, the writer."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio

from phaseflow.domain.errors import StoreUnavailable
from phaseflow.store import schema, upkeep
from phaseflow.store.connection import WRITER_BUSY_S, explaining, open_connection
from phaseflow.store.database import Database
from phaseflow.store.lock import database_lock
from phaseflow.store.open_file import open_file
from phaseflow.store.read_pool import open_readers
from phaseflow.store.stop_deadline import StopDeadline

READERS = 2
"""Connections for short reads: statuses, lists, what a verb looks at."""
_LONG_READERS = 2
"""Connections for whole texts and what else is long, so that no short read waits for one."""
_LOOKING_READERS = 1
"""For what searches look up before they embed a query: eight at a time would keep every status waiting."""
_SEARCH_READERS = 2
"""Connections for searches, so that nothing but a search waits for one: as many as two cores have work for."""
_CHECKPOINT_PAGES = 4000
"""The WAL is brought into the file at about 16 MB, in some 50 ms: a quarter of the syncs of the default."""
_WAL_BYTES = 16 << 20
"""A WAL that a long read has let grow is cut to this when it begins anew."""

_PRAGMAS = (
    "foreign_keys = ON",
    f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
    f"journal_size_limit = {_WAL_BYTES}",
    "cache_size = -16384",
    f"busy_timeout = {round(WRITER_BUSY_S * 1000)}",
)
"""Of the connection that writes."""


@asynccontextmanager
async def open_session(path: Path) -> AsyncIterator[Database]:
    """Hold and open ``path`` (absolute), created when it does not exist; its writer runs for the length of the block.

    A symbolic link stands for the file it leads to; a file with two names (hard links) is refused.
    Raises DatabaseHeld, NotADatabase, NewerDatabase or StoreUnavailable. At the end, what was asked for is written.
    """
    path = Path(await anyio.to_thread.run_sync(os.path.realpath, path))
    schema.check_file(path)
    with database_lock(path):
        await anyio.to_thread.run_sync(schema.prepare, path)
        async with open_database(path) as database, anyio.create_task_group() as tasks:
            tasks.start_soon(database.serve)
            try:
                yield database
            finally:
                database.ending.begin()
                database.close()


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open a file (absolute path) that ``schema.prepare`` has accepted. The caller has its lock and runs ``serve``."""
    async with AsyncExitStack() as stack:
        try:
            file = stack.enter_context(open_file(path))
        except OSError as error:
            raise StoreUnavailable(f"cannot read {path}: {error.strerror}") from error
        ending = StopDeadline()
        writer = await stack.enter_async_context(open_connection(path, "rw", *_PRAGMAS, ending=ending))
        await writer.call(upkeep.overwrite_deleted)
        counts = (READERS, _LONG_READERS, _LOOKING_READERS, _SEARCH_READERS)
        readers = [await stack.enter_async_context(open_readers(path, count, ending)) for count in counts]
        database = Database(path, file, writer, readers, ending)
        with explaining(path):
            await writer.call(database.document_changes.attach)
        yield database
