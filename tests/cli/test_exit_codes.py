"""How a command ends."""

import click
import pytest

from phaseflow.cli.exit_codes import Exit, run
from phaseflow.domain.errors import DatabaseHeld, InvalidRequest, JobNotFound, PhaseflowError
from phaseflow.domain.vocabulary import JobStatus
from tests.matrices import together


@together(
    ("status", "code"),
    [("completed", 0), ("failed", 1), ("paused", 3), ("pending", 3), ("running", 3), ("cancelled", 4)],
)
def test_the_exit_code_follows_from_the_status(status: str, code: int) -> None:
    assert Exit.of(JobStatus(status)) == code


def test_every_status_has_an_exit_code() -> None:
    assert {Exit.of(status) for status in JobStatus} <= set(Exit)


def _ends_with(error: BaseException) -> int:
    async def fails() -> Exit:
        raise error

    with pytest.raises(SystemExit) as ended:
        run(fails)
    return int(str(ended.value.code))


def test_an_error_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert _ends_with(PhaseflowError("first\n  second")) == 1
    assert capsys.readouterr() == ("", "phaseflow: first second\n")


def test_a_value_that_only_the_engine_can_refuse_is_a_mistake_of_usage() -> None:
    async def fails() -> Exit:
        raise ExceptionGroup("group", [InvalidRequest("cursor", "is none\nof this list")])

    with pytest.raises(click.UsageError, match=r"^cursor: is none of this list$"):
        run(fails)


def test_the_error_inside_a_group_is_the_one_that_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert _ends_with(ExceptionGroup("outer", [ExceptionGroup("inner", [JobNotFound("waf", is_kb=True)])])) == 1
    assert capsys.readouterr().err == "phaseflow: 'waf' has no job yet; start one first\n"


def test_a_database_in_use_names_its_holder(capsys: pytest.CaptureFixture[str]) -> None:
    assert _ends_with(DatabaseHeld("kb.db", "process 4711")) == 1
    assert "process 4711" in capsys.readouterr().err


def test_ctrl_c_is_an_interrupt_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert _ends_with(KeyboardInterrupt()) == 3
    assert capsys.readouterr() == ("", "")


def test_a_fault_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        _ends_with(ExceptionGroup("group", [ZeroDivisionError()]))
