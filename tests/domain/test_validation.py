"""What is wrong with a value is told in our words, with its place."""

import json
from typing import Annotated, Any, get_args

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import core_schema

from phaseflow.domain.identifiers import KB_ID_PATTERN
from phaseflow.domain.settings import SOURCE, Settings
from phaseflow.domain.validation import _in_words, first_fault
from tests.matrices import together

CONTEXT: dict[str, Any] = {
    "error": "EOF while parsing a value at line 3 column 7", "expected": "'a' or 'b'", "discriminator": "'type'",
    "expected_tags": "'a', 'b'", "tag": "c", "pattern": KB_ID_PATTERN, "expected_schemes": "'http' or 'https'",
    "gt": 1, "ge": 1, "lt": 1, "le": 1, "multiple_of": 2, "min_length": 1, "max_length": 2, "actual_length": 0,
    "field_type": "List",
}  # fmt: skip
OF_A_PROGRAMMER = (
    "input",
    "valid",
    "string",
    "integer",
    "boolean",
    "dictionary",
    "python",
    "pydantic",
    "pars",
    "model",
)


@together("kind", get_args(core_schema.ErrorType))
def test_every_kind_of_fault_has_words_of_ours(kind: str) -> None:
    if kind in {"value_error", "assertion_error"}:
        return  # the message of a check of ours
    words = _in_words(kind, CONTEXT)
    assert words
    assert not any(word in words.lower() for word in OF_A_PROGRAMMER), words


@together(
    ("settings", "place", "problem"),
    [
        ({"chunk_size": "many"}, "chunk_size", "must be a whole number"),
        ({"chunk_size": 0}, "chunk_size", "must be at least 1"),
        ({"chunk_size": 10**9}, "chunk_size", "must be at most 100000"),
        ({"nope": 1}, "nope", "is not known here; check its spelling"),
        ({"embedder": {"type": "other"}}, "embedder", "its type must be 'static' or 'openai'"),
        ({"embedder": {}}, "embedder", "its type must be 'static' or 'openai'"),
        ([], "", "must be an object"),
        ({"embedder": {"type": "openai", "base_url": "http://a/v1"}}, "embedder.model", "is required"),
    ],
)
def test_a_fault_is_told_with_its_place(settings: Any, place: str, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(settings)
    fault = first_fault(caught.value)
    assert (fault.place, fault.problem[: len(problem)]) == (place, problem)
    assert first_fault(caught.value, "settings").place == f"settings.{place}".strip(".")


def test_the_tag_of_a_variant_stands_in_no_place() -> None:
    with pytest.raises(ValidationError) as caught:
        SOURCE.validate_python({"type": "web", "urls": ["nothing"]})
    assert first_fault(caught.value, "source").place == "source.urls.0"


def test_json_that_is_broken_is_told_with_the_line() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate_json(json.dumps({"chunk_size": 5}, indent=1)[:-1] + ",")
    assert first_fault(caught.value).problem == "is not JSON; look at line 3, column 1"


@together(
    ("text", "problem"),
    [
        ('{"a": "\\ud800"}', "holds half a character"),
        ('{"a": "\\udc00"}', "holds half a character"),
        ("[" * 300 + "]" * 300, "is nested too deep"),
        ('{"a": ' + "9" * 5000 + "}", "holds a number that is too large"),
        ('{"a": nope}', "is not JSON"),
    ],
)
def test_json_that_cannot_be_kept_is_not_called_broken(text: str, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(dict[str, str]).validate_json(text)
    assert first_fault(caught.value).problem.startswith(f"{problem}; look at line 1, column ")


def test_a_check_of_ours_says_what_it_says() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"chunk_size": 10, "chunk_overlap": 10})
    assert "Value error" not in first_fault(caught.value).problem


def test_a_place_has_the_names_that_stand_in_the_json_and_none_of_the_kinds() -> None:
    class Asked(BaseModel):
        query: Annotated[str, Field(min_length=1)] | Annotated[list[Annotated[str, Field(min_length=1)]], Field()]
        attributes: dict[Annotated[str, Field(max_length=2)], str] = {}

    for given, place in (({"query": ""}, "query"), ({"query": 5}, "query"), ({"query": ["a", ""]}, "query.1")):
        with pytest.raises(ValidationError) as raised:
            Asked.model_validate(given)
        assert first_fault(raised.value).place == place
    with pytest.raises(ValidationError) as raised:
        Asked.model_validate({"query": "a", "attributes": {"long": "x"}})
    assert first_fault(raised.value).place == "attributes.long"
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate({"index": {"type": "postgres", "server": 5}})
    assert first_fault(raised.value, "settings").place == "settings.index.server"


class OfSomeKinds(BaseModel):
    """Values of unions."""

    one: (
        Annotated[str, Field(min_length=1)] | Annotated[list[Annotated[str, Field(max_length=2)]], Field(min_length=1)]
    ) = "a"
    values: dict[str, Annotated[str, Field(max_length=2)] | bool | int | float] = {}
    number: int = 1


@together(
    ("given", "place", "problem"),
    [
        ({"one": 5}, "one", "must be a text or a list"),
        ({"one": []}, "one", "must have at least 1 item"),
        ({"one": ""}, "one", "must have at least 1 character"),
        ({"one": ["a", "abc"]}, "one.1", "must have at most 2 characters"),
        ({"values": {"k": None}}, "values.k", "must be a text, true or false, or a number"),
        ({"values": {"k": "abc"}}, "values.k", "must have at most 2 characters"),
        ({"number": [], "one": []}, "one", "must have at least 1 item"),
        ({"number": []}, "number", "must be a whole number"),
    ],
)
def test_of_the_kinds_that_a_value_may_have_the_nearest_is_told(given: Any, place: str, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        OfSomeKinds.model_validate(given)
    fault = first_fault(caught.value)
    assert (fault.place, fault.problem) == (place, problem)
