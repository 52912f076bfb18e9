"""Which settings make another index, and which only make it in another time."""

from typing import Any

from phaseflow.domain.indexed_with import EMBEDDED_AGAIN, PHASEFLOW, IndexedWith
from phaseflow.domain.settings import Settings
from tests.matrices import together

_SERVER = {"type": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "a"}


@together(
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


def test_what_was_made_by_several_stays_the_same_when_one_of_them_goes_on() -> None:
    one, two, own = (
        IndexedWith.of(Settings(), rules=rules, chunker=chunker)
        for rules, chunker in (("1", None), ("2", None), ("3", "own"))
    )
    both = two.along_with(one)
    assert (both.rules, both.along_with(one), one.along_with(one)) == ("1 and 2", both, one)
    assert two.along_with(both) == one.along_with(both) == both
    assert [each.setting for each in both.stale(one)] == [each.setting for each in both.stale(two)]
    assert [each.setting for each in both.stale(two)] == [PHASEFLOW]
    mixed = own.along_with(both)
    assert (mixed.rules, own.along_with(mixed), both.along_with(mixed)) == ("3", mixed, mixed)
