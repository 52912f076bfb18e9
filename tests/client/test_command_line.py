"""The command line through a running service."""

import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

import phaseflow
from phaseflow.flow import PhaseFlow
from tests.http.service import Service, documents, serving

TOKEN = "a long secret"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db"), token=TOKEN) as service:
        await service.flow.start("waf", documents(tmp_path / "docs"), hold=["embedding"])
        with anyio.fail_after(20):
            await (await service.flow.job("waf")).wait_until_idle()
        yield service


async def _run(service: Service, *words: str, token: str = TOKEN) -> tuple[int, str, str]:
    environment = os.environ | {"PYTHONPATH": str(Path(phaseflow.__file__).parents[1]), "PHASEFLOW_TOKEN": token}
    command = [sys.executable, "-m", "phaseflow", *words, "--server", service.url]
    with anyio.fail_after(30):
        done = await anyio.run_process(command, env=environment, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def test_a_verb_answers_with_the_status(service: Service) -> None:
    code, out, _ = await _run(service, "cancel", "waf", "--json")
    assert (code, json.loads(out)["status"]) == (0, "cancelled")


async def test_one_phase_can_be_meant(service: Service) -> None:
    code, out, _ = await _run(service, "resume", "waf", "--phase", "embedding", "--json")
    assert (code, json.loads(out)["kb_id"]) == (0, "waf")


async def test_documents_are_listed(service: Service) -> None:
    await service.flow.resume("waf")
    with anyio.fail_after(20):
        await (await service.flow.job("waf")).wait()
    code, out, _ = await _run(service, "documents", "waf", "--limit", "2", "--filter", ".MD", "--json")
    page = json.loads(out)
    assert (code, [one["uri"] for one in page["items"]], page["next_cursor"]) == (0, ["0.md", "1.md"], "1.md")


@pytest.mark.parametrize(
    ("words", "token", "told"),
    [
        (("retry", "waf"), TOKEN, "allowed now"),
        (("pause", "nobody"), TOKEN, "'nobody'"),
        (("pause", "waf"), "x", "token"),
    ],
)
async def test_a_refusal_is_one_line(service: Service, words: tuple[str, ...], token: str, told: str) -> None:
    code, out, err = await _run(service, *words, token=token)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert told in err
