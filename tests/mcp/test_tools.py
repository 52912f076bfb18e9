"""The tools, asked by the official client: over HTTP and over stdin and stdout."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from phaseflow.flow import PhaseFlow
from phaseflow.http import AllowedRoots
from phaseflow.mcp.tools import DATA_NOTE
from tests.http.service import Service, documents, http_client, serving, until
from tests.stopwatch import Stopwatch, fail_soon

if TYPE_CHECKING:
    from mcp import ClientSession  # which takes a second: imported where it is used

WITHIN_S = 30
TOOLS = {
    "search", "list_knowledge_bases", "get_document", "add_documents", "status", "start", "pause", "resume", "cancel",
    "retry",
}  # fmt: skip


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    documents(tmp_path / "docs")
    async with serving(PhaseFlow(tmp_path / "kb.db", check_source=AllowedRoots([tmp_path]))) as service:
        yield service


@asynccontextmanager
async def agent(url: str) -> "AsyncIterator[ClientSession]":
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async with (
        http_client(url) as http,
        streamable_http_client(f"{url}/mcp", http_client=http) as (read, write, *_),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


@asynccontextmanager
async def stdio(folder: Path, *words: str) -> "AsyncIterator[ClientSession]":
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    command = StdioServerParameters(command=sys.executable, args=["-m", "phaseflow", "mcp", *words], cwd=str(folder))
    async with stdio_client(command) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        yield session


async def call(session: "ClientSession", tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured result, which stands in the text, too."""
    result = await session.call_tool(tool, arguments)
    assert not result.is_error, result.content
    structured = dict(result.structured_content or {})
    assert json.loads(result.content[0].text) == structured  # type: ignore[union-attr]  # all tools answer text
    return structured


async def refusal(session: "ClientSession", tool: str, **arguments: Any) -> str:
    result = await session.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)  # type: ignore[union-attr]  # a text


async def completed(session: "ClientSession", kb_id: str) -> None:
    async def is_completed() -> bool:
        return bool((await call(session, "status", kb_id=kb_id))["status"] == "completed")

    await until(is_completed, WITHIN_S)


async def test_the_tools_say_what_they_do_and_what_they_take(service: Service) -> None:
    async with agent(service.url) as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
    assert set(tools) == TOOLS
    read_only = {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint}
    destructive = {name for name, tool in tools.items() if tool.annotations and tool.annotations.destructive_hint}
    assert read_only == {"search", "list_knowledge_bases", "get_document", "status"}
    assert destructive == {"cancel", "add_documents", "start"}
    assert all(tool.output_schema and tool.description for tool in tools.values())
    assert set(tools["search"].input_schema["properties"]) == {"kb_id", "q", "limit", "filter", "mode", "min_score"}
    assert tools["search"].input_schema["required"] == ["kb_id", "q"]


UNUSABLE: list[tuple[str, dict[str, Any], str]] = [
    (
        "status",
        {"kb_id": "waf", "verbose": True},
        "invalid_request: verbose: is not known here; check its spelling",
    ),
    ("status", {}, "invalid_request: kb_id: is required"),
    ("search", {"kb_id": "waf", "q": "x", "limit": 1000}, "invalid_request: limit: must be at most 100"),
    (
        "search",
        {"kb_id": "waf", "q": "x", "filter": {"type": "near"}},
        "invalid_request: filter.type: must be one of",
    ),
    (
        "start",
        {"kb_id": "waf", "source": {"type": "folder", "path": "a", "max_pages": 1}},
        "invalid_request: source.m",
    ),
    ("start", {"kb_id": "waf", "source": {"type": "tape"}}, "invalid_request: source: the 'type' must be one of"),
    (
        "add_documents",
        {"kb_id": "waf", "documents": [{"uri": "a"}]},
        "invalid_request: documents.0.text: is required",
    ),
    ("cancel", {"kb_id": "waf", "phase": "loading"}, "invalid_request: phase: is not known here"),
    ("start", {"kb_id": "waf", "full": "yes"}, "invalid_request: full: must be true or false"),
    ("start", {"kb_id": "waf", "full": 1}, "invalid_request: full: must be true or false"),
    ("start", {"kb_id": "waf", "hold": '["embedding"]'}, "invalid_request: hold: must be a list"),
    ("start", {"kb_id": "waf", "source": '{"type": "folder", "path": "a"}'}, "invalid_request: source: must be"),
    (
        "start",
        {"kb_id": "waf", "source": {"type": "web", "urls": ["https://e.org"], "max_pages": "5"}},
        "invalid_request: source.max_pages: must be a whole number",
    ),
    ("search", {"kb_id": "waf", "q": "x", "limit": "3"}, "invalid_request: limit: must be a whole number"),
    ("search", {"kb_id": "waf", "q": "x", "limit": True}, "invalid_request: limit: must be a whole number"),
    ("search", {"kb_id": "waf", "q": "x", "min_score": "0.5"}, "invalid_request: min_score: must be a number"),
    ("search", {"kb_id": "waf", "q": "x", "filter": '{"type": "eq"}'}, "invalid_request: filter: must be an"),
    ("search", {"kb_id": "waf", "q": " "}, "invalid_request: q: must hold more than blanks"),
    ("list_knowledge_bases", {"cursor": "null"}, "invalid_request: cursor: is not one that this list has given"),
    ("get_document", {"kb_id": "waf", "id": "a", "start": "0"}, "invalid_request: start: must be a whole number"),
    (
        "add_documents",
        {"kb_id": "waf", "documents": [{"uri": "a", "text": "x", "title": 3}]},
        "invalid_request: documents.0.title: must be a text",
    ),
]


