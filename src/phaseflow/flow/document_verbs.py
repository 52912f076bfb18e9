"""What can be asked of one document: load it anew, leave it out, take it out, say something about it.

Each is one durable transaction on rows that no job writes, so that it can be asked whatever the job does. What the verb
finds in search it changes at once; what is on its way is looked at again when it would become searchable.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import anyio.to_thread

from phaseflow.components.uploads import Uploads
from phaseflow.domain.errors import DocumentNotFound, HeldBySource
from phaseflow.domain.identifiers import check_kb_id
from phaseflow.domain.new_document import check_metadata
from phaseflow.flow.documents import Documents
from phaseflow.flow.inputs import as_text
from phaseflow.flow.job import Job
from phaseflow.store import catalogue, failures, inbox, knowledge_bases, passages, pushed
from phaseflow.store.catalogue import PUSH, KnownDocument
from phaseflow.store.transaction import Transaction

Change = Callable[[Transaction, str, KnownDocument, datetime], str | None]
"""Changes a document of a knowledge base (by its key); a file that nothing names any more."""


class DocumentVerbs(Documents):
    """The part of the engine that changes one document, named by its id or its uri.

    All raise KnowledgeBaseNotFound and DocumentNotFound, and may be repeated: what is so already stays as it is. Each
    returns the uri. Changes are durable when it returns.
    """

    _uploads: Uploads

    async def retry_document(self, kb_id: str, document: str) -> str:
        """Load a document anew, even if it is unchanged; one that was skipped is taken in again.

        The open job takes it while it still loads, else the next one does, as what is pushed. Its searchable version
        stays until the new one is whole.
        """

        def change(tx: Transaction, key: str, known: KnownDocument, at: datetime) -> None:
            catalogue.set_skipped(tx, key, known.uri, skipped=False)
            inbox.ask(tx, key, [known.uri], at, anew=True)

        return (await self._change_document(kb_id, document, change))[0]

    async def skip_document(self, kb_id: str, document: str) -> str:
        """Take a document out of search at once, and leave it out of every job until it is retried."""

        def change(tx: Transaction, key: str, known: KnownDocument, at: datetime) -> None:
            catalogue.set_skipped(tx, key, known.uri, skipped=True)
            _take_out(tx, key, known.uri)

        return (await self._change_document(kb_id, document, change))[0]

    async def delete_document(self, kb_id: str, document: str) -> str:
        """Take a document that was pushed out of the knowledge base, at once. Raises HeldBySource for any other."""
        return (await self._delete(kb_id, document))[0]

    async def remove_document(self, kb_id: str, uri: str) -> Job | None:
        """The same as ``delete_document``; the newest job of the knowledge base, None when it has never run."""
        job_id = (await self._delete(kb_id, as_text("uri", uri)))[1]
        return None if job_id is None else self._job(job_id, kb_id)

    async def set_metadata(self, kb_id: str, document: str, metadata: Mapping[str, Any]) -> str:
        """Replace the metadata of a document, also what was found in it. Nothing is loaded or embedded again.

        Raises InvalidRequest, naming the field: at most 64 names and 16 KB; texts, numbers, booleans, lists of texts.
        """
        given = json.dumps(check_metadata(metadata))

        def change(tx: Transaction, key: str, known: KnownDocument, at: datetime) -> None:
            catalogue.set_metadata(tx, key, known.uri, given, replaces=True, at=at)

        return (await self._change_document(kb_id, document, change))[0]

    async def _delete(self, kb_id: str, document: str) -> tuple[str, str | None]:
        def change(tx: Transaction, key: str, known: KnownDocument, at: datetime) -> str | None:
            if known.source != PUSH:
                raise HeldBySource(known.uri, known.source, "skip it instead, or delete it there")
            _take_out(tx, key, known.uri)
            gone = pushed.remove(tx, key, known.uri)
            catalogue.remove(tx, key, known.uri)
            return None if gone is None else gone.file

        return await self._change_document(kb_id, document, change)

    async def _change_document(self, kb_id: str, document: str, change: Change) -> tuple[str, str | None]:
        check_kb_id(kb_id)
        name = as_text("document", document)

        def write(tx: Transaction, at: datetime) -> tuple[str, str | None]:
            kb = knowledge_bases.get(tx, kb_id)
            known = catalogue.find(tx, kb.key, name)
            if known is None:
                raise DocumentNotFound(kb_id, name)
            return known.uri, change(tx, kb.key, known, at)

        (uri, file), job_id = await self._change_documents(kb_id, write)
        if file is not None:
            await anyio.to_thread.run_sync(self._uploads.remove, kb_id, [file])
        return uri, job_id


def _take_out(tx: Transaction, key: str, uri: str) -> None:
    """Out of search, out of the inbox and out of the failures; a version on its way is gone when it gets there."""
    inbox.withdraw(tx, key, uri)
    failures.clear(tx, key, [uri])
    passages.withdraw_live(tx, key, uri)
