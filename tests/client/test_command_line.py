"""The command line through a running service."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from phaseflow.flow import PhaseFlow
from tests.cli.commands import Shell, ended
from tests.http.service import Service, documents, serving
from tests.stopwatch import fail_soon

TOKEN = "a long secret"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db"), token=TOKEN) as service:
        await service.flow.start("waf", documents(tmp_path / "docs"), hold=["embedding"])
        with fail_soon(20):
            await (await service.flow.job("waf")).wait_until_idle()
        yield service


async def _run(service: Service, *words: str, token: str = TOKEN) -> tuple[int, str, str]:
    shell = Shell(Path.cwd())
    environment = shell.environment() | {"PHASEFLOW_TOKEN": token}
    with shell.running(*words, "--server", service.url, env=environment) as process:
        done = await anyio.to_thread.run_sync(ended, process)
    return done.returncode, done.stdout, done.stderr


async def test_a_verb_answers_with_the_status(service: Service) -> None:
    code, out, _ = await _run(service, "cancel", "waf", "--json")
    assert (code, json.loads(out)["status"]) == (0, "cancelled")


async def test_one_phase_can_be_meant(service: Service) -> None:
    code, out, _ = await _run(service, "resume", "waf", "--phase", "embedding", "--json")
    assert (code, json.loads(out)["kb_id"]) == (0, "waf")


async def test_documents_are_listed(service: Service) -> None:
    await service.flow.resume("waf")
    with fail_soon(20):
        await (await service.flow.job("waf")).wait()
    code, out, _ = await _run(service, "documents", "waf", "--limit", "2", "--filter", ".MD", "--json")
    page = json.loads(out)
    assert (code, [one["uri"] for one in page["items"]], page["next_cursor"]) == (0, ["0.md", "1.md"], "after:1.md")


async def test_a_refusal_is_one_line(service: Service) -> None:
    for words, token, told in (
        (("retry", "waf"), TOKEN, "allowed now"),
        (("pause", "nobody"), TOKEN, "'nobody'"),
        (("pause", "waf"), "x", "--token or PHASEFLOW_TOKEN says which"),
    ):
        code, out, err = await _run(service, *words, token=token)
        assert (code, out, err.count("\n")) == (1, "", 1), words
        assert told in err


async def test_a_document_that_is_not_there_is_told_by_the_name_that_was_given(service: Service) -> None:
    for words in (("document", "waf", "nope"), ("document", "waf", "nope", "--text"), ("skip", "waf", "nope")):
        code, _, err = await _run(service, *words)
        assert (code, "no document 'nope'" in err) == (1, True), (words, err)
