"""OpenDocument texts and presentations: headings, lists and tables as Markdown."""

from collections.abc import Callable

from phaseflow.components.extraction.formulas import Formula
from phaseflow.components.extraction.markdown import MEDIA_TYPE
from phaseflow.components.extraction.markdown_writer import Draft, line
from phaseflow.components.extraction.metadata import office_properties
from phaseflow.components.extraction.odf_content import CONTENT, Content
from phaseflow.components.extraction.odf_styles import STYLES, Styles
from phaseflow.components.extraction.package import Package, encrypted, no_text_layer, resolved
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.components.extraction.xml_events import Elements, Handler, Properties, Texts, parse_xml
from phaseflow.domain.errors import DocumentError

_PIECE = 65_536
_BODY = "body"
_MATH = "math"
_END_OF_FORMULA = b"math>"
_HEADS = frozenset(("header", "footer", "header-first", "footer-first", "header-left", "footer-left"))


def extract(raw: Raw) -> Extracted:
    """Return the document as Markdown. Parts: sections, or slides. Title: the property, else the first heading.

    Raises DocumentError ``encrypted``, ``malformed``, ``too_large``, ``no_text_layer``, ``nothing_found``.
    """
    package = Package(raw)
    refuse_encrypted(package)
    draft = Draft(raw.name)
    styles = Styles()
    pages = _OfPages(draft, styles)
    if "styles.xml" in package:
        package.parse("styles.xml", pages, STYLES | _HEADS | CONTENT)
    content = Content(draft, styles, lambda place: _object(package, place))
    whole = _StylesThenContent(styles, content)
    package.parse("content.xml", whole, STYLES | CONTENT | {_BODY})
    if not whole.has_body:
        package.parse("content.xml", content, CONTENT)
    pages.finish()
    if draft.is_empty:
        package.refuse_unread()
    said = Properties()
    if "meta.xml" in package:
        package.parse("meta.xml", said)
    return draft.finish(said.said.get("title"), metadata=office_properties(said.said))


def extract_flat(raw: Raw) -> Extracted:
    """Like ``extract``, of a document that is one XML file; pictures in it are no text."""

    def malformed(why: str) -> DocumentError:
        message = f"{raw.name} is damaged or no flat OpenDocument file ({why}); save it again, or exclude it"
        return DocumentError(message, code="malformed")

    if not raw.data.strip():
        return Extracted("", raw.base_name, MEDIA_TYPE)
    draft, styles, said = Draft(raw.name), Styles(), Properties()
    has_pictures = False

    def look(name: str, attributes: dict[str, str]) -> None:
        nonlocal has_pictures
        has_pictures = has_pictures or name == "binary-data"
        styles.start(name, attributes)

    chunks = [raw.data[place : place + _PIECE] for place in range(0, len(raw.data), _PIECE)]
    parse_xml(chunks, Elements(look), malformed, raw.name)
    parse_xml(chunks, _Inside("meta", said), malformed, raw.name)
    content = Content(draft, styles, lambda place: "")
    has_formulas = _END_OF_FORMULA in raw.data
    parse_xml(chunks, _Inside(_BODY, _WithFormulas(content) if has_formulas else content), malformed, raw.name)
    pages = _OfPages(draft, styles)
    parse_xml(chunks, _Inside("master-styles", pages), malformed, raw.name)
    pages.finish()
    if draft.is_empty and has_pictures:
        raise no_text_layer(raw.name)
    return draft.finish(said.said.get("title"), metadata=office_properties(said.said))


class _StylesThenContent:
    """Hands the events before the body to the styles, and those in it to the content: one look is enough."""

    def __init__(self, styles: Styles, content: Content) -> None:
        self._styles = styles
        self._content = content
        self.has_body = False
        self.end: Callable[[str], None] = styles.end
        self.data: Callable[[str], None] = styles.data

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self.has_body:
            self._content.start(name, attributes)
        elif name == _BODY:
            self.has_body, self.end, self.data = True, self._content.end, self._content.data
        else:
            self._styles.start(name, attributes)


class _Inside:
    """Passes on the events of one of the parts of a flat document, which may hold whole documents with such parts."""

    def __init__(self, part: str, handler: Handler) -> None:
        self._part = part
        self._handler = handler
        self._depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += name == self._part
        if self._depth:
            self._handler.start(name, attributes)

    def end(self, name: str) -> None:
        if self._depth:
            self._handler.end(name)
            self._depth -= name == self._part

    def data(self, text: str) -> None:
        if self._depth:
            self._handler.data(text)


class _WithFormulas:
    """Passes on the events of a flat document with each formula in it as text."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._depth = 0
        self._formula = Formula()
        self._typed = Texts("annotation")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._depth and name != _MATH:
            self._handler.start(name, attributes)
            return
        if not self._depth:
            self._formula, self._typed = Formula(), Texts("annotation")
        self._depth += 1
        for each in (self._formula, self._typed):
            each.start(name, attributes)

    def end(self, name: str) -> None:
        if not self._depth:
            self._handler.end(name)
            return
        for each in (self._formula, self._typed):
            each.end(name)
        self._depth -= 1
        if not self._depth:
            self._handler.data(line(self._typed.texts[0] if self._typed.texts else self._formula.text))

    def data(self, text: str) -> None:
        if not self._depth:
            self._handler.data(text)
            return
        self._formula.data(text)
        self._typed.data(text)


def refuse_encrypted(package: Package) -> None:
    """Raise DocumentError ``encrypted`` when the list of members says so."""

    def look(name: str, attributes: dict[str, str]) -> None:
        if name in ("encryption-data", "encrypted-key"):
            raise encrypted(package.name)

    if "META-INF/manifest.xml" in package:
        package.parse("META-INF/manifest.xml", Elements(look))


def _object(package: Package, place: str) -> str:
    """Return what an object says that stands in a folder of its own: a formula as it was typed if that is kept, or the
    texts of a table or a chart, each once."""
    member = resolved("", f"{place}/content.xml")
    if member not in package:
        return ""
    typed, shown, texts = Texts("annotation"), Formula(), Texts("p")
    package.parse(member, typed)
    if typed.texts:
        return line(typed.texts[0])
    package.parse(member, texts)
    if texts.texts:
        return f" {', '.join(dict.fromkeys(filter(None, map(line, texts.texts))))} "
    package.parse(member, shown)
    return line(shown.text)


class _OfPages:
    """Takes the events of ``styles.xml``, and hands the styles on to ``styles``, which stand before the pages.

    What stands at the head and foot of every page is said once, at the end.
    """

    def __init__(self, draft: Draft, styles: Styles) -> None:
        self._draft = draft
        self._styles = styles
        self._content: Content | None = None
        self._apart = Draft(draft.name)
        self._said: dict[str, None] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._content is not None:
            self._content.start(name, attributes)
        elif name not in _HEADS:
            self._styles.start(name, attributes)
        elif attributes.get("display") != "false":
            self._apart = Draft(self._draft.name)
            self._content = Content(self._apart, self._styles, lambda place: "")

    def end(self, name: str) -> None:
        if self._content is not None and name in _HEADS:
            self._said.setdefault("".join(self._apart.pieces))
            self._content = None
        elif self._content is not None:
            self._content.end(name)

    def data(self, text: str) -> None:
        if self._content is not None:
            self._content.data(text)

    def finish(self) -> None:
        for text in self._said:
            self._draft.put(text)
