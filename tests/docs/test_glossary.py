"""The glossary and the questions of the architecture page: what they name stands where they say."""

import re
from pathlib import Path

from tests.matrices import together

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "phaseflow"
PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
TABLE = PAGE.split("## Glossary")[1].split("\n## ")[0]
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", TABLE, re.MULTILINE)[2:]
LOOKS = re.findall(r"^\| ([^|]+\?) \| ([^|]+) \|$", PAGE.split("## Where to look")[1].split("\n## ")[0], re.MULTILINE)
CODE = {path: path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")}


MODULES = {"background_task", "snapshot"}
"""Those at the top, whose names have no slash."""


def named(row: tuple[str, ...]) -> list[str]:
    return re.findall(r"`([^`]+)`", row[1])


def test_it_has_its_words() -> None:
    assert len(ROWS) > 25
    assert len(LOOKS) > 15
    words = [word for row in ROWS for word in row[0].split(", ")]
    assert len(words) == len(set(words))


@together("row", ROWS)
def test_each_place_and_name_exists(row: tuple[str, str, str]) -> None:
    check(row)


@together("row", LOOKS)
def test_each_question_leads_to_what_is_there(row: tuple[str, str]) -> None:
    assert any("/" in name for name in named(row))
    check(row)


def check(row: tuple[str, ...]) -> None:
    for name in named(row):
        if "/" in name or name in MODULES:
            assert (SOURCE / f"{name}.py").is_file(), name
        else:
            last = name.split(".")[-1]
            assert any(re.search(rf"(class|def) {last}\b", code) for code in CODE.values()), name
