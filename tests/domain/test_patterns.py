"""What does not match a pattern is refused in words, whatever field has the pattern."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

import phaseflow
from phaseflow.domain.validation import first_fault
from phaseflow.http import requests

_NODES = [
    node for path in Path(phaseflow.__file__).parent.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))
]


def _patterns() -> Iterator[ast.expr]:
    for node in _NODES:
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"Field", "StringConstraints"}:
            yield from (each.value for each in node.keywords if each.arg == "pattern")


def _is_worded(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and getattr(value.func, "id", "") == "worded"


def test_every_pattern_of_a_field_has_words() -> None:
    named = {ast.unparse(node.targets[0]) for node in _NODES if isinstance(node, ast.Assign) and _is_worded(node.value)}
    named |= {"WEBHOOK_NAME"}  # another name of one of these
    patterns = list(_patterns())
    assert len(patterns) > 10
    assert [ast.unparse(each) for each in patterns if not _is_worded(each) and ast.unparse(each) not in named] == []


@pytest.mark.parametrize(
    ("field", "given", "said"),
    [
        (requests.Question, " ", "must hold more than blanks"),
        (requests.KbId, "No Name", "must be 1 to 63 lower-case letters"),
        (requests.JobId, ".hidden", "must be 1 to 200 characters"),
        (requests.NumberCursor, "seven", "must be the `next_cursor` of the page before"),
    ],
)
def test_a_value_that_does_not_match_is_told_what_it_has_to_be(field: Any, given: str, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(field).validate_python(given)
    assert first_fault(refused.value).problem.startswith(said)
