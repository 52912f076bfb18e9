"""Files of this machine that somebody names to have them pushed."""

from pathlib import Path
from typing import BinaryIO

from phaseflow.domain.errors import InvalidRequest


def opened(path: Path) -> BinaryIO:
    """A file, open for reading; whoever asks closes it. Raises InvalidRequest for what cannot be read."""
    if not path.is_file():  # opening a FIFO would wait for ever
        raise InvalidRequest("files", f"{path} is not a file; check the name")
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidRequest("files", f"cannot read {path} ({error.strerror}); fix its permissions") from error
