"""The logger of the library. It sets up nothing: where the records go is the host's choice, by standard logging."""

import logging
from typing import Any

from phaseflow.domain.errors import PhaseflowError

NAME = "phaseflow"


def get_logger(**bound: object) -> Any:
    """A structlog logger on the standard logger ``phaseflow``, with these values bound.

    Silent until the host adds a handler. Key-value pairs arrive as attributes of the log record.
    """
    import structlog  # 40 ms, which a command that only reads need not spend

    standard = logging.getLogger(NAME)
    if not standard.handlers:
        standard.addHandler(logging.NullHandler())
    logger = structlog.wrap_logger(
        standard,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.render_to_log_kwargs,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return logger.bind(**bound)


def log_failure(logger: Any, event: str, error: BaseException, **more: object) -> None:
    """Log what made something fail. An error of ours is expected: its message says all, and the status has it too, so
    it is an event among others. Any other is a fault of a program and comes with its traceback; so do all in detail.
    """
    if isinstance(error, PhaseflowError) and not logger.isEnabledFor(logging.DEBUG):
        logger.info(event, error=str(error), **more)
    else:
        logger.error(event, exc_info=error, **more)
