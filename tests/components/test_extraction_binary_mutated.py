"""Broken documents: a bounded share of what ``python -m tests.components.mutation`` does for an hour."""

import random

import anyio
import pytest

from phaseflow.components.workers.pool import ExtractionPool
from tests.components.binary_fixtures import SAMPLES
from tests.components.mutation import LIMITS, READERS, TEXTS, mutated, outcome

TIMES = 25


@pytest.mark.parametrize("name", [*SAMPLES, *TEXTS])
async def test_a_broken_document_gives_clean_text_or_an_error_and_never_ends_the_pool(name: str) -> None:
    data = {**SAMPLES, **TEXTS}[name]
    with anyio.fail_after(120):
        async with ExtractionPool(size=1, limits=LIMITS) as pool:
            for number in range(TIMES):
                chance = random.Random(f"{name}:{number}")  # noqa: S311  repeatable, not secret
                came = await outcome(pool, mutated(data, chance), name)
                assert not came.startswith("BROKEN"), number


@pytest.mark.parametrize("name", READERS)
async def test_a_broken_answer_or_archive_is_read_as_far_as_it_goes_or_refused(name: str) -> None:
    async with ExtractionPool(size=1) as pool:
        for number in range(4 * TIMES):
            chance = random.Random(f"{name}:{number}")  # noqa: S311  repeatable, not secret
            came = await outcome(pool, mutated(READERS[name][1], chance), name)
            assert not came.startswith("BROKEN"), number
