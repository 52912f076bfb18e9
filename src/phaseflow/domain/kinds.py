"""What a value is, in words, for the messages that refuse it."""

from collections.abc import Mapping

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
