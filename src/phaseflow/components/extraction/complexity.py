"""A look at HTML before it is parsed, to refuse what would keep the parser busy for minutes.

The parser walks up the open elements at every tag, compares every attribute of a tag with the ones before it, and
opens unclosed formatting again in every block: each is quadratic, by the HTML standard. This scan is linear. It
reads sloppy pages as the parser does, near enough; a page made to mislead it costs one thread some time, not the loop,
since the parser lets go of the interpreter lock.
"""

import re
from collections import Counter
from collections.abc import Iterable

from phaseflow.domain.errors import DocumentError

_MAX_TAGS = 500_000
"""Each takes about 350 bytes as a node: 170 MB."""
_MAX_ATTRIBUTES = 500
_MAX_STEPS = 50_000_000
"""Elements passed on the way up, over all tags: about 0.3 s. An ordinary page of 10,000 tags takes 150,000."""
_MAX_REOPENED = 500_000
_USUAL_FORMATTING = 20
_HARMLESS = 1000
"""So few tags stay under both limits whatever they are."""
_LONG_TAG = 2 * _MAX_ATTRIBUTES
"""Characters below which a tag cannot hold too many attributes."""

_TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*+)((?:[^>"'=]++|=\s*+"[^"]*+"|=\s*+'[^']*+'|["'=])*+)""")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_FORMATTING = frozenset(
    ("a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u")
)  # fmt: skip
# Elements without content, and those whose end tag is left out: they do not add up.
_FLAT_NAMES = """
    area base br col embed hr img input link meta param source track wbr p li dt dd tr td th thead tbody tfoot
    option optgroup rt rp html head body colgroup caption
"""
_FLAT = frozenset(_FLAT_NAMES.split())


def check_complexity(text: str, name: str) -> None:
    """Raise DocumentError ``too_complex`` when parsing this page would take out of all proportion to its size."""
    tags = _TAG.findall(text)
    if len(tags) > _MAX_TAGS:
        raise _too_complex(name, f"more than {_MAX_TAGS:,} tags")
    for _, _, attributes in tags:
        if len(attributes) > _LONG_TAG and _count(attributes) > _MAX_ATTRIBUTES:
            raise _too_complex(name, f"a tag with more than {_MAX_ATTRIBUTES} attributes")
    if len(tags) > _HARMLESS and _is_deep(tags):
        raise _too_complex(name, "elements nested too deeply")


def _is_deep(tags: Iterable[tuple[str, str, str]]) -> bool:
    opened: Counter[str] = Counter()
    depth = formatting = steps = reopened = 0
    for slash, spelled, _ in tags:
        element = spelled.lower()
        steps += depth
        if formatting > _USUAL_FORMATTING:
            reopened += formatting
        if element in _FLAT or (slash and not opened[element]):
            continue
        change = -1 if slash else 1
        opened[element] += change
        depth += change
        if element in _FORMATTING:
            formatting += change
    return steps > _MAX_STEPS or reopened > _MAX_REOPENED


def _count(attributes: str) -> int:
    bare = _QUOTED.sub("", attributes).replace("/", " ")
    return max(len(bare.split()), bare.count("="))


def _too_complex(name: str, why: str) -> DocumentError:
    message = f"{name} has {why}, and is not parsed; simplify the page, or exclude it"
    return DocumentError(message, code="too_complex")
