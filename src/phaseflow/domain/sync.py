"""How a knowledge base is kept in step with its sources: by the clock, and by what the file system tells."""

import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from phaseflow.domain.made_values import told_in_words

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST_S = 366 * 86_400
SHORTEST_S = 10
"""Every job lists the whole source, asks sites for their pages, and leaves rows in the history."""
_FALLBACK_S = 600
"""How often a folder is read that cannot be watched, where no time was given."""


def _seconds_of(every: str) -> int:
    """``90s``, ``15m``, ``6h`` or ``1d`` in seconds. Raises ValueError."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", every)
    seconds = int(found[1]) * _UNITS_S[found[2]] if found else 0
    if not 0 < seconds <= LONGEST_S:
        raise ValueError("write a time as 90s, 15m, 6h or 1d, at most 366d")
    return seconds


def _checked(every: str) -> str:
    _seconds_of(every)
    return every


_Time = Annotated[str, Field(max_length=20), AfterValidator(_checked)]


def _is_none(value: object) -> bool:
    return value is None


@told_in_words
class SyncSettings(BaseModel):
    """When jobs start by themselves: ``every`` so often, and with ``watch`` when a file of a folder changes.

    Less than ``SHORTEST_S`` is refused where settings are given; where it is stored, it counts as that.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    every: Annotated[_Time | None, Field(exclude_if=_is_none)] = None
    watch: bool = False

    @property
    def is_too_often(self) -> bool:
        """``every`` is less than ``SHORTEST_S``."""
        return self.every is not None and _seconds_of(self.every) < SHORTEST_S

    def interval(self, *, watch_failed: bool = False) -> timedelta | None:
        """How often a job starts by the clock; None for never."""
        if self.every is not None:
            return timedelta(seconds=max(SHORTEST_S, _seconds_of(self.every)))
        return timedelta(seconds=_FALLBACK_S) if self.watch and watch_failed else None


_ADJUSTED = timedelta(seconds=1)
"""A wall clock that disagrees by less with one that never steps was only adjusted."""


def due_at(
    last: datetime | None, interval: timedelta | None, now: datetime, age: timedelta | None = None
) -> datetime | None:
    """When the next job is due by the clock; None for never. However many times were missed, it is due once.

    ``age``: how long ago the last one was, by a clock that never steps, when that is known. The earlier reading
    counts: a wall clock that was set back holds no job up, and time that the machine slept through has passed. A
    last start that lies ahead of ``now``, and whose age nobody knows, was noted before the clock was set back.
    """
    if interval is None:
        return None
    by_wall = None if last is None or last > now else last + interval
    if age is None or last is None:
        return by_wall or now
    by_age = now + interval - age
    return by_age if by_wall is None or by_age < by_wall - _ADJUSTED else by_wall
