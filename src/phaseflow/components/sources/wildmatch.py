"""Patterns of ``.gitignore``, matched in time that grows with the length of the path and of the pattern, never faster.

A pattern comes from a stranger: a line in a cloned repository, a glob in a request. A backtracking engine (``re``, and
what is built on it) takes exponential time for ``*a*a*a…b``, and holds the interpreter lock meanwhile. Here a pattern
is a set of states, kept as the bits of one integer, and each character of a path moves all of them at once.

What a pattern means is what git's ``wildmatch`` takes it for, character by character where git goes by bytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits, hexdigits, punctuation

from phaseflow.domain.counting import counted

MAX_LENGTH = 4096
"""Characters of a pattern: as long as a path can be."""

_POSIX: Mapping[str, frozenset[str]] = {
    "alnum": frozenset(ascii_letters + digits),
    "alpha": frozenset(ascii_letters),
    "blank": frozenset(" \t"),
    "cntrl": frozenset(map(chr, (*range(32), 127))),
    "digit": frozenset(digits),
    "graph": frozenset(ascii_letters + digits + punctuation),
    "lower": frozenset(ascii_lowercase),
    "print": frozenset(ascii_letters + digits + punctuation + " "),
    "punct": frozenset(punctuation),
    "space": frozenset(" \t\n\r\v\f"),
    "upper": frozenset(ascii_uppercase),
    "xdigit": frozenset(hexdigits),
}
_SPECIAL = "*?[\\"


class BadPattern(ValueError):
    """A pattern that can match nothing. git passes over it in silence."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file, or one glob."""

    matches_text: Callable[[str], bool]
    is_negated: bool
    only_folders: bool
    by_name: bool
    """The pattern has no slash: it is matched with the last part of a path."""
    literal: str | None = None
    """The one path from the root that it matches, where it is one."""

    def matches(self, path: str, name: str, *, is_folder: bool) -> bool:
        """Say whether it matches this very path (no slash at its end); ``name`` is the last part of it."""
        if self.only_folders and not is_folder:
            return False
        return self.matches_text(name if self.by_name else path)


def parse(line: str) -> Pattern | None:
    """Return the pattern of a line, None for a comment and a blank line. Raises BadPattern."""
    text = _trimmed(line.partition("\0")[0])
    if not text or text.startswith("#"):
        return None
    if len(text) > MAX_LENGTH:
        raise BadPattern(f"a pattern of {counted(len(text), 'character')}; at most {MAX_LENGTH:,} are taken")
    is_negated = text.startswith("!")
    text = text[is_negated:]
    only_folders = text.endswith("/")
    text = text[: len(text) - only_folders]
    by_name = "/" not in text
    text = text.removeprefix("/")
    if not text:
        raise BadPattern("it names nothing")
    is_path = not (by_name or is_negated or only_folders or any(letter in _SPECIAL for letter in text))
    matches_text = _compiled(text, by_name=by_name)
    return Pattern(matches_text, is_negated, only_folders, by_name, text if is_path else None)


def _trimmed(line: str) -> str:
    """Drop the blanks at the end, but not one behind a backslash."""
    bare = line.rstrip(" ")
    backslashes = len(bare) - len(bare.rstrip("\\"))
    return bare if bare == line or backslashes % 2 == 0 else bare + " "


def _compiled(text: str, *, by_name: bool) -> Callable[[str], bool]:
    literal = next((at for at, letter in enumerate(text) if letter in _SPECIAL), len(text))
    if literal == len(text):
        return text.__eq__
    if by_name and text[0] == "*" and not any(letter in _SPECIAL for letter in text[1:]):
        tail = text[1:]
        return lambda name: name.endswith(tail)
    return _Parser(text, literal).automaton().matches


