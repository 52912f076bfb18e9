"""Metadata and uris that people give: the last that is taken, and the first that is refused."""

import json
from typing import Any

import pytest

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.new_document import check_metadata, check_origin, check_uri
from tests.matrices import together

NAMES = {f"k{n:02}": True for n in range(65)}
FILLED = 16 * 1024 - len(json.dumps({"k": ""}))


@together(
    ("most", "too_much"),
    [
        (dict(list(NAMES.items())[:64]), NAMES),
        ({"k": "x" * FILLED}, {"k": "x" * (FILLED + 1)}),
        ({"k" * 200: 1}, {"k" * 201: 1}),
        ({"k": 2**63 - 1}, {"k": 2**63}),
        ({"k": 1 - 2**63}, {"k": -(2**63)}),
        ({"k": 1.5}, {"k": float("inf")}),
        ({"k": ["a", "b"]}, {"k": ["a", 1]}),
        ({"Uri": ""}, {"uri": ""}),
    ],
)
def test_metadata_is_taken_up_to_its_bounds(most: dict[str, Any], too_much: dict[str, Any]) -> None:
    assert check_metadata(most) == most
    with pytest.raises(InvalidRequest, match="metadata"):
        check_metadata(too_much)


def test_a_uri_and_an_origin_are_taken_up_to_their_lengths() -> None:
    check_uri("u" * 2048)
    check_origin("o" * 4096)
    with pytest.raises(InvalidRequest):
        check_uri("u" * 2049)
    with pytest.raises(InvalidRequest):
        check_origin("o" * 4097)


@together("metadata", [{"a": "x\0y"}, {"a": ["x", "\0"]}, {"a\0b": 1}])
def test_metadata_with_a_nul_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"U\+0000"):
        check_metadata(metadata)
