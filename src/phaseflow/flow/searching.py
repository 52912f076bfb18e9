"""Search, for a running engine and for a reader beside it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from phaseflow.components.index import EmbeddedIndex, Request
from phaseflow.domain import tracing
from phaseflow.domain.errors import Busy, ComponentError, InvalidRequest
from phaseflow.domain.exception_text import named, text_of
from phaseflow.domain.filters import as_filter
from phaseflow.domain.log import get_logger
from phaseflow.domain.search_query import LONGEST_QUERY
from phaseflow.domain.status import SearchHit, SearchHits
from phaseflow.domain.vocabulary import SearchMode
from phaseflow.flow.components import ComponentFactory
from phaseflow.flow.inputs import as_count, as_text
from phaseflow.flow.outside_index import MOST_WAITING, SEARCH_S, OutsideSearch
from phaseflow.flow.readings import Readings
from phaseflow.store import fields, index_spaces
from phaseflow.store.index_outbox import IndexOutbox
from phaseflow.store.index_spaces import Spaces
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord, KnowledgeBases
from phaseflow.store.passages import Scope
from phaseflow.store.transaction import Transaction
from phaseflow.store.vectors import Model

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from phaseflow.components.embedders import EmbedderAdapter

DEADLINE_S = 5.0
"""How long a search may take, with its waits."""
MOST_HITS = 100
EMBEDDING_S = 3.0
"""What embedding a query may take, seconds: a search that has waited longer goes by words alone."""
_REASON_LENGTH = 300
_MOST_REMEMBERED = 1000
"""Knowledge bases of which it is remembered what a search looks up first: some kilobytes each."""


class _Looked(NamedTuple):
    """What a search has to know before its query is embedded, when its vectors are searched in the database or
    ``space``. ``dimension``: how many numbers they have."""

    kb: KnowledgeBaseRecord
    dimension: int | None
    space: index_spaces.Space | None

    @classmethod
    def of(cls, tx: Transaction, kb: KnowledgeBaseRecord) -> "_Looked":
        dimension = None if kb.model is None else Model(tx, kb.model).dimension()
        return cls(kb, dimension, Spaces(tx).find(kb.key, kb.index_version))

    def embeds_like(self, other: "_Looked") -> bool:
        """Whether a query has the same vector, to be compared with those of the same version."""
        return self._what_counts() == other._what_counts()

    def _what_counts(self) -> tuple[object, ...]:
        return self.kb.key, self.kb.index_version, self.kb.model, self.kb.live_settings, self.dimension, self.space


class _QueryVector(NamedTuple):
    """``vector`` is float32, (d,). Without it ``degraded`` says why, or there is nothing to compare it with."""

    vector: "npt.NDArray[np.float32] | None" = None
    degraded: str | None = None


class Searching:
    """The search of a knowledge base: in the database, or, by vectors, in an index outside it."""

    def __init__(self, readings: Readings, components: ComponentFactory, index: EmbeddedIndex) -> None:
        self._readings = readings
        self._components = components
        self._index = index
        self._looked: dict[str, _Looked] = {}
        """Of knowledge bases that were searched before: most do not change meanwhile, which the search itself sees."""

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
                return await self._search(kb_id, request)
        raise Busy(
            f"the search was not answered within {DEADLINE_S:g} s: others are before it, or the knowledge base is being"
            " read for its first search; try again"
        )

    async def why_down(self) -> str | None:
        """Why indexes outside the database that are needed cannot be used now, by name; None when all can."""
        servers = await self._readings.read(lambda tx: Spaces(tx).needed_servers())
        reasons: dict[str, str | None] = {}

        async def ask(server: str) -> None:
            reasons[server] = await self._components.indexes.why_down(server)

        async with anyio.create_task_group() as asking:  # each may take a while to be given up
            for server in servers:
                asking.start_soon(ask, server)
        return "; ".join(why for server in servers if (why := reasons[server])) or None

    async def _search(self, kb_id: str, request: Request) -> SearchHits:
        until = anyio.current_time() + SEARCH_S
        looked = self._looked.get(as_text("kb_id", kb_id)) or await self._look(kb_id)
        kb, space = looked.kb, looked.space
        embedded = _QueryVector()
        if request.mode is not SearchMode.WORDS:
            embedding = _embedded_query(kb, request.query, self._components.query_embedder, looked.dimension)
            if space is None:
                embedded = await embedding
            else:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._components.indexes.prepare, space.server)
                    embedded = await embedding
        if space is not None and embedded.vector is not None:
            return await self._search_outside(kb, space, request.with_vector(embedded.vector), until)

        def read(tx: Transaction) -> list[SearchHit] | None:
            now = KnowledgeBases(tx).get(kb_id)
            if not looked.embeds_like(_Looked.of(tx, now)):
                return None  # switched in between: the vector is of another kind
            asked = request.with_vector(embedded.vector)
            if embedded.degraded:
                asked = replace(asked, mode=SearchMode.WORDS)  # as the answer says, also for who asked for vectors
            return self._index.search(tx, Scope(now.key, now.index_version), now.search_revision, asked)

        hits = await self._readings.read_search(read)
        if hits is None:
            self._looked.pop(kb_id, None)
            return await self._search(kb_id, request)
        return _ranked(hits, request.mode, embedded)

    async def _search_outside(
        self, kb: KnowledgeBaseRecord, space: index_spaces.Space, request: Request, until: float
    ) -> SearchHits:
        """The same where the vectors are searched outside the database: the index proposes, the database decides."""
        scope = Scope(kb.key, kb.index_version)

        def look(tx: Transaction) -> tuple[int, list[int] | None]:
            found = None if request.filter is None else fields.matching(tx, scope, request.filter)
            ids = None if found is None else [int(number) for number in found.split(",") if number]
            return IndexOutbox(tx, space.server).passages_waiting(space.name, MOST_WAITING), ids

        def read(tx: Transaction) -> list[SearchHit] | None:
            now = KnowledgeBases(tx).get(kb.id)
            if now.index_version != kb.index_version or not Spaces(tx).is_searched(space.name):
                return None  # switched in between
            return self._index.search(tx, scope, now.search_revision, replace(request, proposed=proposed))

        assert request.vector is not None
        waiting, document_ids = await self._readings.read_search(look)
        asking = OutsideSearch(self._components.indexes, kb, space, waiting, request.limit)
        asking.refuse_lost()
        while True:
            proposed = await asking.propose(request.query, request.vector, document_ids, until)
            hits = await self._readings.read_search(read)
            if hits is None:
                return await self._search(kb.id, request.with_vector(None))
            if len(hits) >= request.limit or not asking.has_more:
                await asking.check(self._readings, proposed, document_ids, until)
                return _ranked(hits, request.mode, _QueryVector(request.vector))

    async def _look(self, kb_id: str) -> _Looked:
        looked = await self._readings.look_for_search(lambda tx: _Looked.of(tx, KnowledgeBases(tx).get(kb_id)))
        if looked.space is None:
            if len(self._looked) >= _MOST_REMEMBERED:
                self._looked.clear()
            self._looked[kb_id] = looked
        return looked


async def _embedded_query(
    kb: KnowledgeBaseRecord,
    query: str,
    embedder_of: Callable[[KnowledgeBaseRecord], Awaitable["EmbedderAdapter | None"]],
    dimension: int | None,
) -> _QueryVector:
    """Embed a query for the vectors of a knowledge base, which have ``dimension`` numbers.

    Whatever the embedder raises, and whatever takes too long, is a reason to search by words alone.
    A cancel drops the call.
    """
    if kb.model is None:
        return _QueryVector()
    try:
        embedder = await embedder_of(kb)
        if embedder is None:
            return _without_vector(kb, f"its vectors are those of {kb.model}, and this process has no such embedder")
        with anyio.move_on_after(EMBEDDING_S) as limit:
            vector = await embedder.embed_query(query)
        if limit.cancelled_caught:
            return _without_vector(kb, f"the embedder did not answer within {EMBEDDING_S:g} s")
    except ComponentError as error:
        return _without_vector(kb, text_of(error))
    except Exception as error:  # noqa: BLE001  # a program's own embedder may raise anything; the answer says what
        return _without_vector(kb, f"the embedder failed: {named(error)}")
    if dimension is not None and len(vector) != dimension:
        return _without_vector(
            kb,
            f"the embedder answers with vectors of {len(vector)} numbers, and those stored have {dimension}: "
            "it has another model now; name that model in the settings and start a job",
        )
    return _QueryVector(vector)


def _without_vector(kb: KnowledgeBaseRecord, why: str) -> _QueryVector:
    """Note that a search goes by words alone."""
    reason = " ".join(why.split())
    reason = reason if len(reason) <= _REASON_LENGTH else f"{reason[: _REASON_LENGTH - 1]}…"
    get_logger().warning("searching by words only", kb=kb.id, error=reason)
    return _QueryVector(degraded=f"searched by words alone: {reason}")


def _ranked(hits: Iterable[SearchHit], mode: SearchMode, by: _QueryVector) -> SearchHits:
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
