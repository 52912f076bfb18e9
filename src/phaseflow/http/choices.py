"""The endpoints for whoever makes a knowledge base: what there is to choose from, and whether it works."""

from typing import Annotated

from pydantic import Field

from phaseflow.domain.choices import EmbedderAnswer, EmbeddingServers, FolderListing
from phaseflow.domain.errors import Busy, InvalidRequest, SourceNotAllowed
from phaseflow.http.endpoint import Endpoint, JsonResult, Parameters, RequestContext
from phaseflow.http.requests import Body, ClientSettings, KbId

_NOT_ALLOWED = (SourceNotAllowed, InvalidRequest, Busy)


class _FolderQuery(Parameters):
    """A folder to look into."""

    path: Annotated[
        str | None, Field(min_length=1, max_length=8192, description="As a source names it; left out: where to begin.")
    ] = None


async def _list_folders(call: RequestContext[_FolderQuery, None]) -> JsonResult:
    return JsonResult(await call.state.flow.choices.folders(call.at.path))


async def _list_embedding_servers(call: RequestContext[Parameters, None]) -> JsonResult:
    return JsonResult(call.state.flow.choices.embedding_servers())


class _EmbedderTrialBody(Body):
    """Settings whose embedder is to be tried out; ``kb_id``: for this knowledge base, which may have it already."""

    settings: ClientSettings
    kb_id: KbId | None = None


async def _try_embedder(call: RequestContext[Parameters, _EmbedderTrialBody]) -> JsonResult:
    return JsonResult(await call.state.flow.choices.try_embedder(call.body.settings, call.body.kb_id))


ENDPOINTS = [
    Endpoint(
        "GET", "/api/ingestion/folders", "The folders that a source can name, one level at a time", _list_folders,
        {200: FolderListing}, _FolderQuery, problems=_NOT_ALLOWED,
    ),
    Endpoint(
        "GET", "/api/ingestion/embedders", "The embedding servers that the operator has named", _list_embedding_servers,
        {200: EmbeddingServers},
    ),
    Endpoint(
        "POST", "/api/ingestion/embedders/try", "Ask an embedder for one vector", _try_embedder, {200: EmbedderAnswer},
        body=_EmbedderTrialBody, body_required=True, problems=_NOT_ALLOWED,
    ),
]  # fmt: skip
