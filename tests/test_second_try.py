"""What CI does with a test that fails: once more, alone, and then it counts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RACE = """
def test_race(request):
    flag = request.config.rootpath / "flag"
    was_there, _ = flag.exists(), flag.touch()
    assert was_there
"""
FAULT = """
def test_fault():
    raise AssertionError
"""


def run(here: Path, tests: str) -> tuple[int, str, str]:
    """The exit code, what was printed, and the races that were named, of CI's way to run these tests."""
    (here / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "tests", here / ".ci")
    (here / ".venv" / "bin").mkdir(parents=True)
    (here / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (here / "test_it.py").write_text(f"def test_sound():\n    assert True\n{tests}", encoding="utf-8")
    (here / "pytest.ini").write_text("[pytest]\naddopts = -q\n", encoding="utf-8")
    races = here / "races"
    done = subprocess.run(
        [here / ".ci" / "tests", races, sys.executable, "-m", "pytest", "-p", "xdist", "test_it.py"],
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, races.read_text(encoding="utf-8") if races.exists() else ""


def test_what_passes_alone_is_named_and_lets_the_rest_go_on(tmp_path: Path) -> None:
    code, printed, races = run(tmp_path, RACE)
    assert (code, races) == (0, "test_it.py::test_race\n")
    assert "1 failed, 1 passed" in printed
    assert "1 passed" in printed.partition("once more")[2]


def test_what_fails_twice_fails(tmp_path: Path) -> None:
    code, printed, races = run(tmp_path, RACE + FAULT)
    assert (code, races) == (1, "")
    assert "1 failed, 1 passed" in printed.partition("once more")[2]


@pytest.mark.parametrize(
    ("tests", "told"),
    [
        ("".join(FAULT.replace("fault", f"fault_{n}") for n in range(4)), "4 failed, 1 passed"),
        ("nonsense (", "1 error"),
    ],
    ids=["four at once", "no test at all"],
)
def test_what_no_race_explains_is_not_tried_again(tmp_path: Path, tests: str, told: str) -> None:
    code, printed, races = run(tmp_path, tests)
    assert (code > 0, told in printed, "once more" in printed, races) == (True, True, False, "")
