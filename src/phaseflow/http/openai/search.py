"""Search of a vector store."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from phaseflow.domain.filters import as_filter
from phaseflow.domain.search_query import LONGEST_QUERY
from phaseflow.domain.status import SearchHit
from phaseflow.http.endpoint import Endpoint, JsonResult, RequestContext
from phaseflow.http.openai.objects import Scalar, Text, TextPage, attributes_of
from phaseflow.http.openai.requests import Body, StorePath
from phaseflow.http.openai.stores import STORE, use


def _is_no_blank(query: str) -> str:
    if not query.strip():
        raise ValueError("must not be blank")
    return query


_Query = Annotated[str, Field(min_length=1, max_length=LONGEST_QUERY), AfterValidator(_is_no_blank)]


class _RankingOptions(Body):
    """How passages are ranked. There is one ranker, which every name stands for."""

    ranker: Annotated[str, Field(max_length=100)] = "auto"
    score_threshold: Annotated[float, Field(ge=0, le=1)] = 0.0


class _SearchBody(Body):
    """A question to a vector store, or several whose answers are ranked together."""

    query: _Query | Annotated[list[_Query], Field(min_length=1, max_length=8)]
    filters: dict[str, Any] | None = None
    max_num_results: Annotated[int, Field(ge=1, le=50)] = 10
    ranking_options: _RankingOptions = _RankingOptions()
    rewrite_query: bool = False


class _SearchPage(TextPage):
    """What a search has found. ``search_query`` is what was asked: nothing rewrites it. ``degraded`` is not of the
    protocol: it says in a sentence why vectors had no part in the ranking."""

    object: str = "vector_store.search_results.page"
    search_query: list[str]
    degraded: str | None = None


async def _search_store(call: RequestContext[StorePath, _SearchBody]) -> JsonResult:
    """Answers are those of the knowledge base's own search. Queries are never rewritten, and the answer says so."""
    kb_id, body = call.at.vector_store_id, call.body
    as_filter(body.filters, "filters")  # as the protocol names it
    await use(call, kb_id)
    queries = [body.query] if isinstance(body.query, str) else body.query
    best: dict[tuple[str, int], SearchHit] = {}
    degraded: str | None = None
    for query in queries:
        hits = await call.state.flow.search(
            kb_id, query, body.max_num_results, filter=body.filters, min_score=body.ranking_options.score_threshold
        )
        degraded = degraded or hits.degraded
        for hit in hits:
            key = (hit.document_id, hit.start)
            best[key] = max(best.get(key, hit), hit, key=lambda found: found.score)
    ranked = sorted(best.values(), key=lambda hit: -hit.score)[: body.max_num_results]
    return JsonResult(_SearchPage(search_query=queries, data=[_found(hit) for hit in ranked], degraded=degraded))


class _Found(BaseModel):
    """A passage that was found."""

    file_id: str
    filename: str
    score: float
    attributes: dict[str, Scalar]
    content: list[Text]


def _found(hit: SearchHit) -> _Found:
    id_, slash, _ = hit.uri.partition("/")
    return _Found(
        file_id=id_ if slash and id_.startswith("file-") else hit.document_id, filename=_file_name_of(hit.uri),
        score=hit.score, attributes=attributes_of(hit.metadata), content=[Text(text=hit.text)],
    )  # fmt: skip


def _file_name_of(uri: str) -> str:
    """The name of the file behind a document."""
    id_, slash, name = uri.partition("/")
    return name if slash and id_.startswith("file-") else uri


ENDPOINTS = [
    Endpoint(
        "POST",
        f"{STORE}/search",
        "Search a vector store",
        _search_store,
        {200: _SearchPage},
        StorePath,
        _SearchBody,
        body_required=True,
    ),
]
