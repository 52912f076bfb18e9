"""Which tests the code is measured with, and how measuring ends."""

import pytest

from tests import measured
from tests.cli.forked import program

STOPS = """
import os, sys, coverage
from tests import measured
os.environ["COVERAGE_PROCESS_CONFIG"] = "of another one"
for _ in range(2):
    coverage.Coverage(data_file=None, source=["tests"], config_file=False).start()
assert coverage.Coverage.current() and measured.measures_processes()
measured.stop()
assert coverage.Coverage.current() is None and sys.gettrace() is None
assert not measured.measures_processes()
print("stopped")
"""


def test_a_part_of_the_tests_is_measured_the_same_in_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    tests = [f"tests/test_{module}.py::test_{number}" for module in "abcde" for number in range(200)]
    monkeypatch.delenv(measured.ONE_IN, raising=False)
    assert all(map(measured.is_measured, tests)), "where nothing is said, all are"
    monkeypatch.setenv(measured.ONE_IN, "5")
    found = [test for test in tests if measured.is_measured(test)]
    assert 150 < len(found) < 250
    assert {test.split("::")[0] for test in found} == {test.split("::")[0] for test in tests}
    assert "tests/test_a.py::test_3" in found, "by its name alone"


def test_each_process_begins_with_what_is_measured_and_keeps_the_order_of_the_rest() -> None:
    found = measured.measured_first(range(11), lambda number: number % 3 == 2, 3)
    assert found == [2, 0, 1, 5, 3, 4, 6, 8, 7, 9, 10]


def test_nothing_is_measured_once_it_has_stopped() -> None:
    done = program(STOPS)
    out, err = done.communicate()
    done.close()
    assert (out, done.returncode) == ("stopped\n", 0), err
