"""The logger of the library. It sets up nothing: where the records go is the host's choice, by standard logging."""

import logging
import sys
from collections.abc import Mapping

from phaseflow.domain.errors import PhaseflowError
from phaseflow.domain.exception_text import text_of

NAME = "phaseflow"
_CONTEXT = "structlog.contextvars"


class _Logger:
    """Events with key-value pairs on a standard logger, as one of structlog's takes them.

    Not structlog itself: with what it brings along it takes 0.1 s to import, of each process that opens a database.
    The values that it has bound in the context of a task are added where something else has imported it.
    """

    def __init__(self, standard: logging.Logger, bound: Mapping[str, object]) -> None:
        self._standard = standard
        self._bound = bound

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # as the standard logger has it
        """Whether records of this level go anywhere."""
        return self._standard.isEnabledFor(level)

    def debug(self, event: str, **values: object) -> None:
        """Details for developers."""
        self._log(logging.DEBUG, event, values)

    def info(self, event: str, **values: object) -> None:
        """Something that was to be expected."""
        self._log(logging.INFO, event, values)

    def warning(self, event: str, **values: object) -> None:
        """Something that an operator may have to look at."""
        self._log(logging.WARNING, event, values)

    def error(self, event: str, *, exc_info: BaseException | None = None, **values: object) -> None:
        """Something that failed; with ``exc_info`` comes its traceback."""
        self._log(logging.ERROR, event, values, exc_info)

    def _log(self, level: int, event: str, values: Mapping[str, object], exc_info: BaseException | None = None) -> None:
        if self._standard.isEnabledFor(level):
            context = sys.modules.get(_CONTEXT)
            found = {} if context is None else context.get_contextvars()
            extra = {**found, **self._bound, **values}
            self._standard.log(level, event, exc_info=exc_info, extra=extra, stacklevel=3)


def get_logger(**bound: object) -> _Logger:
    """A logger on the standard logger ``phaseflow``, with these values bound.

    Silent until the host adds a handler. Key-value pairs arrive as attributes of the log record.
    """
    standard = logging.getLogger(NAME)
    if not standard.handlers:
        standard.addHandler(logging.NullHandler())
    return _Logger(standard, bound)


def log_failure(logger: _Logger, event: str, error: BaseException, **more: object) -> None:
    """Log what made something fail. An error of ours is expected: its message says all, and the status has it too, so
    it is an event among others. Any other is a fault of a program and comes with its traceback; so do all in detail.
    """
    if isinstance(error, PhaseflowError) and not logger.isEnabledFor(logging.DEBUG):
        logger.info(event, error=text_of(error), **more)
    else:
        logger.error(event, exc_info=error, **more)
