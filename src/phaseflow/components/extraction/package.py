"""Documents that are ZIP archives (DOCX, PPTX, XLSX, ODT, EPUB): members with a limit on what they unpack to."""

import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from posixpath import join, normpath
from typing import Protocol
from urllib.parse import unquote
from xml.parsers import expat

from phaseflow.components.extraction.markdown_writer import MAX_CHARS
from phaseflow.components.extraction.metadata import office_properties
from phaseflow.components.extraction.types import Raw
from phaseflow.components.protocols import MetadataValue
from phaseflow.domain.errors import DocumentError

MAX_UNPACKED = 512 * 1024 * 1024
"""Bytes read from one document, over all its members. Markup packs 10 to 20 times."""
_CHUNK = 65_536
_LONGEST_PROPERTY = 10_000
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")
_PICTURE_ENDS = (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".bmp", ".emf", ".wmf", ".webp", ".svg")


class Handler(Protocol):
    """Takes the events of an XML member. Names and attributes come without their namespace."""

    def start(self, name: str, attributes: dict[str, str]) -> None: ...

    def end(self, name: str) -> None: ...

    def data(self, text: str) -> None: ...


class Package:
    """The members of a document. Every reading raises DocumentError ``malformed``, ``encrypted`` or ``too_large``."""

    def __init__(self, raw: Raw) -> None:
        self.name = raw.name
        self._left = MAX_UNPACKED
        self._read: dict[str, int] = {}
        """How far each member has been read: to read it again costs nothing more."""
        if raw.data.startswith(_OLE):
            raise _ole(raw)
        try:
            self._archive = zipfile.ZipFile(BytesIO(raw.data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, RuntimeError) as error:
            raise self.malformed("it cannot be unpacked") from error
        # Writers do not agree on the case of names; the standard says that it does not matter.
        self._members = {info.filename.lower().replace("\\", "/"): info for info in self._archive.infolist()}

    def __contains__(self, member: str) -> bool:
        return member.lower() in self._members

    def names(self) -> list[str]:
        return list(self._members)

    def read(self, member: str, most: int = MAX_UNPACKED) -> bytes:
        """Return a member. Raises DocumentError ``too_large`` as soon as it is more than ``most`` bytes."""
        pieces: list[bytes] = []
        size = 0
        for chunk in self.chunks(member):
            pieces.append(chunk)
            size += len(chunk)
            if size > most:
                raise _too_large(self.name, f"holds more than {most:,} bytes in {member}")
        return b"".join(pieces)

    def chunks(self, member: str) -> Iterator[bytes]:
        """Yield a member in pieces of bounded size."""
        info = self._members.get(member.lower())
        if info is None:
            raise self.malformed(f"there is no {member} in it")
        if info.flag_bits & 1:
            raise encrypted(self.name)
        try:
            with self._archive.open(info) as file:
                place = 0
                while chunk := file.read(_CHUNK):
                    place += len(chunk)
                    self._spend(info.filename, place)
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise self.malformed("it cannot be unpacked") from error

    def parse(self, member: str, handler: Handler) -> None:
        """Send the events of an XML member to ``handler``. Entities are refused; nothing is fetched."""
        parse_xml(self.chunks(member), handler, lambda why: self.malformed(f"{member}: {why}"), self.name)

    def relations(self, member: str) -> dict[str, "Relation"]:
        """Return what a member of an Office document refers to, by id; none when it refers to nothing."""
        folder, _, base = member.rpartition("/")
        listing = f"{folder}/_rels/{base}.rels" if folder else f"_rels/{base}.rels"
        found = _Relations(folder)
        if listing in self:
            self.parse(listing, found)
        return found.by_id

    def main(self, default: str) -> str:
        """Return the member that the document begins with."""
        for relation in self.relations("").values():
            if relation.kind == "officeDocument" and relation.target in self:
                return relation.target
        return default

    def title(self) -> str | None:
        """Return the title among the properties of an Office document."""
        found = Texts("title")
        if "docProps/core.xml" in self:
            self.parse("docProps/core.xml", found)
        return next(iter(found.texts), None)

    def properties(self) -> dict[str, MetadataValue]:
        """Return what an Office document says about itself besides its title."""
        found = Properties()
        if "docProps/core.xml" in self:
            self.parse("docProps/core.xml", found)
        return office_properties(found.said)

    def has_pictures(self) -> bool:
        return any(name.endswith(_PICTURE_ENDS) and "thumbnail" not in name for name in self._members)

    def malformed(self, why: str) -> DocumentError:
        message = f"{self.name} is damaged or not what its name says ({why}); open and save it again, or exclude it"
        return DocumentError(message, code="malformed")

    def _spend(self, member: str, place: int) -> None:
        before = self._read.get(member, 0)
        if place > before:
            self._read[member] = place
            self._left -= place - before
        if self._left < 0:
            raise _too_large(self.name, f"unpacks to more than {MAX_UNPACKED:,} bytes")


def parse_xml(chunks: Iterable[bytes], handler: Handler, malformed: Callable[[str], DocumentError], name: str) -> None:
    """Send the events of XML to ``handler``. Entities are refused; nothing is fetched. Raises DocumentError
    ``too_large`` at the text that is too much, however much of it would follow.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    short = _Short()

    def start(name: str, attributes: dict[str, str]) -> None:
        # Most elements have no attributes.
        handler.start(short[name], attributes and {short[key]: value for key, value in attributes.items()})

    def refuse_entity(*_: object) -> None:
        raise malformed("it declares XML entities")

    left = MAX_CHARS

    def data(text: str) -> None:
        nonlocal left
        left -= len(text)
        if left < 0:
            raise _too_large(name, f"holds more than {MAX_CHARS:,} characters of text")
        handler.data(text)

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: handler.end(short[name])
    parser.CharacterDataHandler = data
    parser.EntityDeclHandler = refuse_entity
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise malformed(str(error)) from error


class Relation:
    """What a member refers to: the last word of its type, and the member."""

    __slots__ = ("kind", "target")

    def __init__(self, kind: str, target: str) -> None:
        self.kind = kind
        self.target = target


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


class _Relations:
    def __init__(self, folder: str) -> None:
        self.by_id: dict[str, Relation] = {}
        self._folder = folder

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            target = resolved(self._folder, attributes.get("Target", ""))
            kind = attributes.get("Type", "").rpartition("/")[2]
            self.by_id[attributes.get("Id", "")] = Relation(kind, target)

    def end(self, name: str) -> None: ...

    def data(self, text: str) -> None: ...


class _Short(dict[str, str]):
    """Names without their namespace, each worked out once; but ``svg:title`` is no title, and ``r:id`` no ``id``."""

    def __missing__(self, name: str) -> str:
        space, _, local = name.rpartition(" ")
        mark = "svg-" if ":svg-" in space else "r-" if _is_of_relations(space) else ""
        self[name] = short = mark + local
        return short


def _is_of_relations(space: str) -> bool:
    return "officeDocument" in space and space.endswith("/relationships")


def resolved(folder: str, target: str) -> str:
    """Return the member that a reference in ``folder`` means."""
    path = unquote(target.partition("#")[0])
    return normpath(path.lstrip("/") if path.startswith("/") else join(folder, path))


def _too_large(name: str, what: str) -> DocumentError:
    return DocumentError(f"{name} {what}; split it or exclude it", code="too_large")


def encrypted(name: str) -> DocumentError:
    """The error for a document that a password protects."""
    message = f"{name} is encrypted and cannot be read without its password; save a copy without one"
    return DocumentError(message, code="encrypted")


def no_text_layer(name: str) -> DocumentError:
    """The error for a document of pictures."""
    message = f"{name} holds pictures but no text; have it recognised (settings.ocr, --ocr LANG), or exclude it"
    return DocumentError(message, code="no_text_layer")


def nothing_found(name: str, what: str) -> DocumentError:
    """The error for a document that has content of which nothing could be read."""
    return DocumentError(f"{name}: {what}, but no text was found; save it in another format", code="nothing_found")


def _ole(raw: Raw) -> DocumentError:
    if _ENCRYPTED_STREAM in raw.data:
        return encrypted(raw.name)
    message = f"An old Office file is not supported: {raw.name} was left out; save it in a current format"
    return DocumentError(message, code="unsupported_format", counts=False)
