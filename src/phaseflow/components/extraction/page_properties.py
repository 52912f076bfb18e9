"""What a page says about itself in its head: author, description, language, tags, dates."""

from typing import TYPE_CHECKING

from phaseflow.components.extraction.metadata import office_properties
from phaseflow.components.protocols import MetadataValue

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

_NAMES = {
    "author": "author", "article:author": "author", "dc.creator": "author", "dcterms.creator": "author",
    "description": "description", "og:description": "description", "dc.description": "description",
    "keywords": "keywords", "dc.subject": "keywords",
    "article:published_time": "created", "dcterms.created": "created", "dc.date": "created",
    "article:modified_time": "modified", "og:updated_time": "modified", "last-modified": "modified",
    "dc.language": "language",
}  # fmt: skip
_MOST = 1000
"""Children of the head that are looked at."""


def page_properties(page: "LexborHTMLParser") -> dict[str, MetadataValue]:
    """Return the properties of a page, by the names that all formats share."""
    said: dict[str, str] = {}
    if page.root is not None:
        said["language"] = page.root.attributes.get("lang") or ""
    child = page.head.first_child if page.head else None
    for _ in range(_MOST):
        if child is None:
            break
        attributes, tag, child = child.attributes, child.tag, child.next
        if tag != "meta":
            continue
        name = (attributes.get("name") or attributes.get("property") or attributes.get("http-equiv") or "").lower()
        if key := _NAMES.get(name):
            said.setdefault(key, attributes.get("content") or "")
    return office_properties(said)
