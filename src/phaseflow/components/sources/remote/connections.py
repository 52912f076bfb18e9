"""Connections that the operator has set up under a name, in the JSON file that ``PHASEFLOW_CONNECTIONS`` names."""

import os
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from phaseflow.components.operator_file import read_operator_file
from phaseflow.domain.errors import ComponentUnavailable, InvalidRequest
from phaseflow.domain.patterns import VARIABLE_WORDS, worded
from phaseflow.domain.remote_sources import CONNECTION_NAME, LONGEST_URL

VARIABLE = "PHASEFLOW_CONNECTIONS"


_PROTOCOL = worded(r"^[a-z][a-z0-9+.-]{0,30}$", "must be how such addresses begin, as s3 or sftp")


class NamedConnection(BaseModel):
    """How to reach a server. ``options`` are those of the file system of ``protocol``; ``env`` gives more, each from
    the environment variable that it names. ``url``: only what lies at or below it is read through this connection.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    protocol: Annotated[str, Field(pattern=_PROTOCOL)]
    options: Mapping[str, Any] = {}
    env: Mapping[str, Annotated[str, Field(pattern=worded("^[A-Za-z_][A-Za-z0-9_]*$", VARIABLE_WORDS))]] = {}
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
    return read_operator_file(VARIABLE, _FILE, "connection")


def connection_named(name: str, known: Connections) -> NamedConnection:
    """The connection of that name. Raises InvalidRequest when the operator has set up none."""
    if name in known:
        return known[name]
    names = ", ".join(known) or f"none: {VARIABLE} names the file that lists them"
    raise InvalidRequest("source.connection", f"there is no connection {name!r}; known: {names}")
