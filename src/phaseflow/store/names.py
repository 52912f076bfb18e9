"""The names of a database file: it may have one only.

What SQLite has committed and not yet brought into the file lies beside it, under the name the file was opened by. An
engine that opens it by another name does not see that, and the lock is another one too
(https://sqlite.org/howtocorrupt.html, 2.5). Symbolic links do no harm: they are followed first.
"""

import os
from pathlib import Path

from phaseflow.domain.errors import StoreUnavailable

_MOUNTS = Path("/proc/self/mountinfo")
_MOUNT_POINT = 4
"""The field of a line of mountinfo (proc(5)); blanks in it are written in octal."""


def check_only_name(path: Path, found: os.stat_result) -> None:
    """Raise StoreUnavailable when the file has another name: by a hard link, or because it is mounted by itself."""
    if found.st_nlink > 1:
        raise StoreUnavailable(
            f"{path} has {found.st_nlink} names (hard links), and opening it by two of them loses what was written;"
            " remove the others, or make a copy"
        )
    if _is_mounted(path):
        raise StoreUnavailable(
            f"{path} is mounted as a single file, but what belongs to it lies beside it; mount its folder instead"
        )


def _is_mounted(path: Path) -> bool:
    try:
        mounts = _MOUNTS.read_bytes()
    except OSError:
        return False  # not Linux, or no /proc: nothing tells
    name = os.fsencode(os.path.realpath(path))
    return any(_unescaped(line.split(b" ", 5)[_MOUNT_POINT]) == name for line in mounts.splitlines())


def _unescaped(field: bytes) -> bytes:
    for code, byte in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(code, byte)
    return field
