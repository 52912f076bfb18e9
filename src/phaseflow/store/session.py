"""Opening a database for one engine: the lock, the check of the file, the connections, the writer."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from phaseflow.store import schema
from phaseflow.store.database import Database, open_database
from phaseflow.store.lock import database_lock


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
                database.close()
