"""Documents that are uploaded: taken in, taken out, each with a job that makes it so for search."""

import uuid
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from phaseflow.components.uploads import UploadBatch, Uploads, disk
from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.identifiers import check_kb_id
from phaseflow.flow.definitions import UPLOAD
from phaseflow.flow.inputs import File, as_files, as_text
from phaseflow.flow.job import Job
from phaseflow.flow.queries import Queries
from phaseflow.store import knowledge_bases
from phaseflow.store.transaction import Transaction
from phaseflow.tracker import ensure_no_active_job

DISCARD_S = 2.0
"""How long an upload that was given up may take to go; what is left then, goes when the next engine starts."""

Check = Callable[[Transaction], None]


class Documents(Queries):
    """The part of the engine that takes files."""

    _uploads: Uploads

    @abstractmethod
    async def _start_with(self, kb_id: str, source: str | None, check: Check, change: Check) -> Job:
        """Make a job where ``check`` lets it, with ``change`` done right before it is committed."""

    @property
    @abstractmethod
    def _takes_files(self) -> bool: ...

    async def add_documents(self, kb_id: str, files: Iterable[File]) -> Job:
        """Copy files, each a path or (name, bytes), into a knowledge base and start a job. An unknown one is created.

        A file replaces an older one of the same name. All files are stored or none. Raises JobConflict while a job is
        not over, InvalidRequest for a name that cannot be kept or a knowledge base with another source, UploadTooLarge.
        Cancelling it before the job is asked for stores nothing.
        """
        async with self.receiving(kb_id) as batch:
            for file in as_files(files):
                await anyio.to_thread.run_sync(_take, batch, file)
            return (await self.take_in(kb_id, batch))[1]

    async def remove_document(self, kb_id: str, uri: str) -> Job:
        """Delete an uploaded document and start a job, which removes it from the index.

        Raises DocumentNotFound, JobConflict while a job is not over, InvalidRequest for another kind of source.
        """

        name = as_text("uri", uri)

        def check(tx: Transaction) -> None:
            knowledge_bases.get(tx, kb_id)
            self._check(tx, kb_id)

        key = uuid.uuid4().hex
        with disk():
            job = await self._start_with(
                check_kb_id(kb_id), None, check, lambda tx: self._uploads.remove(kb_id, name, tx, key)
            )
        await anyio.to_thread.run_sync(self._uploads.empty_trash, key)
        return job

    @asynccontextmanager
    async def receiving(self, kb_id: str) -> AsyncIterator[UploadBatch]:
        """A place for files on their way into a knowledge base, emptied at the end. Raises what ``add_documents`` does.

        A refusal comes before a byte is asked for.
        """
        check_kb_id(kb_id)
        await self._read(lambda tx: self._check(tx, kb_id))
        with disk():
            batch = await anyio.to_thread.run_sync(self._uploads.stage)
            try:
                yield batch
            finally:
                with anyio.move_on_after(DISCARD_S, shield=True):
                    await anyio.to_thread.run_sync(batch.discard, abandon_on_cancel=True)

    async def take_in(self, kb_id: str, batch: UploadBatch) -> tuple[Sequence[str], Job]:
        """Give what was received its place and start a job: (the uris, the job). Checks all again."""
        if batch.is_empty:
            raise InvalidRequest("files", "there is none; send at least one file")
        uris: list[str] = []
        job = await self._start_with(
            kb_id, UPLOAD, lambda tx: self._check(tx, kb_id), lambda tx: uris.extend(batch.commit(kb_id, tx))
        )
        return uris, job

    def _check(self, tx: Transaction, kb_id: str) -> None:
        if not self._takes_files:
            raise InvalidRequest("kb_id", "this engine loads documents in its own way, and keeps no uploaded files")
        kb = knowledge_bases.find(tx, kb_id)
        if kb is None:
            return
        if kb.sources is not None and kb.sources != UPLOAD:
            raise InvalidRequest(
                "kb_id", f"the documents of {kb_id!r} come from a folder or the web; change them there, or use another"
            )
        ensure_no_active_job(tx, kb_id, "change documents")


def _take(batch: UploadBatch, file: File) -> None:
    if isinstance(file, tuple):
        batch.add(*file)
    else:
        batch.copy(Path(file))
