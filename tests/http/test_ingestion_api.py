"""docs/INGESTION_API.md: every request in it is sent, and every answer compared."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from phaseflow.domain.errors import PhaseflowError
from phaseflow.domain.settings import Settings
from phaseflow.flow import PhaseFlow
from phaseflow.http import AllowedRoots
from phaseflow.http.app import ENDPOINTS
from phaseflow.http.limits import Limits
from phaseflow.http.problems import STATUS, HttpError
from phaseflow.http.stream import EVENTS
from tests.http.service import Service, documents, serving, until
from tests.matrices import together
from tests.stopwatch import fail_soon

TEXT = (Path(__file__).parents[2] / "docs" / "INGESTION_API.md").read_text(encoding="utf-8")
ANY = "…"
"""Stands in the page for what differs from run to run, and for more of the same."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer as it stands in the page."""

    first_line: str
    headers: dict[str, str]
    body: str


def _message(block: str) -> Message:
    head, _, body = block.partition("\n\n")
    first, *lines = head.strip().splitlines()
    return Message(first, dict(line.split(": ", 1) for line in lines), body.strip())


def _exchanges() -> list[tuple[Message, Message]]:
    blocks = [_message(found) for found in re.findall(r"^```http\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)]
    return list(zip(blocks[::2], blocks[1::2], strict=True))


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    (documents(tmp_path / "docs", 2) / "broken.md").write_bytes(b"\x00\x01\x02" * 50)
    monkeypatch.chdir(tmp_path)
    async with serving(PhaseFlow(tmp_path / "kb.db", check_source=AllowedRoots([tmp_path]))) as service:
        yield service


async def test_the_examples_are_what_the_service_does(service: Service) -> None:
    for request, answer in _exchanges():
        job_id = await _settled_job(service)
        method, path = request.first_line.split(" ")
        asked = service.http.stream(
            method, path.replace("JOB_ID", job_id), headers=request.headers, content=request.body.encode()
        )
        async with asked as response:
            await _compare(request, answer, response)


async def _settled_job(service: Service) -> str:
    """The newest job, once it stands still."""

    async def is_settled() -> bool:
        (newest,) = (await service.flow.jobs("docs", limit=1)).items
        return newest.status in {"completed", "cancelled"} or (newest.status == "paused" and newest.requested is None)

    known = [kb.kb_id for kb in (await service.flow.kbs()).items]
    if "docs" not in known or not (await service.flow.jobs("docs")).items:
        return ""
    await until(is_settled)
    return (await service.flow.jobs("docs", limit=1)).items[0].job_id


async def _compare(request: Message, answer: Message, response: httpx2.Response) -> None:
    place = request.first_line
    assert f"HTTP/1.1 {response.status_code}" == answer.first_line, f"{place}: {await response.aread()!r}"
    for name, value in answer.headers.items():
        assert response.headers[name] == value, place
    if "event-stream" in response.headers.get("content-type", ""):
        await _compare_events(answer.body, response, place)
    elif "json" in response.headers.get("content-type", ""):
        _same(json.loads(answer.body), json.loads(await response.aread()), place)
    elif answer.body:
        text = (await response.aread()).decode()
        assert all(line in text for line in answer.body.splitlines() if line != ANY), place


async def _compare_events(body: str, response: httpx2.Response, place: str) -> None:
    lines = response.aiter_lines()
    with fail_soon(10):
        for expected in body.splitlines():
            found = await anext(lines)
            if expected.startswith("data: "):
                _same(json.loads(expected[6:]), json.loads(found[6:]), place)
            else:
                assert found.startswith(expected.removesuffix(ANY)) if ANY in expected else found == expected, place


def _same(expected: Any, found: Any, place: str) -> None:
    if expected == ANY:
        return
    if isinstance(expected, dict) and isinstance(found, dict):
        named = {name: value for name, value in expected.items() if name != ANY}
        assert named.keys() <= found.keys(), place
        assert ANY in expected or named.keys() == found.keys(), f"{place}: {found.keys() - named.keys()} not shown"
        for name, value in named.items():
            _same(value, found[name], f"{place} {name}")
    elif isinstance(expected, list) and isinstance(found, list):
        shown = [value for value in expected if value != ANY]
        assert len(shown) <= len(found) if ANY in expected else len(shown) == len(found), place
        for value, other in zip(shown, found, strict=False):
            _same(value, other, f"{place} […]")
    else:
        assert expected == found, place


@together("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_every_endpoint_stands_in_the_page(endpoint: Any) -> None:
    assert f"| `{endpoint.method} {endpoint.path}" in TEXT


@together("name", EVENTS)
def test_every_event_stands_in_the_page(name: str) -> None:
    assert f"| `{name}` |" in TEXT


def _codes(kind: type[PhaseflowError]) -> set[str]:
    return {kind.code, *(code for each in kind.__subclasses__() for code in _codes(each))}


@together("code", sorted(_codes(HttpError) | {kind.code for kind in STATUS} | {"internal_error"}))
def test_every_error_code_stands_in_the_page(code: str) -> None:
    assert f"`{code}`" in TEXT


def _fields(model: type[BaseModel]) -> list[str]:
    return list(model.model_fields)


@together("name", [*_fields(Settings), *(f"Limits.{name}" for name in Limits.__dataclass_fields__)])
def test_every_setting_and_limit_stands_in_the_page(name: str) -> None:
    assert f"`{name}`" in TEXT
