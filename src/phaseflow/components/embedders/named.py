"""Embedding servers that the operator has set up under a name, in the JSON file that ``PHASEFLOW_EMBEDDERS`` names."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, TypeAdapter

from phaseflow.components.operator_file import read_operator_file
from phaseflow.domain.patterns import VARIABLE_WORDS, worded
from phaseflow.domain.settings import EMBEDDER_NAME, OpenAIEmbedderSettings

VARIABLE = "PHASEFLOW_EMBEDDERS"


class NamedEmbedder(OpenAIEmbedderSettings):
    """A server with its model. ``api_key_env`` is the environment variable that holds its key; None: it needs none."""

    api_key_env: Annotated[str | None, Field(pattern=worded("^[A-Za-z_][A-Za-z0-9_]*$", VARIABLE_WORDS))] = None


Named = Mapping[str, NamedEmbedder]
_FILE: TypeAdapter[dict[str, NamedEmbedder]] = TypeAdapter(
    dict[Annotated[str, Field(pattern=EMBEDDER_NAME)], NamedEmbedder]
)


def named_embedders() -> Named:
    """Read the file; nothing when none is named. Raises InvalidRequest, saying what in it is wrong. Blocking."""
    return read_operator_file(VARIABLE, _FILE, "server")
