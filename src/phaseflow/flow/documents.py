"""Documents that are pushed: taken in, taken out, whatever the job of their knowledge base does meanwhile."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from phaseflow.components.upload_batch import UploadBatch
from phaseflow.components.uploads import UploadLimits, disk, kb_is_full
from phaseflow.domain.errors import HeldBySource, InvalidRequest
from phaseflow.domain.identifiers import check_kb_id
from phaseflow.domain.new_document import NewDocument, check_metadata
from phaseflow.flow.engine import Engine
from phaseflow.flow.inputs import File, as_files, as_new_documents
from phaseflow.store.catalogue import PUSH, Catalogue, KnownDocument
from phaseflow.store.inbox import Inbox
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord, KnowledgeBases
from phaseflow.store.pushed import INLINE_BYTES, Push, Pushed, PushedDocuments
from phaseflow.store.transaction import Transaction

_DISCARD_S = 2.0
"""How long an upload that was given up may take to go; what is left then, goes when the next engine starts."""
_SMALL = INLINE_BYTES // 4
"""So many characters are taken here, not in a thread: it takes less time than the way there, and is never a file."""
TOGETHER = 100
"""Documents of a program that are stored in one transaction."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What was pushed: the uris in the order given, and the newest job."""

    uris: Sequence[str]
    job_id: str


