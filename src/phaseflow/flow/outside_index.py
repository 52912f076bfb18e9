"""Asking an index outside the database for candidates: what it raises, and what it answers, is not ours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import anyio

from phaseflow.components.indexes import CountingIndex, Query, Space
from phaseflow.components.indexes.answers import as_candidates
from phaseflow.components.indexes.losses import Comparison
from phaseflow.components.indexes.registry import Indexes, bounded
from phaseflow.domain.errors import IndexUnavailable, PhaseflowError
from phaseflow.domain.log import get_logger
from phaseflow.store import index_spaces
from phaseflow.store.index_spaces import SpaceContents
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord
from phaseflow.store.pieces import piece_id

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from phaseflow.actors.index_audit import Reads

SEARCH_S: Final = 4.0
"""What it may take with the embedding of the query, seconds: less than a search, so that the answer names the index."""
_LEAST_S: Final = 1.0
"""What the index gets at least, seconds, when the embedding has taken the rest: it must not be blamed for that."""
LEAST_COMPARED_S: Final = 0.25
"""What a comparison gets at least, seconds: the next search goes on where this one has come to."""
_LEAST: Final = 100
"""Passages asked for at least: the head ranks them by their exact vectors, and by words."""
MOST_WAITING: Final = 2000
"""More passages that are gone, and that the index has yet to forget, are not made up for at once."""
_MORE: Final = 8
"""So many times as many are asked for when too few of them could be used, …"""
MOST: Final = 6400
"""… up to these."""


class OutsideSearch:
    """One search of a space, of a knowledge base as it was when it was looked up. ``waiting``: passages that the index
    may still have and search does not see."""

    def __init__(
        self, indexes: Indexes, kb: KnowledgeBaseRecord, space: index_spaces.Space, waiting: int, limit: int
    ) -> None:
        self._indexes = indexes
        self._kb_id = kb.id
        self._search_revision = kb.search_revision
        self._space = space
        self._limit = max(2 * limit, _LEAST) + min(waiting, MOST_WAITING)
        self._losses_before = indexes.losses.times(space.name)
        self._has_more = True
        self._is_short = False
        """It had fewer candidates than it was asked for: those should be all that there are."""

    def refuse_lost(self) -> None:
        """Raise IndexUnavailable where it is known that the index has only a part of what it was given."""
        if self._space.name in self._indexes.losses:
            raise self._lost()

    async def check(
        self, database: "Reads", proposed: Sequence[int], document_ids: Sequence[int] | None, until: float
    ) -> None:
        """After the last candidates, where they were few: raise IndexUnavailable when the index has lost passages, or
        when nobody has compared it since this engine began, and that cannot be done before ``until``.

        Nobody can see the difference between a part and all of them by looking at hits.
        """
        if not self._is_short:
            return
        losses, name, server = self._indexes.losses, self._space.name, self._space.server
        at, lacking = await database.read(
            lambda tx: (
                SpaceContents(tx, self._space).expected(),
                SpaceContents(tx, self._space).unproposed(proposed, document_ids),
            )
        )
        if not lacking or at is None:
            return  # nothing is missing
        times_held, has_some = await self._times_held(until), bool(proposed)
        comparison = losses.comparison(name, times_held)
        is_lost: bool | None = None
        if comparison.is_over:
            is_changed = at.search_revision != self._search_revision  # since the index was asked
            is_lost = losses.times(name) == self._losses_before and await self._has_lost(
                database, has_some, is_changed=is_changed
            )
            if is_lost is None:
                losses.compare_anew(name)
                comparison = losses.comparison(name, times_held)
        if is_lost is None:
            is_lost = await self._lacks_any(database, comparison, has_some, until)
        if losses.times(name) != self._losses_before:
            raise self._lost()  # noticed, and perhaps put back, since the index was asked
        if is_lost:
            losses.note(name, server)
            raise self._lost()

    async def _times_held(self, until: float) -> int:
        server = self._space.server
        try:
            left_s = max(until - anyio.current_time(), LEAST_COMPARED_S)
            return await bounded(self._indexes.times_held(server), left_s)
        except PhaseflowError as error:
            raise self._unavailable(self._indexes.told(server, error)) from None

    async def _lacks_any(self, database: "Reads", comparison: Comparison, has_some: bool, until: float) -> bool:
        """Before the index was compared, when a count tells nothing. Raises IndexUnavailable when it takes too long."""
        losses, name, server = self._indexes.losses, self._space.name, self._space.server
        now = anyio.current_time()
        if has_some and losses.was_counted(name, now):
            return False
        from phaseflow.actors.index_audit import lacks_any

        try:
            with anyio.fail_after(max(until - now, LEAST_COMPARED_S)):
                if await lacks_any(database, await self._indexes.get(server), self._space, comparison):
                    return True
        except TimeoutError:
            raise self._unavailable(
                f"{self._indexes.shown(server)} has yet to be compared with the database; search again"
            ) from None
        except PhaseflowError as error:
            raise self._unavailable(self._indexes.told(server, error)) from None
        if comparison.has_unknown:
            losses.compare_anew(name)
        losses.counted(name, now)
        return False

    async def _has_lost(self, database: "Reads", has_some: bool, *, is_changed: bool) -> bool | None:
        """Since the index was compared. None where a count cannot tell, or cannot be had."""
        losses, name, server = self._indexes.losses, self._space.name, self._space.server
        index = await self._indexes.get(server)
        if not isinstance(index, CountingIndex):
            if is_changed:
                return False
            losses.suspect(name)
            return not has_some
        now = anyio.current_time()
        if has_some and losses.was_counted(name, now):
            return False  # an approximate search may have fewer than there are
        from phaseflow.actors.index_audit import has_lost

        try:
            is_lost = await has_lost(database, index, self._space)
        except PhaseflowError as error:
            get_logger().debug("the index cannot count", index=server, error=str(error))
            is_lost = None
        if is_lost is not None:
            losses.counted(name, now)
        return is_lost

    def _lost(self) -> IndexUnavailable:
        return self._unavailable(self._indexes.why_lost(self._space.server))

    def _unavailable(self, why: str) -> IndexUnavailable:
        return IndexUnavailable(
            f"{self._kb_id!r} cannot be searched by vectors: {why}; mode=words finds words meanwhile"
        )

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
        query = Query(text, vector, limit, document_ids)
        try:
            call = self._nearest(Space(self._space.name, len(vector)), query)
            found = as_candidates(await bounded(call, max(until - anyio.current_time(), _LEAST_S)), limit)
        except PhaseflowError as error:
            why = self._indexes.told(self._space.server, error)
            get_logger().warning("the index cannot be searched", kb=self._kb_id, error=why)
            raise IndexUnavailable(f"{self._kb_id!r} cannot be searched by vectors: {why}") from None
        ids = [piece_id(document, position) for document, position in found]
        self._is_short = len(ids) < limit
        self._has_more = not self._is_short and limit < MOST
        self._limit = limit * _MORE
        return ids

    async def _nearest(self, space: Space, query: Query) -> object:
        """Of an index that is opened first where it is not: that may hang as any other call."""
        return await (await self._indexes.get(self._space.server)).search(space, query)
