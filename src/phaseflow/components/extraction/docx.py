"""Word documents: headings, lists and tables as Markdown, notes and comments at the end.

Own reading, event by event. Measured against python-docx 1.2, which builds a tree of all the markup first:
benchmarks/extraction.py.
"""

from collections.abc import Mapping

from phaseflow.components.extraction import html, mail, plain, rtf
from phaseflow.components.extraction.docx_body import Body
from phaseflow.components.extraction.docx_elements import TOLD
from phaseflow.components.extraction.markdown_writer import Draft
from phaseflow.components.extraction.numbering import NUMBERING, Numbering
from phaseflow.components.extraction.package import Package, Relation, nothing_found
from phaseflow.components.extraction.pptx import drawn
from phaseflow.components.extraction.styles import STYLES, Styles
from phaseflow.components.extraction.types import Extracted, Extractor, Raw

_DRAWN = ("chart", "diagramData")
_NOTES = ("footnotes", "endnotes", "comments", "header", "footer")
_CHUNKS: Mapping[str, Extractor] = {
    **dict.fromkeys(("html", "htm", "xhtml"), html.extract_whole),
    **dict.fromkeys(("mht", "mhtml", "eml"), mail.extract),
    "rtf": rtf.extract,
    "txt": plain.extract_text,
}
"""Documents inside a document: programs that turn pages into Word files leave the page as it is."""


def extract(raw: Raw) -> Extracted:
    """Return the document as Markdown. Parts: what is under each heading. Title: the property, else the first heading.

    Raises DocumentError ``encrypted``, ``malformed``, ``too_large``, ``no_text_layer``, ``nothing_found``.
    """
    package = Package(raw)
    main = package.main("word/document.xml")
    relations = package.relations(main)
    related = list(relations.values())
    styles, numbering = Styles(), Numbering()
    for relation in related:
        if relation.kind in ("styles", "numbering") and relation.target in package:
            of_styles = relation.kind == "styles"
            package.parse(relation.target, *((styles, STYLES) if of_styles else (numbering, NUMBERING)))
    draft = Draft(raw.name)
    body = Body(draft, styles, numbering, lambda each: _add_chunk(package, relations.get(each), draft))
    package.parse(main, body, TOLD)
    body.finish()
    for relation in related:
        if relation.kind in _DRAWN and relation.target in package:
            draft.put(drawn(package, relation.target))
    said: set[str] = set()
    for kind in _NOTES:
        for relation in related:
            if relation.kind == kind and relation.target in package:
                _add_notes(package, relation.target, draft, styles, said)
    if draft.is_empty:
        _explain(package, body)
    return draft.finish(package.title(), metadata=package.properties())


def _add_notes(package: Package, member: str, draft: Draft, styles: Styles, said: set[str]) -> None:
    """Headers and footers are the same on every page: each is said once. A heading in them is none of the document."""
    apart = Draft(draft.name)
    body = Body(apart, styles, Numbering(), has_headings=False)
    package.parse(member, body, TOLD)
    body.finish()
    text = "".join(apart.pieces)
    if text not in said:
        said.add(text)
        draft.put(text)


def _add_chunk(package: Package, relation: Relation | None, draft: Draft) -> bool:
    """Add a document inside the document; return whether it can be read."""
    reader = _CHUNKS.get(relation.target.rpartition(".")[2].lower()) if relation else None
    if relation is None or reader is None or relation.target not in package:
        return False
    draft.put(reader(Raw(package.read(relation.target), f"{package.name} ({relation.target})")).text)
    return True


def _explain(package: Package, body: Body) -> None:
    package.refuse_unread()
    if body.unread:
        raise nothing_found(package.name, "it has text of a kind that is not known")
