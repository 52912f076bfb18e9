"""Patterns of values from outside, each with what it asks for: nobody is to read a regular expression in an answer."""

from typing import Final

_WORDS: Final[dict[str, str]] = {}

NAME_WORDS: Final = "must be 1 to 63 lower-case letters, digits, '-' or '_', not beginning with '-' or '_'"
"""Of the names that clients give: knowledge bases, sources, webhooks."""
SERVER_WORDS: Final = "must be 1 to 63 letters, digits, '_', '.' or '-', beginning with a letter or digit"
"""Of the names that operators give: embedding servers, index servers, connections."""
VARIABLE_WORDS: Final = "must be the name of an environment variable: letters, digits and '_', no digit first"


def worded(pattern: str, words: str) -> str:
    """Return ``pattern`` for a field; ``words`` are said of a value that does not match it, such as "must be …"."""
    _WORDS[pattern] = words
    return pattern


def words_of(pattern: str) -> str:
    """What a value that does not match has to be, in words."""
    return _WORDS.get(pattern, "is not written as it has to be")
