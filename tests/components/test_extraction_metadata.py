"""What documents say about themselves, and its limits."""

import json

import pytest

from phaseflow.components.extraction.metadata import MAX_BYTES, MAX_KEYS, within_limits
from phaseflow.components.workers.answers import READ, outcome
from phaseflow.components.workers.frames import MalformedFrame
from tests.matrices import together


def test_metadata_is_text_numbers_booleans_and_lists_of_texts() -> None:
    said = {
        "a": " two\n words\0 ",
        "b": 2,
        "c": True,
        "d": ["x", 1, "y"],
        "e": None,
        "f": {},
        "": "x",
        "g": float("nan"),
    }
    assert within_limits(said) == {"a": "two words", "b": 2, "c": True, "d": ["x", "y"]}


def test_metadata_is_bounded() -> None:
    assert len(within_limits({str(n): "x" for n in range(1000)})) == MAX_KEYS
    large = within_limits({str(n): "ä" * 10_000 for n in range(60)})
    assert 0 < len(json.dumps(large)) <= MAX_BYTES


def test_what_was_kept_once_is_kept_again() -> None:
    once = within_limits({str(n): "é\ud800 \x07 " * n for n in range(100)} | {"k" * 300: ["", "z" * 5000]})
    assert within_limits(once) == once


@together("metadata", [[], {"a": {}}, {"a": "x\0"}, {str(n): "x" for n in range(65)}])
def test_a_worker_is_not_believed_metadata_beyond_the_limits(metadata: object) -> None:
    head = {"status": READ, "title": "t", "type": "text/plain", "parts": [], "metadata": metadata}
    with pytest.raises(MalformedFrame):
        outcome((head, b"x"))
