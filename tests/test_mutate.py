"""How long a mutant may take, and which tests have to notice it."""

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
    assert durations.most_s(["tests/test_two.py::test_short"]) == SLOWER * (2 + 0.25) + LEAST_S
    assert durations.most_s(["tests/test_one.py::test_long[a b]"]) == SLOWER * (2 + 2.5) + LEAST_S
    assert durations.most_s(["tests/test_two.py::test_too_short_to_be_told"]) == SLOWER * 2 + LEAST_S
    assert durations.most_s(["tests", "--deselect=tests/test_two.py::test_short"]) == SLOWER * 4.75 + LEAST_S


def test_only_what_runs_by_default_has_to_notice_a_mutant() -> None:
    assert "-m" not in PYTEST
    assert PYTEST[PYTEST.index("--dist") + 1] == "no", "else nobody notes which test runs which line"
    assert not any("addopts" in option for option in PYTEST)
