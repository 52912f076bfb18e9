"""The passages that a search shows, each text once."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from phaseflow.domain.identifiers import document_id
from phaseflow.domain.status import Place, SearchHit
from phaseflow.store.knowledge_bases import name_of
from phaseflow.store.passages import Found, Scope

_MORE_PLACES: Final = 20
"""Other places of the same text that a hit names at most."""
_FIRST_WORDS: Final = 4


@dataclass(slots=True)
class _Shown:
    """A passage that is shown, and the other places of its text."""

    found: Found
    score: float
    also_in: list[Found] = field(default_factory=list)
    is_compared: bool = False


class HitList:
    """Up to ``limit`` passages, in the order in which they come; those with the same text are one, which names the
    other places. Blanks and ends of lines make no difference."""

    def __init__(self, scope: Scope, limit: int) -> None:
        self._kb_id = name_of(scope.kb_key)
        self._limit = limit
        self._shown: list[_Shown] = []
        # Mostly no two begin alike, and then no whole text has to be taken to pieces.
        self._by_beginning: dict[tuple[str, ...], _Shown] = {}
        self._by_words: dict[str, _Shown] = {}

    @property
    def is_full(self) -> bool:
        """Whether no other text is shown."""
        return len(self._shown) >= self._limit

    def add(self, found: Found, score: float) -> None:
        """Show a passage, or name its place, or neither."""
        beginning = tuple(found.text.split(None, _FIRST_WORDS)[:_FIRST_WORDS])
        like = self._by_beginning.get(beginning)
        if like is not None:
            if not like.is_compared:
                like.is_compared = True
                self._by_words[_words(like.found)] = like
            first = self._by_words.get(words := _words(found))
            if first is not None:
                if len(first.also_in) < _MORE_PLACES:
                    first.also_in.append(found)
                return
        if self.is_full:
            return
        shown = _Shown(found, score)
        self._shown.append(shown)
        if like is None:
            self._by_beginning[beginning] = shown
        else:
            self._by_words[words] = shown

    def made(self) -> list[SearchHit]:
        """What is shown."""
        return [self._hit(each) for each in self._shown]

    def _hit(self, shown: _Shown) -> SearchHit:
        found = shown.found
        where = None if found.parts == "[]" else place(json.loads(found.parts), found.start)
        return SearchHit(
            document_id=document_id(self._kb_id, found.uri),
            uri=found.uri,
            title=f"{found.title} · {where}" if where else found.title,
            text=found.text,
            score=shown.score,
            start=found.start,
            end=found.end,
            metadata=json.loads(found.metadata),
            # Also where there are none: pydantic would make a deep copy of what it has for that.
            also_in=[Place(uri=each.uri, start=each.start, end=each.end) for each in shown.also_in],
        )


def _words(found: Found) -> str:
    return " ".join(found.text.split())


def place(parts: Sequence[tuple[int, str]], start: int) -> str | None:
    """The page, slide, sheet or section in which a passage begins; None in a document without such parts."""
    position = bisect_right(parts, start, key=itemgetter(0))
    return parts[position - 1][1] if position else None
