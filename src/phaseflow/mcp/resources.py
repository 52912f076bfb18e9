"""Documents as resources: listed page by page through all knowledge bases, read a part at a time."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

from pydantic import TypeAdapter

from phaseflow.domain.documents import DocumentInfo
from phaseflow.domain.errors import InvalidRequest, KnowledgeBaseNotFound
from phaseflow.mcp.backend import Backend
from phaseflow.mcp.tools import LONGEST_EXTRACT, DocumentText, Tools

TEMPLATE = "phaseflow://kb/{kb_id}/documents/{id}{?start,limit}"
_PARAMETERS = frozenset({"start", "limit"})
DESCRIPTION = (
    "A document and its extracted text from character `start` on, `limit` characters at most, as get_document answers"
    " it. `end` is the `start` of the next part."
)
MEDIA_TYPE = "application/json"
PAGE = 100
"""Documents looked at for one page."""
MOST_KBS = 20
"""Knowledge bases looked at for one page: those without documents end with a short page and a cursor."""
_PARTS = TypeAdapter(tuple[str | None, str | None, str | None])


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins: the knowledge bases behind a cursor, and in the first of them, ``kb_id``, its documents."""

    kbs: str | None = None
    kb_id: str | None = None
    documents: str | None = None


class Resources:
    """The documents of a backend that can be read."""

    def __init__(self, backend: Backend, tools: Tools) -> None:
        self._backend = backend
        self._tools = tools

    async def page(self, cursor: str | None) -> tuple[list[tuple[str, DocumentInfo]], str | None]:
        """Some documents that search sees, each with its address, and where the next page begins.

        Raises InvalidRequest for a cursor that was not made here.
        """
        at: _Place | None = _read(cursor)
        found: list[tuple[str, DocumentInfo]] = []
        left = PAGE
        for _ in range(MOST_KBS):
            if at is None or left == 0:
                break
            at, looked_at = await self._look(at, left, found)
            left -= looked_at
        return found, None if at is None else _written(at)

    async def _look(self, at: _Place, limit: int, found: list[tuple[str, DocumentInfo]]) -> tuple[_Place | None, int]:
        kbs = await self._backend.kbs(1, at.kbs)
        if not kbs.items:
            return None, 0
        kb_id, behind = kbs.items[0].kb_id, None if kbs.next_cursor is None else _Place(kbs.next_cursor)
        try:
            page = await self._backend.documents(kb_id, limit, at.documents if kb_id == at.kb_id else None)
        except KnowledgeBaseNotFound:
            return behind, 0  # deleted since
        found += [(_address(kb_id, document.id), document) for document in page.items if document.searchable]
        return (_Place(at.kbs, kb_id, page.next_cursor) if page.next_cursor else behind), len(page.items)

    async def read(self, kb_id: str, name: str, start: str, limit: str) -> DocumentText:
        """A part of a document. Raises PhaseflowError."""
        first = _whole(start)
        if first is None:
            raise InvalidRequest("start", "must be a whole number of 0 or more: the first character of the part")
        most = _whole(limit)
        if most is None or not 1 <= most <= LONGEST_EXTRACT:
            raise InvalidRequest("limit", f"must be a whole number, 1 to {LONGEST_EXTRACT}: the characters of the part")
        return await self._tools.get_document(kb_id, name, first, most)


def check_query(uri: str) -> None:
    """Refuse what the SDK would ignore. Raises InvalidRequest for a parameter of an address that is not known or is
    given twice."""
    names = [name for name, _ in parse_qsl(uri.partition("?")[2], keep_blank_values=True)]
    for name in names:
        if name not in _PARAMETERS:
            raise InvalidRequest(f"{name:.100}", "is not known here; check its spelling")
        if names.count(name) > 1:
            raise InvalidRequest(name, "is given more than once")


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _address(kb_id: str, document_id: str) -> str:
    """The address of a document as a resource."""
    return f"phaseflow://kb/{quote(kb_id, safe='')}/documents/{quote(document_id, safe='')}"


def _written(at: _Place) -> str:
    return urlsafe_b64encode(json.dumps([at.kbs, at.kb_id, at.documents]).encode()).decode()


def _read(cursor: str | None) -> _Place:
    if cursor is None:
        return _Place()
    try:
        return _Place(*_PARTS.validate_json(urlsafe_b64decode(cursor.encode("ascii"))))
    except ValueError:  # of base64, of the text and of the parts alike
        raise InvalidRequest("cursor", "must be the nextCursor of the page before") from None
