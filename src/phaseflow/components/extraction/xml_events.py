"""XML by its events: names without their namespaces, no entities, and no more text than a document may have."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Protocol
from xml.parsers import expat

from phaseflow.components.extraction.markdown_writer import MAX_CHARS
from phaseflow.domain.errors import DocumentError

_OF_FORMULAS = "/math"
"""Ends the namespace of formulas in Office documents."""
_LONGEST_PROPERTY = 10_000
_MOST_NAMES = 5000
"""Of elements and attributes that are remembered: more than all office formats have."""

_NO_MEMORY = expat.errors.codes[expat.errors.XML_ERROR_NO_MEMORY]


class Handler(Protocol):
    """Takes the events of an XML member. Names and attributes come without their namespace."""

    def start(self, name: str, attributes: dict[str, str]) -> None: ...

    def end(self, name: str) -> None: ...

    def data(self, text: str) -> None: ...


def parse_xml(
    chunks: Iterable[bytes],
    handler: Handler,
    malformed: Callable[[str], DocumentError],
    name: str,
    only: frozenset[str] | None = None,
) -> None:
    """Send the events of XML to ``handler``, of elements those in ``only`` and all of formulas. Entities are refused;
    nothing is fetched. Raises DocumentError ``too_large`` at the text that is too much, however much would follow.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    short = _SHORT

    def start(name: str, attributes: dict[str, str]) -> None:
        # Most elements have no attributes.
        handler.start(short[name], attributes and {short[key]: value for key, value in attributes.items()})

    def end(name: str) -> None:
        handler.end(short[name])

    if only is not None:
        known = _known(only)

        def start(name: str, attributes: dict[str, str]) -> None:
            if told := known[name]:
                handler.start(told, attributes and {short[key]: value for key, value in attributes.items()})

        def end(name: str) -> None:
            if told := known[name]:
                handler.end(told)

    def refuse_entity(*_: object) -> None:
        raise malformed("it declares XML entities")

    left = MAX_CHARS

    def data(text: str) -> None:
        nonlocal left
        left -= len(text)
        if left < 0:
            raise too_large(name, f"holds more than {MAX_CHARS:,} characters of text")
        handler.data(text)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = data
    parser.EntityDeclHandler = refuse_entity
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise _fault(error, malformed) from error


def _fault(error: expat.ExpatError, malformed: Callable[[str], DocumentError]) -> Exception:
    """What a fault of the parser is: it may have met the limit of memory, and then nothing is said of the document."""
    return MemoryError() if error.code == _NO_MEMORY else malformed(str(error))


def check_xml(data: bytes, malformed: Callable[[str], DocumentError]) -> None:
    """Raise what ``malformed`` makes of XML that is not well-formed: other libraries may look for an end for ever."""
    parser = expat.ParserCreate()

    def refuse_entity(*_: object) -> None:
        raise malformed("it declares XML entities")

    parser.EntityDeclHandler = refuse_entity
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise _fault(error, malformed) from error


class Texts:
    """Takes the texts of all elements of one name."""

    def __init__(self, name: str) -> None:
        self.texts: list[str] = []
        self._name = name
        self._pieces: list[str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == self._name:
            self._pieces = []

    def end(self, name: str) -> None:
        if name == self._name and self._pieces is not None:
            self.texts.append("".join(self._pieces))
            self._pieces = None

    def data(self, text: str) -> None:
        if self._pieces is not None:
            self._pieces.append(text)


class Properties:
    """Takes the first text of each element, by its name."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self._name = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._name = name.lower()

    def end(self, name: str) -> None:
        self._name = ""

    def data(self, text: str) -> None:
        if self._name and text.strip() and len(text) <= _LONGEST_PROPERTY:
            self.said.setdefault(self._name, text)


class Elements:
    """Takes every element's start by a call."""

    def __init__(self, call: Callable[[str, dict[str, str]], None]) -> None:
        self.start = call

    def end(self, name: str) -> None: ...

    def data(self, text: str) -> None: ...


class _Short(dict[str, str]):
    """Names without their namespace, each worked out once; but ``svg:title`` is no title, and ``r:id`` no ``id``."""

    def __missing__(self, name: str) -> str:
        space, _, local = name.rpartition(" ")
        if len(self) >= _MOST_NAMES:
            self.clear()
        mark = "svg-" if ":svg-" in space else "r-" if _is_of_relations(space) else ""
        self[name] = short = mark + local
        return short


class _Known(_Short):
    """Names of elements, ``""`` for those that nobody asks for: in most documents they are the larger part."""

    def __init__(self, only: frozenset[str]) -> None:
        self._only = only

    def __missing__(self, name: str) -> str:
        short = super().__missing__(name)
        if short not in self._only and not name.rpartition(" ")[0].endswith(_OF_FORMULAS):
            self[name] = short = ""
        return short


@cache
def _known(only: frozenset[str]) -> _Known:
    return _Known(only)


def _is_of_relations(space: str) -> bool:
    return "officeDocument" in space and space.endswith("/relationships")


_SHORT = _Short()


def too_large(name: str, what: str) -> DocumentError:
    """The error for a document that is over a limit."""
    return DocumentError(f"{name} {what}; split it or exclude it", code="too_large")
