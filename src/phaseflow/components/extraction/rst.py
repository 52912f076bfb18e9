"""reStructuredText: kept as it is, for its marks read well as text."""

import re

from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.types import Extracted, Raw

_MEDIA_TYPE = "text/x-rst"
_HEAD = 20_000
# A line with a row of one mark below it that is as long as the line.
_SECTION = re.compile(r"^(?P<title>[^\s.][^\n]*)\n(?P<row>([=\-`:'\"~^_*+#<>])\3{2,})[ \t]*$", re.M)


def extract(raw: Raw) -> Extracted:
    """Return the source as it is. Title: the first section's, else the name of the file."""
    text = text_of(raw)
    return Extracted(text, _title(text) or raw.base_name, _MEDIA_TYPE)


def _title(text: str) -> str | None:
    for section in _SECTION.finditer(text, 0, _HEAD):
        title = section["title"].strip()
        if len(section["row"]) >= len(title) and len(set(title)) > 1:
            return title
    return None
