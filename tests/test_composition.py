"""The public API is a face over collaborators: no hooks for subclasses, and nothing of the engine for programs."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import phaseflow.flow
from phaseflow import PhaseFlow, PhaseTracker, Reader
from tests.matrices import together

REPORTS = {
    "open", "feed", "initialize_phases", "start_phase", "pause_phase", "resume_phase", "complete_phase", "fail_phase",
    "retry_phase", "update_progress", "renew_lease", "get_consolidated_status",
}  # fmt: skip


def _classes() -> Iterator[type]:
    for module in pkgutil.iter_modules(phaseflow.flow.__path__, "phaseflow.flow."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if kind.__module__ == module.name:
                yield kind


def test_a_class_of_flow_has_at_most_one_base_there_and_overrides_nothing_of_it() -> None:
    for kind in _classes():
        bases = [base for base in kind.__mro__[1:] if base.__module__.startswith("phaseflow.flow")]
        assert len(bases) <= 1, kind
        for base in bases:
            assert {*vars(kind)} & {*vars(base)} <= {"__doc__", "__init__", "__module__"}, kind
        if not getattr(kind, "_is_protocol", False):
            assert not inspect.isabstract(kind), kind


@together("kind", [PhaseFlow, Reader, PhaseTracker])
def test_help_shows_what_each_public_member_takes_and_does(kind: type) -> None:
    for name in [name for name in dir(kind) if not name.startswith("_")]:
        member = inspect.getattr_static(kind, name)
        assert inspect.getdoc(member), name
        called = getattr(kind, name)
        if not isinstance(member, property):
            assert not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(called).parameters.values()), name


def test_the_tracker_of_programs_has_nothing_of_the_engine() -> None:
    assert {name for name in dir(PhaseTracker) if not name.startswith("_")} == REPORTS
