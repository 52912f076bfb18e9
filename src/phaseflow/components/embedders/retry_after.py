"""How long a server asks to wait, read from the headers of its answer."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MOST_S = 24 * 3600.0
"""A longer wait means nothing that could be acted upon."""
_LONGEST_DATE = 100


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait from ``now`` (aware), 0 to ``MOST_S``; None when nothing readable was said.

    Never raises, whatever the headers contain.

    ``retry-after-ms`` (milliseconds) goes before ``retry-after``, which is seconds or an HTTP date (RFC 9110, 10.2.3).
    ``headers`` are looked up in lower case.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, MOST_S)
    given = headers.get("retry-after")
    seconds = _number(given)
    seconds = _until(given, now) if seconds is None else seconds
    return None if seconds is None else min(seconds, MOST_S)


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _until(value: str | None, now: datetime) -> float | None:
    if not value or len(value) > _LONGEST_DATE:
        return None
    try:
        at = parsedate_to_datetime(value)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return max(0.0, (at - now).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):  # years, zones and days that there are not
        return None