class Documents:
    """Takes documents into the knowledge bases of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, kb_id: str, documents: Iterable[NewDocument | Mapping[str, Any]]) -> Taken:
        """Push texts, at most ``TOGETHER`` in a transaction."""
        given = as_new_documents(documents)
        uris: dict[str, None] = {}
        if not given:
            raise InvalidRequest("documents", "there is none; give at least one")
        check_kb_id(kb_id)
        if len(given) > TOGETHER:  # before anything is stored; what is stored at once is looked at there
            await self._engine.read(partial(self._check_free, kb_id=kb_id, uris=[each.uri for each in given]))
        for first in range(0, len(given), TOGETHER):
            taken = await self._add_some(kb_id, given[first : first + TOGETHER])
            uris |= dict.fromkeys(taken.uris)
        return Taken(list(uris), taken.job_id)

    async def _add_some(self, kb_id: str, given: Sequence[NewDocument]) -> Taken:
        if sum(len(each.text) for each in given) <= _SMALL:
            batch = UploadBatch(self._engine.uploads)  # which touches no disk for it, so there is nothing to discard
            for each in given:
                _take_text(batch, each)
            return await self.take_in(kb_id, batch)
        async with self.receiving(kb_id) as batch:
            for each in given:
                await anyio.to_thread.run_sync(_take_text, batch, each)
            return await self.take_in(kb_id, batch)

    async def add_files(self, kb_id: str, files: Iterable[File], metadata: Mapping[str, Any] | None) -> Taken:
        """Push files, all of them or none."""
        async with self.receiving(kb_id) as batch:
            if metadata is not None:
                batch.metadata = json.dumps(check_metadata(metadata))
            for file in as_files(files):
                await anyio.to_thread.run_sync(_take, batch, file)
            return await self.take_in(kb_id, batch)

    @asynccontextmanager
    async def receiving(self, kb_id: str) -> AsyncIterator[UploadBatch]:
        """A place for documents on their way into a knowledge base, emptied at the end."""
        check_kb_id(kb_id)
        with disk():
            batch = UploadBatch(self._engine.uploads)
            try:
                yield batch
            finally:
                with anyio.move_on_after(_DISCARD_S, shield=True):
                    await anyio.to_thread.run_sync(batch.discard, abandon_on_cancel=True)

    async def take_in(self, kb_id: str, batch: UploadBatch) -> Taken:
        """Store what was received, and ask for it to be loaded. Raises what ``add`` does, and then stores nothing."""
        if batch.is_empty:
            raise InvalidRequest("files", "there is none; send at least one file")
        pushes = batch.pushes

        def change(tx: Transaction, at: datetime) -> list[str]:
            kb = self._engine.definitions.to_push(tx, kb_id, at)
            replaced = _store(tx, kb, pushes, self._engine.uploads.limits, at)
            batch.place(kb_id, tx)  # last: what was refused above has changed nothing
            return replaced

        with disk():
            replaced, job_id = await self._engine.change_documents(kb_id, change, is_push=True)
        assert job_id is not None
        if replaced:
            await anyio.to_thread.run_sync(self._engine.uploads.remove, kb_id, replaced)
        return Taken([push.uri for push in pushes], job_id)

    def _check_free(self, tx: Transaction, kb_id: str, uris: Sequence[str]) -> None:
        kb = KnowledgeBases(tx).find(kb_id)
        if kb is not None:
            _refuse_held(Catalogue(tx, kb.key), uris)


def _store(
    tx: Transaction, kb: KnowledgeBaseRecord, pushes: Sequence[Push], limits: UploadLimits, at: datetime
) -> list[str]:
    """Keep pushes and ask for those that are new or other than before; the files that nothing names."""
    uris = [push.uri for push in pushes]
    catalogue, pushed, inbox = Catalogue(tx, kb.key), PushedDocuments(tx, kb.key), Inbox(tx, kb.key)
    known, kept = catalogue.of(uris), pushed.of(uris)
    _refuse_held(catalogue, uris)  # again, here where nothing comes in between: a source may have listed one since
    # By how much the knowledge base grows: a full one still takes a version that is no larger than the one before.
    more = sum(push.size - (kept[push.uri].size if push.uri in kept else 0) for push in pushes)
    if more > 0 and pushed.kept_bytes() + more > limits.kb_bytes:
        raise kb_is_full(limits)
    # Only what differs is written. A push that says the same again, as a client does that has lost the answer, changes
    # no row, wakes nobody, and costs no loading.
    new = [push for push in pushes if not _is_kept(push, kept.get(push.uri))]
    catalogue.note(PUSH, [push.uri for push in new], at)
    for push in new:
        pushed.put(push, kept.get(push.uri), at)
    for origin in {push.origin for push in pushes}:
        same = [push.uri for push in pushes if push.origin == origin and push.uri in kept]
        pushed.set_origin([uri for uri in same if kept[uri].origin != origin], origin)
    for push in pushes:
        before = known.get(push.uri)
        if push.metadata is not None and (before is None or not _is_given(push.metadata, before)):
            catalogue.set_metadata(push.uri, push.metadata, replaces=False, at=at)
    # What is the same but still waits is asked for once more: after a failed job, only what was asked for since makes
    # another one (``own_jobs``). What was skipped is kept, and not asked for until somebody takes that back.
    wanted = {push.uri for push in new} | {uri for uri in uris if uri in kept and inbox.is_asked_for(uri)}
    skipped = {uri for uri, document in known.items() if document.is_skipped}
    inbox.ask(sorted(wanted - skipped, key=uris.index), at)
    replaced = [kept[push.uri].file for push in new if push.uri in kept]
    return [file for file in (*replaced, *(push.file for push in pushes if push not in new)) if file is not None]


def _refuse_held(catalogue: Catalogue, uris: Sequence[str]) -> None:
    holders = catalogue.holders()
    for document in catalogue.of(uris).values():
        if document.source in holders:
            raise HeldBySource(document.uri, document.source, "change it there, or push it under another uri")


def _is_kept(push: Push, kept: Pushed | None) -> bool:
    """The same was pushed before."""
    return kept is not None and (push.digest, push.title, push.media_type) == (kept.digest, kept.title, kept.media_type)


def _is_given(metadata: str, before: KnownDocument) -> bool:
    return before.metadata is not None and json.loads(before.metadata) == json.loads(metadata)


def _take(batch: UploadBatch, file: File) -> None:
    if isinstance(file, tuple):
        batch.add(*file)
    else:
        batch.copy(Path(file))


def _take_text(batch: UploadBatch, document: NewDocument) -> None:
    metadata = None if document.metadata is None else json.dumps(document.metadata)
    batch.add_text(document.uri, document.text, document.title, document.media_type, metadata)
