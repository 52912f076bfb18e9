"""Patterns of ``.gitignore``: what git takes them for, and in what time."""

import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from phaseflow.components.sources.patterns import MAX_PATTERNS, Globs, Ignores
from phaseflow.components.sources.wildmatch import MAX_LENGTH, BadPattern, parse
from phaseflow.domain.errors import ComponentUnavailable
from tests.matrices import first_of_each, together
from tests.stopwatch import Stopwatch

PIECES = (
    "a", "b", "ab", "*", "**", "?", "[ab]", "[!a]", "/", "/", "\\*", "\\a", "[a-c]", "[[:alpha:]]", ".", "-", "**/",
    "/**", "\\ ", " ", "[]a]", "[^b]", "!", "#", "[", "\\", "[[:", "[a-", "\\/",
)  # fmt: skip
NAMES = ("a", "b", "c", "ab", "abc", "*", ".x", "-", " ", "]", "!a", "#b", "aab")


def matches(line: str, path: str) -> bool:
    """Whether a single line says something about the path, or about a folder above it, as ``git check-ignore`` does."""
    try:
        pattern = parse(line)
    except BadPattern:
        return False
    if pattern is None:
        return False
    parts = path.split("/")
    if pattern.is_negated:
        return pattern.matches(path, parts[-1], is_folder=False)
    above = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
    return pattern.matches(path, parts[-1], is_folder=False) or any(
        pattern.matches(folder, folder.rpartition("/")[2], is_folder=True) for folder in above
    )


@pytest.mark.skipif(shutil.which("git") is None, reason="git is what it is compared with")
@pytest.mark.parametrize("patterns", first_of_each([60, 250]))
def test_a_pattern_means_what_git_takes_it_for(tmp_path: Path, patterns: int) -> None:
    chance = random.Random(20)  # noqa: S311  the same patterns each time
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    paths = sorted({"/".join(chance.choices(NAMES, k=chance.randint(1, 4))) for _ in range(150)})
    for _ in range(patterns):
        line = "".join(chance.choices(PIECES, k=chance.randint(1, 6)))
        (tmp_path / ".gitignore").write_text(line + "\n")
        words = ["git", "check-ignore", "--no-index", "-z", "-v", "-n", "--stdin"]
        answer = subprocess.run(words, cwd=tmp_path, input="\0".join(paths).encode() + b"\0", stdout=-1, check=False)
        fields = answer.stdout.decode().split("\0")
        said = {fields[at + 3]: bool(fields[at + 2]) for at in range(0, len(fields) - 1, 4)}
        assert {path: matches(line, path) for path in paths} == said, repr(line)


@pytest.mark.parametrize(
    "pattern",
    [
        *first_of_each(["*a" * 30 + "b", "**/" * 100 + "b", "/" + "**/*a" * 100 + "/b"]),
        "*a" * 1500 + "b",
        "a/**/" * 100 + "b",
        "[ab]*" * 500 + "c",
        "?*" * 500 + "c",
    ],
)
def test_no_pattern_takes_longer_than_its_length_says(pattern: str) -> None:
    name, path = "a" * 255, "/".join(["a" * 15] * 250)
    watch = Stopwatch(time.process_time)
    globs = Globs([], [pattern])
    assert globs.take_file(name)
    assert globs.take_file(path)
    assert not Ignores.read(pattern, "", None).ignore(path)
    assert watch.within(5)


@together("glob", ["!", "/", "a\\", "[ab", "[[:none:]]", "a" * (MAX_LENGTH + 1)])
def test_a_glob_that_can_match_nothing_is_refused(glob: str) -> None:
    with pytest.raises(ComponentUnavailable, match=r"include: .* is not a glob"):
        Globs([glob], [])


def test_a_line_that_can_match_nothing_is_passed_over() -> None:
    rules = Ignores.read("[ab\n!\n" + "a" * (MAX_LENGTH + 1) + "\n*.log\n", "", None)
    assert rules.ignore("x.log")
    assert not rules.ignore("x.md")


def test_the_patterns_of_a_list_and_of_nested_files_are_counted() -> None:
    with pytest.raises(ComponentUnavailable, match="exclude: 10,001 globs"):
        Globs([], ["a"] * (MAX_PATTERNS + 1))
    above = Ignores.read("a\n" * MAX_PATTERNS, "", None)
    with pytest.raises(ComponentUnavailable, match=r"deep/\.gitignore and those above it hold 10,001 patterns"):
        Ignores.read("b\n", "deep/", above)


def test_lines_end_as_in_git() -> None:
    rules = Ignores.read("\ufeff*.log\r\n*.tmp  \nkept\\ \n", "", None)
    assert [rules.ignore(path) for path in ("a.log", "a.tmp", "kept ", "kept")] == [True, True, True, False]


def test_nothing_below_what_a_glob_takes_in_is_left_out() -> None:
    globs = Globs(["docs/", "*.md", "!draft.md"], [])
    asked = ("docs/a.txt", "docs/deep/b.txt", "docs/draft.md", "draft.md", "x/y.md", "x/docs")
    assert [globs.take_file(path) for path in asked] == [True, True, True, False, True, False]
