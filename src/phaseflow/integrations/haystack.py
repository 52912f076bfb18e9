"""Knowledge bases for Haystack."""

from typing import Any

from phaseflow.client import Client, SyncClient
from phaseflow.domain.errors import MissingExtra
from phaseflow.domain.status import SearchHit, SearchHits
from phaseflow.flow import PhaseFlow
from phaseflow.integrations.backend import Backend

try:
    from haystack import Document, component
except ImportError as error:
    raise MissingExtra("phaseflow.integrations.haystack", "haystack") from error


@component
class PhaseflowRetriever:
    """Finds passages of a knowledge base, of a running PhaseFlow (``flow``) or of a service (``client``).

    ``limit`` and ``filter`` (OpenAI's form) are those of a search; both can be given to a single run, too. A document's
    ``meta`` is the metadata of its source document, with ``uri``, ``title``, ``start``, ``end`` and ``document_id``;
    ``degraded`` where words alone ranked it, since the embedder could not be asked.
    """

    def __init__(
        self,
        *,
        kb_id: str,
        flow: PhaseFlow | None = None,
        client: Client | SyncClient | None = None,
        limit: int = 10,
        filter: dict[str, Any] | None = None,
    ) -> None:
        self._backend = Backend(kb_id, flow, client)
        self._limit = limit
        self._filter = filter

    @component.output_types(documents=list[Document])
    def run(self, query: str, limit: int | None = None, filter: dict[str, Any] | None = None) -> dict[str, Any]:
        """Search. Blocking."""
        return _found(self._backend.search(query, limit or self._limit, filter or self._filter))

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, limit: int | None = None, filter: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Search, in an ``AsyncPipeline``."""
        return _found(await self._backend.asearch(query, limit or self._limit, filter or self._filter))


def _found(hits: SearchHits) -> dict[str, Any]:
    return {"documents": [_passage(hit, Backend.said(hits)) for hit in hits]}


def _passage(hit: SearchHit, said: dict[str, str]) -> Document:
    told = hit.model_dump(mode="json")
    meta = hit.metadata | said | {name: told[name] for name in ("document_id", "uri", "title", "start", "end")}
    return Document(id=f"{hit.document_id}:{hit.start}", content=hit.text, meta=meta, score=hit.score)
