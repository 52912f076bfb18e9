"""The objects of a repository, each checked against its id; and what is wrong with a repository, in words.

dulwich checks few of them: a file that was cut off is given as far as it goes, and a folder with fewer files. What it
raises is of some twenty kinds, down to ``AssertionError`` and ``KeyError: b'5396eb…'``.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from phaseflow.domain.errors import ComponentUnavailable, PhaseflowError
from phaseflow.domain.exception_text import text_of

_NAMES = {1: b"commit", 2: b"tree", 3: b"blob", 4: b"tag"}
"""Of the kinds of objects (https://git-scm.com/docs/pack-format)."""
_SHA256_HEX = 64
_LONGEST_WORDS = 200


class Damaged(ComponentUnavailable):
    """The repository is damaged, not whole, or of a kind that is not read."""


@contextmanager
def explained(shown: str) -> Iterator[None]:
    """Whatever dulwich raises in this block is said in words, as Damaged; it reads a repository and does nothing else.

    ``shown`` is what the repository is called.
    """
    try:
        yield
    except (PhaseflowError, MemoryError):
        raise
    except Exception as error:
        raise Damaged(_what(error, shown)) from error


def _what(error: Exception, shown: str) -> str:
    kind = type(error).__name__
    if isinstance(error, KeyError) or kind in {"ObjectMissing", "MissingCommitError"}:
        id_ = error.args[0] if error.args else b""
        return missing(shown, id_ if isinstance(id_, bytes) else b"")
    if isinstance(error, PermissionError):
        return f"{shown} may not be read; check the permissions of its files"
    if kind == "UnsupportedExtension" and "partialclone" in str(error).lower():
        return f"{shown} is a partial clone, which has some files only when Git fetches them; clone it without --filter"
    if what := {"UnsupportedExtension": "extension", "UnsupportedVersion": "version"}.get(kind):
        return f"{shown} has a format that is not read ({what} {_words(error)}); clone it with Git's own defaults"
    if isinstance(error, FileNotFoundError):
        return f"{shown} is not whole: a file or folder of it, or one that it borrows from, is not there; {_ADVICE}"
    return f"{shown} is damaged ({_words(error)}); {_ADVICE}"


_ADVICE = "run `git fsck` in it, and clone it anew"


def missing(shown: str, id_: bytes) -> str:
    """What to say of a repository that lacks an object."""
    return (
        f"{shown} lacks the object {id_.decode('ascii', 'replace')[:_SHA256_HEX]}; run `git fsck` in it to see what is"
        " missing, and clone it anew: a partial clone (--filter) has some files only when Git fetches them"
    )


def _words(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else text_of(error)
    return said[:_LONGEST_WORDS] or type(error).__name__


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of one repository. Each call raises Damaged for what is missing or is not what its id says."""

    store: Any
    shown: str

    def __contains__(self, id_: bytes) -> bool:
        with explained(self.shown):
            return id_ in self.store

    def tree(self, id_: bytes) -> list[tuple[bytes, int, bytes]]:
        """Name, mode and id of what is in a folder, in the order of Git."""
        with explained(self.shown):
            return [(each.path, each.mode, bytes(each.sha)) for each in self._read(id_, b"tree").iteritems()]

    def blob(self, id_: bytes) -> bytes:
        """The content of a file."""
        with explained(self.shown):
            return self._raw(id_, b"blob")[1]

    def target(self, id_: bytes) -> tuple[bytes, bytes] | None:
        """The tree of a commit, or what a tag leads to, behind its kind; None for anything else."""
        with explained(self.shown):
            found = self._read(id_)
            if found.type_name == b"commit":
                return b"tree", bytes(found.tree)
            return (b"tag", bytes(found.object[1])) if found.type_name == b"tag" else None

    def _read(self, id_: bytes, wanted: bytes | None = None) -> Any:
        from dulwich.objects import ShaFile

        kind, data = self._raw(id_, wanted)
        return ShaFile.from_raw_string(kind, data, id_)

    def _raw(self, id_: bytes, wanted: bytes | None) -> tuple[int, bytes]:
        kind, data = self.store.get_raw(id_)
        data, name = bytes(data), _NAMES.get(kind, b"?")
        digest = hashlib.sha256 if len(id_) == _SHA256_HEX else hashlib.sha1
        made = digest(b"%b %d\0" % (name, len(data)), usedforsecurity=False)
        made.update(data)
        if made.hexdigest().encode() != id_ or wanted not in {None, name}:
            raise ValueError(f"the object {id_.decode('ascii', 'replace')} is cut off or overwritten")
        return kind, data
