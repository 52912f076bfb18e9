"""Which commit a ref means, and what is in it."""

import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from phaseflow.components.sources.patterns import Globs
from phaseflow.domain.errors import ComponentUnavailable

_ID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
DEEPEST = 64
MOST_FILES = 1_000_000
"""Of one commit: trees that contain the same tree many times would make more than any disk holds."""
MOST_FOLDERS = 200_000
_TAGS = 10
_OPEN_HIDDEN = ".github"


def wanted(refs: Mapping[bytes, bytes | None], ref: str | None, shown: str) -> bytes:
    """The id that a ref has: a branch, else a tag, else a full id. Raises ComponentUnavailable when there is none."""
    if ref is None:
        names = [b"HEAD"]
    else:
        name = ref.encode()
        names = [name] if ref.startswith("refs/") else [b"refs/heads/" + name, b"refs/tags/" + name]
    for each in names:
        if found := refs.get(each):
            return found
    if ref is not None and _ID.fullmatch(ref):
        return ref.encode()
    if not any(refs.values()):
        raise ComponentUnavailable(f"{shown} is empty: it has no commit")
    missing = "no branch of its own; name one as ref" if ref is None else f"no branch or tag {ref!r}; check its name"
    raise ComponentUnavailable(f"{shown} has {missing}")


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a commit. ``shown``: what the repository is called in messages."""

    store: Any
    id: bytes
    shown: str

    @classmethod
    def of(cls, store: Any, found: bytes, shown: str) -> "Tree":
        """The tree of a commit, or of a tag that leads to one. Raises ComponentUnavailable for anything else."""
        for _ in range(_TAGS):
            each = store[found]
            if each.type_name == b"commit":
                return cls(store, bytes(each.tree), shown)
            if each.type_name != b"tag":
                break
            found = each.object[1]
        raise ComponentUnavailable(f"{shown}: that ref does not lead to a commit; name a branch or a tag")

    def files(self, globs: Globs) -> Iterator[tuple[str, bytes]]:
        """Yield path and blob id of each regular file, in the order of git. Links and submodules are passed over.

        Raises ComponentUnavailable for a commit of more than a million files.
        """
        yield from _Walk(self.store, globs, self.shown).below(self.id, "", 0)

    def blob_at(self, path: str) -> bytes | None:
        """The id of the file at a path; None when there is none."""
        parts = path.encode("utf-8", "surrogateescape").split(b"/")
        read: Callable[[bytes], Any] = self.store.__getitem__
        tree = self.id
        for place, part in enumerate(parts):
            try:
                mode, found = read(tree)[part]
            except KeyError:
                return None
            is_last = place == len(parts) - 1
            if is_last:
                return bytes(found) if stat.S_ISREG(mode) else None
            if not stat.S_ISDIR(mode):
                return None
            tree = found
        return None


class _Walk:
    def __init__(self, store: Any, globs: Globs, shown: str) -> None:
        self._store = store
        self._globs = globs
        self._shown = shown
        self._files = self._folders = 0

    def below(self, tree: bytes, prefix: str, depth: int) -> Iterator[tuple[str, bytes]]:
        self._folders += 1
        if depth > DEEPEST or self._folders > MOST_FOLDERS:
            raise ComponentUnavailable(
                f"{self._shown} has more than {MOST_FOLDERS:,} folders, or some more than {DEEPEST} deep; leave them"
                " out with exclude"
            )
        for entry in self._store[tree].iteritems():
            name = entry.path.decode("utf-8", "surrogateescape")
            if not name or "/" in name or name in {".", ".."} or (name.startswith(".") and name != _OPEN_HIDDEN):
                continue
            path = prefix + name
            if stat.S_ISDIR(entry.mode) and self._globs.enter_folder(path):
                yield from self.below(entry.sha, f"{path}/", depth + 1)
            elif stat.S_ISREG(entry.mode) and self._globs.take_file(path):
                self._files += 1
                if self._files > MOST_FILES:
                    raise ComponentUnavailable(
                        f"{self._shown} has more than {MOST_FILES:,} files; leave some out with exclude"
                    )
                yield path, bytes(entry.sha)
