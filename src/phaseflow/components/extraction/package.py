"""Documents that are ZIP archives (DOCX, PPTX, XLSX, ODT, EPUB): members with a limit on what they unpack to."""

import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from posixpath import join, normpath
from urllib.parse import unquote

from phaseflow.components.extraction.metadata import office_properties
from phaseflow.components.extraction.types import Raw
from phaseflow.components.extraction.xml_events import Handler, Properties, parse_xml, too_large
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.values import MetadataValue

MAX_UNPACKED = 512 * 1024 * 1024
"""Bytes read from one document, over all its members. Markup packs 10 to 20 times."""
_CHUNK = 65_536
_MOST_HELD = 16 * 1024 * 1024
"""Bytes of members that are held."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")
_FILM_ENDS = (".mp4", ".m4v", ".mov", ".avi", ".wmv", ".webm", ".mp3", ".m4a", ".wav", ".wma", ".ogg")
_PICTURE_ENDS = (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".bmp", ".emf", ".wmf", ".webp", ".svg")


class Package:
    """The members of a document. Every reading raises DocumentError ``malformed``, ``encrypted`` or ``too_large``."""

    def __init__(self, raw: Raw) -> None:
        self.name = raw.name
        self._left = MAX_UNPACKED
        self._read: dict[str, int] = {}
        """How far each member has been read: to read it again costs nothing more."""
        self._held: dict[str, list[bytes]] = {}
        """Members that are read again need not be unpacked again, as long as there is room for them."""
        self._room = _MOST_HELD
        self._relations: dict[str, dict[str, Relation]] = {}
        self._said: dict[str, str] | None = None
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
                raise too_large(self.name, f"holds more than {most:,} bytes in {member}")
        return b"".join(pieces)

    def chunks(self, member: str) -> Iterator[bytes]:
        """Yield a member in pieces of bounded size."""
        info = self._members.get(member.lower())
        if info is None:
            raise self.malformed(f"there is no {member} in it")
        if info.flag_bits & 1:
            raise encrypted(self.name)
        try:
            if (held := self._held.get(info.filename)) is not None:
                yield from held
                return
            pieces: list[bytes] = []
            with self._archive.open(info) as file:
                place = 0
                while chunk := file.read(_CHUNK):
                    place += len(chunk)
                    self._spend(info.filename, place)
                    if place <= self._room:
                        pieces.append(chunk)
                    yield chunk
            if place <= self._room:
                self._held[info.filename] = pieces
                self._room -= place
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            if str(error).startswith("Error -4 "):  # Z_MEM_ERROR says nothing of the document
                raise MemoryError from error
            raise self.malformed("it cannot be unpacked") from error

    def parse(self, member: str, handler: Handler, only: frozenset[str] | None = None) -> None:
        """Send the events of an XML member to ``handler``, as ``parse_xml`` does."""
        parse_xml(self.chunks(member), handler, lambda why: self.malformed(f"{member}: {why}"), self.name, only)

    def relations(self, member: str) -> dict[str, "Relation"]:
        """Return what a member of an Office document refers to, by id; none when it refers to nothing."""
        folder, _, base = member.rpartition("/")
        listing = f"{folder}/_rels/{base}.rels" if folder else f"_rels/{base}.rels"
        if member not in self._relations:
            found = _Relations(folder)
            if listing in self:
                self.parse(listing, found)
            self._relations[member] = found.by_id
        return self._relations[member]

    def main(self, default: str) -> str:
        """Return the member that the document begins with."""
        for relation in self.relations("").values():
            if relation.kind == "officeDocument" and relation.target in self:
                return relation.target
        return default

    def title(self) -> str | None:
        """Return the title among the properties of an Office document."""
        return self._properties().get("title")

    def properties(self) -> dict[str, MetadataValue]:
        """Return what an Office document says about itself besides its title."""
        return office_properties(self._properties())

    def _properties(self) -> dict[str, str]:
        if self._said is None:
            found = Properties()
            if "docProps/core.xml" in self:
                self.parse("docProps/core.xml", found)
            self._said = found.said
        return self._said

    def has_pictures(self) -> bool:
        return any(name.endswith(_PICTURE_ENDS) and "thumbnail" not in name for name in self._members)

    def refuse_unread(self) -> None:
        """Raise DocumentError ``no_text_layer`` or ``nothing_found`` for a document without text that holds more."""
        if self.has_pictures():
            raise no_text_layer(self.name)
        if any("/embeddings/" in name or name.startswith("object") for name in self._members):
            raise nothing_found(self.name, "it holds documents of other programs")
        if any(name.endswith(_FILM_ENDS) for name in self._members):
            raise nothing_found(self.name, "it holds sound or video")

    def malformed(self, why: str) -> DocumentError:
        message = f"{self.name} is damaged or not what its name says ({why}); open and save it again, or exclude it"
        return DocumentError(message, code="malformed")

    def _spend(self, member: str, place: int) -> None:
        before = self._read.get(member, 0)
        if place > before:
            self._read[member] = place
            self._left -= place - before
        if self._left < 0:
            raise too_large(self.name, f"unpacks to more than {MAX_UNPACKED:,} bytes")


class Relation:
    """What a member refers to: the last word of its type, and the member."""

    __slots__ = ("kind", "target")

    def __init__(self, kind: str, target: str) -> None:
        self.kind = kind
        self.target = target


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


def resolved(folder: str, target: str) -> str:
    """Return the member that a reference in ``folder`` means."""
    path = unquote(target.partition("#")[0])
    return normpath(path.lstrip("/") if path.startswith("/") else join(folder, path))


def encrypted(name: str) -> DocumentError:
    """The error for a document that a password protects."""
    message = f"{name} is encrypted and cannot be read without its password; save a copy without one"
    return DocumentError(message, code="encrypted")


def no_text_layer(name: str) -> DocumentError:
    """The error for a document of pictures."""
    # Text is recognised in PDF and pictures alone.
    first = "" if name.lower().endswith(".pdf") else "save it as PDF and "
    message = f"{name} holds pictures but no text; {first}have it recognised (settings.ocr, --ocr LANG), or exclude it"
    return DocumentError(message, code="no_text_layer")


def nothing_found(name: str, what: str) -> DocumentError:
    """The error for a document that has content of which nothing could be read."""
    return DocumentError(f"{name}: {what}, but no text was found; save it in another format", code="nothing_found")


def _ole(raw: Raw) -> DocumentError:
    if _ENCRYPTED_STREAM in raw.data:
        return encrypted(raw.name)
    message = f"An old Office file is not supported: {raw.name} was left out; save it in a current format"
    return DocumentError(message, code="unsupported_format", counts=False)
