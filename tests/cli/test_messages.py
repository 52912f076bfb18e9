"""What a status says to a person."""

from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from phaseflow.cli import messages
from phaseflow.domain.deletions import WOULD_DELETE
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import PHASES, JobPhase, WaitingOn
from tests.cli.statuses import AT, failure, job
from tests.matrices import together


def _ran(start_s: float, end_s: float, idle_s: float = 0, **changes: Any) -> dict[str, Any]:
    """A phase from one second of the job to another, but for the time in which it was paused."""
    times = {"started_at": AT + timedelta(seconds=start_s), "completed_at": AT + timedelta(seconds=end_s)}
    return {"status": "completed", "active_seconds": end_s - start_s - idle_s} | times | changes


@together(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (12, "12 s"), (59.7, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_a_duration_reads_as_one_says_it(seconds: float, text: str) -> None:
    assert messages.headline(job(message="Loading", eta_seconds=seconds)) == f"waf: Loading, about {text} left"


@together(("phase", "reason"), product(PHASES, WaitingOn))
def test_every_reason_to_wait_has_words_of_its_own(phase: JobPhase, reason: WaitingOn) -> None:
    words = _noted(phase, reason)
    assert words not in {"", reason}
    assert "_" not in words


@pytest.mark.parametrize("error", [None, "the source 'a' could not be read: x"])
def test_the_end_of_a_run_says_what_stays_though_it_was_not_found(error: str | None) -> None:
    stays = "1 document of the source 'a' was not found and stays until it can be read: phaseflow skip waf http://a/"
    told = "; ".join(["Completed: 2 chunks indexed; 1 document failed", *([error] if error else []), stays])
    lead, counts, *others = messages.summary(job(status="completed", message=told, error=error))
    assert (lead.endswith("could not be read: x"), others) == (error is not None, [f"  {stays}"])
    assert list(messages.summary(job(status="completed", message="Completed: 2 chunks indexed", error=error)))[2:] == []
    assert "stays" not in counts


def test_a_phase_that_waits_for_the_one_before_names_it() -> None:
    assert _noted(JobPhase.EMBEDDING, WaitingOn.UPSTREAM) == "waiting for chunking"


def test_a_phase_that_moves_waits_for_nothing() -> None:
    assert _noted(JobPhase.LOADING, None) == ""


def _noted(phase: JobPhase, reason: WaitingOn | None) -> str:
    status = job({str(phase): {"status": "running", "waiting_on": reason}})
    return messages.note(status, status.phase_details[phase.position])


def test_an_amount_counts_failed_items_as_done() -> None:
    status = job({"loading": {"status": "running", "items_processed": 3, "items_failed": 1, "items_total": 1500}})
    assert messages.items(status.phase_details[0]) == "4 / 1,500 documents"


def test_an_unknown_total_is_left_out() -> None:
    status = job({"loading": {"status": "running", "items_processed": 3}})
    assert messages.items(status.phase_details[0]) == "3 documents"


@together(("measured", "text"), [(None, ""), (0.25, "0.2/s"), (12.7, "13/s"), (4321.0, "4,321/s")])
def test_a_rate_has_as_many_digits_as_mean_something(measured: float | None, text: str) -> None:
    assert messages.rate(measured) == text


def test_the_headline_gives_an_estimate_only_when_there_is_one() -> None:
    assert messages.headline(job(message="Loading 3 documents")) == "waf: Loading 3 documents"
    assert messages.headline(job(message="Loading", eta_seconds=41.5)) == "waf: Loading, about 42 s left"


def test_a_paused_phase_says_so() -> None:
    status = job({"embedding": {"status": "paused", "waiting_on": "pause"}})
    assert messages.note(status, status.phase_details[2]) == "paused"


def test_a_paused_phase_that_is_queued_says_what_it_waits_for() -> None:
    status = job({"embedding": {"status": "paused", "waiting_on": "queue"}})
    assert messages.note(status, status.phase_details[2]) == "waiting for a free slot"


def test_a_failed_phase_shows_its_error() -> None:
    status = job({"embedding": {"status": "failed", "error": "401 from the server"}})
    assert messages.note(status, status.phase_details[2]) == "401 from the server"


def test_only_phases_that_changed_are_told() -> None:
    before = job({"loading": {"status": "running"}})
    after = job(
        {
            "loading": {"status": "completed", "items_processed": 150, "items_total": 150, "active_seconds": 12.4},
            "chunking": {"status": "running"},
        }
    )
    assert list(messages.changes(before, after)) == [
        "waf: loading completed, 150 / 150 documents in 12 s",
        "waf: chunking running",
    ]
    assert list(messages.changes(after, after)) == []


def test_phases_that_have_not_started_are_nothing_to_tell() -> None:
    assert list(messages.changes(None, job())) == []


def test_a_failed_phase_is_told_with_its_error() -> None:
    after = job({"loading": {"status": "failed", "error": "no such folder"}})
    assert list(messages.changes(None, after)) == ["waf: loading failed: no such folder"]


def test_the_summary_says_how_it_ended_what_was_done_and_how_long_it_took() -> None:
    metrics = {"documents_loaded": 190, "documents_unchanged": 12, "documents_deleted": 1, "chunks_indexed": 3456}
    phases = {str(name): _ran(0, 12.3) for name in PHASES}
    status = job(phases, status="completed", metrics=metrics, completed_at=AT + timedelta(seconds=12.3))
    assert list(messages.summary(status)) == [
        "waf: completed",
        "  190 documents new or changed, 12 unchanged, 1 deleted, 3,456 chunks indexed, 12 s",
    ]


def test_the_summary_of_a_failed_job_gives_its_error() -> None:
    assert next(messages.summary(job(status="failed", error="no such folder"))) == "waf: failed: no such folder"


def test_no_failures_are_nothing_to_tell() -> None:
    assert list(messages.failures(job(), [], "phaseflow failures waf")) == []


def test_failures_are_counted_the_first_few_shown_and_the_rest_a_command_away() -> None:
    status = job(metrics={"documents_failed": 1200})
    lines = list(messages.failures(status, [failure(f"{n}.bin") for n in range(9)], "phaseflow failures waf"))
    assert lines[0] == "1,200 documents failed:"
    assert lines[1:-1] == [f"  {n}.bin: loading: unsupported format" for n in range(messages.FIRST_FEW)]
    assert lines[-1] == "  all of them: phaseflow failures waf"


def test_a_failure_is_one_line_also_when_its_error_is_not() -> None:
    assert (
        messages.failure(failure(error="first\n  second", attempts=3)) == "bad.bin: loading: first second (3 attempts)"
    )


@together(
    ("status", "advice"),
    [
        ("completed", None),
        ("cancelled", None),
        (
            "failed",
            "phaseflow retry waf tries what failed again; after a change of settings, phaseflow start waf makes a"
            " job with the new ones",
        ),
        ("paused", "paused; the same command goes on"),
    ],
)
def test_a_job_that_can_go_on_says_how(status: str, advice: str | None) -> None:
    assert advised(job(status=status)) == advice


def test_a_job_that_asks_before_it_takes_out_documents_says_what_answers_it() -> None:
    asks = job(
        status="paused", message=f"Paused in indexing ({WOULD_DELETE}12 of 15 documents of the source 'default')"
    )
    assert advised(asks) == (
        "paused; phaseflow resume waf takes them out, phaseflow cancel waf keeps them. --allow-deletes says yes"
        " beforehand"
    )


def advised(status: JobStatusResponse) -> str | None:
    return next(messages.advice(status, "the same command"), None)


HOUR = 3600


@together(
    ("phases", "took"),
    [
        ((_ran(0, 10), _ran(1, 12), _ran(2, 30), _ran(3, 31)), "31 s"),
        # embedding failed at 20, the others were paused, and the retry came three hours later
        ((_ran(0, 10), _ran(1, 12), _ran(2, 3 * HOUR + 30, 3 * HOUR), _ran(3, 3 * HOUR + 31, 3 * HOUR)), "31 s"),
        # everything was paused at 5 for an hour
        (
            (_ran(0, HOUR + 10, HOUR), _ran(1, HOUR + 12, HOUR), _ran(2, HOUR + 30, HOUR), _ran(3, HOUR + 31, HOUR)),
            "31 s",
        ),
        # embedding was on hold all night
        ((_ran(0, 10), _ran(1, 12), _ran(8 * HOUR, 8 * HOUR + 60), _ran(8 * HOUR, 8 * HOUR + 61)), "1 min 13 s"),
        # indexing alone was paused while embedding went on
        ((_ran(0, 10), _ran(1, 12), _ran(2, 100), _ran(3, 110, 60)), "1 min 50 s"),
    ],
)
def test_a_run_took_the_time_in_which_it_worked(phases: tuple[dict[str, Any], ...], took: str) -> None:
    ended = AT + timedelta(hours=9)
    status = job(
        {str(name): one for name, one in zip(PHASES, phases, strict=True)}, status="completed", completed_at=ended
    )
    assert _last_of_summary(status) == took


def test_a_job_that_is_not_over_or_never_ran_took_no_time() -> None:
    assert _last_of_summary(job()) == "0 chunks indexed"
    assert _last_of_summary(job(status="cancelled", completed_at=AT)) == "0 chunks indexed"


def _last_of_summary(status: JobStatusResponse) -> str:
    return list(messages.summary(status))[-1].rpartition(", ")[2]


def test_a_cancelled_run_has_not_failed() -> None:
    cancelled = {"status": "failed", "error": "Cancelled by user", "completed_at": AT}
    status = job({"embedding": cancelled}, status="cancelled", error="Cancelled by user", completed_at=AT)
    told = [*messages.changes(None, status), *messages.summary(status), messages.note(status, status.phase_details[2])]
    assert told[0] == "waf: embedding cancelled, 0 chunks"
    assert told[1] == "waf: cancelled; what was indexed stays searchable"
    assert told[-1] == "cancelled"
    assert "failed" not in " ".join(told)


def test_what_failed_is_said_beside_what_is_done() -> None:
    loading = {"status": "completed", "items_processed": 49, "items_failed": 5, "items_total": 54}
    status = job({"loading": loading})
    assert messages.items(status.phase_details[0]) == "54 / 54 documents"
    assert messages.failed(status.phase_details[0]) == "5 failed"
    assert next(messages.changes(None, status)) == "waf: loading completed, 54 / 54 documents, 5 failed in 0.0 s"
