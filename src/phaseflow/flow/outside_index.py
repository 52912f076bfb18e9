"""Asking an index outside the database for candidates: what it raises, and what it answers, is not ours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import anyio

from phaseflow.components.indexes import Candidate, Query, Space
from phaseflow.components.indexes.registry import Indexes, bounded
from phaseflow.domain.errors import IndexUnavailable, PhaseflowError
from phaseflow.domain.log import get_logger
from phaseflow.store import index_spaces
from phaseflow.store.pieces import MOST_PIECES, piece_id

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SEARCH_S: Final = 4.0
"""What it may take with the embedding of the query, seconds: less than a search, so that the answer names the index."""
LEAST: Final = 100
"""Passages asked for at least: the head ranks them by their exact vectors, and by words."""
MOST_WAITING: Final = 2000
"""More passages that are gone, and that the index has yet to forget, are not made up for at once."""
MORE: Final = 8
"""So many times as many are asked for when too few of them could be used, …"""
MOST: Final = 6400
"""… up to these."""


class OutsideSearch:
    """One search of a space. ``waiting``: passages that the index may still have and search does not see."""

    def __init__(self, indexes: Indexes, kb_id: str, space: index_spaces.Space, waiting: int, limit: int) -> None:
        self._indexes = indexes
        self._kb_id = kb_id
        self._space = space
        self._limit = max(2 * limit, LEAST) + min(waiting, MOST_WAITING)
        self._has_more = True

    @property
    def has_more(self) -> bool:
        """Whether the index may have further candidates."""
        return self._has_more

    async def propose(
        self, text: str, vector: "npt.NDArray[np.float32]", document_ids: Sequence[int] | None, until: float
    ) -> list[int]:
        """The ids of the next passages, with all before them. Raises IndexUnavailable when it does not answer before
        ``until``, raises, or answers with something else than candidates."""
        limit = self._limit
        if document_ids is not None and not document_ids:
            self._has_more = False
            return []
        try:
            index = await self._indexes.get(self._space.server)
            space = Space(self._space.name, len(vector))
            call = index.search(space, Query(text, vector, limit, document_ids))
            found = await bounded(call, max(until - anyio.current_time(), 0.1))
            ids = [_id(candidate) for candidate in found][:limit]
        except (PhaseflowError, TypeError, ValueError) as error:
            why = self._indexes.told(self._space.server, error)
            get_logger().warning("the index cannot be searched", kb=self._kb_id, error=why)
            raise IndexUnavailable(f"{self._kb_id!r} cannot be searched by vectors: {why}") from None
        self._has_more = len(ids) >= limit and limit < MOST
        self._limit = limit * MORE
        return ids


def _id(candidate: Candidate) -> int:
    document, position = candidate
    if not 0 <= position < MOST_PIECES:
        raise ValueError(f"it answered with passage {position}")
    return piece_id(int(document), int(position))
