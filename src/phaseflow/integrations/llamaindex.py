"""Knowledge bases for LlamaIndex."""

from typing import Any

from phaseflow.client import Client, SyncClient
from phaseflow.domain.errors import MissingExtra
from phaseflow.domain.status import SearchHit, SearchHits
from phaseflow.flow import PhaseFlow
from phaseflow.integrations.backend import Backend

try:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode
except ImportError as error:
    raise MissingExtra("phaseflow.integrations.llamaindex", "llamaindex") from error


class PhaseflowRetriever(BaseRetriever):
    """Finds passages of a knowledge base, of a running PhaseFlow (``flow``) or of a service (``client``).

    ``limit`` and ``filter`` (OpenAI's form) are those of a search. A node's metadata is that of its document, with
    ``uri`` and ``title``, and ``degraded`` where words alone ranked it, since the embedder could not be asked.
    ``start_char_idx`` and ``end_char_idx`` count characters of the document's text.
    """

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
        self._backend = Backend(kb_id, flow, client)
        self._limit = limit
        self._filter = filter
        super().__init__(**options)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(self._backend.search(query_bundle.query_str, self._limit, self._filter))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(await self._backend.asearch(query_bundle.query_str, self._limit, self._filter))


def _nodes(hits: SearchHits) -> list[NodeWithScore]:
    said = Backend.said(hits)
    return [NodeWithScore(node=_node(hit, said), score=hit.score) for hit in hits]


def _node(hit: SearchHit, said: dict[str, str]) -> TextNode:
    told = hit.model_dump(mode="json")
    return TextNode(
        id_=f"{hit.document_id}:{hit.start}",
        text=hit.text,
        start_char_idx=hit.start,
        end_char_idx=hit.end,
        metadata=hit.metadata | {name: told[name] for name in ("uri", "title")} | said,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.document_id)},
    )
