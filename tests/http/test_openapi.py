"""The description of the API: made from the endpoints, and kept by them."""

import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import anyio
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phaseflow.flow import PhaseFlow
from phaseflow.http import AllowedRoots, create_app, guesses
from phaseflow.http.app import ENDPOINTS
from phaseflow.http.openapi import document
from tests.http.service import documents, foreign_server, pass_through
from tests.stopwatch import fail_soon

ROOT = Path(__file__).parents[2]
TOKEN = "a secret of some length"
EXAMPLES = 2
WITHIN_S = 500
STREAM_S = 0.05


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document(ENDPOINTS, "", cookie="phaseflow_session_8000")


def test_every_endpoint_is_described(described: dict[str, Any]) -> None:
    there = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert there == {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}


def test_names_of_operations_are_unique(described: dict[str, Any]) -> None:
    names = [operation["operationId"] for methods in described["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names)) == len(ENDPOINTS)


def test_every_reference_leads_to_a_schema(described: dict[str, Any]) -> None:
    names = {reference.rpartition("/")[2] for reference in _references(described)}
    assert names <= described["components"]["schemas"].keys()


def test_a_model_that_only_its_module_uses_is_shown_without_the_underscore(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    assert {"StartBody", "KnowledgeBaseBody", "Conflict", "Health"} <= schemas.keys()
    assert [name for name, schema in schemas.items() if "_" in (name[0], schema.get("title", name)[0])] == []


def test_only_what_is_public_asks_for_no_token(described: dict[str, Any]) -> None:
    for endpoint in ENDPOINTS:
        operation = described["paths"][endpoint.path][endpoint.method.lower()]
        assert ("security" in operation) is not endpoint.public


def test_a_put_without_a_source_on_a_new_knowledge_base_is_described(described: dict[str, Any]) -> None:
    answers = described["paths"]["/api/ingestion/kb/{kb_id}"]["put"]["responses"]
    assert "`kb_not_found`" in answers["404"]["description"]


@pytest.mark.parametrize("path", ["/api/ingestion/events", "/api/ingestion/kb/{kb_id}/events"])
def test_the_id_to_go_on_from_is_described_in_the_header_and_in_the_query(described: dict[str, Any], path: str) -> None:
    parameters = {
        p["name"]: (p["in"], p["required"], p["schema"]) for p in described["paths"][path]["get"]["parameters"]
    }
    assert parameters["Last-Event-ID"] == ("header", False, {"type": "string"})
    assert parameters["last_event_id"] == ("query", False, {"type": "string"})


def test_a_tag_that_tells_kinds_of_sources_apart_is_required(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    assert "type" in schemas["FolderSource"]["required"]
    assert "type" in schemas["OpenAIEmbedderSettings"]["required"]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for each in value.values() for found in _references(each)]
    return [found for each in value for found in _references(each)] if isinstance(value, list) else []


def ending_streams(app: ASGIApp) -> ASGIApp:
    """The app behind something that ends its streams soon: else each would last as long as its client waits."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        is_stream = scope["type"] == "http" and scope["path"].endswith("/events")
        with anyio.CancelScope() as soon:
            ended = False

            async def noted(message: Message) -> None:
                nonlocal ended
                await send(message)
                ended = message["type"] == "http.response.body" and not message.get("more_body", False)
                if is_stream and message["type"] == "http.response.start":
                    soon.deadline = anyio.current_time() + STREAM_S

            await app(scope, receive, noted)
        if soon.cancelled_caught and not ended:
            await send({"type": "http.response.body", "body": b""})

    return wrapped


@pytest.mark.thorough
@pytest.mark.longest(600)
async def test_what_the_service_does_is_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schemathesis sends what the description allows and what it forbids, and compares the answers with it."""

    async def knows_no_name(*_: Any, **__: Any) -> NoReturn:
        raise OSError("no name server in this test: a slow one would be taken for a slow service")

    monkeypatch.setattr("anyio.getaddrinfo", knows_no_name)
    monkeypatch.setattr(guesses, "OF_ONE", guesses.OF_ALL)  # wrong tokens are tried, and need not wait for their turn
    flow = PhaseFlow(tmp_path / "kb.db", slots=0, check_source=AllowedRoots([documents(tmp_path / "docs")]))
    async with flow, foreign_server(ending_streams(create_app(flow, token=TOKEN))) as url:
        await pass_through(flow.tracker, "0", "0")
        words = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
        words += ["--config-file", str(ROOT / "schemathesis.toml"), "run", f"{url}/openapi.json"]
        words += ["--header", f"Authorization: Bearer {TOKEN}", "--max-examples", str(EXAMPLES), "--seed", "1"]
        words += ["--phases", "coverage,fuzzing", "--no-color", "--warnings", "off", "--request-timeout", "20"]
        with fail_soon(WITHIN_S):
            done = await anyio.to_thread.run_sync(
                lambda: subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
            )
    assert done.returncode == 0, "\n".join(line[:300] for line in (done.stdout + done.stderr).splitlines())
