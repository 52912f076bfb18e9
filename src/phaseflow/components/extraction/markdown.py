"""Markdown: front matter goes, the rest stays as it is."""

import re

from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.types import Extracted, Raw

MEDIA_TYPE = "text/markdown"
_HEAD = 20_000
"""Characters in which a first heading is looked for."""

# A block that opens with --- and does not begin like YAML is a thematic break, and stays.
_YAML = re.compile(
    r"---[ \t]*\n(?=\s*(?:#|[\w\"'-]+[ \t]*:|(?:---|\.\.\.)[ \t]*(?:\n|\Z)))(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)",
    re.S | re.M,
)
_TOML = re.compile(r"\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*(?:\n|\Z)", re.S | re.M)
_TITLE = re.compile(r"^[\"']?title[\"']?[ \t]*[:=][ \t]*(.*(?:\n[ \t]+.*)*)", re.M | re.I)
_BLOCK = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,}).*?(?:^ {0,3}(?P=fence)|\Z)"
    r"|^ {0,3}#{1,6}[ \t]+(?P<atx>[^\n]*)$"
    r"|^(?P<setext>[^\s#>|`~-][^\n]*)\n(?:=+|--+)[ \t]*$",
    re.M | re.S,
)


def extract(raw: Raw) -> Extracted:
    """Return the text below the front matter.

    Title: ``title`` of the front matter, else the first heading, else the name of the file.
    """
    text = text_of(raw)
    matter = _front_matter(text)
    body = text[matter.end() :].lstrip("\n") if matter else text
    title = (matter and _declared_title(matter[1])) or first_heading(body) or raw.base_name
    return Extracted(body, title, MEDIA_TYPE)


def first_heading(text: str) -> str | None:
    """Return the first heading that is not in a code block, without its marks."""
    for block in _BLOCK.finditer(text, 0, _HEAD):
        heading = (block["setext"] or block["atx"] or "").strip().rstrip("#").rstrip()
        if heading:
            return heading
    return None


def _front_matter(text: str) -> re.Match[str] | None:
    if text.startswith("---"):
        return _YAML.match(text)
    return _TOML.match(text) if text.startswith("+++") else None


def _declared_title(matter: str) -> str | None:
    found = _TITLE.search(matter)
    if not found:
        return None
    value = " ".join(found[1].split()).removeprefix("|").removeprefix(">").removeprefix("-").strip()
    if value[:1] in ('"', "'"):
        return _quoted(value)
    return value.partition(" #")[0].strip()


def _quoted(value: str) -> str:
    mark = value[0]
    end = value.rfind(mark)
    inner = value[1:end] if end > 0 else value[1:]
    return inner.replace("''", "'") if mark == "'" else inner.replace('\\"', '"')
