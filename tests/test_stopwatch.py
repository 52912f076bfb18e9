"""Tests leave the pace of their machine to the stopwatch."""

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import stopwatch
from tests.matrices import together
from tests.stopwatch import NEVER_S, Stopwatch, fail_soon

TESTS = Path(__file__).parent
CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time", "current_time", "time"}
READ = re.compile(rf"\b(?:{'|'.join(sorted(CLOCKS))})\s*\(\s*\)")
"""A call that reads one: only modules with it are parsed, which takes ten times as long as reading them."""
WAIT = re.compile(r"\bfail_(?:after|at)\b")
LIMIT = re.compile(r"timeout=\d|(wait|acquire)\(\s*\w|(join|result)\(\s*\d|(wait|acquire|join), ")


def _clock_reads(node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.Call)
        and (part.func.attr if isinstance(part.func, ast.Attribute) else getattr(part.func, "id", "")) in CLOCKS
        and not part.args
        for part in ast.walk(node)
    )


def limited(tree: ast.AST) -> Iterator[int]:
    """The lines that assert that a duration, read from a clock, is less than something."""
    took = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.Sub)
        if _clock_reads(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        for one, operator, two in zip(sides, node.ops, sides[1:], strict=False):
            less = (
                one
                if isinstance(operator, ast.Lt | ast.LtE)
                else two
                if isinstance(operator, ast.Gt | ast.GtE)
                else None
            )
            if less is None:
                continue
            named = {part.id for part in ast.walk(less) if isinstance(part, ast.Name)}
            if named & took or (isinstance(less, ast.BinOp) and isinstance(less.op, ast.Sub) and _clock_reads(less)):
                yield node.lineno


def _modules_with(pattern: re.Pattern[str]) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(TESTS.rglob("*.py")):
        if path.name != "stopwatch.py" and pattern.search(source := path.read_text("utf-8")):
            yield path.relative_to(TESTS), ast.parse(source)


def test_no_test_limits_a_duration_by_itself() -> None:
    found = [f"{path}:{line}" for path, tree in _modules_with(READ) for line in sorted(set(limited(tree)))]
    assert not found, "use tests.stopwatch.Stopwatch: " + ", ".join(found)


def test_no_test_waits_by_the_clock_of_one_machine() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path, tree in _modules_with(WAIT)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in {"fail_after", "fail_at"}
    ]
    assert not found, "use tests.stopwatch.fail_soon: " + ", ".join(found)


def test_no_test_has_a_page_look_at_a_text_again_and_again() -> None:
    found = [str(path) for path, _ in _modules_with(re.compile(r"\.wait_for_function\("))]
    assert found == ["dashboard/board.py"], "use tests.dashboard.board.holds"


PROCESSES = {"process", "_process", "running", "_server", "head"}
"""What these names stand for raises when it has not ended in time; everything else that is waited for says so."""
LEAST_S = 60
"""Shorter limits are claims of a quick machine, but for those below a second, after which one looks again."""


def _waits(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"wait", "acquire"}


def _barriers(tree: ast.AST) -> set[str]:
    """Names of barriers, which raise when not all have come in time."""
    pairs = [
        pair
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        for pair in (
            zip(target.elts, node.value.elts, strict=False)
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
            else [(target, node.value)]
        )
    ]
    return {
        target.id
        for target, value in pairs
        if isinstance(target, ast.Name) and isinstance(value, ast.Call) and getattr(value.func, "id", "") == "Barrier"
    }


def hasty(tree: ast.AST) -> Iterator[int]:
    """The lines that give up a wait in a thread without a word, or too soon."""
    raise_in_time = PROCESSES | _barriers(tree)
    for node in ast.walk(tree):
        said = node.value if isinstance(node, ast.Expr) else node.body if isinstance(node, ast.Lambda) else None
        if isinstance(said, ast.Call) and isinstance(said.func, ast.Attribute) and (said.args or said.keywords):
            of = said.func.value
            name = of.attr if isinstance(of, ast.Attribute) else getattr(of, "id", "")
            if _waits(said) and name not in raise_in_time:
                yield said.lineno
        if not isinstance(node, ast.Call):
            continue
        limits = [word.value for word in node.keywords if word.arg == "timeout"]
        named = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if named in {"wait", "acquire", "join", "result"}:
            limits += node.args
        elif named == "run_sync" and node.args and getattr(node.args[0], "attr", "") in {"wait", "acquire", "join"}:
            limits += node.args[1:]
        numbers = [limit.value for limit in limits if isinstance(limit, ast.Constant)]
        if any(isinstance(number, int | float) and 1 <= number < LEAST_S for number in numbers if number is not True):
            yield node.lineno


