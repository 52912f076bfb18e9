"""Texts as the numbers of their tokens, by the byte-pair encoding of the model in ``l2_supercat``.

The same numbers as the library ``tokenizers`` gives, in less time: words that come again, as nearly all do,
are looked up. No token has a space or a line break but at its beginning, so a text can be cut there.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from heapq import heapify, heappop, heappush
from itertools import chain, pairwise
from pathlib import Path
from typing import Final

SPECIAL: Final = {"<unk>": 0, "<s>": 1, "</s>": 2}
"""Tokens that stand for themselves wherever a text has them."""
MOST_KNOWN: Final = 1 << 16
LONGEST_KNOWN: Final = 128
"""Words that are remembered, and their characters: some 10 MB. When there are so many, it begins anew."""
_BLOCK: Final = 1 << 15
"""Characters cut into words at once: a regular expression keeps the interpreter lock."""
FIRST_BYTE: Final = 3
"""The token of byte 0. What has no token is written in the bytes of UTF-8."""
_SPECIAL: Final = re.compile(f"({'|'.join(SPECIAL)})")
_WORD: Final = re.compile(r" *[^ \n]+| +|\n+")
_END: Final = re.compile(r"(?=\n|(?<! ) )")
_SPACE: Final = "\u2581"
"""How tokens write a space. A text that has this character means one, too; here all are spaces."""
_SHORT: Final = 32
"""Symbols of which the best pair is looked for again after each merge: below, that is quicker than a heap."""
_NONE: Final = 1 << 62


class Tokenizer:
    """``folder`` has the tokens of single characters, the merges by rank, and the pairs of characters that stand next
    to each other in any token. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        import numpy as np

        tokens = json.loads((folder / "tokens.json").read_text("utf-8"))
        merges = np.load(folder / "merges.npy").astype(np.int64)
        keys = merges[:, 0] << 16 | merges[:, 1]
        values = np.arange(len(merges)) << 16 | merges[:, 2]
        merged = dict(zip(keys.tolist(), values.tolist(), strict=True))
        pairs = tokens["pairs"].replace(_SPACE, " ")
        neighbours = frozenset(pairs[at : at + 2] for at in range(0, len(pairs), 2))
        characters = tokens["characters"] | {" ": tokens["characters"][_SPACE]}
        self._encoding = _Encoding(characters, merged, neighbours)
        self._known: dict[str, tuple[int, ...]] = {}

    def ids(self, text: str) -> list[int]:
        """The numbers of the tokens of a text, in order."""
        found: list[int] = []
        for number, part in enumerate(_SPECIAL.split(text)):
            if number % 2:
                found.append(SPECIAL[part])
            elif part:
                for block in _blocks(" " + part.replace(_SPACE, " ")):
                    found += self._of_words(_WORD.findall(block))
        return found

    def _of_words(self, words: Sequence[str]) -> Sequence[int]:
        known = self._known
        with suppress(KeyError):  # mostly none is new
            return list(chain.from_iterable(map(known.__getitem__, words)))
        found: list[int] = []
        for word in words:
            tokens = known.get(word)
            if tokens is None:
                tokens = tuple(self._encoding.of(word))
                if len(word) <= LONGEST_KNOWN:
                    if len(known) >= MOST_KNOWN:
                        known.clear()
                    known[word] = tokens
            found += tokens
        return found


class _Encoding:
    """``merged``: two tokens (16 bits each) to the rank of their merge and the token it gives (16 bits)."""

    def __init__(self, characters: Mapping[str, int], merged: Mapping[int, int], neighbours: frozenset[str]) -> None:
        self._characters = characters
        self._merged = merged
        self._neighbours = neighbours
        self._parts: dict[str, list[int]] = {}

    def of(self, word: str) -> Iterator[int]:
        """The tokens of a word. No merge joins two characters that are neighbours in no token."""
        start = 0
        for at, pair in enumerate(map("".join, pairwise(word)), 1):
            if pair not in self._neighbours:
                yield from self._of_part(word[start:at])
                start = at
        yield from self._of_part(word[start:])

    def _of_part(self, part: str) -> Sequence[int]:
        known = self._parts.get(part)
        if known is None:
            symbols = [symbol for character in part for symbol in self._symbols(character)]
            known = self._joined(symbols) if len(symbols) <= _SHORT else self._joined_by_heap(symbols)
            if len(part) <= LONGEST_KNOWN:
                if len(self._parts) >= MOST_KNOWN:
                    self._parts.clear()
                self._parts[part] = known
        return known

    def _symbols(self, character: str) -> Sequence[int]:
        known = self._characters.get(character)
        return [FIRST_BYTE + byte for byte in character.encode()] if known is None else (known,)

    def _joined(self, symbols: list[int]) -> list[int]:
        """Merge the pair of the lowest rank, of several the first, until no pair can be merged."""
        merged = self._merged
        ranks = [merged.get(first << 16 | second, _NONE) for first, second in pairwise(symbols)]
        while ranks and (best := min(ranks)) < _NONE:
            at = ranks.index(best)
            symbols[at : at + 2] = [best & 0xFFFF]
            del ranks[at]
            if at < len(ranks):
                ranks[at] = merged.get(symbols[at] << 16 | symbols[at + 1], _NONE)
            if at:
                ranks[at - 1] = merged.get(symbols[at - 1] << 16 | symbols[at], _NONE)
        return symbols

    def _joined_by_heap(self, symbols: list[int]) -> list[int]:
        """The same in a time that hardly grows faster than the part."""
        merged, count = self._merged, len(symbols)
        after, before = list(range(1, count + 1)), list(range(-1, count - 1))
        is_gone = bytearray(count)
        heap = [
            (rank, at)
            for at, (first, second) in enumerate(pairwise(symbols))
            if (rank := merged.get(first << 16 | second)) is not None
        ]
        heapify(heap)
        while heap:
            rank, at = heappop(heap)
            second = after[at]
            if is_gone[at] or second >= count or merged.get(symbols[at] << 16 | symbols[second]) != rank:
                continue  # one of the two was merged meanwhile
            symbols[at] = rank & 0xFFFF
            is_gone[second] = 1
            follower = after[at] = after[second]
            if follower < count:
                before[follower] = at
                if (next_rank := merged.get(symbols[at] << 16 | symbols[follower])) is not None:
                    heappush(heap, (next_rank, at))
            earlier = before[at]
            if earlier >= 0 and (next_rank := merged.get(symbols[earlier] << 16 | symbols[at])) is not None:
                heappush(heap, (next_rank, earlier))
        return [symbol for symbol, gone in zip(symbols, is_gone, strict=True) if not gone]


def _blocks(text: str) -> Iterator[str]:
    """Parts of a text that begin where a word does."""
    start = 0
    while len(text) - start > _BLOCK:
        end = _END.search(text, start + _BLOCK)
        if end is None:
            break
        yield text[start : end.start()]
        start = end.start()
    yield text[start:]