async def test_arguments_that_cannot_be_used_are_refused_in_our_words(service: Service) -> None:
    from mcp.shared.exceptions import MCPError

    async with agent(service.url) as session:
        schemas = {each.name: each.input_schema for each in (await session.list_tools()).tools}
        for tool, arguments, told in UNUSABLE:
            said = await refusal(session, tool, **arguments)
            assert said.startswith(told), said
            assert schemas[tool]["additionalProperties"] is False
            assert (await service.http.get("/api/ingestion/kb")).json()["items"] == []
        with pytest.raises(MCPError, match="no prompts"):
            await session.get_prompt("summary")


async def test_an_agent_fills_a_knowledge_base_searches_it_and_reads(service: Service, tmp_path: Path) -> None:
    async with agent(service.url) as session:
        started = await call(session, "start", kb_id="waf", source={"type": "folder", "path": str(tmp_path / "docs")})
        assert started["kb_id"] == "waf"
        await completed(session, "waf")
        found = await call(session, "search", kb_id="waf", q="part 1 of the manual", limit=1)
        assert (found["hits"][0]["uri"], found["note"]) == ("1.md", DATA_NOTE)
        read = await call(session, "get_document", kb_id="waf", id="1.md", start=2, limit=4)
        assert (read["document"]["uri"], len(read["text"]), read["end"]) == ("1.md", 4, 6)
        listed = await call(session, "list_knowledge_bases")
        assert [kb["kb_id"] for kb in listed["items"]] == ["waf"]
        written = [{"uri": "n.md", "text": "Of the manual, part 1.", "metadata": {"sea": "north"}}]
        await call(session, "add_documents", kb_id="waf", documents=written)
        await completed(session, "waf")
        northern = {"type": "eq", "key": "sea", "value": "north"}
        found = await call(session, "search", kb_id="waf", q="part 1 of the manual", filter=northern, mode="words")
        assert [hit["uri"] for hit in found["hits"]] == ["n.md"]


@pytest.mark.thorough
async def test_an_agent_adds_texts_with_metadata_to_search_by(service: Service) -> None:
    written = [
        {"uri": "n.md", "text": "# Whales\n\nSing.", "metadata": {"sea": "north"}},
        {"uri": "s.md", "text": "# Whales\n\nDive."},
    ]
    async with agent(service.url) as session:
        job = await call(session, "add_documents", kb_id="mine", documents=written)
        assert job["kb_id"] == "mine"
        await completed(session, "mine")
        northern = {"type": "eq", "key": "sea", "value": "north"}
        found = await call(session, "search", kb_id="mine", q="whales", filter=northern, mode="words")
    assert ([hit["uri"] for hit in found["hits"]], found["mode"]) == (["n.md"], "words")


