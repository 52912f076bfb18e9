"""The total of a phase is known when the one before it completes, and its progress with it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.supervisor import moves

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("rests", [False, True])
async def test_progress_is_there_with_the_total_and_not_with_the_next_batch(rests: bool) -> None:
    state = IngestionState("job", "kb").each(lambda p: p.start(AT), [JobPhase.CHUNKING, JobPhase.EMBEDDING])
    state = state.with_phase(replace(state[JobPhase.EMBEDDING].update_progress(1280), items_available=1600))
    if rests:
        state = state.with_phase(state[JobPhase.EMBEDDING].pause(AT))
    for change, _ in moves.completing(JobPhase.CHUNKING, AT):
        state = change(state)
    embedding = state[JobPhase.EMBEDDING]
    assert (embedding.progress, embedding.items_processed, embedding.items_total) == (80, 1280, 1600)
    assert state.get_overall_progress() == (0 + 100 + 80 + 0) / 4
