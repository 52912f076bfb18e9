"""The retrievers in the frameworks they are for."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
import pytest

from phaseflow.client import Client, SyncClient
from phaseflow.domain.errors import InvalidRequest, MissingExtra
from phaseflow.flow import PhaseFlow
from phaseflow.integrations.backend import Backend
from tests.engine.test_search import Asked, raising
from tests.http.processes import process
from tests.ports import free_port

pytestmark = pytest.mark.adapters

QUESTION = "who owns a budget?"
BUDGETS = "Every budget needs an owner."
OPTIONS: dict[str, Any] = {"kb_id": "notes", "limit": 1}
ONLY_REGIONS = {"type": "eq", "key": "uri", "value": "regions.md"}


def written(folder: Path) -> Path:
    folder.mkdir()
    (folder / "budgets.md").write_text(BUDGETS)
    (folder / "regions.md").write_text("A region is a set of data centres.")
    (folder / "plans.md").write_text("Plans are made in spring and looked at in autumn.")
    return folder


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncIterator[PhaseFlow]:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        await (await flow.start("notes", written(tmp_path / "notes"))).wait()
        yield flow


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncClient]:
    folder = written(tmp_path_factory.mktemp("served") / "notes")
    with process(folder.parent, free_port()) as service, SyncClient(service.url) as client:
        anyio.run(service.ready)
        client.start("notes", folder)
        assert [status.status for status in client.watch("notes")][-1] == "completed"
        yield client


async def test_langchain_finds_passages_with_an_engine(flow: PhaseFlow) -> None:
    pytest.importorskip("langchain_core", reason="needs the extra langchain")
    from phaseflow.integrations.langchain import PhaseflowRetriever

    retriever = PhaseflowRetriever(flow=flow, **OPTIONS)
    [found] = await retriever.ainvoke(QUESTION)
    assert (found.page_content, found.metadata["uri"]) == (BUDGETS, "budgets.md")
    [other] = await retriever.ainvoke(QUESTION, filter=ONLY_REGIONS)
    assert other.metadata["uri"] == "regions.md"
    assert [found] == await anyio.to_thread.run_sync(retriever.invoke, QUESTION)
    with pytest.raises(InvalidRequest, match="asynchronous methods"):
        retriever.invoke(QUESTION)


def test_langchain_finds_passages_with_a_client(client: SyncClient) -> None:
    pytest.importorskip("langchain_core", reason="needs the extra langchain")
    from phaseflow.integrations.langchain import PhaseflowRetriever

    [found] = PhaseflowRetriever(client=client, **OPTIONS).invoke(QUESTION)
    assert found.page_content == BUDGETS


async def test_llamaindex_finds_nodes(flow: PhaseFlow) -> None:
    pytest.importorskip("llama_index.core", reason="needs the extra llamaindex")
    from phaseflow.integrations.llamaindex import PhaseflowRetriever

    [found] = await PhaseflowRetriever(flow=flow, **OPTIONS).aretrieve(QUESTION)
    assert (found.node.get_content(), found.node.metadata["uri"]) == (BUDGETS, "budgets.md")
    assert 0 < (found.score or 0) <= 1
    [other] = await PhaseflowRetriever(flow=flow, filter=ONLY_REGIONS, **OPTIONS).aretrieve(QUESTION)
    assert other.node.metadata["uri"] == "regions.md"


def test_llamaindex_answers_a_query_engine(client: SyncClient) -> None:
    pytest.importorskip("llama_index.core", reason="needs the extra llamaindex")
    from llama_index.core.llms import MockLLM
    from llama_index.core.query_engine import RetrieverQueryEngine

    from phaseflow.integrations.llamaindex import PhaseflowRetriever

    engine = RetrieverQueryEngine.from_args(PhaseflowRetriever(client=client, **OPTIONS), llm=MockLLM())
    answer = engine.query(QUESTION)
    assert BUDGETS in str(answer)
    assert [node.node.metadata["uri"] for node in answer.source_nodes] == ["budgets.md"]


def test_haystack_runs_it_in_a_pipeline(client: SyncClient) -> None:
    pytest.importorskip("haystack", reason="needs the extra haystack")
    from haystack import Pipeline
    from haystack.components.builders import PromptBuilder

    from phaseflow.integrations.haystack import PhaseflowRetriever

    pipeline = Pipeline()
    pipeline.add_component("retriever", PhaseflowRetriever(client=client, **OPTIONS))
    pipeline.add_component("prompt", PromptBuilder("{% for d in documents %}{{ d.content }}{% endfor %}"))
    pipeline.connect("retriever.documents", "prompt.documents")
    assert pipeline.run({"retriever": {"query": QUESTION}})["prompt"]["prompt"] == BUDGETS


async def test_haystack_takes_an_asynchronous_client(flow: PhaseFlow, client: SyncClient) -> None:
    pytest.importorskip("haystack", reason="needs the extra haystack")
    from phaseflow.integrations.haystack import PhaseflowRetriever

    async with Client(client.url) as service:
        for options in ({"flow": flow}, {"client": service}):
            found = await PhaseflowRetriever(**OPTIONS, **options).run_async(QUESTION)
            assert [document.content for document in found["documents"]] == [BUDGETS]


@pytest.mark.parametrize(
    ("name", "package", "ask"),
    [
        ("langchain", "langchain_core", lambda retriever: retriever.ainvoke(QUESTION)),
        ("llamaindex", "llama_index.core", lambda retriever: retriever.aretrieve(QUESTION)),
        ("haystack", "haystack", lambda retriever: retriever.run_async(QUESTION)),
    ],
)
async def test_passages_that_words_alone_have_ranked_say_so(
    name: str, package: str, ask: Callable[[Any], Any], tmp_path: Path
) -> None:
    pytest.importorskip(package, reason=f"needs the extra {name}")
    embedder = Asked(raising(ConnectionRefusedError("nobody there")))
    async with PhaseFlow(tmp_path / "kb.db", embedder=embedder) as flow:
        await (await flow.start("notes", written(tmp_path / "notes"))).wait()
        found = await ask(_imported(name).PhaseflowRetriever(flow=flow, **OPTIONS))
    [one] = found["documents"] if isinstance(found, dict) else found
    said = one.meta if name == "haystack" else one.metadata
    assert said["degraded"].startswith("searched by words alone: ")


@pytest.mark.parametrize("given", [{"flow": None, "client": None}, {"flow": object(), "client": object()}])
def test_an_adapter_needs_an_engine_or_a_client(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="either flow="):
        Backend("notes", **given)


@pytest.mark.parametrize(
    ("name", "package"), [("langchain", "langchain_core"), ("llamaindex", "llama_index"), ("haystack", "haystack")]
)
def test_without_the_extra_the_error_names_it(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [each for each in sys.modules if each.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, f"phaseflow.integrations.{name}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)  # what import takes for missing
    with pytest.raises(MissingExtra, match=rf"phaseflow\[{name}\]"):
        _imported(name)


def _imported(name: str) -> ModuleType:
    import importlib

    return importlib.import_module(f"phaseflow.integrations.{name}")
