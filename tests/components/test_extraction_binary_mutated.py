"""Broken documents: a bounded share of what ``python -m tests.components.mutation`` does for an hour."""

import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from phaseflow.components.extraction.formats import FORMATS
from phaseflow.components.workers.pool import ExtractionPool
from tests.components.binary_fixtures import SAMPLES
from tests.components.mutation import LIMITS, READERS, TEXTS, mutated, outcome
from tests.stopwatch import fail_soon

TIMES = 25


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the module, since the workers belong to it."""
    return "asyncio"


@pytest.fixture(scope="module")
async def pool(anyio_backend: str) -> AsyncIterator[ExtractionPool]:
    async with ExtractionPool(size=1, limits=LIMITS) as opened:
        yield opened


@pytest.mark.parametrize("name", [*SAMPLES, *TEXTS])
async def test_a_broken_document_gives_clean_text_or_an_error_and_never_ends_the_pool(
    pool: ExtractionPool, name: str
) -> None:
    data = {**SAMPLES, **TEXTS}[name]
    with fail_soon(120):
        for number in range(TIMES):
            chance = random.Random(f"{name}:{number}")  # noqa: S311  repeatable, not secret
            came = await outcome(pool, mutated(data, chance), name)
            assert not came.startswith("BROKEN"), number


def test_every_format_has_a_document_that_is_broken() -> None:
    names = {name.rpartition(".")[2] for name in (*SAMPLES, *TEXTS)}
    assert [each.name for each in FORMATS if not names.intersection(each.extensions)] == []


@pytest.mark.parametrize("name", READERS)
async def test_a_broken_answer_or_archive_is_read_as_far_as_it_goes_or_refused(pool: ExtractionPool, name: str) -> None:
    for number in range(4 * TIMES):
        chance = random.Random(f"{name}:{number}")  # noqa: S311  repeatable, not secret
        came = await outcome(pool, mutated(READERS[name][1], chance), name)
        assert not came.startswith("BROKEN"), number


@pytest.mark.thorough
def test_a_run_that_is_stopped_prints_its_totals() -> None:
    words = [sys.executable, "-m", "tests.components.mutation", "--seconds", "600", "--report", "0.2"]
    with subprocess.Popen(words, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as fuzzing:
        assert fuzzing.stdout is not None
        # The totals so far end with a blank line.
        for line in iter(fuzzing.stdout.readline, "\n"):
            assert line, "it ended by itself"
        fuzzing.send_signal(signal.SIGTERM)
        rest, _ = fuzzing.communicate(timeout=100)
    last = rest.strip().splitlines()[-1]
    assert last.startswith("all ")
    assert "ended by SIGTERM" in last
    assert fuzzing.returncode == 0
