"""The logger: key-value pairs as attributes of records, and what a task has bound."""

import logging

import pytest
import structlog

from phaseflow.domain.log import get_logger


def test_values_arrive_as_attributes_with_what_the_task_has_bound(caplog: pytest.LogCaptureFixture) -> None:
    fault = ValueError("broken")
    with caplog.at_level(logging.INFO, "phaseflow"), structlog.contextvars.bound_contextvars(request_id="r1", job="no"):
        get_logger(job="j1").error("it failed", kb="100 %", exc_info=fault)
        get_logger().debug("not wanted")
    (record,) = caplog.records
    assert (record.getMessage(), record.levelname) == ("it failed", "ERROR")
    assert (vars(record)["job"], vars(record)["kb"], vars(record)["request_id"]) == ("j1", "100 %", "r1")
    assert record.exc_info is not None
    assert record.exc_info[1] is fault
    assert record.filename == "test_log.py"
