"""Progress of the calls that start a job, for clients that ask for it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow.domain.status import JobStatusResponse
from phaseflow.flow import PhaseFlow
from phaseflow.http import AllowedRoots
from phaseflow.mcp import following
from tests.http.service import Service, documents, serving
from tests.mcp.test_tools import WITHIN_S, agent, stdio
from tests.stopwatch import NEVER_S, Stopwatch, fail_soon


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    documents(tmp_path / "docs")
    async with serving(PhaseFlow(tmp_path / "kb.db", check_source=AllowedRoots([tmp_path]))) as service:
        yield service


class Heard:
    """What a client was told while its call went on."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.messages: list[str | None] = []

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        assert total == 100.0
        self.steps.append(progress)
        self.messages.append(message)


def source(folder: Path) -> dict[str, Any]:
    return {"type": "folder", "path": str(folder / "docs")}


def assert_heard_to_the_end(heard: Heard) -> None:
    assert heard.steps == sorted(set(heard.steps))
    assert heard.steps[-1] == 100.0
    assert all(heard.messages)


async def test_a_job_is_followed_to_its_end(service: Service, tmp_path: Path) -> None:
    with fail_soon(WITHIN_S):
        async with agent(service.url) as session:
            heard = Heard()
            given: dict[str, Any] = {"kb_id": "waf", "source": source(tmp_path)}
            ended = await session.call_tool("start", given, progress_callback=heard)
            assert (ended.structured_content or {})["status"] == "completed"
            assert_heard_to_the_end(heard)
            heard = Heard()
            given = {"kb_id": "mine", "documents": [{"uri": "n.md", "text": "Whales sing."}]}
            ended = await session.call_tool("add_documents", given, progress_callback=heard)
            assert (ended.structured_content or {})["status"] == "completed"
            assert_heard_to_the_end(heard)


@pytest.mark.thorough
async def test_a_job_is_followed_on_stdin_and_stdout(service: Service, tmp_path: Path) -> None:
    with fail_soon(WITHIN_S):
        for kb_id, *words in (["own"], ["served", "--server", service.url]):
            folder = tmp_path / kb_id
            folder.mkdir()
            async with stdio(folder, *words) as session:
                heard = Heard()
                given = {"kb_id": kb_id, "documents": [{"uri": "n.md", "text": "Whales sing."}]}
                ended = await session.call_tool("add_documents", given, progress_callback=heard)
                assert (ended.structured_content or {})["status"] == "completed"
                assert_heard_to_the_end(heard)


async def test_a_job_that_pauses_is_not_waited_for(service: Service, tmp_path: Path) -> None:
    with fail_soon(WITHIN_S):
        async with agent(service.url) as session:
            given = {"kb_id": "waf", "source": source(tmp_path), "hold": ["embedding"]}
            ended = await session.call_tool("start", given, progress_callback=Heard())
    assert (ended.structured_content or {})["status"] == "paused"


async def test_the_wait_is_bounded(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(following, "FOLLOWED_S", 0.5)
    monkeypatch.setattr(JobStatusResponse, "is_idle", False)
    async with agent(service.url) as session:
        given = {"kb_id": "waf", "source": source(tmp_path), "hold": ["loading"]}
        watch = Stopwatch()
        ended = await session.call_tool("start", given, progress_callback=Heard())
        assert watch.seconds > 0.4
        assert watch.within(10)
        assert not ended.is_error
        monkeypatch.setattr(following, "FOLLOWED_S", NEVER_S)
        monkeypatch.setattr(following, "MOST_FOLLOWED", 0)
        given = {"kb_id": "other", "source": source(tmp_path), "hold": ["loading"]}
        with fail_soon(10):
            assert not (await session.call_tool("start", given, progress_callback=Heard())).is_error


async def test_without_the_question_the_answer_comes_at_once(service: Service, tmp_path: Path) -> None:
    async with agent(service.url) as session:
        given = {"kb_id": "waf", "source": source(tmp_path), "hold": ["loading"]}
        started = await session.call_tool("start", given)
    assert (started.structured_content or {})["status"] != "completed"


async def test_the_service_ends_at_once_though_a_job_is_followed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mcp.shared.exceptions import MCPError

    monkeypatch.setattr(JobStatusResponse, "is_idle", False)
    documents(tmp_path / "docs")
    heard = anyio.Event()

    async def told(progress: float, total: float | None, message: str | None) -> None:
        heard.set()

    async def follow(url: str) -> None:
        async with agent(url) as session:
            given = {"kb_id": "waf", "source": source(tmp_path), "hold": ["embedding"]}
            with pytest.raises(MCPError):
                await session.call_tool("start", given, progress_callback=told)

    flow = PhaseFlow(tmp_path / "kb.db", check_source=AllowedRoots([tmp_path]))
    with fail_soon(WITHIN_S):
        async with anyio.create_task_group() as tasks, serving(flow) as service:
            tasks.start_soon(follow, service.url)
            await heard.wait()
            watch = Stopwatch()
    assert watch.within(5)


async def test_a_body_that_is_too_long_or_not_json_is_refused_in_words(service: Service) -> None:
    accept = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    for body in (b'{"progressToken"', b"[]", b"\xff", b'{"jsonrpc": "2.0", "x": "progressToken"}'):
        refused = await service.http.post("/mcp", content=body, headers=accept)
        assert refused.status_code == 400
        assert "Traceback" not in refused.text
    too_long = await service.http.post("/mcp", content=b'"progressToken"' * 400_000, headers=accept)
    assert (too_long.status_code, too_long.json()["code"]) == (413, "body_too_large")
