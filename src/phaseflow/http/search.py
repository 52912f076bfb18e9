"""The endpoints that search: a question in the address, or the same as JSON."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from phaseflow.domain.errors import InvalidRequest, KnowledgeBaseNotFound
from phaseflow.domain.filters import LONGEST_FILTER
from phaseflow.domain.patterns import worded
from phaseflow.domain.search_query import LONGEST_QUERY
from phaseflow.domain.status import SearchResults
from phaseflow.domain.validation import NOT_NAN
from phaseflow.domain.vocabulary import SearchMode
from phaseflow.flow.searching import MOST_HITS
from phaseflow.http.endpoint import Endpoint, JsonResult, RequestContext
from phaseflow.http.ingestion import KB
from phaseflow.http.requests import KbPath

_SEARCH = f"{KB}/search"
_NOT_BLANK = worded(r"\S", "must hold more than blanks")
Question = Annotated[
    str, Field(min_length=1, max_length=LONGEST_QUERY, pattern=_NOT_BLANK, description="The question.")
]
_MostHits = Annotated[int, Field(ge=1, le=MOST_HITS, description="Passages, at most.")]
_Mode = Annotated[SearchMode, Field(description="By what passages are ranked.")]
_MinScore = Annotated[float, NOT_NAN, Field(ge=0, le=1, description="Hits with a lower score are left out.")]


class _SearchQuery(KbPath):
    """A question to a knowledge base."""

    q: Question
    limit: _MostHits = 10
    filter: Annotated[
        str | None, Field(max_length=LONGEST_FILTER, description="Which documents count: a filter as JSON.")
    ] = None
    mode: _Mode = SearchMode.HYBRID
    min_score: _MinScore = 0.0


async def _search(call: RequestContext[_SearchQuery, None]) -> JsonResult:
    return await _found(call, call.at)


class _SearchBody(BaseModel):
    """A question to a knowledge base, as JSON."""

    model_config = ConfigDict(extra="forbid")
    q: Question
    limit: _MostHits = 10
    filter: Annotated[dict[str, Any] | None, Field(description="Which documents count, in OpenAI's form.")] = None
    mode: _Mode = SearchMode.HYBRID
    min_score: _MinScore = 0.0


async def _search_by_body(call: RequestContext[KbPath, _SearchBody]) -> JsonResult:
    return await _found(call, call.body)


async def _found(call: RequestContext[Any, Any], asked: _SearchQuery | _SearchBody) -> JsonResult:
    found = await call.state.flow.search(
        call.at.kb_id, asked.q, asked.limit, filter=asked.filter, mode=asked.mode, min_score=asked.min_score
    )
    return JsonResult(SearchResults.of(found))


_PROBLEMS = (KnowledgeBaseNotFound, InvalidRequest)
ENDPOINTS = [
    Endpoint("GET", _SEARCH, "The passages that answer best", _search, {200: SearchResults}, _SearchQuery,
             problems=_PROBLEMS),
    Endpoint("POST", _SEARCH, "The same, asked as JSON", _search_by_body, {200: SearchResults}, KbPath, _SearchBody,
             body_required=True, problems=_PROBLEMS),
]  # fmt: skip