async def test_the_verbs_answer_the_status_and_refusals_say_what_to_do(service: Service, tmp_path: Path) -> None:
    source = {"type": "folder", "path": str(tmp_path / "docs")}
    async with agent(service.url) as session:
        await call(session, "start", kb_id="waf", source=source, hold=["embedding"])

        async def is_paused() -> bool:
            return bool((await call(session, "status", kb_id="waf"))["status"] == "paused")

        await until(is_paused, WITHIN_S)
        assert (await call(session, "pause", kb_id="waf"))["status"] == "paused"
        assert (await call(session, "resume", kb_id="waf", phase="embedding"))["kb_id"] == "waf"
        await call(session, "cancel", kb_id="waf")
        assert "allowed now: start" in await refusal(session, "retry", kb_id="waf")
        assert "kb_not_found" in await refusal(session, "search", kb_id="nobody", q="x")
        assert "source_not_allowed" in await refusal(
            session, "start", kb_id="x", source={"type": "folder", "path": "/"}
        )
        assert "kb_id" in await refusal(session, "status", kb_id="No Such")


async def test_the_server_says_which_version_it_is(service: Service) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async with (
        http_client(service.url) as http,
        streamable_http_client(f"{service.url}/mcp", http_client=http) as (read, write, *_),
        ClientSession(read, write) as session,
    ):
        told = (await session.initialize()).server_info
    assert (told.name, told.version) == ("phaseflow", version("phaseflow"))


async def test_it_is_told_that_passages_are_data(service: Service) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async with (
        http_client(service.url) as http,
        streamable_http_client(f"{service.url}/mcp", http_client=http) as (read, write, *_),
        ClientSession(read, write) as session,
    ):
        assert DATA_NOTE in str((await session.initialize()).instructions)


async def test_a_token_is_asked_for_and_without_one_only_this_machine_is_answered(tmp_path: Path) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db"), token="a long secret") as service:
        assert (await service.http.post("/mcp", json={})).status_code == 401
        other = {"authorization": "Bearer a long secret", "accept": "application/json, text/event-stream"}
        assert (await service.http.post("/mcp", json={}, headers=other)).status_code == 400


async def test_nobody_can_hold_a_connection_that_nothing_is_sent_on(service: Service) -> None:
    for method in ("GET", "DELETE"):
        refused = await service.http.request(method, "/mcp", headers={"accept": "text/event-stream"})
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


async def test_a_host_that_lets_everybody_in_does_not_let_agents_in_without_a_token(tmp_path: Path) -> None:
    import httpx2

    from phaseflow.http import create_app

    async with PhaseFlow(tmp_path / "kb.db") as flow:
        transport = httpx2.ASGITransport(create_app(flow, allowed_hosts=["*"]), client=("192.0.2.7", 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://kb.example") as http:
            assert (await http.get("/api/ingestion/kb")).status_code == 200
            refused = await http.post("/mcp", json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "local_only")


async def test_the_service_ends_at_once_though_an_agent_is_connected(tmp_path: Path) -> None:
    with fail_soon(WITHIN_S):
        async with serving(PhaseFlow(tmp_path / "kb.db")) as service, agent(service.url) as session:
            await session.list_tools()
            watch = Stopwatch()
    assert watch.within(5)


async def test_over_stdin_and_stdout_with_a_database_of_its_own(tmp_path: Path) -> None:
    documents(tmp_path / "docs")
    with fail_soon(WITHIN_S):
        async with stdio(tmp_path) as session:
            await call(session, "start", kb_id="waf", source={"type": "folder", "path": "docs"})
            await completed(session, "waf")
            assert (await call(session, "search", kb_id="waf", q="manual", limit=1))["hits"]
            assert "source_not_allowed" in await refusal(
                session, "start", kb_id="x", source={"type": "folder", "path": "/"}
            )


@pytest.mark.thorough
async def test_over_stdin_and_stdout_through_a_service(service: Service, tmp_path: Path) -> None:
    with fail_soon(WITHIN_S):
        async with stdio(tmp_path, "--server", service.url) as session:
            written = [{"uri": "n.md", "text": "# Whales\n\nSing.", "metadata": {"sea": "north"}}]
            await call(session, "add_documents", kb_id="mine", documents=written)
            await completed(session, "mine")
            northern = {"type": "eq", "key": "sea", "value": "north"}
            found = await call(session, "search", kb_id="mine", q="whales", filter=northern)
            assert [hit["uri"] for hit in found["hits"]] == ["n.md"]
            assert (await call(session, "get_document", kb_id="mine", id="n.md"))["characters"]
            assert "allowed now" in await refusal(session, "retry", kb_id="mine")
    assert (await service.flow.kb("mine")).documents == 1


async def test_without_the_sdk_the_error_names_the_extra(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    refused = await service.http.post("/mcp", json={})
    assert (refused.status_code, refused.json()["code"]) == (501, "missing_extra")
    assert "phaseflow[mcp]" in refused.json()["detail"]
