"""Which commit a ref means, and what is in it."""

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from phaseflow.components.sources.git.objects import Damaged, Objects, explained
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
    for each in _names(ref):
        if found := refs.get(each):
            return found
    if ref is not None and _ID.fullmatch(ref):
        return ref.encode()
    if not any(refs.values()):
        raise ComponentUnavailable(f"{shown} is empty: it has no commit")
    missing = "no branch of its own; name one as ref" if ref is None else f"no branch or tag {ref!r}; check its name"
    raise ComponentUnavailable(f"{shown} has {missing}")


def _names(ref: str | None) -> list[bytes]:
    if ref is None:
        return [b"HEAD"]
    name = ref.encode()
    return [name] if ref.startswith("refs/") else [b"refs/heads/" + name, b"refs/tags/" + name]


def wanted_here(repository: Any, ref: str | None, shown: str) -> bytes:
    """The same for a repository on this machine, of which another ref may be damaged. Raises ComponentUnavailable."""
    from dulwich.refs import SymrefLoop

    found: dict[bytes, bytes | None] = {}
    damaged: set[bytes] = set()
    with explained(shown):
        for name in {b"HEAD", *repository.refs.allkeys()}:
            try:
                id_ = bytes(repository.refs[name])
            except KeyError:  # a symbolic one, whose branch has no commit yet
                continue
            except (ValueError, SymrefLoop):
                id_ = b""
            if _ID.fullmatch(id_.decode("latin-1")):
                found[name] = id_
            else:
                damaged.add(name)
    if bad := damaged.intersection(_names(ref)):
        name = bad.pop().decode("utf-8", "replace")
        raise Damaged(f"{shown} is damaged: its ref {name} names no commit; run `git fsck` in it, or name another ref")
    return wanted(found, ref, shown)


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a commit. ``shown``: what the repository is called in messages."""

    objects: Objects
    id: bytes
    shown: str

    @classmethod
    def of(cls, objects: Objects, found: bytes, shown: str) -> "Tree":
        """The tree of a commit, or of a tag that leads to one. Raises ComponentUnavailable for anything else."""
        for _ in range(_TAGS):
            target = objects.target(found)
            if target is None:
                break
            kind, found = target
            if kind == b"tree":
                return cls(objects, found, shown)
        raise ComponentUnavailable(f"{shown}: that ref does not lead to a commit; name a branch or a tag")

    def files(self, globs: Globs) -> Iterator[tuple[str, bytes]]:
        """Yield path and blob id of each regular file, in the order of git. Links and submodules are passed over.

        Raises ComponentUnavailable for a commit of more than a million files.
        """
        yield from _Walk(self.objects, globs, self.shown).below(self.id, "", 0)

    def blob_at(self, path: str) -> bytes | None:
        """The id of the file at a path; None when there is none."""
        *folders, last = path.encode("utf-8", "surrogateescape").split(b"/")
        tree = self.id
        for folder in folders:
            mode, tree = self._entry(tree, folder)
            if not stat.S_ISDIR(mode):
                return None
        mode, found = self._entry(tree, last)
        return found if stat.S_ISREG(mode) else None

    def _entry(self, tree: bytes, wanted: bytes) -> tuple[int, bytes]:
        """Mode and id of what has a name; mode 0 where nothing has."""
        return next(((mode, id_) for name, mode, id_ in self.objects.tree(tree) if name == wanted), (0, b""))


class _Walk:
    def __init__(self, objects: Objects, globs: Globs, shown: str) -> None:
        self._objects = objects
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
        for raw, mode, id_ in self._objects.tree(tree):
            name = raw.decode("utf-8", "surrogateescape")
            if not name or "/" in name or name in {".", ".."} or (name.startswith(".") and name != _OPEN_HIDDEN):
                continue
            path = prefix + name
            if stat.S_ISDIR(mode) and self._globs.enter_folder(path):
                yield from self.below(id_, f"{path}/", depth + 1)
            elif stat.S_ISREG(mode) and self._globs.take_file(path):
                self._files += 1
                if self._files > MOST_FILES:
                    raise ComponentUnavailable(
                        f"{self._shown} has more than {MOST_FILES:,} files; leave some out with exclude"
                    )
                yield path, id_
