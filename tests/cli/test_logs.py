"""Logging of the commands."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from phaseflow.cli import logs
from phaseflow.domain.errors import ComponentUnavailable
from phaseflow.domain.log import get_logger, log_failure


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("phaseflow").setLevel(logging.NOTSET)
    structlog.reset_defaults()


def test_records_are_json_lines_on_stderr_when_it_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(0)
    logging.getLogger("phaseflow.store").warning("slow", extra={"kb": "waf"})
    structlog.stdlib.get_logger("phaseflow.flow").warning("held", job="job-1")
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = (json.loads(line) for line in captured.err.splitlines())
    assert (first["event"], first["kb"], first["level"]) == ("slow", "waf", "warning")
    assert (second["event"], second["job"], second["logger"]) == ("held", "job-1", "phaseflow.flow")


def test_only_warnings_are_shown_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(0)
    logging.getLogger("phaseflow").info("started")
    assert capsys.readouterr().err == ""
    logs.set_up(1)
    logging.getLogger("phaseflow").info("started")
    assert "started" in capsys.readouterr().err


def test_other_libraries_stay_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(2)
    logging.getLogger("other").info("chatter")
    assert capsys.readouterr().err == ""


def test_a_traceback_is_part_of_its_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(0)
    try:
        int("broken")
    except ValueError:
        logging.getLogger("phaseflow").exception("crashed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "broken" in json.dumps(json.loads(line)["exception"])


def test_a_traceback_shows_no_values_of_variables_among_which_the_token_may_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up(0)
    token = "".join(["s3", "cret"])
    try:
        int(f"broken{len(token)}")
    except ValueError:
        logging.getLogger("phaseflow").exception("crashed")
    written = capsys.readouterr().err
    assert "broken6" in written
    assert token not in written


def test_an_expected_failure_is_an_event_and_any_other_comes_with_its_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def logged(verbosity: int, error: Exception) -> list[dict[str, object]]:
        logs.set_up(verbosity)
        log_failure(get_logger(kb="waf"), "phase failed", error, phase="embedding")
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    expected, fault = ComponentUnavailable("answered 401; set the key"), ValueError("a bug")
    assert logged(0, expected) == []
    (line,) = logged(1, expected)
    assert (line["level"], line["error"], "exception" in line) == ("info", "answered 401; set the key", False)
    assert "exception" in logged(2, expected)[0]
    assert "exception" in logged(0, fault)[0]


def test_a_record_that_comes_when_no_file_can_be_opened_any_more_is_a_plain_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "structlog")
    logs.set_up(0)
    monkeypatch.setitem(sys.modules, "structlog", None)
    logging.getLogger("phaseflow").warning("too many open files\n%s", "of 1,024")
    assert capsys.readouterr().err.splitlines() == ["too many open files\\nof 1,024"]


def test_the_first_record_of_a_quiet_command_looks_like_any_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "structlog")
        logs.set_up(0)
    get_logger(kb="waf").warning("held", job="job-1")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["kb"], line["level"]) == ("held", "waf", "warning")
