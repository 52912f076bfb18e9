"""What can be asked of one document: load it anew, leave it out, take it out, say something about it.

Each is one durable transaction on rows that no job writes, so that it can be asked whatever the job does. What the verb
finds in search it changes at once; what is on its way is looked at again when it would become searchable.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import anyio.to_thread

from phaseflow.domain.errors import DocumentNotFound, HeldBySource
from phaseflow.domain.etags import Precondition
from phaseflow.domain.identifiers import check_kb_id
from phaseflow.domain.new_document import check_metadata
from phaseflow.flow.engine import Engine
from phaseflow.flow.inputs import as_text
from phaseflow.store import passages
from phaseflow.store.catalogue import Catalogue, KnownDocument
from phaseflow.store.document_status import View
from phaseflow.store.failures import Failures
from phaseflow.store.inbox import Inbox
from phaseflow.store.jobs import Jobs
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.pushed import PushedDocuments
from phaseflow.store.taken_out import OnTheirWay
from phaseflow.store.transaction import Transaction

Change = Callable[[Transaction, str, KnownDocument, datetime], str | None]
"""Changes a document of a knowledge base (by its key); a file that nothing names any more."""
_DocumentChange = tuple[str, str | None]
"""The uri of the document that was changed, and the newest job of its knowledge base."""


class DocumentVerbs:
    """Changes one document, named by its id or its uri: (its uri, the newest job).

    What is so already stays as it is.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def retry(self, kb_id: str, document: str) -> _DocumentChange:
        """Load it anew, even if it is unchanged."""

        def change(tx: Transaction, key: str, known: KnownDocument, at: datetime) -> None:
            if known.is_skipped or not Inbox(tx, key).waits_anew(known.uri):
                _retry(tx, key, known, at)

        return await self._change(kb_id, document, change)

    async def retry_each(self, kb_id: str, uris: Sequence[str]) -> None:
        """Load each anew that there is, in one transaction, as if they were pushed again; give a bounded number."""
        await self._change_each(kb_id, uris, _retry, is_push=True)

    async def skip(self, kb_id: str, document: str) -> _DocumentChange:
        """Take it out of search, and leave it out."""
        return await self._change(kb_id, document, _skip, takes_out=True)

    async def skip_each(self, kb_id: str, uris: Sequence[str]) -> None:
        """Leave out each that there is, in one transaction; give a bounded number of them."""
        await self._change_each(kb_id, uris, _skip, takes_out=True)

    async def set_metadata(
        self, kb_id: str, document: str, metadata: Mapping[str, Any], precondition: Precondition
    ) -> _DocumentChange:
        """Replace its metadata. Raises PreconditionFailed where they are not as they have to be."""
        given = json.dumps(check_metadata(metadata))

        def change(tx: Transaction, key: str, known: KnownDocument, at: datetime) -> None:
            if not precondition.is_empty:
                seen = View.now(tx, key, KnowledgeBases(tx).get(kb_id).index_version)
                shown = seen.some(tx, [known.uri])[known.uri]
                precondition.check(f"document {known.uri!r}", shown.etag)
            Catalogue(tx, key).set_metadata(known.uri, given, replaces=True, at=at)

        return await self._change(kb_id, document, change)

    async def delete(self, kb_id: str, document: str, *, by_uri: bool = False) -> _DocumentChange:
        """Take out one that was pushed, or whose source is gone. Raises HeldBySource for any other.

        ``by_uri``: ``document`` is a uri, even if it has the form of another one's id.
        """

        def change(tx: Transaction, key: str, known: KnownDocument, at: datetime) -> str | None:
            if known.source in Catalogue(tx, key).holders():
                raise HeldBySource(known.uri, known.source, "skip it instead, or delete it there")
            gone = PushedDocuments(tx, key).remove(known.uri)
            _take_out(tx, key, known.uri)
            Catalogue(tx, key).remove(known.uri)
            return None if gone is None else gone.file

        return await self._change(kb_id, document, change, takes_out=True, by_uri=by_uri)

    async def _change(
        self, kb_id: str, document: str, change: Change, *, takes_out: bool = False, by_uri: bool = False
    ) -> _DocumentChange:
        check_kb_id(kb_id)
        name = as_text("document", document)

        def write(tx: Transaction, at: datetime) -> tuple[str, str | None]:
            kb = KnowledgeBases(tx).get(kb_id)
            catalogue = Catalogue(tx, kb.key)
            known = catalogue.named(name) if by_uri else catalogue.find(name)
            if known is None:
                raise DocumentNotFound(kb_id, name)
            return known.uri, change(tx, kb.key, known, at)

        (uri, file), job_id = await self._engine.change_documents(
            kb_id, write, taken_out=(lambda changed: [changed[0]]) if takes_out else None
        )
        if file is not None:
            await anyio.to_thread.run_sync(self._engine.uploads.remove, kb_id, [file])
        return uri, job_id

    async def _change_each(
        self,
        kb_id: str,
        uris: Sequence[str],
        change: Callable[..., None],
        *,
        is_push: bool = False,
        takes_out: bool = False,
    ) -> None:
        check_kb_id(kb_id)

        def write(tx: Transaction, at: datetime) -> None:
            key = KnowledgeBases(tx).get(kb_id).key
            for uri in uris:
                known = Catalogue(tx, key).named(uri)
                if known is not None:
                    change(tx, key, known, at)

        await self._engine.change_documents(
            kb_id, write, is_push=is_push, taken_out=(lambda _: uris) if takes_out else None
        )


def _retry(tx: Transaction, key: str, known: KnownDocument, at: datetime) -> None:
    Catalogue(tx, key).set_skipped(known.uri, skipped=False, at=at)
    Failures(tx, key).uncount(known.uri)
    Inbox(tx, key).ask([known.uri], at, anew=True)


def _skip(tx: Transaction, key: str, known: KnownDocument, at: datetime) -> None:
    catalogue = Catalogue(tx, key)
    catalogue.keep_details(Jobs(tx).newest_seq(key), [known.uri])
    catalogue.set_skipped(known.uri, skipped=True, at=at)
    _take_out(tx, key, known.uri)


def _take_out(tx: Transaction, key: str, uri: str) -> None:
    """Out of search, the inbox and the failures, and off its way; after it was skipped, or what was pushed removed."""
    Inbox(tx, key).withdraw(uri)
    Failures(tx, key).uncount(uri)
    Failures(tx, key).clear([uri])
    passages.withdraw_live(tx, key, uri)
    OnTheirWay(tx, key).take_out(uri)
