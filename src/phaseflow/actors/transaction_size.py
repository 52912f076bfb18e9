"""How many passages go into one transaction of the full-text index, by what the last ones took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

TRANSACTION_S: Final = 0.02
"""Seconds of the processor that a transaction should take: a verb waits for it."""
_FIRST: Final = 256
_LEAST: Final = 32
"""Of fewer, the transaction itself would be most of what it takes."""
_WEIGHT: Final = 0.5
"""Of the newest in the mean: passages of one kind mostly come in a row, and now and then FTS5 merges what it has."""


class TransactionSize:
    """As many passages as take ``TRANSACTION_S``, at most ``most``.

    By a number alone it would be five times as long for some texts as for others: what a passage takes goes by how many
    different words it has.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._each_s = TRANSACTION_S / min(_FIRST, most)

    @property
    def passages(self) -> int:
        """So many now."""
        return max(min(_LEAST, self._most), min(self._most, int(TRANSACTION_S / self._each_s)))

    @contextmanager
    def measuring(self, passages: int) -> Iterator[None]:
        """So many are indexed in this block, by this thread. Of a few nothing is learnt."""
        began = time.thread_time()
        yield
        if passages >= min(_LEAST, self._most):
            took_s = (time.thread_time() - began) / passages
            self._each_s = max(1e-9, (1 - _WEIGHT) * self._each_s + _WEIGHT * took_s)
