"""Where a check is told to look away, the line says why: nobody can judge later on what was silenced without a word."""

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_SUPPRESSION = re.compile(
    r"# ?(?:noqa(?:: ?[A-Z]+\d+(?:[, ]+[A-Z]+\d+)*)?|type: ?ignore(?:\[[^\]]*\])?|pragma: no (?:cover|branch)"
    r"|nosec(?: B\d+)*)"
)
_PERHAPS_SILENT = re.compile(rf"(?:{_SUPPRESSION.pattern})(?![^\n]*[A-Za-z]{{2}})")
"""Behind it there is no word on the line. To take all modules apart takes a second."""


def without_reason(path: Path) -> Iterator[int]:
    """The lines of a module that silence a check and add no word."""
    source = path.read_text("utf-8")
    if not _PERHAPS_SILENT.search(source):
        return
    for token in tokenize.generate_tokens(iter(source.splitlines(keepends=True)).__next__):
        if token.type == tokenize.COMMENT and _SUPPRESSION.search(token.string):
            said = _SUPPRESSION.sub("", token.string)
            if not re.search(r"[A-Za-z]{2}", said):
                yield token.start[0]


def test_every_suppression_says_why() -> None:
    paths = [path for folder in ("src", "tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
    silent = [f"{path.relative_to(ROOT)}:{line}" for path in paths for line in without_reason(path)]
    assert not silent, "add the reason behind it, as a comment of its own: " + ", ".join(silent)


@pytest.mark.parametrize(
    ("comment", "is_silent"),
    [
        ("noqa", True), ("noqa: BLE001", True), ("noqa: B023, S101", True), ("type: ignore[misc, valid-type]", True),
        ("type: ignore[misc]  # noqa: S101", True), ("pragma: no cover", True), ("nosec", True), ("nosec B603", True),
        ("noqa: BLE001  # told to the caller", False), ("type: ignore[misc]  bound in the loop", False),
        ("pragma: no cover - Windows only", False), ("no suppression", False),
    ],
)  # fmt: skip
def test_a_suppression_without_a_word_is_found(tmp_path: Path, comment: str, is_silent: bool) -> None:
    module = tmp_path / "module.py"
    module.write_text(f"text = '# noqa'\nx = 1  # {comment}\n")
    assert list(without_reason(module)) == ([2] if is_silent else [])
    assert not is_silent or _PERHAPS_SILENT.search(f"x = 1  # {comment}\n")
