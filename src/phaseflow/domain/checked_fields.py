"""Fields of dataclasses that programs make: each is of its kind, and a number within its bounds."""

import math
from dataclasses import fields
from types import NoneType
from typing import Any, get_args

from phaseflow.domain.errors import InvalidValue
from phaseflow.domain.values import kind_of


def check_numbers(made: Any, **most: float) -> None:
    """For a dataclass whose fields are numbers, 0 or more, or None where their types have it. ``most``: the largest
    value of a field. Raises InvalidValue."""
    for each in fields(made):
        kinds = get_args(each.type) or (each.type,)
        value = getattr(made, each.name)
        if value is None and NoneType in kinds:
            continue
        is_whole = float not in kinds
        is_number = isinstance(value, int if is_whole else int | float) and not isinstance(value, bool)
        if not is_number or math.isnan(value) or not 0 <= value <= most.get(each.name, math.inf):
            what = f"a {'whole ' if is_whole else ''}number, 0 or more"
            what += f" and at most {most[each.name]:g}" if each.name in most else ""
            what += ", or None" if NoneType in kinds else ""
            shown = f"{value}" if kind_of(value) == "a number" else kind_of(value)
            raise InvalidValue(f"{type(made).__name__}.{each.name}", f"must be {what}, not {shown}")


def check_kinds(made: Any) -> None:
    """For a dataclass whose fields are of classes of ours. Raises InvalidValue."""
    for each in fields(made):
        value = getattr(made, each.name)
        if not isinstance(value, each.type):  # type: ignore[arg-type]  # a class
            raise InvalidValue(
                f"{type(made).__name__}.{each.name}",
                f"must be a {getattr(each.type, '__name__', '')}, not {kind_of(value)}",
            )
