"""What is wrong with a value is said in our words, whatever model it is wrong for."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

import phaseflow
from phaseflow.domain.validation import first_fault
from tests.matrices import together

WRONG: tuple[Any, ...] = (
    None, True, 5, -1, 10**30, 1.5, float("nan"), "", " ", "x" * 5000, "\0", [], [None], [[]], [""], [{}], {},
    {"": None}, {"type": "x"}, {"type": None}, {"a": {"b": []}}, [5] * 200, b"\xff",
)  # fmt: skip
TECHNICAL = re.compile(r"function-|constrained|\[type=|NoneType|pydantic|validator|_is_|list\[|dict\[|union\[|lambda")


def models() -> Iterator[type[BaseModel]]:
    for package in ("phaseflow.http", "phaseflow.domain"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            for each in vars(importlib.import_module(module.name)).values():
                if isinstance(each, type) and issubclass(each, BaseModel) and each.__module__ == module.name:
                    yield each


def _name(model: type[BaseModel]) -> str:
    return model.__name__


MODELS: list[type[BaseModel]] = sorted(models(), key=_name)


@together("model", MODELS, ids=_name)
def test_no_fault_is_told_in_the_words_of_a_library(model: type[BaseModel]) -> None:
    for value in WRONG:
        for given in (value, *({field.alias or name: value} for name, field in model.model_fields.items())):
            try:
                TypeAdapter(model).validate_python(given)
            except ValidationError as error:
                fault = first_fault(error)
                assert not TECHNICAL.search(f"{fault.place}: {fault.problem}"), (given, fault.place, fault.problem)


def test_there_are_models() -> None:
    assert phaseflow.__name__ == "phaseflow"
    assert len(MODELS) > 20
