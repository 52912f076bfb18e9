"""The ids of the live feed: a number in the log and, where it is asked for, after a hyphen which log that is."""

import re
from dataclasses import dataclass
from typing import Self

_MOST_DIGITS = 30
"""A number with more of them is in no log either, and Python refuses to read one of thousands."""
_ID = re.compile(r"([0-9]+)(?:-([0-9a-f]{1,32}))?")
PATTERN = "^[0-9]+(-[0-9a-f]+)?$"
"""Of those that are sent."""


@dataclass(frozen=True, slots=True)
class EventId:
    """What a client has last seen. ``log`` None: a plain number, taken for one of this log."""

    seq: int
    log: str | None = None

    @classmethod
    def of(cls, text: str | None) -> Self | None:
        """The id in a header or a query; None when it is none."""
        match = _ID.fullmatch(text or "")
        return None if match is None else cls(int(match[1][:_MOST_DIGITS]), match[2])


_ID_LINE = re.compile(rb"^(id: [0-9]+)$", re.MULTILINE)


def with_log(events: bytes, log: str) -> bytes:
    """Events whose ids say which log they come from."""
    return _ID_LINE.sub(rb"\1-" + log.encode(), events)
