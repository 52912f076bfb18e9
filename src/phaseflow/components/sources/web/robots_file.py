"""What a robots.txt says to one crawler, by RFC 9309, read as leniently as large crawlers read it.

Every line costs time that follows from its length, and so does every address that is judged: wildcards are matched
piece by piece, never by a regular expression.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from phaseflow.components.sources.web.address import unescaped

MOST_WILD = 1000
"""Rules with a wildcard inside; each costs some time for every link. Sites have some dozens."""
_AGENT = frozenset(("user-agent", "useragent", "user agent"))
_DISALLOW = frozenset(("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"))
"""Misspelt ways that crawlers heed."""
_SITEMAP = frozenset(("sitemap", "site-map"))
_BLANK = " \t\f\v"


@dataclass(slots=True)
class _Rules:
    """Addresses that one group names, in one of two ways. What is longer says more."""

    prefixes: set[str] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)
    wild: list[tuple[int, list[str], bool]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    def add(self, pattern: str) -> None:
        is_whole = pattern.endswith("$")
        literal = pattern[:-1] if is_whole else pattern.rstrip("*") or "/"
        if "*" not in literal:
            (self.whole if is_whole else self.prefixes).add(literal)
            self.lengths = []
        elif len(self.wild) < MOST_WILD:
            self.wild.append((len(pattern), literal.split("*"), is_whole))
            self.wild.sort(key=lambda rule: -rule[0])

    def weight(self, path: str) -> int:
        """The length of the longest pattern that takes in this path; 0 when there is none."""
        self.lengths = self.lengths or sorted({len(prefix) for prefix in self.prefixes}, reverse=True)
        most = len(path) + 1 if path in self.whole else 0
        most = max(most, next((n for n in self.lengths if n <= len(path) and path[:n] in self.prefixes), 0))
        for weight, pieces, is_whole in self.wild:
            if weight <= most:
                break
            if _matches(path, pieces, is_whole=is_whole):
                return weight
        return most


@dataclass(slots=True)
class _Group:
    allowed: _Rules = field(default_factory=_Rules)
    disallowed: _Rules = field(default_factory=_Rules)
    delay_s: float | None = None


class RobotsFile:
    """The rules for one product token, in lower case, and the sitemaps of the file."""

    def __init__(self, text: str, agent: str) -> None:
        self.sitemaps: list[str] = []
        self._agent = agent
        self._own: _Group | None = None
        self._all = _Group()
        self._current: list[_Group] = []
        self._is_open = False
        """A group's head is open until its first rule: a line that is none does not end it (RFC 9309, 2.2.4)."""
        for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
            self._read(*_key_and_value(line))

    def allows(self, url: str) -> bool:
        """Whether an address may be fetched: the longest rule decides, and of two equal ones the one that allows."""
        group = self._own or self._all
        path = _normal(_path_of(url))
        return group.allowed.weight(path) >= group.disallowed.weight(path)

    @property
    def delay_s(self) -> float | None:
        return (self._own or self._all).delay_s

    def _read(self, key: str, value: str) -> None:
        if key in _AGENT:
            self._begin(value)
        elif key == "allow" or key in _DISALLOW:
            self._is_open = False
            for group in self._current if value else ():
                _add(group, value, is_allowed=key == "allow")
        elif key == "crawl-delay":
            for group in self._current:
                group.delay_s = _seconds(value) if group.delay_s is None else group.delay_s
        elif key in _SITEMAP and value:
            self.sitemaps.append(value)

    def _begin(self, value: str) -> None:
        if not self._is_open:
            self._current = []
        self._is_open = True
        # The whole token, in upper or lower case; a version behind it does not count (RFC 9309, 2.2.1).
        token = value.partition("/")[0].split(maxsplit=1)[:1]
        if token == ["*"]:
            self._current.append(self._all)
        elif token == [self._agent] or [each.lower() for each in token] == [self._agent]:
            self._own = self._own or _Group()
            self._current.append(self._own)


def _key_and_value(line: str) -> tuple[str, str]:
    line = line.partition("#")[0].strip(_BLANK)
    key, colon, value = line.partition(":")
    if not colon:
        agent = next((key for key in _AGENT if line.lower().startswith(f"{key} ")), None)
        words = line.split()
        key, value = (agent, line[len(agent) :]) if agent else words if len(words) == 2 else ("", "")
    return key.strip(_BLANK).lower(), value.strip(_BLANK)


def _add(group: _Group, value: str, *, is_allowed: bool) -> None:
    pattern = _normal(value)
    (group.allowed if is_allowed else group.disallowed).add(pattern)
    folder, slash, page = pattern.rpartition("/")
    if is_allowed and slash and page.startswith("index.htm"):
        group.allowed.add(f"{folder}/$")  # a folder's page has both addresses


def _matches(path: str, pieces: Sequence[str], *, is_whole: bool) -> bool:
    """Whether the pieces stand there in order: the first at the beginning, with ``is_whole`` the last at the end."""
    first, *rest = pieces
    if not path.startswith(first):
        return False
    at, end = len(first), len(path)
    if is_whole:
        last = rest.pop()
        end -= len(last)
        if end < at or not path.endswith(last):
            return False
    for piece in rest:
        at = path.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def _path_of(url: str) -> str:
    rest = url.partition("#")[0].partition("://")
    if not rest[1]:
        return url if url.startswith("/") else f"/{url}"
    start = min((at for mark in "/?" if (at := rest[2].find(mark)) >= 0), default=len(rest[2]))
    path = rest[2][start:]
    return path if path.startswith("/") else f"/{path}"


def _normal(path: str) -> str:
    """One spelling of each address (RFC 9309, 2.2.2): needless escapes undone, and what is beyond ASCII escaped."""
    return unescaped(path if path.isascii() else quote(path, safe="".join(map(chr, range(33, 127)))))


def _seconds(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