@dataclass(slots=True)
class _Automaton:
    """State ``i`` means that ``i`` steps are behind. Each bit of a mask is a state."""

    steps: int = 0
    literal: dict[str, int] = field(default_factory=dict)
    """By character: the states that it leads on from, as a step of its own."""
    wild: int = 0
    """States that any character but a slash leads on from."""
    sets: "dict[int, _Set]" = field(default_factory=dict)
    stays: int = 0
    """States that any character but a slash leaves as they are: a star."""
    stays_always: int = 0
    """The same for a slash too: two stars between slashes."""
    skips: int = 0
    """States whose next step may be left out when they are reached: ``**/`` also stands for no folder at all."""
    known: dict[str, int] = field(default_factory=dict)

    def matches(self, text: str) -> bool:
        states = self._entered(1)
        for letter in text:
            led = self.known.get(letter)
            if led is None:
                led = self.known[letter] = self._leads(letter)
            stays = self.stays_always if letter == "/" else self.stays
            states = self._entered((states & led) << 1) | (states & stays)
            if not states:
                return False
        return bool(states >> self.steps & 1)

    def _entered(self, states: int) -> int:
        return states | (states & self.skips) << 1

    def _leads(self, letter: str) -> int:
        led = self.literal.get(letter, 0)
        if letter != "/":
            led |= self.wild
            for at, each in self.sets.items():
                if each.holds(letter):
                    led |= 1 << at
        return led


@dataclass(slots=True)
class _Set:
    """What stands between brackets."""

    is_negated: bool = False
    letters: set[str] = field(default_factory=set)
    ranges: list[tuple[str, str]] = field(default_factory=list)

    def holds(self, letter: str) -> bool:
        found = letter in self.letters or any(low <= letter <= high for low, high in self.ranges)
        return found is not self.is_negated


class _Parser:
    """Turns a pattern into its automaton, in one pass."""

    def __init__(self, text: str, literal: int) -> None:
        self._text = text
        self._literal = literal
        """Characters before the first special one. git compares them apart, and then takes what follows for the
        beginning of a pattern: ``foo**/bar`` has two stars at its beginning."""
        self._at = 0
        self._made = _Automaton()

    def automaton(self) -> _Automaton:
        while self._at < len(self._text):
            letter = self._text[self._at]
            self._at += 1
            if letter == "*":
                self._stars()
            elif letter == "?":
                self._made.wild |= 1 << self._made.steps
                self._made.steps += 1
            elif letter == "[":
                self._made.sets[self._made.steps] = self._set()
                self._made.steps += 1
            else:
                self._step(self._next() if letter == "\\" else letter)
        return self._made

    def _step(self, letter: str) -> None:
        self._made.literal[letter] = self._made.literal.get(letter, 0) | 1 << self._made.steps
        self._made.steps += 1

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise BadPattern("it ends in the middle of what it says")
        self._at += 1
        return self._text[self._at - 1]

    def _stars(self) -> None:
        start = self._at - 1
        while self._at < len(self._text) and self._text[self._at] == "*":
            self._at += 1
        here = 1 << self._made.steps
        rest = self._text[self._at : self._at + 2]
        opens = start in {0, self._literal} or self._text[start - 1] == "/"
        self._made.stays |= here
        if self._at - start > 1 and opens and (rest[:1] in {"", "/"} or rest == "\\/"):
            self._made.stays_always |= here
            if rest[:1] == "/":
                self._folders(here)

    def _folders(self, here: int) -> None:
        """Take the slash after two stars, and the same again right behind it, which would add nothing."""
        self._made.skips |= here
        self._at += 1
        self._step("/")
        while self._text.startswith("**/", self._at):
            self._at += 3

    def _set(self) -> _Set:
        found = _Set()
        letter = self._next()
        if letter in "!^":
            found.is_negated = True
            letter = self._next()
        before = ""
        while True:
            before = self._member(found, letter, before)
            letter = self._next()
            if letter == "]":
                return found

    def _member(self, found: _Set, letter: str, before: str) -> str:
        """Add what begins with a character; return what a range may begin with."""
        if letter == "\\":
            letter = self._next()
        elif letter == "-" and before and self._text[self._at : self._at + 1] not in {"", "]"}:
            high = self._next()
            found.ranges.append((before, self._next() if high == "\\" else high))
            return ""
        elif letter == "[" and self._text[self._at : self._at + 1] == ":":
            end = self._text.find("]", self._at + 1)
            if end < 0:
                raise BadPattern("a bracket is not closed")
            if self._text[end - 1] == ":" and end - 1 > self._at:
                found.letters |= self._posix(self._text[self._at + 1 : end - 1])
                self._at = end + 1
                return ""
        found.letters.add(letter)
        return letter

    def _posix(self, name: str) -> frozenset[str]:
        if name not in _POSIX:
            raise BadPattern(f"there is no class [:{name}:]")
        return _POSIX[name]
