"""The standard tests of LangChain, against a service."""

# mypy: disable-error-code="no-untyped-def"

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("langchain_tests", reason="needs the dependency group adapters")

from langchain_core.documents import Document
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

from phaseflow.client import SyncClient
from phaseflow.domain.errors import InvalidRequest
from phaseflow.flow import PhaseFlow
from phaseflow.integrations.langchain import PhaseflowRetriever, PhaseflowVectorStore
from tests.http.processes import process
from tests.ports import free_port

pytestmark = pytest.mark.adapters


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncClient]:
    with process(tmp_path_factory.mktemp("service"), free_port()) as service:
        anyio.run(service.ready)
        with SyncClient(service.url) as client:
            yield client


class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, client: SyncClient) -> PhaseflowVectorStore:
        return PhaseflowVectorStore(kb_id=f"store-{uuid.uuid4().hex}", client=client)


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _passages(self, client: SyncClient) -> None:
        texts = [f"Page {number} is about budgets." for number in range(5)]
        PhaseflowVectorStore.from_texts(texts, kb_id="pages", client=client, ids=[f"{n}.md" for n in range(5)])
        self._client = client

    @property
    def retriever_constructor(self) -> type[PhaseflowRetriever]:
        return PhaseflowRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"kb_id": "pages", "client": self._client}

    @property
    def retriever_query_example(self) -> str:
        return "budgets"

    @property
    def num_results_arg_name(self) -> str:
        return "limit"


async def test_a_store_over_an_engine_keeps_what_frameworks_say(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        store = PhaseflowVectorStore(kb_id="notes", flow=flow)
        said = {"source": "a.pdf", "page": 3, "title": "Mine"}
        assert await store.aadd_documents([Document("Budgets need owners.", id="a", metadata=said)]) == ["a"]
        [(found, score)] = await store.asimilarity_search_with_relevance_scores("budgets", k=1)
        assert (found.id, found.metadata) == ("a", said)
        assert 0 < score <= 1
        only = {"type": "eq", "key": "source_", "value": "b.pdf"}
        assert await store.asimilarity_search("budgets", k=1, filter=only) == []
        with pytest.raises(InvalidRequest, match="metadata"):
            await store.aadd_texts(["x"], [{"nested": {"a": 1}}])
        with pytest.raises(InvalidRequest, match="ids"):
            await store.adelete()
