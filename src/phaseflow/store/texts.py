"""The texts of documents, in segments: a passage is found without going through the text before it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from phaseflow.store.pieces import document_of, piece_id, pieces_of
from phaseflow.store.transaction import Transaction, json_array

SEGMENT = 1 << 16
"""Characters of a segment. A row of it is read for a passage; a text of 64 MB has about a thousand."""

Parts = Sequence[tuple[int, str]]
"""(offset, label) of the pages, slides or sheets of a text, by offset."""


class Segment(NamedTuple):
    """A row of a text. ``parts`` is JSON: those that begin in it, and before them the one that it begins in."""

    text: str
    parts: str


def segmented(text: str, parts: Parts = ()) -> list[Segment]:
    """The segments of a text; an empty text has one, too."""
    return list(_segments(text, parts))


def batches(text: str, parts: Parts, characters: int) -> Iterator[tuple[int, list[Segment]]]:
    """The segments of a text, about so many characters at a time, each time with the number of the first."""
    count = max(1, characters // SEGMENT)
    number, batch = 0, list[Segment]()
    for number, segment in enumerate(_segments(text, parts)):
        batch.append(segment)
        if len(batch) == count:
            yield number + 1 - count, batch
            batch = []
    if batch:
        yield number + 1 - len(batch), batch


def _segments(text: str, parts: Parts) -> Iterator[Segment]:
    at = 0
    current: list[tuple[int, str]] = []
    for start in range(0, max(1, len(text)), SEGMENT):
        began = at
        while at < len(parts) and parts[at][0] < start + SEGMENT:
            at += 1
        inside = [*current, *parts[began:at]]
        current = [*inside[-1:]]
        yield Segment(text[start : start + SEGMENT], json_array(inside))


class Texts(NamedTuple):
    """The texts of all documents."""

    tx: Transaction

    def add(self, segments: Iterable[tuple[int, int, Segment]]) -> None:
        """Store (document id, number, segment); one that is there already is replaced."""
        self.tx.many(
            "INSERT OR REPLACE INTO texts (id, text, parts) VALUES (?, ?, ?)",
            [(piece_id(document, number), each.text, each.parts) for document, number, each in segments],
        )

    def of_documents(self, ids: Sequence[int]) -> dict[int, str]:
        """The whole texts of documents."""
        found: dict[int, list[str]] = {document_id: [] for document_id in ids}
        for document_id, text in self.tx.rows(
            f"SELECT {document_of('t.id')}, t.text FROM json_each(?) AS d"
            f" JOIN texts AS t ON {pieces_of('t.id', 'd.value')} ORDER BY t.id",
            json_array(ids),
        ):
            found[document_id].append(text)
        return {document_id: "".join(pieces) for document_id, pieces in found.items()}

    def piece(self, document_id: int, first: int, count: int) -> str:
        """Up to ``count`` segments of a document from number ``first``, as one text."""
        rows = self.tx.rows(
            f"SELECT text FROM texts WHERE {pieces_of('id', '?1', first='?2', before='?2 + ?3')} ORDER BY id",
            document_id, first, count,
        )  # fmt: skip
        return "".join(row[0] for row in rows)

    def slices(self, wanted: Sequence[tuple[int, int, int]]) -> list[tuple[str, str]]:
        """(the text, the JSON of the parts around its start) for each (document id, start, end)."""
        first_last = [
            (piece_id(document, start // SEGMENT), piece_id(document, max(start, end - 1) // SEGMENT))
            for document, start, end in wanted
        ]
        numbers = sorted({number for first, last in first_last for number in range(first, last + 1)})
        rows = self.tx.rows(
            "SELECT id, text, parts FROM texts WHERE id IN (SELECT value FROM json_each(?))", json_array(numbers)
        )
        segments = {number: (text, parts) for number, text, parts in rows}
        nothing = "", "[]"
        found = []
        for (first, last), (_, start, end) in zip(first_last, wanted, strict=True):
            text, parts = segments.get(first, nothing)
            if last > first:
                text += "".join(segments.get(number, nothing)[0] for number in range(first + 1, last + 1))
            begin = start % SEGMENT
            found.append((text[begin : begin + end - start], parts))
        return found

    def remove(self, document_id: int, most: int) -> int:
        """Delete up to ``most`` segments of a document; how many."""
        return len(
            self.tx.rows(
                f"DELETE FROM texts WHERE id IN (SELECT id FROM texts WHERE {pieces_of('id', '?1')}"
                " LIMIT ?2) RETURNING 1",
                document_id, most,
            )
        )  # fmt: skip
