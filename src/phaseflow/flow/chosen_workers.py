"""Where documents are read and embedded: processes of this machine, a cluster, or workers of the program."""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from phaseflow.domain.errors import InvalidRequest, MissingExtra
from phaseflow.domain.workers import CHOICES, VARIABLE, RayCluster, parse_workers

if TYPE_CHECKING:
    from phaseflow.components.workers.protocol import Workers
    from phaseflow.flow.inputs import WorkersLike


def chosen_workers(given: "WorkersLike | None") -> "int | RayCluster | Workers | None":
    """The choice of workers, checked; None: by PHASEFLOW_WORKERS, else as many processes as there are cores.

    Raises InvalidRequest for what is none, MissingExtra for Ray where its extra is absent.
    """
    field = "workers"
    if given is None:
        given, field = os.environ.get(VARIABLE, "").strip() or None, VARIABLE
    if given is None:
        return None
    if not isinstance(given, int | str):
        from phaseflow.components.workers.protocol import Workers

        if isinstance(given, type) or not isinstance(given, Workers):
            raise InvalidRequest("workers", f"{CHOICES}, or an object with the methods of Workers")
        return given
    chosen = parse_workers(given, field)
    if isinstance(chosen, RayCluster) and find_spec("ray") is None:
        raise MissingExtra("a cluster of Ray", "ray")
    return chosen


def make_workers(chosen: "int | RayCluster | Workers | None") -> "Workers":
    """The workers of a choice. Nothing is started or joined yet."""
    if isinstance(chosen, RayCluster):
        from phaseflow.components.workers.ray.workers import RayWorkers

        return RayWorkers(chosen.address)
    if isinstance(chosen, int | None):
        from phaseflow.components.workers.local import LocalWorkers

        return LocalWorkers(chosen)
    return chosen
