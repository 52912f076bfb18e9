"""The time of day, as long as this process lives never going back."""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Wall time read once, then advanced by the monotonic clock: setting the clock back makes no negative durations."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._monotonic_s = time.monotonic()

    def now(self) -> datetime:
        """UTC."""
        return self._began + timedelta(seconds=time.monotonic() - self._monotonic_s)
