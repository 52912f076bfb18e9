"""Which tests a changed line is tried with."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.proof.reached import Reached

if TYPE_CHECKING:
    from coverage import CoverageData  # imported late: it takes long, and each process of the tests reads this module

MODULE = """\
LIMIT = 3
WIDTH: int = 4
FIRST, LAST = 1, 2
def read():
    return LIMIT
def other():
    return 1
def wide(by=WIDTH):
    return by + FIRST
"""
ELSEWHERE = """\
import module
def twice():
    return 2 * module.LIMIT
SUM = 1 + module.LIMIT
TOTAL = 1 + SUM
def total():
    return TOTAL
"""


def data_in(path: Path) -> "CoverageData":
    from coverage import CoverageData

    return CoverageData(str(path))


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    path = tmp_path / "module.py"
    path.write_text(MODULE)
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    data = data_in(tmp_path / "data")
    for context, lines in {
        "": {"module": [1, 2, 3, 4, 6, 8], "elsewhere": [1, 2, 4, 5, 6]},
        "test_read|run": {"module": [5]},
        "test_other|run": {"module": [7]},
        "test_both|run": {"module": [5, 7]},
        "test_twice|run": {"elsewhere": [3]},
        "test_total|run": {"elsewhere": [7]},
    }.items():
        data.set_context(context)
        data.add_lines({str(tmp_path / f"{name}.py"): numbers for name, numbers in lines.items()})
    data.write()
    return path


@pytest.mark.parametrize(
    ("line", "tests"),
    [
        (7, ["test_both", "test_other"]),
        # Those that read the name, or one that is made of it, in whatever module.
        (1, ["test_both", "test_read", "test_total", "test_twice"]),
        (2, None),  # read as the module is imported
        (3, None),  # more than one name
        (9, []),
    ],
)
def test_a_line_is_tried_with_the_tests_that_run_it_or_read_what_it_names(
    measured: Path, line: int, tests: list[str] | None
) -> None:
    assert Reached(measured.with_name("data")).tests_of(measured, line) == tests


def test_one_that_nothing_notices_is_tried_with_the_other_tests_of_its_function(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("async def wait():\n    await over()\n    return 1\ndef other():\n    return 2\n")
    data = data_in(tmp_path / "data")
    for context, lines in {
        "": [1, 4],
        "test_waits|run": [2],
        "test_goes_on|run": [2, 3],
        "test_other|run": [5],
    }.items():
        data.set_context(context)
        data.add_lines({str(path): lines})
    data.write()
    reached = Reached(tmp_path / "data")
    assert reached.tests_of(path, 3) == ["test_goes_on"]
    assert reached.tests_around(path, 3) == ["test_waits"]
    assert reached.tests_around(path, 5) == []


def test_those_that_fail_without_a_change_are_left_out(measured: Path) -> None:
    found = Reached(measured.with_name("data"), frozenset({"test_both"}))
    assert found.tests_of(measured, 7) == ["test_other"]
    assert found.of_all(["tests"]) == ["tests", "--deselect=test_both"]
