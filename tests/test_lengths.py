"""No module is longer than one can hold in one's head, and none is a crumb of its only user."""

from pathlib import Path

import pytest

from tests.lengths import CEILING, FLOOR, complaints


def _tree(folder: Path, **modules: str) -> Path:
    package = folder / "house"
    package.mkdir()
    for name, text in {"__init__": "", **modules}.items():
        (package / f"{name}.py").write_text(text)
    return folder


@pytest.mark.thorough
def test_the_modules_are_neither_too_long_nor_crumbs() -> None:
    assert complaints() == []


def test_a_module_that_is_too_long_is_named(tmp_path: Path) -> None:
    tree = _tree(tmp_path, long="x = 1\n" * (CEILING + 1), full="x = 1\n" * CEILING)
    assert complaints(tree, {}) == [f"house.long: {CEILING + 1} lines, at most {CEILING}"]


def test_a_script_that_is_too_long_is_named(tmp_path: Path) -> None:
    tree = _tree(tmp_path)
    for name, length in {"long": CEILING + 1, "full": CEILING, "short": 1}.items():
        (tree / "house" / f"{name}.js").write_text("let x;\n" * length)
    assert complaints(tree, {}) == [f"house.long: {CEILING + 1} lines, at most {CEILING}"]


def test_a_crumb_with_one_user_is_named_with_it(tmp_path: Path) -> None:
    tree = _tree(
        tmp_path,
        crumb="x = 1\n",
        shared="y = 1\n",
        large="z = 1\n" * FLOOR,
        one="from house.crumb import x\nimport house.shared\nfrom house import large\n" + "a = 1\n" * FLOOR,
        two="from house import shared\n" + "a = 1\n" * FLOOR,
    )
    assert complaints(tree, {}) == ["house.crumb: 1 lines for house.one alone; make it part of that"]
    assert complaints(tree, {"house.crumb": "a reason"}) == []


def test_an_excuse_that_is_not_needed_any_more_is_named(tmp_path: Path) -> None:
    tree = _tree(tmp_path, grown="x = 1\n" * FLOOR)
    assert complaints(tree, {"house.grown": "it was short"}) == ["house.grown: need not be excused any more"]
