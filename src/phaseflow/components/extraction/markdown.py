"""Markdown: front matter goes, the rest stays as it is."""

import re

from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.front_matter import front_matter
from phaseflow.components.extraction.markdown_headings import first_heading
from phaseflow.components.extraction.types import Extracted, Raw

MEDIA_TYPE = "text/markdown"

# A block that opens with --- and does not begin like YAML is a thematic break, and stays.
_YAML = re.compile(
    r"---[ \t]*\n(?=\s*(?:#|[\w\"'-]+[ \t]*:|(?:---|\.\.\.)[ \t]*(?:\n|\Z)))(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)",
    re.S | re.M,
)
_TOML = re.compile(r"\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*(?:\n|\Z)", re.S | re.M)


def extract(raw: Raw) -> Extracted:
    """Return the text below the front matter.

    Title: ``title`` of the front matter, else the first heading, else the name of the file.
    """
    text = text_of(raw)
    matter = _front_matter(text)
    body = text[matter.end() :].lstrip("\n") if matter else text
    said = front_matter(matter[1], is_toml=text.startswith("+")) if matter else {}
    declared = said.pop("title", None)
    title = declared if isinstance(declared, str) else first_heading(body) or raw.base_name
    return Extracted(body, title, MEDIA_TYPE, metadata=said)


def _front_matter(text: str) -> re.Match[str] | None:
    if text.startswith("---"):
        return _YAML.match(text)
    return _TOML.match(text) if text.startswith("+++") else None
