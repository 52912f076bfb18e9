"""Globs, matched in time that grows with the length of the text and of the pattern, never faster.

``*`` is any number of characters, also slashes, ``?`` one, ``[a-z]`` and ``[!a-z]`` one of a set; a backslash takes the
meaning from what follows. A pattern comes from a client: it is a set of states, the bits of one integer.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

LONGEST: Final = 1000
"""Characters of a pattern."""


@lru_cache(maxsize=256)
def glob(pattern: str) -> Callable[[str], bool]:
    """What says whether a text, as a whole, matches a pattern."""
    elements, stars = _parsed(pattern)
    loops = sum(1 << place for place in stars)
    accepting = 1 << len(elements)
    masks: dict[str, int] = {}

    def mask(character: str) -> int:
        found = masks.get(character)
        if found is None:
            found = sum(1 << place for place, fits in enumerate(elements) if fits(character))
            if len(masks) < LONGEST:
                masks[character] = found
        return found

    def matches(text: str) -> bool:
        states = 1
        for character in text:
            states = ((states & mask(character)) << 1) | (states & loops)
            if not states:
                return False
        return bool(states & accepting)

    return matches


def literal_prefix(pattern: str) -> str:
    """What every text that matches begins with."""
    end = next((n for n, character in enumerate(pattern) if character in "*?[\\"), len(pattern))
    return pattern[:end]


def _parsed(pattern: str) -> tuple[list[Callable[[str], bool]], set[int]]:
    """The single characters that a pattern has, and before which of them there may be any others."""
    elements: list[Callable[[str], bool]] = []
    stars: set[int] = set()
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            stars.add(len(elements))
        elif character == "?":
            elements.append(lambda _: True)
        elif character == "[" and (end := _end_of_set(pattern, at)):
            elements.append(_set(pattern[at:end]))
            at = end + 1
        else:
            if character == "\\" and at < len(pattern):
                character = pattern[at]
                at += 1
            elements.append(character.__eq__)
    return elements, stars


def _end_of_set(pattern: str, at: int) -> int:
    """Where the bracket closes; 0 when it does not, and is a character like any other. The first may be a bracket."""
    first = at + 1 if pattern.startswith("!", at) else at
    return pattern.find("]", first + 1) + 1 and pattern.find("]", first + 1)


def _set(inside: str) -> Callable[[str], bool]:
    is_negated = inside.startswith("!")
    members = inside[1:] if is_negated else inside
    single: set[str] = set()
    ranges: list[tuple[str, str]] = []
    at = 0
    while at < len(members):
        if members[at + 1 : at + 2] == "-" and at + 2 < len(members):
            ranges.append((members[at], members[at + 2]))
            at += 3
        else:
            single.add(members[at])
            at += 1
    return lambda character: (
        is_negated != (character in single or any(first <= character <= last for first, last in ranges))
    )
