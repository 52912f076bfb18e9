"""What does not match a pattern is refused in words, whatever field has the pattern."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

import phaseflow
from phaseflow.domain.validation import first_fault
from phaseflow.http.requests import JobId, KbId, NumberCursor
from phaseflow.http.search import Question
from tests.matrices import together


def _nodes() -> list[ast.AST]:
    paths = Path(phaseflow.__file__).parent.rglob("*.py")
    # Most modules have no pattern of a field, and to take one apart takes longer than all that is looked for.
    texts = (text for path in paths if "pattern=" in (text := path.read_text()) or "worded(" in text)
    return [node for text in texts for node in ast.walk(ast.parse(text))]


def _patterns(nodes: list[ast.AST]) -> Iterator[ast.expr]:
    for node in nodes:
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"Field", "StringConstraints"}:
            yield from (each.value for each in node.keywords if each.arg == "pattern")


def _is_worded(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and getattr(value.func, "id", "") == "worded"


def test_every_pattern_of_a_field_has_words() -> None:
    nodes = _nodes()
    named = {ast.unparse(node.targets[0]) for node in nodes if isinstance(node, ast.Assign) and _is_worded(node.value)}
    named |= {"WEBHOOK_NAME"}  # another name of one of these
    patterns = list(_patterns(nodes))
    assert len(patterns) > 10
    assert [ast.unparse(each) for each in patterns if not _is_worded(each) and ast.unparse(each) not in named] == []


@together(
    ("field", "given", "said"),
    [
        (Question, " ", "must hold more than blanks"),
        (KbId, "No Name", "must be 1 to 63 lower-case letters"),
        (JobId, ".hidden", "must be 1 to 200 characters"),
        (NumberCursor, "seven", "must be the `next_cursor` of the page before"),
    ],
)
def test_a_value_that_does_not_match_is_told_what_it_has_to_be(field: Any, given: str, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(field).validate_python(given)
    assert first_fault(refused.value).problem.startswith(said)
