"""Values that a program makes: one that cannot be made is told as a method tells one that it cannot use."""

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

from pydantic import ValidationError

from phaseflow.domain.errors import InvalidValue
from phaseflow.domain.validation import first_fault

T = TypeVar("T")


def told_in_words(kind: type[T]) -> type[T]:
    """For a model or dataclass of pydantic: made by a call, it raises InvalidValue, which names the field; made from
    JSON, it is checked as before, by whoever reads that."""
    made: Callable[..., None] = kind.__init__
    names = [each.name for each in fields(kind)] if hasattr(kind, "__dataclass_fields__") else []  # type: ignore[arg-type]  # it is one

    @wraps(made)
    def make(self: T, /, *given: Any, **named: Any) -> None:
        try:
            made(self, *given, **named)
        except ValidationError as error:
            fault = first_fault(error)
            first, dot, rest = fault.place.partition(".")
            if first.isdecimal() and int(first) < len(names):  # given by its position
                first = names[int(first)]
            place = ".".join(part for part in (kind.__name__, f"{first}{dot}{rest}") if part)
            raise InvalidValue(place, fault.problem) from None

    make.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # else JSON would be made by it, too
    kind.__init__ = make  # type: ignore[method-assign, assignment]  # what is made by it is the same
    return kind
