"""Logging of the commands, to stderr only. A program that uses the library sets up its own."""

import logging
import sys
from typing import TYPE_CHECKING

from phaseflow.cli import streams
from phaseflow.cli.plain_text import one_line, printable
from phaseflow.cli.terminal import write_log

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

_MANY_LINES = frozenset({"exception", "stack"})

_LEVELS = {0: logging.WARNING, 1: logging.INFO}


class _Handler(logging.Handler):
    """Writes where everything else is written, so that lines keep their order and go above live bars.

    What makes lines of records is made for the first one: structlog brings rich and attrs with it, an eighth of what
    ``phaseflow ingest`` imports, and most jobs have nothing to say. Where it cannot be imported any more (no file may
    be opened), the record is a plain line.
    """

    def __init__(self, *, at_once: bool) -> None:
        super().__init__()
        self._lines = _formatter() if at_once else None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines = self._lines or _formatter()
        except (ImportError, OSError):
            write_log(one_line(record.getMessage()) + "\n")
        else:
            write_log(self._lines.format(record) + "\n")


def set_up(verbosity: int, *, quietest: int = 0) -> None:
    """Send every record to stderr: readable in a terminal, JSON lines otherwise.

    From here on no output waits for a reader: an engine is about to run.
    ``verbosity`` counts the -v options: warnings, then events, then details. ``quietest`` is the least a command shows.
    """
    streams.go_to_background()
    is_talkative = verbosity or quietest or "structlog" in sys.modules
    handler = _Handler(at_once=bool(is_talkative))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("phaseflow").setLevel(_LEVELS.get(max(verbosity, quietest), logging.DEBUG))


def _formatter() -> logging.Formatter:
    """Makes lines of records, of structlog's too: what is logged with it comes the same way from here on."""
    import structlog

    shared = _shared()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers()],
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
    )


def _shared() -> "list[Processor]":
    import structlog

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _escape(logger: object, method: str, event: "EventDict") -> "EventDict":
    """What is of others must not steer the terminal; a traceback keeps its line ends."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = printable(value) if name in _MANY_LINES else one_line(value)
        elif not isinstance(value, bool | int | float | None):
            event[name] = one_line(repr(value))
    return event


def _renderers() -> "list[Processor]":
    import structlog

    if sys.stderr.isatty():
        return [structlog.processors.format_exc_info, _escape, structlog.dev.ConsoleRenderer()]
    # Without the values of variables: among them are headers, and with them the token.
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [structlog.processors.ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer()]
