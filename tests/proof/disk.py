"""A small disk for the database, filled and emptied while an engine works on it."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

SIZE_MB = 192
"""Room for the database of a long storm. The rest is taken by a file that grows and goes."""
OWN_MOUNTS = "PHASEFLOW_CHAOS_OWN_MOUNTS"


def enter_own_mounts(module: str) -> None:
    """Begin anew (``exec``) where this process may mount: what it mounts ends with it, and nobody else sees it.

    Does nothing where that cannot be, or was done already.
    """
    unshare = shutil.which("unshare")
    if unshare is None or OWN_MOUNTS in os.environ:
        return
    command = [unshare, "--mount"] if os.geteuid() == 0 else [unshare, "--user", "--map-root-user", "--mount"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        return
    environment = {**os.environ, OWN_MOUNTS: "1"}
    os.execve(unshare, [*command, sys.executable, "-m", module, *sys.argv[1:]], environment)  # noqa: S606  # no shell


class Disk:
    """A folder on a filesystem of its own, where the process may mount; ``is_real`` is False where it may not."""

    def __init__(self, folder: Path, size_mb: int = SIZE_MB) -> None:
        folder.mkdir()
        self.folder = folder
        self._size_mb = size_mb
        self._balloon = folder / "balloon"
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "phaseflow-chaos", str(folder)]
        try:
            self.is_real = (
                OWN_MOUNTS in os.environ and not subprocess.run(mount, capture_output=True, check=False).returncode
            )
        except FileNotFoundError:
            self.is_real = False

    def __str__(self) -> str:
        if self.is_real:
            return f"a filesystem of {self._size_mb} MB of its own, which is filled and emptied"
        return "simulated: this process may not mount a filesystem, so commits fail as on a full disk"

    @property
    def used_mb(self) -> int:
        """How much is taken."""
        found = os.statvfs(self.folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize >> 20

    def fill(self, left: int) -> None:
        """Take all room but ``left`` bytes, which may be none."""
        if not self.is_real:
            return
        with self._balloon.open("ab") as file:
            found = os.statvfs(self.folder)
            taken = found.f_bavail * found.f_frsize - left
            while taken > 0:
                try:
                    os.posix_fallocate(file.fileno(), file.tell(), taken)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    taken //= 2  # the engine took some of it meanwhile
                else:
                    return

    def empty(self) -> None:
        """Give the room back."""
        self._balloon.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the filesystem; what is in it is gone."""
        if self.is_real:
            subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)