def test_no_wait_in_a_thread_is_given_up_silently_or_soon() -> None:
    found = [f"{path}:{line}" for path, tree in _modules_with(LIMIT) for line in sorted(set(hasty(tree)))]
    assert not found, "assert that it came, and wait for a minute: " + ", ".join(found)


@together(
    ("source", "is_found"),
    [
        ("go_on.wait(60)", True),
        ("put(point, lambda: go_on.wait(60))", True),
        ("assert go_on.wait(10)", True),
        ("assert await run_sync(go_on.wait, 60)", False),
        ("assert await to_thread.run_sync(go_on.wait, 10)", True),
        ("both = Barrier(2)\nboth.wait(60)", False),
        ("notes, both = Notes(), Barrier(2)\nboth.wait(60)\nnotes.wait(60)", True),
        ("both = Barrier(2)\nboth.wait(6)", True),
        ("thread.join(10)", True),
        ("subprocess.run(words, timeout=30)", True),
        ("go_on.wait()", False),
        ("assert go_on.wait(60)", False),
        ("process.wait(60)", False),
        ("while not ended.wait(0.01): beat()", False),
        ("assert go_on.acquire(True, 60)", False),
    ],
)
def test_a_wait_that_is_given_up_is_found(source: str, is_found: bool) -> None:
    assert not is_found or LIMIT.search(source)
    assert bool(list(hasty(ast.parse(source)))) is is_found


@together(
    ("source", "is_found"),
    [
        ("assert time.monotonic() - began < 3", True),
        ("took = perf_counter() - began\nassert (code, took < 2) == (3, True)", True),
        ("assert 0.4 < time.monotonic() - began < 10", True),
        ("assert 2 > current_time() - began", True),
        ("assert current_time() - began >= 3", False),
        ("assert time.time() < later", False),
        ("assert watch.within(3)", False),
    ],
)
def test_a_limit_on_a_duration_is_found(source: str, is_found: bool) -> None:
    assert not is_found or READ.search(source)
    assert bool(list(limited(ast.parse(source)))) is is_found


@settings(max_examples=1)
@given(st.just(0.25))
def test_no_example_of_a_property_has_a_limit_on_its_time(pause_s: float) -> None:
    time.sleep(pause_s)  # longer than hypothesis lets one take by itself


def test_a_limit_grows_with_the_slowness_of_the_machine_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 3.0, 5.0])
    monkeypatch.setattr(stopwatch, "slowness", lambda: 2.0)
    monkeypatch.setattr(stopwatch, "_pace", stopwatch._Pace())
    watch = Stopwatch(lambda: next(moments))
    assert watch.within(2)
    assert not watch.within(2)
    assert repr(watch) == "Stopwatch(5.000 s on a machine 2.0 times slower than a quick one)"


def test_the_slowness_is_measured_again_only_where_it_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([2.0, 3.0])
    moments = iter([0.0, 7.9, 8.0, 11.9])
    monkeypatch.setattr(stopwatch, "slowness", lambda: next(measured))
    monkeypatch.setattr(stopwatch, "_pace", stopwatch._Pace())
    watch = Stopwatch(lambda: next(moments))
    assert watch.within(4)
    assert "2.0 times slower" in repr(watch)
    assert watch.within(4), "on a machine that has become three times slower"
    assert "3.0 times slower" in repr(watch)
    with pytest.raises(StopIteration):
        watch.within(4)  # measures again


async def test_a_wait_is_lengthened_by_the_slowness_of_the_last_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([7.0, 1.0])
    monkeypatch.setattr(stopwatch, "slowness", lambda: next(measured))
    monkeypatch.setattr(stopwatch, "_pace", stopwatch._Pace())
    for expected in (70, 70):
        began = anyio.current_time()
        with fail_soon(10) as scope:
            assert scope.deadline == pytest.approx(began + expected, abs=5)
    monkeypatch.setattr(stopwatch._Pace, "FRESH_S", -1.0)
    began = anyio.current_time()
    with fail_soon(10) as scope:
        assert scope.deadline == pytest.approx(began + 10 * stopwatch.LEAST, abs=5)


def test_no_machine_counts_as_quicker_than_a_quick_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "_STEPS", 1)
    assert stopwatch.slowness() == 1.0
    assert Stopwatch(time.process_time).within(60)


def test_a_wait_that_no_test_may_see_the_end_of_is_longer_than_any_test() -> None:
    patched = re.compile(r'setattr\([^#\n]*(?<!PER)_S", ([\d.]+)\)')
    assert NEVER_S > 10 * 20 * stopwatch.LEAST
    short = [
        f"{path.name}: {found.group()}"
        for path in TESTS.rglob("*.py")
        for found in patched.finditer(path.read_text("utf-8"))
        if float(found.group(1)) >= 20
    ]
    assert short == [], "NEVER_S says so, and is"
