"""What a search reads of the full-text index: where words and phrases stand."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from phaseflow.store.pieces import MOST_PIECES, document_of
from phaseflow.store.transaction import Row, Transaction

COLUMNS: Final = ("text", "headings", "title", "name")
"""Of a passage: its text and what stands above it; of its document, with the first passage: title and path."""
LAST: Final = "\U0010ffff"
"""Behind a beginning, a word that no other one with this beginning comes after."""
_PLACE: Final = "offset + CASE col {} END".format(
    " ".join(f"WHEN '{name}' THEN {number << 20}" for number, name in enumerate(COLUMNS))
)
_MOST_OF_OTHERS: Final = 400_000
"""Rows of a shared table that are looked at, of all that have it: some 150 ms."""


class Table(NamedTuple):
    """The number of a table, and whose passages count where several index versions have it: a knowledge base by its
    key, and the version."""

    number: int
    owner: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class WordTable:
    """A table of the full-text index, of which only the passages of one index version are there for a search."""

    tx: Transaction
    table: Table

    def count(self, word: str, limit: int) -> tuple[int, int]:
        """How often an indexed word stands in it, up to ``limit``, and the last passage that was looked at for it."""
        found = self._row("count(*), max(doc)", self._places("doc"), "term = ?", word, limit)
        return found[0], found[1] or 0

    def has_places(self, word: str, count: int) -> bool:
        """Whether an indexed word stands in so many places of it: that takes two thirds of the time of ``count``."""
        if self.table.owner is not None:
            return self.count(word, count)[0] >= count
        return self.tx.row(f"{self._places('1')} WHERE term = ? LIMIT 1 OFFSET ?", word, count - 1) is not None

    def count_holding(self, expression: str, limit: int) -> int:
        """How many passages an FTS5 expression finds, up to ``limit``. For one word that takes a sixth of the time of
        ``count``."""
        return int(self._row("count(*)", self._passages, self._match, expression, limit)[0])

    def reach(self, expression: str, limit: int) -> tuple[int, int]:
        """The same, and the last of them where there are so many, 0 where not. Many are told in half of the time."""
        if self.table.owner is not None:
            found = self._row("count(*), max(doc)", self._passages, self._match, expression, limit)
            return found[0], found[1] if found[0] == limit else 0
        # To step over rows takes half as long as to make a row of each to be counted.
        last = self.tx.row(f"{self._passages} WHERE {self._match} LIMIT 1 OFFSET ?", expression, limit - 1)
        if last is not None:
            return limit, last[0]
        return int(self.tx.value(f"SELECT count(*) FROM ({self._passages} WHERE {self._match})", expression)), 0

    def places(self, first: str, last: str, limit: int) -> tuple[str, str]:
        """Where the words from ``first`` to ``last`` stand: passages and, for each, column * 2^20 + number of the word.

        At most ``limit``, by word and place, as numbers with commas between them. One row, so that the GIL is taken
        once.
        """
        # ``fts5vocab`` instead of MATCH with a rank: FTS5 ranks every passage that has any of the words before it
        # applies a limit, 4 s for common words among a million passages.
        source = self._places(f"doc, {_PLACE} AS place")
        # A range compares the word of each row, which takes a tenth longer.
        wanted, words = ("term = ?", (first,)) if first == last else ("term BETWEEN ? AND ?", (first, last))
        found = self._row("group_concat(doc), group_concat(place)", source, wanted, *words, limit)
        return found[0] or "", found[1] or ""

    def places_of_forms(self, beginning: str, shortest: int, longest: int, limit: int) -> tuple[str, str] | None:
        """The same for words without digits that begin so and have so many characters. None where all words that begin
        so stand in ``limit`` places or more together: no more are looked at."""
        fits = "length(term) BETWEEN ? AND ? AND term NOT GLOB '*[0-9]*'"
        source = self._places(f"doc, {_PLACE} AS place, {fits} AS fits")
        wanted = "count(*), group_concat(doc) FILTER (WHERE fits), group_concat(place) FILTER (WHERE fits)"
        words = shortest, longest, beginning, beginning + LAST
        found = self._row(wanted, source, "term BETWEEN ? AND ?", *words, limit)
        return None if found[0] >= limit else (found[1] or "", found[2] or "")

    def holding(self, expression: str, limit: int, first: int = 0, last: int = (1 << 63) - 1) -> list[int]:
        """The passages from ``first`` to ``last`` that an FTS5 expression finds, by id.

        What it takes goes by how often the words of a phrase stand in these passages, also where none is found.
        """
        wanted = f"{self._match} AND rowid BETWEEN ? AND ?"
        found = self._row("group_concat(doc)", self._passages, wanted, expression, first, last, limit)
        return [int(number) for number in str(found[0]).split(",")] if found[0] else []

    def first_holding(self, expression: str, limit: int) -> list[int]:
        """Of the passages that an FTS5 expression finds, those that are the first of their documents, by id."""
        wanted = f"{self._match} AND rowid & {MOST_PIECES - 1} = 0"
        found = self._row("group_concat(doc)", self._passages, wanted, expression, limit)
        return [int(number) for number in str(found[0]).split(",")] if found[0] else []

    @property
    def _passages(self) -> str:
        return f"SELECT rowid AS doc FROM passages_{self.table.number}"

    @property
    def _match(self) -> str:
        return f"passages_{self.table.number} MATCH ?"

    def _places(self, columns: str) -> str:
        return f"SELECT {columns} FROM word_places_{self.table.number}"

    def _row(self, wanted: str, source: str, where: str, *parameters: object) -> Row:
        """The last parameter is how many rows at most ``wanted`` is made of."""
        *given, limit = parameters
        kb_key, index_version = self.table.owner or (None, None)
        if kb_key is None:
            row = self.tx.row(f"SELECT {wanted} FROM ({source} WHERE {where} LIMIT ?)", *given, limit)
        else:  # before the limit: what others have in it must not take the room
            row = self.tx.row(
                f"SELECT {wanted} FROM (SELECT w.* FROM ({source} WHERE {where} LIMIT {_MOST_OF_OTHERS}) AS w"
                f" CROSS JOIN documents AS d ON d.id = {document_of('w.doc')}"
                " WHERE d.kb_id = ? AND d.index_version = ? LIMIT ?)",
                *given, kb_key, index_version, limit,
            )  # fmt: skip
        assert row is not None  # of an aggregate
        return row
