"""Which files of a folder count: ``include`` and ``exclude`` globs, and ``.gitignore`` files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phaseflow.domain.errors import ComponentUnavailable

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


class Globs:
    """The globs of a source, written as in ``.gitignore`` and relative to its root.

    ``*.md`` matches at any depth, ``/notes.md`` only at the root, ``docs/`` and ``docs/**`` everything below ``docs``,
    and ``**`` any number of folders. Without ``include`` every file counts; ``exclude`` wins.
    """

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include = _compiled("include", include)
        self._exclude = _compiled("exclude", exclude)

    def take_file(self, path: str) -> bool:
        if self._exclude is not None and self._exclude.match_file(path):
            return False
        return self._include is None or self._include.match_file(path)

    def enter_folder(self, path: str) -> bool:
        return self._exclude is None or not self._exclude.match_file(f"{path}/")


@dataclass(frozen=True, slots=True)
class Ignores:
    """The ``.gitignore`` of a folder, and those above it. The deepest file that says anything about a path decides.

    As in git, nothing below an ignored folder can be taken back. Files above the root of the source do not count.
    """

    spec: "GitIgnoreSpec"
    prefix: int
    """Characters of a path before the part that is relative to the folder of this file."""
    above: "Ignores | None"

    def ignore(self, path: str) -> bool:
        """Say whether the path (relative to the root; a folder ends in ``/``) is ignored."""
        verdict = self.spec.check_file(path[self.prefix :]).include
        if verdict is not None:
            return verdict
        return self.above is not None and self.above.ignore(path)


def ignores(text: str, prefix: str, above: Ignores | None) -> Ignores:
    """Read the text of a ``.gitignore`` that stands in the folder ``prefix`` (``""`` or ending in ``/``)."""
    from pathspec import GitIgnoreSpec

    lines = text.splitlines()
    try:
        spec = GitIgnoreSpec.from_lines(lines)
    except ValueError:
        # git passes over a line that is no pattern; pathspec refuses the whole file.
        spec = GitIgnoreSpec.from_lines([line for line in lines if _is_pattern(line)])
    return Ignores(spec, len(prefix), above)


def _is_pattern(line: str) -> bool:
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _compiled(field: str, globs: Sequence[str]) -> "GitIgnoreSpec | None":
    from pathspec import GitIgnoreSpec

    if not globs:
        return None
    for glob in globs:
        if not _is_pattern(glob):
            raise ComponentUnavailable(f"{field}: {glob!r} is not a glob; write it as in a .gitignore file")
    return GitIgnoreSpec.from_lines(globs)
