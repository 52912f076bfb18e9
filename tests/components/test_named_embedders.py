"""Embedding servers by name, and what can be said about a server beside its address."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from phaseflow.components.embedders import EmbedderAccess, EmbedderAdapter, OpenAIEmbedder, make_embedder
from phaseflow.components.embedders.throttle import Pace
from phaseflow.domain.errors import ComponentUnavailable, DimensionMismatch, InvalidRequest, RateLimited, TransientError
from phaseflow.domain.settings import Settings
from phaseflow.flow import PhaseFlow
from tests.components.fake_embedding_server import FakeEmbeddingServer, Refusal
from tests.http.service import documents, serving
from tests.matrices import together

KB = "/api/ingestion/kb/docs"


@pytest.fixture
async def server() -> AsyncIterator[FakeEmbeddingServer]:
    async with FakeEmbeddingServer() as running:
        yield running


def _name(monkeypatch: pytest.MonkeyPatch, folder: Path, servers: Any) -> None:
    (folder / "embedders.json").write_text(servers if isinstance(servers, str) else json.dumps(servers))
    monkeypatch.setenv("PHASEFLOW_EMBEDDERS", str(folder / "embedders.json"))


def _made(embedder: dict[str, Any]) -> EmbedderAdapter:
    return make_embedder(Settings.model_validate({"embedder": {"type": "openai", **embedder}}).embedder)


async def test_a_name_stands_for_a_server_with_its_own_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FakeEmbeddingServer
) -> None:
    _name(monkeypatch, tmp_path, {"ours": {"base_url": server.base_url, "model": "m", "api_key_env": "OUR_KEY"}})
    monkeypatch.setenv("OUR_KEY", "sk-ours")
    monkeypatch.setenv("PHASEFLOW_EMBEDDING_API_KEY", "sk-other")
    body = {"source": {"type": "folder", "path": str(documents(tmp_path / "docs", 1))}}
    async with serving(PhaseFlow(tmp_path / "kb.db"), token="a token of some length") as service:
        service.http.headers["Authorization"] = "Bearer a token of some length"
        embedder = {"type": "openai", "server": "ours"}
        put = await service.http.put(KB, json=body | {"settings": {"embedder": embedder}})
        assert (put.status_code, put.json()["settings"]["embedder"]) == (200, embedder)
        job = await service.flow.start("docs")
        assert (await job.wait()).status == "completed"
    assert {call.headers.get("authorization") for call in server.calls} == {"Bearer sk-ours"}


@pytest.mark.parametrize(
    ("key_variable", "status", "advice"),
    [
        ("OUR_KEY", 401, "set OUR_KEY to a key that it takes"),
        (None, 403, "if it asks for a key, set api_key_env of its entry in the file that PHASEFLOW_EMBEDDERS names"),
        ("OUR_KEY", 404, "check its entry in the file that PHASEFLOW_EMBEDDERS names"),
        ("OUR_KEY", 302, "check its entry in the file that PHASEFLOW_EMBEDDERS names"),
    ],
)
async def test_a_named_server_that_refuses_is_called_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key_variable: str | None, status: int, advice: str
) -> None:
    monkeypatch.setenv("OUR_KEY", "sk-ours")
    async with FakeEmbeddingServer() as server:
        server.faults.append(Refusal(status, body=b""))
        entry = {"base_url": server.base_url, "model": "m", "api_key_env": key_variable}
        _name(monkeypatch, tmp_path, {"ours": entry})
        embedder = _made({"server": "ours"})
        with pytest.raises(ComponentUnavailable) as refused:
            await embedder.embed_query("a")
        assert str(refused.value) == f"the embedding server 'ours' answered {status}; {advice}"
    with pytest.raises(TransientError) as down:  # nobody listens any more
        await embedder.embed_query("a")
    assert "'ours' cannot be reached" in str(down.value)
    assert "127.0.0.1" not in f"{down.value} {embedder!r}"
    await embedder.aclose()


async def test_a_name_that_no_server_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _name(monkeypatch, tmp_path, {"ours": {"base_url": "https://a.test/v1", "model": "m"}})
    body = {"source": {"type": "folder", "path": "."}, "settings": {"embedder": {"type": "openai", "server": "theirs"}}}
    async with serving(PhaseFlow(tmp_path / "kb.db")) as service:
        answer = await service.http.put(KB, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "'theirs'; known: ours" in answer.json()["detail"]


@together("field", ["base_url", "model", "dimensions", "query_prefix", "api_key_env"])
def test_nothing_stands_beside_a_name(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Settings.model_validate({"embedder": {"type": "openai", "server": "ours", field: "https://a.test"}})


@together("type_", [None, "ollama", 5, ["openai"]])
def test_another_type_of_embedder_is_refused_in_words(type_: Any) -> None:
    with pytest.raises(ValidationError, match="'static' or 'openai'"):
        Settings.model_validate({"embedder": {"type": type_, "server": "ours"}})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON; look at line"),
        ([], "object"),
        ({"ours": {"model": "m"}}, "ours.base_url"),
        ({"ours": {"base_url": "https://a.test", "model": "m", "api_key": "sk-secret"}}, "ours.api_key"),
        ({"ours": {"base_url": "https://a.test", "model": "m", "api_key_env": "A B"}}, "ours.api_key_env"),
        ({"our server": {"base_url": "https://a.test", "model": "m"}}, "our server"),
        ({"ours": {"base_url": "https://a.test", "model": "m", "batch_size": 0}}, "ours.batch_size"),
        (" " * 1_000_001, "more than"),
    ],
)
def test_a_file_with_a_mistake_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, says: str
) -> None:
    _name(monkeypatch, tmp_path, content)
    with pytest.raises(InvalidRequest, match=says) as refusal:
        EmbedderAccess().known()
    assert "sk-secret" not in str(refusal.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASEFLOW_EMBEDDERS", str(tmp_path / "none.json"))
    with pytest.raises(InvalidRequest, match="cannot be read"):
        EmbedderAccess().known()


def test_a_key_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OUR_KEY", raising=False)
    _name(monkeypatch, tmp_path, {"ours": {"base_url": "https://a.test", "model": "m", "api_key_env": "OUR_KEY"}})
    with pytest.raises(ComponentUnavailable, match="set OUR_KEY"):
        _made({"server": "ours"})


async def test_prefixes_go_before_what_they_are_for(server: FakeEmbeddingServer) -> None:
    given = {"base_url": server.base_url, "model": "m", "query_prefix": "query: ", "document_prefix": "passage: "}
    async with _made(given) as port:
        await port.embed(["a", "b"])
        await port.embed_query("c")
    assert [call.texts for call in server.calls] == [["passage: a", "passage: b"], ["query: c"]]


async def test_dimensions_are_asked_for_and_nothing_else_is_taken(server: FakeEmbeddingServer) -> None:
    async with OpenAIEmbedder(server.base_url, "m", dimensions=server.dimension) as embedder:
        await embedder.embed_query("a")
    assert server.calls[0].body["dimensions"] == server.dimension
    async with OpenAIEmbedder(server.base_url, "m", dimensions=server.dimension - 1) as embedder:
        with pytest.raises(DimensionMismatch):
            await embedder.embed_query("a")


def test_sizes_are_those_given() -> None:
    port = _made({"base_url": "https://a.test/v1", "model": "m", "batch_size": 7, "in_flight": 3})
    assert (port.batch_size, port.in_flight) == (7, 3)


@together("other", [{"dimensions": 8}, {"query_prefix": "q"}, {"document_prefix": "q"}])
def test_what_makes_other_vectors_makes_another_fingerprint(other: dict[str, Any]) -> None:
    plain = {"base_url": "https://a.test/v1", "model": "m"}
    prints = {_made(given).fingerprint for given in (plain, plain | other, plain | {"batch_size": 7})}
    assert len(prints) == 2


async def test_above_its_rate_no_request_is_made(server: FakeEmbeddingServer) -> None:
    async with OpenAIEmbedder(server.base_url, "m", requests_per_minute=6) as embedder:
        await embedder.embed_query("a")
        with pytest.raises(RateLimited, match="6 requests a minute") as refusal:
            await embedder.embed_query("b")
    assert len(server.calls) == 1
    assert refusal.value.retry_after_s is not None
    assert 8 < refusal.value.retry_after_s <= 10


async def test_requests_are_spread_evenly() -> None:
    now = 100.0
    pace = Pace(30, lambda: now)
    waits: list[float | None] = []
    for now in (100.0, 100.5, 102.0, 103.0):  # noqa: B007  # the clock reads it
        try:
            await pace.wait()
            waits.append(0)
        except RateLimited as error:
            waits.append(error.retry_after_s)
    assert waits[:3] == [0, 1.5, 0]
