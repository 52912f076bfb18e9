"""OpenDocument texts and presentations: headings, lists and tables as Markdown."""

from phaseflow.components.extraction.formulas import Formula
from phaseflow.components.extraction.markdown_writer import Draft, line
from phaseflow.components.extraction.odf_content import Content
from phaseflow.components.extraction.odf_styles import Styles
from phaseflow.components.extraction.package import Elements, Package, Texts, encrypted, no_text_layer, resolved
from phaseflow.components.extraction.types import Extracted, Raw


def extract(raw: Raw) -> Extracted:
    """Return the document as Markdown. Parts: sections, or slides. Title: the property, else the first heading.

    Raises DocumentError ``encrypted``, ``malformed``, ``too_large``, ``no_text_layer``.
    """
    package = Package(raw)
    refuse_encrypted(package)
    draft = Draft(raw.name)
    styles = Styles()
    for member in ("styles.xml", "content.xml"):
        if member in package:
            package.parse(member, styles)
    package.parse("content.xml", Content(draft, styles, lambda place: _formula(package, place)))
    if draft.is_empty and package.has_pictures():
        raise no_text_layer(raw.name)
    return draft.finish(_title(package))


def refuse_encrypted(package: Package) -> None:
    """Raise DocumentError ``encrypted`` when the list of members says so."""

    def look(name: str, attributes: dict[str, str]) -> None:
        if name in ("encryption-data", "encrypted-key"):
            raise encrypted(package.name)

    if "META-INF/manifest.xml" in package:
        package.parse("META-INF/manifest.xml", Elements(look))


def _title(package: Package) -> str | None:
    found = Texts("title")
    if "meta.xml" in package:
        package.parse("meta.xml", found)
    return next(iter(found.texts), None)


def _formula(package: Package, place: str) -> str:
    """Return the formula that stands in a folder of its own, as it was typed if that is kept."""
    member = resolved("", f"{place}/content.xml")
    if member not in package:
        return ""
    typed, shown = Texts("annotation"), Formula()
    package.parse(member, typed)
    if typed.texts:
        return line(typed.texts[0])
    package.parse(member, shown)
    return line(shown.text)
