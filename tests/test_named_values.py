"""Where the docs show the name of a status, a phase or a verb, a type checker takes that name as well."""

from collections.abc import Iterator
from enum import Enum
from inspect import Parameter, signature
from typing import Any, get_args

from phaseflow import PhaseFlow, PhaseTracker, Reader
from phaseflow.client import Client
from phaseflow.client.tracker import TrackerCalls
from phaseflow.domain.vocabulary import Action, JobPhase
from phaseflow.flow.job import Job
from tests.matrices import together

FACES = (PhaseFlow, Reader, Job, PhaseTracker, Client, TrackerCalls)


def _methods(face: type) -> Iterator[tuple[str, Any]]:
    for name in dir(face):
        if name == "__init__" or not name.startswith("_"):
            found = getattr(face, name)
            if callable(found):
                yield f"{face.__name__}.{name}", found


def _enums_without_a_name(annotation: Any) -> Iterator[type]:
    """The enums that an annotation takes, where it does not take a string in the same place."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        yield annotation
        return
    assert not isinstance(annotation, str), "written so that nothing can look into it"
    parts = get_args(annotation)
    for part in parts:
        if not (str in parts and isinstance(part, type) and issubclass(part, Enum)):
            yield from _enums_without_a_name(part) if not isinstance(part, str | list) else ()


@together(
    ("annotation", "found"),
    [
        (JobPhase, [JobPhase]),
        (JobPhase | None, [JobPhase]),
        (list[JobPhase], [JobPhase]),
        (list[JobPhase | str] | None, []),
        (JobPhase | str | None, []),
    ],
)
def test_an_enum_without_a_name_is_found(annotation: Any, found: list[type]) -> None:
    assert list(_enums_without_a_name(annotation)) == found


@together("face", FACES)
def test_a_value_that_has_a_name_may_be_given_by_it(face: type) -> None:
    refused, seen = [], set()
    for name, method in _methods(face):
        for parameter in signature(method).parameters.values():
            if parameter.annotation is Parameter.empty or isinstance(parameter.annotation, str):
                continue
            seen.add(parameter.annotation)
            refused += [
                f"{name}({parameter.name}: {each.__name__})" for each in _enums_without_a_name(parameter.annotation)
            ]
    assert refused == []
    assert seen


def test_the_verbs_are_looked_at() -> None:
    assert signature(PhaseFlow.act).parameters["action"].annotation == Action | str
