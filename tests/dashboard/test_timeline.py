"""The timeline and the running time that the status states, when a process died."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.cli.embedding_server import EmbeddingServer
from tests.dashboard.board import Board
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_verbs import remote

HOUR_AGO = "strftime('%Y-%m-%dT%H:%M:%fZ', {0}, '-1 hour')"
MOMENTS = {
    "transitions": ["at"],
    "ingestion_jobs": ["created_at", "started_at", "queued_at"],
    "ingestion_phase_status": ["created_at", "started_at", "completed_at", "running_since", "updated_at"],
}
LANE = "#panel-run .lanes li:nth-child(3)"
SPANS = """async ([log, phase, end, asOf]) => {
    const { spansOf } = await import("/static/spans.js");
    const start = Date.parse(log[0].at);
    const spans = spansOf(log, phase, start + end * 1000, start + asOf * 1000);
    return spans.map(({ status, from, to, isGuess }) => [status, Math.round((to - from) / 1000), isGuess]);
}"""


def _log(*moves: tuple[int, str, str, str | None]) -> list[dict[str, Any]]:
    return [
        {"seq": seq, "at": f"2025-12-03T00:{s // 60:02}:{s % 60:02}Z", "phase": name, "to": to, "reason": reason}
        for seq, (s, name, to, reason) in enumerate(moves)
    ]


def lie_still_for_an_hour(database: Path) -> None:
    """Make all that a service that is down has written an hour older."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, columns in MOMENTS.items():
            earlier = ", ".join(f"{one} = {HOUR_AGO.format(one)}" for one in columns)
            connection.execute(f"UPDATE {table} SET {earlier}")  # names from here


async def test_the_time_in_which_the_service_was_dead_is_not_shown_as_running(
    board: Board, service: Service, embedding: EmbeddingServer
) -> None:
    write_documents(service.here / "docs", 3)
    service.put("docs", "docs", remote(embedding))
    service.call("POST", "kb/docs/start", {})
    service.until("docs", lambda status: status["phase_details"][2]["status"] == "running")
    service.kill()
    lie_still_for_an_hour(service.here / "phaseflow.db")
    service.start()
    await board.go("kb/docs/run")
    lane = board.page.locator(LANE)
    await board.until(lane, "interrupted for 1 h 00 min")
    breaks = board.page.locator("#panel-run .breaks")
    await board.until(breaks, "A break of 1 h 00 min, in which nothing ran, is drawn short.")
    embedding.gate.set()
    await board.until(board.head, "Completed")
    await board.until(lane, "completed")
    words = await lane.text_content()
    assert words is not None
    assert "interrupted for 1 h 00 min" in words
    assert "running for 1 h" not in words
    await board.until(breaks, "A break of 1 h 00 min")


async def test_the_spans_of_a_phase_run_as_long_as_its_status_says(board: Board) -> None:
    log = _log(
        (0, "loading", "running", None), (2, "embedding", "running", None), (12, "loading", "completed", None),
        (60, "embedding", "paused", "interrupted"), (60, "embedding", "running", None),
    )  # fmt: skip
    phase = {"name": "embedding", "active_seconds": 20}
    await board.go()
    running = await board.page.evaluate(SPANS, [log, phase, 68, 65])
    dead = ["interrupted", 43, False]
    assert running == [["running", 15, False], dead, ["paused", 0, False], ["running", 8, False]]
    log += _log((70, "embedding", "completed", None))
    phase["active_seconds"] = 25
    assert (await board.page.evaluate(SPANS, [log, phase, 70, 0]))[:2] == [["running", 15, False], dead]
    loading = {"name": "loading", "active_seconds": 3}
    assert await board.page.evaluate(SPANS, [log, loading, 70, 0]) == [["running", 12, False], ["completed", 0, False]]


async def test_what_is_not_known_after_several_deaths_is_called_a_guess(board: Board) -> None:
    log = _log(
        (0, "embedding", "running", None), (60, "embedding", "paused", "interrupted"),
        (60, "embedding", "running", None), (90, "embedding", "paused", "interrupted"),
        (90, "embedding", "running", None), (100, "embedding", "completed", None),
    )  # fmt: skip
    await board.go()
    spans = await board.page.evaluate(SPANS, [log, {"name": "embedding", "active_seconds": 55}, 100, 100])
    assert [span for span in spans if span[0] != "paused"] == [
        ["running", 30, True], ["interrupted", 30, True], ["running", 15, True], ["interrupted", 15, True],
        ["running", 10, False], ["completed", 0, False],
    ]  # fmt: skip
