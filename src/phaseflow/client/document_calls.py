"""The calls of both clients that change documents."""

import json
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pydantic import BaseModel

from phaseflow.client.calls import ServiceCall
from phaseflow.client.conditions import conditions
from phaseflow.client.connection import check_sendable
from phaseflow.components.given_files import opened
from phaseflow.domain.documents import DocumentInfo, DocumentRetried, DocumentsChanged, PushedDocument
from phaseflow.domain.errors import DocumentNotFound, InvalidRequest, KnowledgeBaseNotFound
from phaseflow.domain.etags import Etags
from phaseflow.domain.identifiers import DOCUMENT_ID, check_kb_id, document_id
from phaseflow.domain.new_document import NewDocument
from phaseflow.domain.status import Page

ModelT = TypeVar("ModelT", bound=BaseModel)
Given = str | Path | tuple[str, bytes]
"""A file of this machine, or a name and what is to stand under it."""
_Part = tuple[str, tuple[str, BinaryIO]]


class DocumentCalls:
    """Documents are named by their uri or id. Each call is taken whatever the job does."""

    @abstractmethod
    async def _ask(self, model: type[ModelT], method: str, path: str, **options: Any) -> ModelT: ...

    @ServiceCall
    async def add(self, kb_id: str, documents: Iterable[NewDocument | Mapping[str, Any]]) -> DocumentsChanged:
        """Push texts into a knowledge base, which is created if needed, whatever its job does."""
        body = {"documents": [_json_of(each) for each in documents]}
        return await self._ask(DocumentsChanged, "POST", f"{new_kb_path(kb_id)}/documents", json=body)

    @ServiceCall
    async def upload(
        self, kb_id: str, paths: Iterable[Given], metadata: Mapping[str, Any] | None = None
    ) -> DocumentsChanged:
        """Push files of this machine, or (name, bytes), into a knowledge base, which is created if needed."""
        check_sendable("metadata", metadata)
        said = {} if metadata is None else {"data": {"metadata": json.dumps(dict(metadata))}}
        with _files_of(paths) as files:
            return await self._ask(DocumentsChanged, "POST", f"{new_kb_path(kb_id)}/documents", files=files, **said)

    @ServiceCall
    async def push_files(
        self, kb_id: str, files: Iterable[tuple[str, bytes]], origin: str | None = None
    ) -> DocumentsChanged:
        """Push files, each a uri and its bytes, which come from ``origin``."""
        said: list[Any] = [] if origin is None else [("origin", (None, origin))]
        for uri, data in files:
            said += [("uri", (None, uri)), ("files", ("file", data))]
        return await self._ask(DocumentsChanged, "POST", f"{new_kb_path(kb_id)}/documents", files=said)

    @ServiceCall
    async def pushed_documents(
        self, kb_id: str, limit: int = 100, cursor: str | None = None, *, origin: str | None = None
    ) -> Page[PushedDocument]:
        """What is kept of the documents that were pushed, by uri: of all, or of those of one ``origin``."""
        asked = {name: str(value) for name, value in [("cursor", cursor), ("origin", origin)] if value is not None}
        path = f"{kb_path(kb_id)}/pushed"
        return await self._ask(Page[PushedDocument], "GET", path, params={"limit": str(limit)} | asked)

    @ServiceCall
    async def delete_document(self, kb_id: str, document: str) -> DocumentsChanged:
        """Take a pushed document out, by its uri or id."""
        with naming(kb_id, document):
            return await self._ask(DocumentsChanged, "DELETE", document_path(kb_id, document))

    @ServiceCall
    async def retry_document(self, kb_id: str, document: str) -> DocumentRetried:
        """Load a document anew, even if it is unchanged; ``message`` says what it waits for, where that is not now."""
        with naming(kb_id, document):
            return await self._ask(DocumentRetried, "POST", f"{document_path(kb_id, document)}/retry")

    @ServiceCall
    async def skip_document(self, kb_id: str, document: str) -> DocumentInfo:
        """Take a document out of search, and leave it out until it is retried."""
        with naming(kb_id, document):
            return await self._ask(DocumentInfo, "POST", f"{document_path(kb_id, document)}/skip")

    @ServiceCall
    async def set_metadata(
        self,
        kb_id: str,
        document: str,
        metadata: Mapping[str, Any],
        *,
        if_match: Etags | None = None,
        if_none_match: Etags | None = None,
    ) -> DocumentInfo:
        """Replace the metadata of a document: while its ``etag`` is still ``if_match``, else PreconditionFailed."""
        body, headers = {"metadata": dict(metadata)}, conditions(if_match, if_none_match)
        with naming(kb_id, document):
            return await self._ask(DocumentInfo, "PATCH", document_path(kb_id, document), json=body, headers=headers)


@contextmanager
def naming(kb_id: str, name: str) -> Iterator[None]:
    """The service is asked by id: a document that it does not have is told by the name that was given."""
    try:
        yield
    except DocumentNotFound as error:
        raise DocumentNotFound(kb_id, name) from error


def kb_path(kb_id: str) -> str:
    """The path of a knowledge base. Raises KnowledgeBaseNotFound for a name that none can have."""
    check_sendable("kb_id", kb_id)
    try:
        return f"api/ingestion/kb/{check_kb_id(kb_id)}"
    except InvalidRequest:
        raise KnowledgeBaseNotFound(kb_id) from None


def new_kb_path(kb_id: str) -> str:
    """The same where it is made when there is none. Raises InvalidRequest."""
    return kb_path(check_kb_id(kb_id))


def document_path(kb_id: str, name: str) -> str:
    """The path of a document, by its uri or id."""
    check_sendable("document", name)
    known = name if re.fullmatch(DOCUMENT_ID, name) else document_id(kb_id, name)
    return f"{kb_path(kb_id)}/documents/{known}"


def _json_of(document: NewDocument | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(document, NewDocument):
        return document.model_dump(mode="json", exclude_defaults=True)
    return dict(document)


@contextmanager
def _files_of(given: Iterable[Given]) -> Iterator[list[_Part]]:
    """Files of this machine as parts of a request, open for the length of the block.

    Raises InvalidRequest, naming one that cannot be read.
    """
    with ExitStack() as stack:
        yield [("files", _named(one, stack)) for one in given]


def _named(given: Given, stack: ExitStack) -> tuple[str, BinaryIO]:
    if isinstance(given, tuple):
        return given[0], BytesIO(given[1])
    path = Path(given)
    return path.name, stack.enter_context(opened(path))
