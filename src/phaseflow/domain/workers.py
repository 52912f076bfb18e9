"""Where the work that costs CPU is done: what ``--workers``, PHASEFLOW_WORKERS and ``workers=`` may say."""

import re
from typing import NamedTuple

from phaseflow.domain.errors import InvalidRequest

VARIABLE = "PHASEFLOW_WORKERS"
_MOST_PROCESSES = 1024
_RAY_ADDRESS = re.compile(r"ray://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
CHOICES = "must be a number of processes, ray, or ray://HOST:PORT"


class RayCluster(NamedTuple):
    """A cluster of Ray: one of our own on this machine, or the one at ``address``."""

    address: str | None = None


def parse_workers(given: int | str, field: str = "workers") -> int | RayCluster:
    """A number of processes of this machine, or a cluster. Raises InvalidRequest for anything else."""
    words = str(given).strip()
    if isinstance(given, bool) or (not re.fullmatch("-?[0-9]{1,9}", words) and not words.startswith("ray")):
        raise InvalidRequest(field, f"{CHOICES}, not {words[:100]!r}")
    if not words.startswith("ray"):
        if not 1 <= int(words) <= _MOST_PROCESSES:
            raise InvalidRequest(field, f"must be 1 to {_MOST_PROCESSES:,} processes, not {int(words):,}")
        return int(words)
    address = _RAY_ADDRESS.fullmatch(words)
    if words != "ray" and (address is None or not 1 <= int(address[2]) <= 65_535):
        raise InvalidRequest(field, f"{CHOICES}, not {words[:100]!r}")
    return RayCluster(None if address is None else words)
