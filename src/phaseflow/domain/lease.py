"""The lease of a job whose program runs elsewhere."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lease:
    """How long such a job is taken for alive after the last report, in seconds.

    ``can_retry``: its program retries failed phases when its user asks for it. ``expired``: it has not been heard of
    for that long.
    """

    seconds: float
    can_retry: bool = False
    expired: bool = False
