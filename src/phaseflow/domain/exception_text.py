"""What an exception says, in words to keep and to show: somebody else has written it, so anything may be in it."""

from typing import Final

from phaseflow.domain.errors import PhaseflowError
from phaseflow.domain.identifiers import sayable

LONGEST: Final = 4_000
"""Characters that are kept of what an exception says, as many as of the error of a phase."""


def text_of(error: BaseException) -> str:
    """What it says, on one line of at most ``LONGEST`` characters; the name of its type where it says nothing.

    Never raises, whatever its ``__str__`` does. That of a KeyError is only the key: it is named as ``named`` does.
    """
    return named(error) if isinstance(error, KeyError) and not isinstance(error, PhaseflowError) else _said(error)


def named(error: BaseException) -> str:
    """The same with the name of its type before it: ``ValueError: boom``, ``KeyError: 'k'``."""
    name, said = type(error).__name__, _said(error)
    return _cut(f"{name}: {said}") if said != name else name


def _said(error: BaseException) -> str:
    try:
        said = str(error)
    except (Exception, SystemExit, GeneratorExit):  # noqa: BLE001  # whatever it is, the error itself is told
        said = ""
    except BaseException as raised:
        from asyncio import CancelledError  # here: to import it is a third of what a worker takes to start

        if not isinstance(raised, CancelledError):
            raise
        said = ""
    # A name of a file that is not UTF-8 has halves of characters in Python, which can be neither stored nor sent.
    lines = (line.strip() for line in sayable(said[: 2 * LONGEST]).splitlines())
    return _cut(" ".join(filter(None, lines))) or type(error).__name__


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
