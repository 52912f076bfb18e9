"""Passages that hold what is quoted in a query, or written in it without a space."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from phaseflow.components.fusion import Fused
from phaseflow.domain.search_query import how_exactly, loose_phrase, phrase
from phaseflow.domain.words import indexed_words
from phaseflow.store.passages import Scope, SearchablePassages
from phaseflow.store.transaction import Transaction
from phaseflow.store.word_table import Table, WordTable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Filtered = npt.NDArray[np.bool_] | None

MOST_HOLDING: Final = 1000
"""Passages looked at that hold the words of a thing, in its order."""
_MOST_READ: Final = 64
"""Of these so many, the best, are read at once to see whether it stands there as it is written. More are read until
one is found."""
_RARE: Final = 8
"""Passages that hold words joined by a hyphen in a sentence, so that these count as one thing."""
MOST_HAVING: Final = 2_000_000
"""Passages that have the words of exact things, added up over these, so that all passages are looked at: some 40 ms.
Beyond, it is a part of them, and those that rank high."""
SLICE: Final = 100_000
"""Passages looked at in one statement."""
_AS_WRITTEN: Final = 0.75
"""How exactly a text holds a thing that stands in it, if perhaps inside a longer one."""


class Look:
    """Looks for exact things in the passages of a knowledge base, those that rank high first.

    ``having``: about how many passages have the words of a text, added up over these.
    """

    def __init__(
        self,
        tx: Transaction,
        scope: Scope,
        table: Table,
        ranking: Fused,
        having: Callable[[str], int],
        is_let_through: "Filtered" = None,
    ) -> None:
        self._tx = tx
        self._scope = scope
        self._table = table
        self._ranking = ranking
        self._having = having
        self._is_let_through = is_let_through
        self._room = MOST_HAVING

    def holders(self, exact: Sequence[str], rare: Sequence[str]) -> dict[int, float]:
        """The places of passages that hold exact things, and things that few passages hold, and how well (0 to 1)."""
        found = [self.exactly(part) for part in exact]
        found += [by_few for part in rare if (by_few := self.if_rare(part))]
        holds: dict[int, float] = {}
        for of_part in found:
            for at, how in of_part.items():
                holds[at] = holds.get(at, 0.0) + how / len(found)
        return holds

    def exactly(self, part: str) -> dict[int, float]:
        """How exactly passages hold a thing; 0.5 where its words follow each other, as written or not. A thing of one
        word is only held as it is written: the word itself counts anyway."""
        holding = self._holding(part, phrase(part), MOST_HOLDING)
        if not holding and (loose := loose_phrase(part)):
            holding = self._holding(part, loose, MOST_HOLDING)
        holds = dict.fromkeys(holding, 0.5)
        for first in range(0, len(holding), _MOST_READ):
            found = self._read(part, holding[first : first + _MOST_READ])
            holds |= found
            if max(found.values()) >= _AS_WRITTEN:
                break
        is_one_word = " " not in indexed_words(part).strip()
        return {at: how for at, how in holds.items() if how >= _AS_WRITTEN} if is_one_word else holds

    def if_rare(self, part: str) -> dict[int, float]:
        """The same of words joined by a hyphen, if few passages hold them so; else nothing."""
        holding = self._holding(part, phrase(part), _MOST_READ + 1)
        if not 0 < len(holding) <= _MOST_READ:
            return {}
        holds = self._read(part, holding)
        as_written = {at: how for at, how in holds.items() if how >= _AS_WRITTEN}
        if 0 < len(as_written) <= _RARE:
            return as_written
        return holds if len(holds) <= _RARE and " " in indexed_words(part).strip() else {}

    def _holding(self, part: str, expression: str, limit: int) -> list[int]:
        """The places of those that an FTS5 expression finds, best first."""
        ids = self._ranking.known.ids
        wanted = self._having(indexed_words(part))
        end = len(ids) if wanted <= self._room else len(ids) * self._room // wanted
        self._room -= min(wanted, self._room)
        found: list[int] = []
        # Some at a time: nothing ends a statement of FTS5, however long it looks for the next passage.
        for first in range(0, end, SLICE):
            last = min(first + SLICE, end) - 1
            span = ids[first].item(), ids[last].item()
            found += WordTable(self._tx, self._table).holding(expression, limit - len(found), *span)
            if len(found) >= limit:
                break
        places = self._ranking.known.seen(found)
        if end < len(ids):
            best = [at for at in self._ranking.places[:_MOST_READ].tolist() if at >= end]
            places += [at for at, how in self._read(part, best).items() if how >= _AS_WRITTEN]
        if self._is_let_through is not None:
            places = [at for at in places if self._is_let_through[at]]
        return self._ranking.best_first(places)

    def _read(self, part: str, places: Sequence[int]) -> dict[int, float]:
        ids = {at: self._ranking.known.ids[at].item() for at in places}
        texts = SearchablePassages(self._tx, self._scope).fetch(list(ids.values()))
        return {
            at: how_exactly(part, f"{found.title}\n{found.uri}\n{found.text}") if (found := texts.get(key)) else 0.5
            for at, key in ids.items()
        }
