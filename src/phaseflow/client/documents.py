"""Files of this machine, as the parts of a request."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from phaseflow.domain.errors import InvalidRequest

Part = tuple[str, tuple[str, BinaryIO]]


@contextmanager
def files_of(paths: Iterable[str | Path]) -> Iterator[list[Part]]:
    """The files, open for the length of the block. Raises InvalidRequest, naming one that cannot be read."""
    with ExitStack() as stack:
        yield [("files", (path.name, stack.enter_context(_opened(path)))) for path in map(Path, paths)]


def _opened(path: Path) -> BinaryIO:
    if not path.is_file():  # opening a FIFO would wait for ever
        raise InvalidRequest("files", f"{path} is no file; check the name")
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidRequest("files", f"cannot read {path} ({error.strerror}); mend its permissions") from error
