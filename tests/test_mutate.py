"""How long a mutant may take, and which tests have to notice it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.proof import mutate
from tests.proof.mutate import LEAST_S, PYTEST, SLOWER, Durations

SAID = """\
============ slowest durations ============
2.00s call     tests/test_one.py::test_long[a b]
0.50s setup    tests/test_one.py::test_long[a b]
0.25s call     tests/test_two.py::test_short

(3 durations < 0.005s hidden.  Use -vv to show these durations.)
3 passed in 4.75s
"""


def test_a_mutant_may_take_a_multiple_of_what_its_own_tests_take_without_one() -> None:
    durations = Durations(SAID, took_s=4.75)  # 2 s of it to collect the tests
    short, long = "tests/test_two.py::test_short", "tests/test_one.py::test_long[a b]"
    unknown = "tests/test_two.py::test_too_short_to_be_told"

    def limits(*seconds: float) -> tuple[float, ...]:
        return tuple(SLOWER * (2 + each) + LEAST_S for each in seconds)

    assert durations.most_s([short]) == limits(0.25, 0.25)
    assert durations.most_s([short, long, unknown]) == limits(2.5, 2.75)
    assert durations.most_s([unknown]) == limits(0, 0)
    assert durations.most_s(["tests", f"--deselect={short}"]) == limits(2.5, 2.75)


@pytest.mark.parametrize(
    ("program", "silent_s", "most_s", "ends"),
    [
        ("pass", 60, 60, True),
        ("import time; time.sleep(60)", 0.02, 60, False),
        ("while True: print(end='.', flush=True)", 60, 0.02, False),
    ],
    ids=["ends", "hangs", "goes on"],
)
def test_one_that_says_nothing_or_goes_on_for_too_long_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, silent_s: float, most_s: float, ends: bool
) -> None:
    monkeypatch.setattr(mutate, "_LOOK_S", 0.01)
    said = tmp_path / "said"
    with said.open("wb") as output, subprocess.Popen([sys.executable, "-c", program], stdout=output) as process:
        try:
            if ends:
                assert mutate._end(process, said, silent_s, most_s) == 0
            else:
                with pytest.raises(TimeoutError):
                    mutate._end(process, said, silent_s, most_s)
        finally:
            process.kill()


def test_only_what_runs_by_default_has_to_notice_a_mutant() -> None:
    assert "-m" not in PYTEST
    assert PYTEST[PYTEST.index("--dist") + 1] == "no", "else nobody notes which test runs which line"
    assert not any("addopts" in option for option in PYTEST)
