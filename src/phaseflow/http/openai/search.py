"""Search of a vector store."""

from phaseflow.domain.filters import as_filter
from phaseflow.domain.status import SearchHit
from phaseflow.http.endpoint import Endpoint, JsonResult, RequestContext
from phaseflow.http.openai.objects import Found, SearchPage, Text, attributes_of, file_name_of
from phaseflow.http.openai.requests import SearchBody, StorePath
from phaseflow.http.openai.stores import STORE, use


async def _search_store(call: RequestContext[StorePath, SearchBody]) -> JsonResult:
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
    return JsonResult(SearchPage(search_query=queries, data=[_found(hit) for hit in ranked], degraded=degraded))


def _found(hit: SearchHit) -> Found:
    id_, slash, _ = hit.uri.partition("/")
    return Found(
        file_id=id_ if slash and id_.startswith("file-") else hit.document_id, filename=file_name_of(hit.uri),
        score=hit.score, attributes=attributes_of(hit.metadata), content=[Text(text=hit.text)],
    )  # fmt: skip


ENDPOINTS = [
    Endpoint(
        "POST",
        f"{STORE}/search",
        "Search a vector store",
        _search_store,
        {200: SearchPage},
        StorePath,
        SearchBody,
        body_required=True,
    ),
]
