"""Where a running job is shown."""

import io
import json
import sys

import pytest
from rich.console import Console

from phaseflow.cli.output import screen_for
from phaseflow.cli.progress_bars import Bars, picture
from phaseflow.domain.status import JobStatusResponse
from tests.cli.statuses import job

_BUSY = job(
    {
        "loading": {"status": "completed", "progress": 100, "items_processed": 150, "items_total": 150},
        "chunking": {
            "status": "running",
            "progress": 70,
            "items_processed": 105,
            "items_total": 150,
            "items_per_second": 52.0,
        },
        "embedding": {"status": "running", "items_processed": 500, "waiting_on": "rate_limit"},
    },
    message="Chunking 105 of 150 documents",
    eta_seconds=41.5,
)


def _drawn(status: JobStatusResponse, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(picture(status))
    return capture.get()


def test_each_phase_has_a_line_with_items_rate_and_what_it_waits_for() -> None:
    loading, chunking, embedding, indexing, job_line = _drawn(_BUSY).splitlines()
    assert "150 / 150 documents" in loading
    assert "105 / 150 documents" in chunking
    assert "52/s" in chunking
    assert "the embedding server asked us to slow down" in embedding
    assert "0 chunks" in indexing
    assert job_line.rstrip() == "waf: Chunking 105 of 150 documents, about 42 s left"


def test_documents_that_failed_are_seen_beside_those_that_are_done() -> None:
    done = {"status": "completed", "items_processed": 49, "items_failed": 5, "items_total": 54}
    assert "54 / 54 documents 5 failed" in " ".join(_drawn(job({"loading": done})).split())


def test_what_a_cancel_ended_is_not_shown_as_failed() -> None:
    ended = {"status": "failed", "error": "Cancelled by user"}
    drawn = _drawn(job({"loading": ended}, status="cancelled", message="Cancelled by user"))
    assert "cancelled" in drawn.splitlines()[0]
    assert "failed" not in drawn


def test_a_narrow_terminal_keeps_one_line_a_phase() -> None:
    assert len(_drawn(_BUSY, width=60).splitlines()) == 5


def test_text_from_documents_is_no_markup() -> None:
    assert "[bold]x[/bold]" in _drawn(job(message="[bold]x[/bold]"))


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(screen_for(as_json=False), Bars)


@pytest.mark.parametrize("is_terminal", [False, True])
def test_json_is_one_status_per_line_on_stdout_and_nothing_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    with screen_for(as_json=True) as screen:
        screen.show(job())
        screen.show(_BUSY)
        screen.show(_BUSY)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert [json.loads(line) for line in captured.out.splitlines()] == [
        each.model_dump(mode="json") for each in (job(), _BUSY)
    ]


def test_without_a_terminal_lines_go_to_stderr_once_a_transition(capsys: pytest.CaptureFixture[str]) -> None:
    with screen_for(as_json=False) as screen:
        screen.show(_BUSY)
        screen.show(_BUSY)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("waf: chunking running") == 1


def test_bars_leave_stdout_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as screen:
        screen.show(_BUSY)
        sys.stdout.write("mine\n")
    assert capsys.readouterr().out == "mine\n"
