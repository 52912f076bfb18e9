"""Connections that the operator has set up under a name, in the JSON file that ``PHASEFLOW_CONNECTIONS`` names."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from phaseflow.domain.errors import ComponentUnavailable, InvalidRequest
from phaseflow.domain.remote_sources import CONNECTION_NAME, LONGEST_URL
from phaseflow.domain.validation import first_fault

VARIABLE = "PHASEFLOW_CONNECTIONS"
LONGEST_FILE = 1_000_000
"""Bytes."""


class NamedConnection(BaseModel):
    """How to reach a server. ``options`` are those of the file system of ``protocol``; ``env`` gives more, each from
    the environment variable that it names. ``url``: only what lies at or below it is read through this connection.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    protocol: Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]{0,30}$")]
    options: Mapping[str, Any] = {}
    env: Mapping[str, Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]] = {}
    url: Annotated[str | None, Field(min_length=1, max_length=LONGEST_URL)] = None

    def secrets(self) -> dict[str, str]:
        """The options that stand in the environment. Raises ComponentUnavailable when one is missing."""
        found = {}
        for option, variable in self.env.items():
            value = os.environ.get(variable, "").strip()
            if not value:
                raise ComponentUnavailable(f"the {option} of the connection is missing: set {variable}")
            found[option] = value
        return found

    def covers(self, url: str) -> bool:
        """Say whether an address lies at or below ``url``. One that climbs (``..``) does not."""
        if self.url is None:
            return True
        top = self.url.rstrip("/")
        return (url == top or url.startswith(f"{top}/")) and ".." not in unquote(url[len(top) :]).split("/")


Connections = Mapping[str, NamedConnection]
_FILE: TypeAdapter[dict[str, NamedConnection]] = TypeAdapter(
    dict[Annotated[str, Field(pattern=CONNECTION_NAME)], NamedConnection]
)


def named_connections() -> Connections:
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
        raise InvalidRequest(VARIABLE, f"{path} has more than {LONGEST_FILE:,} bytes; it holds one object a connection")
    try:
        return _FILE.validate_json(content)
    except ValidationError as error:
        fault = first_fault(error)
        raise InvalidRequest(VARIABLE, f"{path}: {fault.place or 'the file'}: {fault.problem}") from None


def connection_named(name: str, known: Connections) -> NamedConnection:
    """The connection of that name. Raises InvalidRequest when the operator has set up none."""
    if name in known:
        return known[name]
    names = ", ".join(known) or f"none: {VARIABLE} names the file that lists them"
    raise InvalidRequest("source.connection", f"there is no connection {name!r}; known: {names}")
