"""Embedding servers that the operator has set up under a name, in the JSON file that ``PHASEFLOW_EMBEDDERS`` names."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.settings import EMBEDDER_NAME, OpenAIEmbedderSettings
from phaseflow.domain.validation import first_fault

VARIABLE = "PHASEFLOW_EMBEDDERS"
LONGEST_FILE = 1_000_000
"""Bytes."""


class NamedEmbedder(OpenAIEmbedderSettings):
    """A server with its model. ``api_key_env`` is the environment variable that holds its key; None: it needs none."""

    api_key_env: Annotated[str | None, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")] = None


Named = Mapping[str, NamedEmbedder]
_FILE: TypeAdapter[dict[str, NamedEmbedder]] = TypeAdapter(
    dict[Annotated[str, Field(pattern=EMBEDDER_NAME)], NamedEmbedder]
)


def named_embedders() -> Named:
    """Read the file; nothing when none is named. Raises InvalidRequest, saying what in it is wrong. Blocking."""
    path = os.environ.get(VARIABLE, "").strip()
    if not path:
        return {}
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(LONGEST_FILE + 1)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidRequest(VARIABLE, f"{path} cannot be read ({reason}); name a JSON file") from error
    if len(content) > LONGEST_FILE:
        raise InvalidRequest(VARIABLE, f"{path} has more than {LONGEST_FILE:,} bytes; it holds one object a server")
    try:
        return _FILE.validate_json(content)
    except ValidationError as error:
        fault = first_fault(error)
        raise InvalidRequest(VARIABLE, f"{path}: {fault.place or 'the file'}: {fault.problem}") from None
