"""What a search shows to a person: lines without any table, so that no library for these is imported for it."""

import textwrap
from collections.abc import Iterator, Sequence

from phaseflow.cli.plain_text import cell, one_line
from phaseflow.domain.status import SearchHit

_PASSAGE_LINES = 4
_PLACES_NAMED = 5
"""Other places of the same text, at most."""
_PASSAGE_CHARACTERS = 2_000


def lines(items: Sequence[SearchHit]) -> Iterator[str]:
    """The passages found, best first: where each stands, then its first lines."""
    for number, hit in enumerate(items, start=1):
        title = f"  {cell(hit.title)}" if hit.title else ""
        yield f"{number}. {one_line(hit.uri)} {hit.start}–{hit.end}  score {hit.score:.3f}{title}"
        yield from (f"   {line}" for line in _first_lines(hit.text))
        if hit.also_in:
            named = ", ".join(dict.fromkeys(one_line(place.uri) for place in hit.also_in[:_PLACES_NAMED]))
            left = len(hit.also_in) - _PLACES_NAMED
            yield f"   also in {named}{f' and {left} more' if left > 0 else ''}"


def _first_lines(text: str) -> list[str]:
    """The first lines of a passage; one of a megabyte is not wrapped whole for them."""
    flat = one_line(" ".join(text[:_PASSAGE_CHARACTERS].split()))
    return textwrap.wrap(flat, width=100, max_lines=_PASSAGE_LINES, placeholder=" …")
