"""The public API: ``PhaseFlow`` runs ingestion inside an asyncio application, ``Reader`` reads beside a running one.

Names are imported when they are first used: a reader needs nothing of what runs jobs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseflow.flow.job import Job as Job
    from phaseflow.flow.phase_flow import PhaseFlow as PhaseFlow
    from phaseflow.flow.reader import Reader as Reader

__all__ = ["Job", "PhaseFlow", "Reader"]

_HOMES = {"Job": "job", "PhaseFlow": "phase_flow", "Reader": "reader"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'phaseflow.flow' has no attribute {name!r}")
    value = getattr(import_module(f"phaseflow.flow.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
