"""Worker processes that do not start: it costs the documents that need one a try, and the others nothing."""

import sys
from pathlib import Path

import pytest

from phaseflow import BudgetPolicy, PhaseFlow, Policies, RetryPolicy
from phaseflow.domain.vocabulary import JobStatus
from tests.stopwatch import fail_soon

RTF = rb"{\rtf1 Hello from a worker.\par}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.rtf").write_bytes(RTF)
    for number in range(5):
        (folder / f"{number}.md").write_text(f"plain {number}")
    return folder


async def test_a_worker_that_is_killed_while_it_starts_costs_a_try(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, started = tmp_path / "python", tmp_path / "started"
    python.write_text(f'#!/bin/sh\n[ -e {started} ] || {{ : > {started}; kill -9 $$; }}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        with fail_soon(30):
            final = await (await flow.start("kb", folder)).wait()
        failures = await flow.failures("kb")
    assert started.exists()
    assert final.status is JobStatus.COMPLETED
    assert final.metrics.documents_loaded == 6
    assert failures.items == []


async def test_without_any_worker_the_rest_is_ingested_and_the_budget_is_untouched(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    quick = Policies(budget=BudgetPolicy(in_a_row=1), retry=RetryPolicy(tries=2, first_s=0.01, most_s=1))
    async with PhaseFlow(tmp_path / "kb.db", policies=quick) as flow:
        with fail_soon(30):
            final = await (await flow.start("kb", folder)).wait()
        failures = await flow.failures("kb")
    assert final.status is JobStatus.COMPLETED
    assert final.metrics.documents_loaded == 5
    assert [(each.uri, each.code) for each in failures.items] == [("a.rtf", "worker_unavailable")]
