"""Which settings make another index, and which only make it in another time."""

from typing import Any

import pytest

from phaseflow.domain.indexed_with import EMBEDDED_AGAIN, IndexedWith
from phaseflow.domain.settings import Settings

_SERVER = {"type": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "a"}


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"model": "b"}, {"embedder": EMBEDDED_AGAIN}),
        ({"document_prefix": "d: "}, {"embedder": EMBEDDED_AGAIN}),
        ({"batch_size": 4, "in_flight": 1, "requests_per_minute": 60}, {}),
    ],
)
def test_what_makes_no_other_vectors_makes_nothing_stale(changed: dict[str, Any], names: dict[str, str]) -> None:
    live, following = (IndexedWith.of(Settings.model_validate({"embedder": _SERVER | more})) for more in ({}, changed))
    assert {each.setting: each.cost for each in live.stale(following)} == names
