"""The files of a vector store: documents of a knowledge base."""

from collections.abc import Callable, Sequence
from typing import Any

from starlette.responses import Response

from phaseflow.domain.documents import DocumentInfo
from phaseflow.domain.errors import DocumentNotFound
from phaseflow.domain.new_document import check_metadata
from phaseflow.domain.status import KnowledgeBase
from phaseflow.flow import PhaseFlow
from phaseflow.http.endpoint import Endpoint, JsonResult, RequestContext
from phaseflow.http.openai.adding import add_files, chunking_of
from phaseflow.http.openai.objects import Deleted, Listed, StoreFile, Text, TextPage, polled, shown_status
from phaseflow.http.openai.requests import Attributes, Body, Id, StoreFileBody, StoreFileList, StorePath
from phaseflow.http.openai.stores import STORE, use

_STORE_FILES = f"{STORE}/files"
_STORE_FILE = f"{_STORE_FILES}/{{file_id}}"
SCAN, SCANS = 200, 50
"""Documents looked at in one read, and reads for a page: a filter that finds little ends with a short page."""


async def _add_store_file(call: RequestContext[StorePath, StoreFileBody]) -> Response | JsonResult:
    kb_id = call.at.vector_store_id
    await use(call, kb_id)
    [uri] = await add_files(call.state, kb_id, [call.body])
    return await _answer(call, kb_id, await call.state.flow.document(kb_id, uri))


async def _list_store_files(call: RequestContext[StoreFileList, None]) -> JsonResult:
    at, flow = call.at, call.state.flow
    kb = await flow.kb(at.vector_store_id)
    cursor = at.after or at.before
    beyond = None if cursor is None else (await _found_file(flow, kb.kb_id, cursor)).uri
    last_first = (at.order == "desc") == (at.before is None)

    def is_wanted(document: DocumentInfo) -> bool:
        return at.filter is None or shown_status(document.status, kb.job) == at.filter

    step = at.limit + 1 if at.filter is None else SCAN
    found, has_more = await _scan(flow, kb.kb_id, beyond, step, at.limit, is_wanted, last_first=last_first)
    return JsonResult(Listed.of(shown_files(kb, found if at.before is None else found[::-1]), has_more=has_more))


class _StoreFilePath(StorePath):
    """One file of a vector store."""

    file_id: Id


async def _get_store_file(call: RequestContext[_StoreFilePath, None]) -> Response | JsonResult:
    kb_id = call.at.vector_store_id
    return await _answer(call, kb_id, await _found_file(call.state.flow, kb_id, call.at.file_id))


class _AttributesBody(Body):
    """The attributes of a file, in place of those it has."""

    attributes: Attributes | None


async def _update_store_file(call: RequestContext[_StoreFilePath, _AttributesBody]) -> Response | JsonResult:
    kb_id, flow = call.at.vector_store_id, call.state.flow
    found = await _found_file(flow, kb_id, call.at.file_id)
    await flow.set_metadata(kb_id, found.uri, check_metadata(call.body.attributes or {}, "attributes"))
    return await _answer(call, kb_id, await flow.document(kb_id, found.uri))


async def _delete_store_file(call: RequestContext[_StoreFilePath, None]) -> JsonResult:
    """Out of the vector store; the file itself stays. Raises HeldBySource for a document of another source."""
    kb_id, flow = call.at.vector_store_id, call.state.flow
    await flow.delete_document(kb_id, (await _found_file(flow, kb_id, call.at.file_id)).uri)
    call.state.hub.invalidate(kb_id)
    return JsonResult(Deleted(id=call.at.file_id, object="vector_store.file.deleted"))


async def _get_store_file_content(call: RequestContext[_StoreFilePath, None]) -> JsonResult:
    kb_id, flow = call.at.vector_store_id, call.state.flow
    document = await _found_file(flow, kb_id, call.at.file_id)
    pieces = [Text(text=piece) async for piece in flow.text_pieces(kb_id, document.uri)]
    return JsonResult(TextPage(object="vector_store.file_content.page", data=pieces))


async def _found_file(flow: PhaseFlow, kb_id: str, file_id: str) -> DocumentInfo:
    """The document that is the file of an id. Raises DocumentNotFound."""
    if not file_id.startswith("file-"):
        return await flow.document(kb_id, file_id)
    prefix = f"{file_id}/"
    found = await flow.notes.documents(kb_id, prefix, 1, last_first=False)
    if not found or not found[0].uri.startswith(prefix):
        raise DocumentNotFound(kb_id, file_id)
    return found[0]


def shown_files(kb: KnowledgeBase, documents: Sequence[DocumentInfo]) -> list[StoreFile]:
    """Documents as files."""
    chunking = chunking_of(kb.settings)
    return [StoreFile.of(kb.kb_id, document, kb.job, chunking) for document in documents]


async def _answer(call: RequestContext[Any, Any], kb_id: str, document: DocumentInfo) -> Response | JsonResult:
    [file] = shown_files(await call.state.flow.kb(kb_id), [document])
    return polled(file, file.status)


async def _scan(
    flow: PhaseFlow,
    kb_id: str,
    beyond: str | None,
    step: int,
    limit: int,
    is_wanted: Callable[[DocumentInfo], bool],
    *,
    last_first: bool,
) -> tuple[list[DocumentInfo], bool]:
    """(documents, whether there may be more)."""
    found: list[DocumentInfo] = []
    for _ in range(SCANS):
        read = await flow.notes.documents(kb_id, beyond, step, last_first=last_first)
        found += filter(is_wanted, read)
        if len(read) < step or len(found) > limit:
            return found[:limit], len(found) > limit
        beyond = read[-1].uri
    return found, True


ENDPOINTS = [
    Endpoint(
        "POST", _STORE_FILES, "Add a file to a vector store", _add_store_file, {200: StoreFile}, StorePath,
        StoreFileBody, body_required=True,
    ),
    Endpoint("GET", _STORE_FILES, "Its files", _list_store_files, {200: Listed[StoreFile]}, StoreFileList),
    Endpoint("GET", _STORE_FILE, "One file of it", _get_store_file, {200: StoreFile}, _StoreFilePath),
    Endpoint(
        "POST", _STORE_FILE, "Change the attributes of a file", _update_store_file, {200: StoreFile}, _StoreFilePath,
        _AttributesBody, body_required=True,
    ),
    Endpoint("DELETE", _STORE_FILE, "Take a file out", _delete_store_file, {200: Deleted}, _StoreFilePath),
    Endpoint("GET", f"{_STORE_FILE}/content", "Its text", _get_store_file_content, {200: TextPage}, _StoreFilePath),
]  # fmt: skip
