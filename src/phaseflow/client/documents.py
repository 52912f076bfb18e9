"""Files of this machine, as the parts of a request."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from phaseflow.domain.errors import InvalidRequest

Given = str | Path | tuple[str, bytes]
"""A file of this machine, or a name and what is to stand under it."""
Part = tuple[str, tuple[str, BinaryIO]]


@contextmanager
def files_of(given: Iterable[Given]) -> Iterator[list[Part]]:
    """The files, open for the length of the block. Raises InvalidRequest, naming one that cannot be read."""
    with ExitStack() as stack:
        yield [("files", _named(one, stack)) for one in given]


def _named(given: Given, stack: ExitStack) -> tuple[str, BinaryIO]:
    if isinstance(given, tuple):
        return given[0], BytesIO(given[1])
    path = Path(given)
    return path.name, stack.enter_context(_opened(path))


def _opened(path: Path) -> BinaryIO:
    if not path.is_file():  # opening a FIFO would wait for ever
        raise InvalidRequest("files", f"{path} is not a file; check the name")
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidRequest("files", f"cannot read {path} ({error.strerror}); fix its permissions") from error
