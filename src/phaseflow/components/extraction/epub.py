"""E-books: the chapters in reading order, each read as the HTML page that it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from phaseflow.components.extraction import html
from phaseflow.components.extraction.markdown_headings import first_heading
from phaseflow.components.extraction.markdown_writer import Draft
from phaseflow.components.extraction.metadata import office_properties
from phaseflow.components.extraction.package import Package, encrypted, no_text_layer, nothing_found, resolved
from phaseflow.components.extraction.style_sheets import says_something
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.components.extraction.xml_events import Elements, Properties
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.values import MetadataValue

_MOST_OF_A_CHAPTER = 4 * html.MAX_CHARS
"""Bytes; a character takes at most four."""
_MOST_SHEETS = 20
_MOST_FALLBACKS = 10
_SHEET = "text/css"
_DRAWING = "image/svg+xml"
"""A page of its own where the order of reading has it; else a picture on a page."""
_PAGES = ("application/xhtml+xml", "text/html", "text/x-oeb1-document", "application/x-dtbook+xml")


def extract(raw: Raw) -> Extracted:
    """Return the chapters as Markdown. Parts: chapters. Title: the book's.

    Raises DocumentError ``encrypted``, ``malformed``, ``too_large``, ``too_complex``, ``no_text_layer``,
    ``nothing_found``.
    """
    package = Package(raw)
    book = _Book()
    place = _place_of_book(package)
    package.parse(place, book)
    locked = _locked(package)
    folder = place.rpartition("/")[0]
    sheets = _sheets(package, book.sheets(folder))
    draft = Draft(raw.name)
    read = 0
    for chapter in book.chapters(folder):
        if chapter in package:
            if chapter in locked:
                raise encrypted(raw.name)
            _add_chapter(package, chapter, sheets, draft)
            read += 1
    if draft.is_empty and package.has_pictures():
        raise no_text_layer(raw.name)
    if draft.is_empty and read < book.length:
        raise nothing_found(raw.name, "its chapters are missing, or of a kind that is not known")
    said = Properties()
    package.parse(place, said)
    return draft.finish("".join(book.title), metadata=_properties(said.said))


def _properties(said: Mapping[str, str]) -> dict[str, MetadataValue]:
    # The subjects of a book are its tags, and its date is when it was published.
    return office_properties(
        {"keywords" if name == "subject" else "created" if name == "date" else name: said[name] for name in said}
    )


def _place_of_book(package: Package) -> str:
    places: list[str] = []

    def note(name: str, attributes: dict[str, str]) -> None:
        if name == "rootfile":
            places.append(attributes.get("full-path", ""))

    package.parse("META-INF/container.xml", Elements(note))
    if not places:
        raise package.malformed("it names no book")
    return places[0]


def _locked(package: Package) -> frozenset[str]:
    """Return the members that copy protection covers. Fonts are scrambled in many books that are free to read."""
    members: set[str] = set()

    def note(name: str, attributes: dict[str, str]) -> None:
        if name == "CipherReference":
            members.add(resolved("", attributes.get("URI", "")))

    if "META-INF/encryption.xml" in package:
        package.parse("META-INF/encryption.xml", Elements(note))
    return frozenset(members)


def _sheets(package: Package, members: Sequence[str]) -> list[str]:
    """Return the style sheets that say something about numbers of lists, or what stands above and below the line."""
    texts = (_begin(package, member) for member in members[:_MOST_SHEETS] if member in package)
    return [text for text in texts if says_something(text)]


def _begin(package: Package, member: str) -> str:
    """Return the first piece of a style sheet, which is more than most have; ``""`` for a damaged one."""
    try:
        return next(iter(package.chunks(member)), b"").decode("utf-8", "replace")
    except DocumentError:
        return ""


def _add_chapter(package: Package, chapter: str, sheets: Sequence[str], draft: Draft) -> None:
    raw = Raw(package.read(chapter, _MOST_OF_A_CHAPTER), f"{package.name} ({chapter})")
    page = html.extract_whole(raw, is_xml=True, sheets=sheets)
    title = page.title if page.title != raw.base_name else chapter.rpartition("/")[2]
    draft.part(first_heading(page.text) or title)
    draft.put(page.text)


@dataclass(slots=True)
class _Book:
    """Takes the events of the package document."""

    title: list[str] = field(default_factory=list)
    _pages: dict[str, str] = field(default_factory=dict)
    _drawings: dict[str, str] = field(default_factory=dict)
    _fallbacks: dict[str, str] = field(default_factory=dict)
    """What stands for an item that a reader may not be able to show, as a picture in the order of reading."""
    _sheets: list[str] = field(default_factory=list)
    _order: list[str] = field(default_factory=list)
    _in_title: bool = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "title" and not self.title:
            self._in_title = True
        elif name == "item":
            self._take_item(attributes)
        elif name == "itemref":
            self._order.append(attributes.get("idref", ""))

    def _take_item(self, attributes: dict[str, str]) -> None:
        item, place, kind = (
            attributes.get("id", ""),
            attributes.get("href", ""),
            attributes.get("media-type", _PAGES[0]),
        )
        if kind in _PAGES:
            if "nav" not in attributes.get("properties", "").split():
                self._pages[item] = place
        elif kind == _DRAWING:
            self._drawings[item] = place
        elif kind == _SHEET:
            self._sheets.append(place)
        if fallback := attributes.get("fallback"):
            self._fallbacks[item] = fallback

    def end(self, name: str) -> None:
        if name == "title":
            self._in_title = False

    def data(self, text: str) -> None:
        if self._in_title:
            self.title.append(text)

    def _readable(self, item: str) -> str:
        """Return an item, or the first of those that stand for it that is a page."""
        for _ in range(_MOST_FALLBACKS):
            if item in self._pages or item not in self._fallbacks:
                break
            item = self._fallbacks[item]
        return item

    @property
    def length(self) -> int:
        """How many chapters there should be."""
        return len(self._order) or len(self._pages)

    def sheets(self, folder: str) -> list[str]:
        return [resolved(folder, each) for each in self._sheets]

    def chapters(self, folder: str) -> list[str]:
        pages = self._drawings | self._pages
        ids = [each for each in map(self._readable, self._order) if each in pages] or list(self._pages)
        return list(dict.fromkeys(resolved(folder, pages[each]) for each in ids))
