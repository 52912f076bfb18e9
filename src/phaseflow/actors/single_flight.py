"""Single flight: a text that one batch embeds, of whatever job, is not paid for by another at the same time."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import anyio


class Claim:
    """Texts of one batch that nobody else embeds. ``ended`` is set when they are stored, or were given up."""

    def __init__(self) -> None:
        self.hashes: list[bytes] = []
        self.ended = anyio.Event()


class SingleFlight:
    """Who embeds what, by model and text hash. In memory: it means nothing after a crash.

    ``ended`` counts the claims that have ended: what they were on may be stored since.
    """

    def __init__(self) -> None:
        self.ended = 0
        self._claims: dict[tuple[str, bytes], Claim] = {}
        self._first_answers: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

    def first_answer(self, model: str) -> anyio.Lock:
        """Held from where the length of a model's first vectors is noted until one of them is stored: two answers of
        different lengths, which come at once, are never both the first."""
        return self._first_answers[model]

    @contextmanager
    def claim(self, model: str, hashes: Iterable[bytes]) -> Iterator[tuple[Sequence[bytes], list[Claim]]]:
        """For the length of the block: (those that nobody else embeds, the claims on the others)."""
        mine, others = Claim(), []
        # No wait in here, so that two jobs that want the same two texts in different orders cannot wait for each other:
        # each takes what is free, does that, and only then waits for what the other has.
        for text_hash in hashes:
            claim = self._claims.setdefault((model, text_hash), mine)
            if claim is mine:
                mine.hashes.append(text_hash)
            elif claim not in others:
                others.append(claim)
        try:
            yield mine.hashes, others
        finally:
            for text_hash in mine.hashes:
                del self._claims[(model, text_hash)]
            self.ended += 1
            mine.ended.set()
