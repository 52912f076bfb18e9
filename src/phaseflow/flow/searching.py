"""Search, for a running engine and for a reader beside it."""

from collections.abc import Iterable, Mapping
from typing import Any

import anyio

from phaseflow.components.index import EmbeddedIndex, Request
from phaseflow.components.protocols import Index
from phaseflow.domain import tracing
from phaseflow.domain.errors import Busy, InvalidRequest
from phaseflow.domain.filters import as_filter
from phaseflow.domain.search_query import LONGEST_QUERY
from phaseflow.domain.status import SearchHit, SearchHits
from phaseflow.domain.vocabulary import SearchMode
from phaseflow.flow.components import ComponentFactory
from phaseflow.flow.inputs import as_count, as_text
from phaseflow.flow.outside_index import search_outside
from phaseflow.flow.query_vector import QueryVector, embedded_query, without_vector
from phaseflow.flow.readings import Readings
from phaseflow.store import knowledge_bases, vectors
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord
from phaseflow.store.passages import Scope
from phaseflow.store.transaction import Transaction

DEADLINE_S = 5.0
"""How long a search may take, with its waits."""
MOST_HITS = 100


class Searching:
    """The search of a knowledge base: in the database, or in the index that the program has given."""

    def __init__(self, readings: Readings, components: ComponentFactory, index: EmbeddedIndex) -> None:
        self._readings = readings
        self._components = components
        self._index = index

    async def search(
        self,
        kb_id: str,
        query: str,
        limit: int,
        *,
        filter: Mapping[str, Any] | str | None,  # the name in JSON
        mode: SearchMode | str,
        min_score: float,
    ) -> SearchHits:
        """Hits, best first, within ``DEADLINE_S``. Raises Busy, IndexUnavailable."""
        as_count("limit", limit, 1, MOST_HITS)
        if not as_text("q", query).strip() or len(query) > LONGEST_QUERY:
            raise InvalidRequest("q", f"must have 1 to {LONGEST_QUERY} characters")
        request = Request(query, None, limit, _as_mode(mode), _as_score(min_score), as_filter(filter))
        with tracing.span("search", kb=kb_id, limit=limit, mode=request.mode):
            with anyio.move_on_after(DEADLINE_S):
                if self._components.index is not None:
                    return await self._search_outside(self._components.index, kb_id, request)
                return await self._search(kb_id, request)
        raise Busy(
            f"the search was not answered within {DEADLINE_S:g} s: others are before it, or the knowledge base is being"
            " read for its first search; try again"
        )

    async def _search(self, kb_id: str, request: Request) -> SearchHits:
        kb, embedded = await self._query_vector(kb_id, request)

        def read(tx: Transaction) -> tuple[list[SearchHit], bool]:
            now = knowledge_bases.get(tx, kb_id)
            is_same = now.model == kb.model  # else switched in between: the vector is of another kind
            asked = request.with_vector(embedded.vector if is_same else None)
            return self._index.search(tx, Scope(now.key, now.index_version), now.search_revision, asked), is_same

        hits, is_same = await self._readings.read_search(read)
        if not is_same and request.mode is not SearchMode.WORDS:
            embedded = without_vector(kb, "its embedder was changed meanwhile; search again")
        return ranked(hits, request.mode, embedded)

    async def _search_outside(self, index: Index, kb_id: str, request: Request) -> SearchHits:
        if request.filter is not None:
            raise InvalidRequest("filter", "cannot be used: the index of this program takes none; leave it out")
        _, embedded = await self._query_vector(kb_id, request)
        vector = [] if embedded.vector is None else embedded.vector.tolist()
        found = await search_outside(index, kb_id, request.query, vector, request.limit)
        return ranked((hit for hit in found if hit.score >= request.min_score), request.mode, embedded)

    async def _query_vector(self, kb_id: str, request: Request) -> tuple[KnowledgeBaseRecord, QueryVector]:
        def read(tx: Transaction) -> tuple[KnowledgeBaseRecord, int | None]:
            kb = knowledge_bases.get(tx, as_text("kb_id", kb_id))
            return kb, None if kb.model is None else vectors.dimension(tx, kb.model)

        kb, dimension = await self._readings.read(read)
        if request.mode is SearchMode.WORDS:
            return kb, QueryVector()
        return kb, await embedded_query(kb, request.query, self._components.query_embedder, dimension)


def ranked(hits: Iterable[SearchHit], mode: SearchMode, by: QueryVector) -> SearchHits:
    """Hits with how they were ranked."""
    return SearchHits(hits, SearchMode.WORDS if by.degraded else mode, by.degraded)


def _as_mode(mode: SearchMode | str) -> SearchMode:
    try:
        return SearchMode(mode)
    except ValueError:
        raise InvalidRequest("mode", f"must be one of {', '.join(SearchMode)}") from None


def _as_score(score: float) -> float:
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
        raise InvalidRequest("min_score", "must be a number from 0 to 1")
    return float(score)
