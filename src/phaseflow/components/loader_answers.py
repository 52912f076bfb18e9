"""What a program's own loader has answered, checked before anything is stored: a mistake in it is told in words."""

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from phaseflow.components.contained import contained, contained_call
from phaseflow.components.protocols import Document, Entry, Known, Loader, Skipped, Unchanged
from phaseflow.domain.errors import ComponentUnavailable, InvalidRequest
from phaseflow.domain.new_document import BUILT_IN, check_metadata

_LARGEST = 2**63
_Loaded = Document | Unchanged | Skipped
_TEXT, _TEXT_OR_NONE = (str,), (str, type(None))
_ENTRY: Mapping[str, tuple[type, ...]] = {
    "uri": _TEXT, "size": (int, type(None)), "stamp": _TEXT_OR_NONE, "depth": (int,),
    "hides_others": (bool,),
}  # fmt: skip
_FIELDS: Mapping[type, Mapping[str, tuple[type, ...]]] = {
    Document: {
        "entry": (Entry,), "text": _TEXT, "title": _TEXT, "media_type": _TEXT, "content_hash": (bytes,),
        "stamp": _TEXT_OR_NONE, "links": (tuple, list), "read_as": _TEXT_OR_NONE, "size": (int, type(None)),
    },
    Unchanged: {"entry": (Entry,), "content_hash": (bytes,), "stamp": _TEXT_OR_NONE, "links": (tuple, list)},
    Skipped: {"entry": (Entry,), "links": (tuple, list), "twin": _TEXT_OR_NONE},
}  # fmt: skip


@asynccontextmanager
async def pages_of(loader: Loader) -> AsyncIterator[AsyncIterator[Sequence[Entry]]]:
    """The pages that a loader lists, for the length of the block. Raises ComponentUnavailable where it lists none."""
    with contained_call("the loader"):
        given: Any = loader.list()
    if inspect.iscoroutine(given):
        given.close()
    if not isinstance(given, AsyncIterable):
        raise ComponentUnavailable(
            f"{_name(loader)}.list() returned {_a(given)}: write it as an asynchronous generator"
            " (`async def` with `yield`) of lists of Entry"
        )
    pages = aiter(given)
    try:
        yield pages
    finally:
        if (close := getattr(pages, "aclose", None)) is not None:
            await contained(close(), "the loader")


def checked_page(loader: Loader, page: Any) -> Sequence[Entry]:
    """A page as ``list`` has yielded it, each uri once: the later entry counts. Raises ComponentUnavailable for
    anything but a list of entries."""
    if not isinstance(page, list | tuple):
        raise ComponentUnavailable(f"{_name(loader)}.list() yielded {_a(page)}: yield lists of Entry, a page at a time")
    for entry in page:
        if not isinstance(entry, Entry):
            raise ComponentUnavailable(
                f"{_name(loader)}.list() yielded a list that holds {_a(entry)}: it must hold Entry objects"
            )
        if wrong := _wrong_field(entry, _ENTRY) or _wrong_entry(entry):
            raise ComponentUnavailable(f"{_name(loader)}.list() yielded an Entry whose {wrong}")
    return list({entry.uri: entry for entry in page}.values())  # a list of ours: the loader may use its own again


def checked_document(loader: Loader, found: Any, asked: Entry, known: Known | None) -> _Loaded:
    """What ``load`` has returned for the entry it was ``asked`` for, and for what is ``known``. Raises TypeError for
    what cannot be the document, or is another one: that says nothing about the others."""
    fields = _FIELDS.get(type(found))
    if fields is None:
        raise TypeError(f"{_name(loader)}.load() returned {_a(found)}: return a Document, Unchanged or Skipped")
    if wrong := _wrong_field(found, fields) or _wrong_links(found):
        raise TypeError(f"{_name(loader)}.load() returned {_a(found)} whose {wrong}")
    if found.entry.uri != asked.uri:
        raise TypeError(
            f"{_name(loader)}.load() returned {_a(found)} of {found.entry.uri!r:.100} when it was asked for"
            f" {asked.uri!r:.100}: return it with the entry that it was given"
        )
    if isinstance(found, Document) and (
        wrong := _wrong_size(found.size) or _wrong_parts(found) or _wrong_metadata(found)
    ):
        raise TypeError(f"{_name(loader)}.load() returned {_a(found)} whose {wrong}")
    if isinstance(found, Unchanged) and known is None:
        raise TypeError(
            f"{_name(loader)}.load() returned Unchanged for a document that is not known: return a Document"
        )
    answer: _Loaded = found
    return _own(answer)


def _own(found: _Loaded) -> _Loaded:
    """The same for good: a loader may use its lists and mappings again for the next document, before this is stored."""
    links = tuple(found.links)
    if not isinstance(found, Document):
        return replace(found, links=links)
    metadata = {name: list(each) if isinstance(each, list) else each for name, each in found.metadata.items()}
    return replace(found, links=links, parts=tuple(found.parts), metadata=metadata)


def _wrong_field(value: object, fields: Mapping[str, tuple[type, ...]]) -> str | None:
    for name, kinds in fields.items():
        given = getattr(value, name)
        if not isinstance(given, kinds):
            return f"{name} is {_a(given)}, not {kinds[0].__name__}"
    return None


def _wrong_entry(entry: Entry) -> str | None:
    if not entry.uri.strip() or "\0" in entry.uri:
        return f"uri is {entry.uri!r:.100}: it must be a name that can be seen"
    try:
        entry.uri.encode()
    except UnicodeEncodeError:
        return f"uri {entry.uri!r:.100} holds half a character"
    if wrong := _wrong_size(entry.size):
        return wrong
    return None if 0 <= entry.depth < _LARGEST else f"depth is {entry.depth}, not a number of links"


def _wrong_size(size: int | None) -> str | None:
    return None if size is None or 0 <= size < _LARGEST else f"size is {size}, not a number of bytes"


def _wrong_links(found: _Loaded) -> str | None:
    links: Sequence[Any] = found.links
    for link in links:
        if not isinstance(link, Entry):
            return f"links hold {_a(link)}: they must be Entry objects"
        if wrong := _wrong_field(link, _ENTRY) or _wrong_entry(link):
            return f"links hold an Entry whose {wrong}"
    return None


def _wrong_parts(document: Document) -> str | None:
    last = 0
    for part in document.parts:
        match part:
            case (int(offset), str()) if last <= offset <= len(document.text):
                last = offset
            case _:
                return f"parts hold {part!r:.100}: give (offset in the text, label) in ascending order"
    return None


def _wrong_metadata(document: Document) -> str | None:
    said: Any = document.metadata
    if not isinstance(said, Mapping):
        return f"metadata is {_a(said)}, not a mapping"
    try:
        check_metadata({name: each for name, each in said.items() if name not in BUILT_IN})
    except InvalidRequest as error:
        return str(error).replace(":", "", 1)
    return None


def _a(value: object) -> str:
    name = type(value).__name__
    return "nothing" if value is None else f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _name(loader: Loader) -> str:
    return type(loader).__qualname__
