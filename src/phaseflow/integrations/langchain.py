"""Knowledge bases for LangChain."""

from typing import Any

from phaseflow.client import Client, SyncClient
from phaseflow.domain.errors import MissingExtra
from phaseflow.domain.status import SearchHit, SearchHits
from phaseflow.flow import PhaseFlow
from phaseflow.integrations.backend import Backend

try:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from pydantic import PrivateAttr

    from phaseflow.integrations.langchain_store import PhaseflowVectorStore
except ImportError as error:
    raise MissingExtra("phaseflow.integrations.langchain", "langchain") from error

__all__ = ["PhaseflowRetriever", "PhaseflowVectorStore"]


class PhaseflowRetriever(BaseRetriever):
    """Finds passages of a knowledge base, of a running PhaseFlow (``flow``) or of a service (``client``).

    ``limit`` and ``filter`` (OpenAI's form) are those of a search; both can be given to a single ``invoke``, too. A
    document's metadata is that of its source document, with ``uri``, ``title``, ``score``, ``start``, ``end`` and
    ``document_id`` of the passage; where the embedder cannot be asked, ``degraded`` says why words alone ranked it.
    """

    kb_id: str
    flow: Any = None
    client: Any = None
    limit: int = 10
    filter: dict[str, Any] | None = None
    _backend: Backend = PrivateAttr()

    def __init__(
        self,
        *,
        kb_id: str,
        flow: PhaseFlow | None = None,
        client: Client | SyncClient | None = None,
        limit: int = 10,
        filter: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        backend = Backend(kb_id, flow, client)
        fields: dict[str, Any] = {"kb_id": kb_id, "flow": flow, "client": client, "limit": limit, "filter": filter}
        super().__init__(**fields, **options)
        self._backend = backend

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        limit: int | None = None,
        filter: dict[str, Any] | None = None,
    ) -> list[Document]:
        return _passages(self._backend.search(query, limit or self.limit, filter or self.filter))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        limit: int | None = None,
        filter: dict[str, Any] | None = None,
    ) -> list[Document]:
        return _passages(await self._backend.asearch(query, limit or self.limit, filter or self.filter))


def _passages(hits: SearchHits) -> list[Document]:
    return [_passage(hit, Backend.said(hits)) for hit in hits]


def _passage(hit: SearchHit, said: dict[str, str]) -> Document:
    told = hit.model_dump(mode="json")
    text, metadata = told.pop("text"), told.pop("metadata")
    return Document(text, id=f"{hit.document_id}:{hit.start}", metadata=metadata | told | said)
