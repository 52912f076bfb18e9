"""What was uploaded to an older phaseflow, which kept each file under its own name: it becomes what was pushed."""

import hashlib
import os
import uuid
from functools import partial
from itertools import islice
from pathlib import Path

import anyio.to_thread

from phaseflow.components.sources.names import uri_of
from phaseflow.components.uploads import Uploads, disk
from phaseflow.domain.log import get_logger
from phaseflow.store import failpoints, pushed
from phaseflow.store.catalogue import PUSH, Catalogue
from phaseflow.store.clock import Clock
from phaseflow.store.database import Database
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.pushed import INLINE_BYTES, Push, PushedDocuments
from phaseflow.store.transaction import Transaction

_LOOK = 500
"""Files looked up in the database at once."""


async def adopt_uploads(database: Database, uploads: Uploads) -> None:
    """At the start, before any job runs: give each older file its row, then delete what nothing names.

    A file is deleted only after the commit of the row that has its bytes, or its second name; so a crash leaves both,
    and the next start goes on.
    """
    with disk():
        await anyio.to_thread.run_sync(uploads.recover, await database.read(lambda tx: KnowledgeBases(tx).live()))
        for kb_id in await anyio.to_thread.run_sync(uploads.kbs):
            await _adopt(database, uploads, kb_id)


async def _adopt(database: Database, uploads: Uploads, kb_id: str) -> None:
    names = uploads.names(kb_id)
    while found := await anyio.to_thread.run_sync(lambda: list(islice(names, _LOOK))):
        older = [name for name in found if not name.startswith(".")]
        if older:
            get_logger().info("keeping uploaded files in the new way; this is done once", kb=kb_id, files=len(older))
        for name in older:
            await _adopt_file(database, uploads, kb_id, name)
        kept = [name for name in found if name.startswith(".")]
        named = await database.read(partial(pushed.files, kb_id=kb_id, names=kept))
        await anyio.to_thread.run_sync(uploads.remove, kb_id, [name for name in kept if name not in named])


async def _adopt_file(database: Database, uploads: Uploads, kb_id: str, name: str) -> None:
    path = uploads.path(kb_id, name)
    push = await anyio.to_thread.run_sync(_push_of, path, uri_of(name))
    is_new = await database.write(partial(_keep, kb_id=kb_id, push=push), durable=True)
    failpoints.hit("uploads.adopted")
    if push.file is not None and not is_new:  # it has its row from a start that was killed here
        await anyio.to_thread.run_sync(uploads.remove, kb_id, [push.file])
    await anyio.to_thread.run_sync(path.unlink)


def _push_of(path: Path, uri: str) -> Push:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        size = os.fstat(file.fileno()).st_size
        file.seek(0)
        content = file.read() if size <= INLINE_BYTES else None
    if content is not None:
        return Push(uri, size, digest, content)
    new = path.with_name(f".{uuid.uuid4().hex}")
    os.link(path, new)
    return Push(uri, size, digest, file=new.name)


def _keep(tx: Transaction, kb_id: str, push: Push) -> bool:
    """False when a document of that uri is kept already."""
    kb = KnowledgeBases(tx).find(kb_id)
    if kb is None or PushedDocuments(tx, kb.key).of([push.uri]):
        return False
    at = Clock().now()
    Catalogue(tx, kb.key).note(PUSH, [push.uri], at)
    PushedDocuments(tx, kb.key).put(push, None, at)
    return True
