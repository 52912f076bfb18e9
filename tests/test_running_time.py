"""The running time of a phase, as a client sees it, never goes back: not at a pause, nor when the wall clock jumps."""

import json
import random
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phaseflow import PhaseTracker
from phaseflow.domain.phase import PhaseState
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import clock, failpoints
from tests.domain.walks import T0
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon

JUMPS_S = (0.0, 0.3, 0.45, -0.3, -0.45, 2.0, 3600.0, -3600.0)
"""Some are too small to be followed at once, and add up."""


class WallClock(datetime):
    """The class ``datetime`` of a machine whose clock is set now and then."""

    ahead = timedelta()

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # wider on purpose
        return datetime.now(tz) + cls.ahead  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("seed", first_of_each(range(3)))
async def test_the_running_time_that_is_seen_never_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, seed: int
) -> None:
    chance, seen, is_over = random.Random(seed), list[float](), False  # noqa: S311  # no secret
    monkeypatch.setattr(clock, "datetime", WallClock)
    monkeypatch.setattr(WallClock, "ahead", timedelta())
    failpoints.install("store.before_commit", lambda: time.sleep(0.004))
    request.addfinalizer(failpoints.clear)

    async def look(tracker: PhaseTracker) -> None:
        while not is_over:
            seen.append((await tracker.get_consolidated_status("job")).phase_details[0].active_seconds)

    async with PhaseTracker.open(tmp_path / "kb.db") as tracker:
        await tracker.initialize_phases("job")
        began = time.monotonic()
        with fail_soon(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(look, tracker)
                await tracker.start_phase("job", "loading")
                for _ in range(25):
                    WallClock.ahead += timedelta(seconds=chance.choice(JUMPS_S))
                    await anyio.sleep(0.005)
                    await tracker.pause_phase("job", "loading")
                    await tracker.resume_phase("job", "loading")
                    await tracker.update_progress("job", "loading", 1)
                await tracker.complete_phase("job", "loading")
                is_over = True
        last = (await tracker.get_consolidated_status("job")).phase_details[0].active_seconds
        assert last <= time.monotonic() - began
    assert len(seen) > 25
    assert [(one, two) for one, two in pairwise([*seen, last]) if two < one] == []


@given(gaps=st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_what_is_stored_at_the_end_of_a_stretch_is_what_was_shown(gaps: list[float]) -> None:
    """``now`` and the moment that the move is stored under differ by any step of the wall clock."""
    phase, now, shown = PhaseState(JobPhase.LOADING).start(T0), T0, [0.0]
    for number, gap in enumerate(gaps):
        now += timedelta(seconds=gap)
        shown.append(round(phase.active_seconds(now), 3))
        moved = phase.pause(T0) if number % 2 == 0 else phase.resume(T0)
        phase = moved.measured(phase, now)
        shown.append(round(phase.active_seconds(now), 3))
    assert shown == sorted(shown)
    ran = sum(timedelta(seconds=gap).total_seconds() for gap in gaps[::2])
    assert shown[-1] == pytest.approx(ran, abs=0.01)


@given(ran=st.integers(0, 10**12), more=st.integers(0, 10**12))
@example(ran=179_538, more=27_962)
def test_a_time_reads_from_the_database_as_it_was_shown(ran: int, more: int) -> None:
    """States are read as JSON, into which SQLite writes numbers of 15 digits. ``ran`` and ``more`` are microseconds."""
    phase = replace(PhaseState(JobPhase.LOADING).start(T0), active_s=ran / 1e6)
    shown = phase.active_seconds(T0 + timedelta(microseconds=more))
    with closing(sqlite3.connect(":memory:")) as database:
        (written,) = database.execute("SELECT json_array(?)", (shown,)).fetchone()
    (read,) = json.loads(written)
    assert round(read, 3) == round(shown, 3)
