"""The two tables: every (status, move) pair, every combination of phases against the words of the contract."""

import os
import shlex
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from phaseflow.domain.errors import InvalidTransition
from phaseflow.domain.transitions import (
    JOB_MOVES,
    PHASE_MOVES,
    PhaseMove,
    check_job_move,
    job_status,
    move_phase,
    state_diagram,
)
from phaseflow.domain.vocabulary import JobStatus, PhaseStatus
from tests.matrices import together

LEGAL_PHASE_MOVES = {
    ("not_started", "start"): "running",
    ("running", "pause"): "paused",
    ("running", "complete"): "completed",
    ("running", "fail"): "failed",
    ("paused", "resume"): "running",
    ("paused", "fail"): "failed",
    ("failed", "retry"): "running",
}
LEGAL_JOB_MOVES = {
    "pending": {"running", "paused", "cancelled"},
    "running": {"paused", "completed", "failed", "cancelled"},
    "paused": {"running", "cancelled", "failed"},
    "failed": {"running"},
    "completed": set(),
    "cancelled": set(),
}
ARCHITECTURE = Path(__file__).parents[2] / "docs" / "ARCHITECTURE.md"
BEGIN, END = "<!-- state diagram: begin -->\n", "\n<!-- state diagram: end -->"


@together(("status", "move"), list(product(PhaseStatus, PhaseMove)))
def test_a_phase_takes_a_move_of_the_contract_and_refuses_any_other(status: PhaseStatus, move: PhaseMove) -> None:
    expected = LEGAL_PHASE_MOVES.get((status, move))
    if expected is not None:
        assert move_phase("loading", status, move) == expected
        return
    with pytest.raises(InvalidTransition, match=f"phase loading is {status}: it cannot {move}"):
        move_phase("loading", status, move)


@together(("before", "after"), list(product(JobStatus, JobStatus)))
def test_a_job_is_seen_to_make_a_move_of_the_contract_or_none(before: JobStatus, after: JobStatus) -> None:
    if after == before or after in LEGAL_JOB_MOVES[before]:
        check_job_move(before, after)
        return
    with pytest.raises(InvalidTransition, match=f"job is {before}: it cannot become {after}"):
        check_job_move(before, after)


def _as_the_contract_says(phases: tuple[str, ...], *, cancelled: bool, held: bool, next_held: bool) -> str:
    rules = [
        ("cancelled", cancelled),
        ("failed", any(p == "failed" for p in phases)),
        ("completed", all(p == "completed" for p in phases)),
        ("running", any(p == "running" for p in phases)),
        ("paused", any(p == "paused" for p in phases) or held or next_held),
        ("pending", all(p == "not_started" for p in phases)),
        ("running", True),
    ]
    return next(status for status, holds in rules if holds)


@together(("cancelled", "held", "next_held"), product([False, True], [False, True], [False, True]))
def test_the_status_of_a_job_follows_from_its_phases(cancelled: bool, held: bool, next_held: bool) -> None:
    for phases in product(PhaseStatus, repeat=4):
        expected = _as_the_contract_says(phases, cancelled=cancelled, held=held, next_held=next_held)
        assert job_status(phases, cancelled=cancelled, held=held, next_held=next_held) == expected, phases


def test_every_status_has_a_row_and_final_ones_an_empty_one() -> None:
    assert set(PHASE_MOVES) == set(PhaseStatus)
    assert set(JOB_MOVES) == set(JobStatus)
    assert [status for status, row in PHASE_MOVES.items() if not row] == [PhaseStatus.COMPLETED]
    assert {status for status, row in JOB_MOVES.items() if not row} == {JobStatus.COMPLETED, JobStatus.CANCELLED}


def test_the_diagram_in_the_docs_is_that_of_the_tables() -> None:
    inside = ARCHITECTURE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    assert inside == state_diagram(), "run the command that stands above the diagram"


def test_the_command_above_the_diagram_writes_it_anew(tmp_path: Path) -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    (command,) = [line for line in text.splitlines() if line.startswith("python -c ")]
    copy = tmp_path / "docs" / "ARCHITECTURE.md"
    copy.parent.mkdir()
    copy.write_text(text.replace(state_diagram(), "stale"), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ARCHITECTURE.parents[1] / "src")}
    subprocess.run([sys.executable, *shlex.split(command)[1:]], cwd=tmp_path, env=environment, check=True)
    assert copy.read_text(encoding="utf-8") == text
