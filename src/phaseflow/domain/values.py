"""Values that people give: what each is, in words, for the messages that refuse it, and which numbers can be kept."""

from collections.abc import Mapping
from math import isfinite

MetadataValue = str | float | bool | list[str]
"""What a document's metadata holds under a key."""

_KINDS: list[tuple[type | tuple[type, ...], str]] = [
    (type(None), "nothing"),
    (bool, "a boolean"),  # before numbers, which Python takes it for
    ((int, float), "a number"),
    (str, "a string"),
    ((bytes, bytearray), "bytes"),
    (Mapping, "a mapping"),
    ((list, tuple, set, frozenset), "a list"),
]


def kind_of(value: object) -> str:
    """As JSON and people call it; by the name of its class where they have no word for it."""
    for kinds, words in _KINDS:
        if isinstance(value, kinds):
            return words
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def is_kept(number: int | float) -> bool:
    """Metadata can hold it, and a filter can compare it: a whole number of 64 bits, or any finite float."""
    return isfinite(number) if isinstance(number, float) else abs(number) < 1 << 63  # what SQLite has as whole
