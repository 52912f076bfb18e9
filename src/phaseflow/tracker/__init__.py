"""Every change of a job's state: compare, set, log, commit, then tell.

``StateHub`` is what the engine works on. ``PhaseTracker`` is the face of it for programs with a pipeline of their own.
"""

from phaseflow.tracker.admission import NextJob
from phaseflow.tracker.phase_tracker import PhaseTracker
from phaseflow.tracker.state_hub import Change, Changed, StateHub, Step, change_in

__all__ = [
    "Change",
    "Changed",
    "NextJob",
    "PhaseTracker",
    "StateHub",
    "Step",
    "change_in",
]
