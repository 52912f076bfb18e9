"""What the operator of a service has set up under names: a JSON file that an environment variable names."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.validation import first_fault

T = TypeVar("T")

EMBEDDERS: Final = "PHASEFLOW_EMBEDDERS"
CONNECTIONS: Final = "PHASEFLOW_CONNECTIONS"
_LONGEST_FILE = 1_000_000
"""Bytes."""


def is_named(variable: str) -> bool:
    """Whether the variable names a file."""
    return bool(_named_by(variable))


def read_operator_file(variable: str, shape: TypeAdapter[dict[str, T]], what: str) -> Mapping[str, T]:
    """The objects by name; none when the variable names no file. ``what`` one of them is, for the message.

    Raises InvalidRequest, saying what in the file is wrong. Blocking.
    """
    path = _named_by(variable)
    if not path:
        return {}
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidRequest(variable, f"{path} cannot be read ({reason}); name a JSON file") from error
    if len(content) > _LONGEST_FILE:
        raise InvalidRequest(variable, f"{path} has more than {_LONGEST_FILE:,} bytes; it holds one object a {what}")
    try:
        return shape.validate_json(content)
    except ValidationError as error:
        fault = first_fault(error)
        raise InvalidRequest(variable, f"{path}: {fault.place or 'the file'}: {fault.problem}") from None


def _named_by(variable: str) -> str:
    return os.environ.get(variable, "").strip()
