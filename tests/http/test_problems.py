"""What an answer leaves out of an error, the log has."""

import json

import pytest

from phaseflow.domain import errors
from phaseflow.domain.errors import PhaseflowError
from phaseflow.http.problems import problem_response

HERE = "/srv/secret/kb.db"


@pytest.mark.parametrize(
    "error",
    [
        errors.BackupFailed(f"cannot copy {HERE}: No space left on device"),
        errors.StoreUnavailable(f"cannot write {HERE}: disk I/O error"),
        errors.StoreUnavailable(f"cannot write {HERE}: the disk is full", reason="the disk is full"),
        errors.NotADatabase(f"{HERE} is damaged: page 7"),
        errors.IndexUnavailable(f"no answer of {HERE}"),
        errors.ComponentUnavailable(f"cannot read {HERE}"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_an_answer_leaves_out_is_in_the_log(error: PhaseflowError, caplog: pytest.LogCaptureFixture) -> None:
    answer = problem_response(error)
    assert HERE not in bytes(answer.body).decode()
    [logged] = caplog.records
    assert (logged.levelname, vars(logged)["code"], vars(logged)["error"]) == ("ERROR", error.code, str(error))


def test_what_an_answer_says_in_full_is_not_in_the_log_as_well(caplog: pytest.LogCaptureFixture) -> None:
    error = errors.JobConflict("pause", "failed", ["retry"])
    answer = problem_response(error)
    assert (json.loads(bytes(answer.body))["detail"], caplog.records) == (str(error), [])
