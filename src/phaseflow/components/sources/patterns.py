"""Which files of a folder count: ``include`` and ``exclude`` globs, and ``.gitignore`` files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from phaseflow.components.sources.names import path_of
from phaseflow.components.sources.wildmatch import BadPattern, Pattern, parse
from phaseflow.domain.errors import ComponentUnavailable, InvalidRequest
from phaseflow.domain.identifiers import whole_characters

MAX_PATTERNS = 10_000
"""Of one list of globs, and of the ignore files above one path together: each is tried on each file."""


class Globs:
    """The globs of a source, written as in ``.gitignore`` and relative to its root.

    ``*.md`` matches at any depth, ``/notes.md`` only at the root, ``docs/`` and ``docs/**`` everything below ``docs``,
    and ``**`` any number of folders. A byte that is no UTF-8 stands as in a URI (``%E9``). Without ``include`` every
    file counts; ``exclude`` wins. Matching takes time in proportion to the length of the path, whatever the glob.
    Raises ComponentUnavailable for what is not a glob, one longer than 4,096 characters, and more than 10,000 in one
    list.
    """

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include = _Rules(_compiled("include", include)) if include else None
        self._exclude = _Rules(_compiled("exclude", exclude)) if exclude else None

    @classmethod
    def check(cls, include: Sequence[str], exclude: Sequence[str]) -> None:
        """Raise InvalidRequest, naming the field, for globs of which no rules can be made."""
        for field, globs in (("include", include), ("exclude", exclude)):
            try:
                _compiled(field, globs)
            except ComponentUnavailable as error:
                raise InvalidRequest(f"source.{field}", str(error).partition(": ")[2]) from None

    def take_file(self, path: str) -> bool:
        if self._exclude is not None and self._exclude.take_in(path):
            return False
        return self._include is None or self._include.take_in(path)

    def enter_folder(self, path: str) -> bool:
        return self._exclude is None or not self._exclude.take_in_folder(path)


class _Rules:
    """Patterns of which the last one that matches decides; what lies in a folder that they take in is taken in."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._names = frozenset(each.literal for each in patterns if each.literal is not None)
        self._is_literal = len(self._names) == len(patterns)
        """Paths alone, as a command line names them: thousands, and looked up instead of tried one by one."""
        self._patterns = patterns
        self._folder, self._takes_folder = "", False

    def take_in(self, path: str) -> bool:
        folder = path.rpartition("/")[0]
        return self.take_in_folder(folder) or self._matches(path, is_folder=False)

    def take_in_folder(self, path: str) -> bool:
        if path != self._folder:
            above = path.rpartition("/")[0]
            takes = bool(path) and (self.take_in_folder(above) or self._matches(path, is_folder=True))
            # A walk asks for one folder after the other: the last answer is the one that is asked for again.
            self._folder, self._takes_folder = path, takes
        return self._takes_folder

    def _matches(self, path: str, *, is_folder: bool) -> bool:
        if self._is_literal:
            return path in self._names
        return _verdict(self._patterns, path, is_folder=is_folder) or False


@dataclass(frozen=True, slots=True)
class Ignores:
    """The ``.gitignore`` of a folder, and those above it. The deepest file that says anything about a path decides.

    As in git, nothing below an ignored folder can be taken back. Files above the root of the source do not count.
    """

    patterns: Sequence[Pattern]
    prefix: int
    """Characters of a path before the part that is relative to the folder of this file."""
    above: "Ignores | None"
    count: int
    """Patterns here and above."""

    @classmethod
    def read(cls, text: str, prefix: str, above: "Ignores | None") -> "Ignores":
        """Read the text of a ``.gitignore`` that stands in the folder ``prefix`` (``""`` or ending in ``/``).

        Raises ComponentUnavailable when it and those above hold more than 10,000 patterns.
        """
        patterns = list(_readable(line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")))
        count = len(patterns) + (above.count if above else 0)
        if count > MAX_PATTERNS:
            raise ComponentUnavailable(
                f"{prefix}.gitignore and those above it hold {count:,} patterns, more than the {MAX_PATTERNS:,} that"
                " are read; shorten it, or leave the folder out with exclude"
            )
        return cls(patterns, len(prefix), above, count)

    def ignore(self, path: str) -> bool:
        """Say whether the path (relative to the root; a folder ends in ``/``) is ignored."""
        verdict = _verdict(self.patterns, path[self.prefix :].rstrip("/"), is_folder=path.endswith("/"))
        if verdict is not None:
            return verdict
        return self.above is not None and self.above.ignore(path)


def _verdict(patterns: Sequence[Pattern], path: str, *, is_folder: bool) -> bool | None:
    """Say whether the last pattern that matches takes the path in; None when none does."""
    name = path.rpartition("/")[2]
    for pattern in reversed(patterns):
        if pattern.matches(path, name, is_folder=is_folder):
            return not pattern.is_negated
    return None


def _readable(lines: Iterable[str]) -> Iterable[Pattern]:
    for line in lines:
        try:
            pattern = parse(line)
        except BadPattern:
            continue  # as git does
        if pattern is not None:
            yield pattern


def _compiled(field: str, globs: Sequence[str]) -> list[Pattern]:
    if len(globs) > MAX_PATTERNS:
        raise ComponentUnavailable(f"{field}: {len(globs):,} globs, more than the {MAX_PATTERNS:,} that are taken")
    return [pattern for pattern in (_glob(field, glob) for glob in globs) if pattern is not None]


def _glob(field: str, glob: str) -> Pattern | None:
    if glob != whole_characters(glob):
        raise ComponentUnavailable(
            f"{field}: {glob[:100]!r} holds half a character; a byte of a name is written as %E9"
        )
    try:
        return parse(path_of(glob))
    except BadPattern as error:
        message = f"{field}: {glob[:100]!r} is not a glob ({error}); write it as in a .gitignore file"
        raise ComponentUnavailable(message) from error
