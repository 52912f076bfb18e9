"""Connections that the operator has set up under a name, in the JSON file that ``PHASEFLOW_CONNECTIONS`` names."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from phaseflow.components.operator_file import CONNECTIONS, read_operator_file
from phaseflow.domain.errors import ComponentUnavailable, InvalidRequest, SourceNotAllowed
from phaseflow.domain.patterns import VARIABLE_WORDS, worded
from phaseflow.domain.remote_sources import CONNECTION_NAME, LONGEST_URL, links_of, protocol_of

_SAME = ({"s3", "s3a"}, {"gs", "gcs"}, {"az", "abfs"}, {"sftp", "ssh"}, {"ssh", "git+ssh"})
_WRAPPERS = frozenset({
    "zip", "tar", "libarchive", "dir", "cached", "filecache", "simplecache", "blockcache", "reference", "asyncwrapper",
    "file", "local", "memory",
})  # fmt: skip
"""Links of a chain that ask no server, but lead on to the next."""

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

    def given_for(self, url: str) -> dict[str, Any]:
        """All options, secrets too, for what asks for this address: the only way to have them.

        Raises what ``check`` raises, and ComponentUnavailable when a variable of the environment is missing.
        """
        self.check(url)
        return {**self.options, **self._secrets()}

    def check(self, url: str) -> None:
        """Raise SourceNotAllowed when the operator has not named this connection for an address, whoever gives it.

        It is for addresses of its ``protocol``, at or below its ``url``; of a chain, each link that asks a server.
        """
        for link in links_of(url):
            protocol = protocol_of(link) or link.lower()
            if self.speaks(protocol):
                if not self.covers(link):
                    raise SourceNotAllowed(
                        f"the connection is for {self.url} and what lies below it; name another connection or address"
                    )
            elif protocol not in _WRAPPERS or link == url:
                raise SourceNotAllowed(
                    f"the connection is for {self.protocol}:// addresses; name another connection or address"
                )

    def _secrets(self) -> dict[str, str]:
        found = {}
        for option, variable in self.env.items():
            value = os.environ.get(variable, "").strip()
            if not value:
                raise ComponentUnavailable(f"the {option} of the connection is missing: set {variable}")
            found[option] = value
        return found

    def speaks(self, protocol: str) -> bool:
        """Say whether it is for addresses of a protocol, by whichever of its names."""
        return protocol == self.protocol or any({protocol, self.protocol} <= names for names in _SAME)

    def covers(self, url: str) -> bool:
        """Say whether an address lies at or below ``url``. One that climbs (``..``) does not."""
        if self.url is None:
            return True
        top = self.url.rstrip("/")
        return (url == top or url.startswith(f"{top}/")) and ".." not in unquote(url[len(top) :]).split("/")


_FILE: TypeAdapter[dict[str, NamedConnection]] = TypeAdapter(
    dict[Annotated[str, Field(pattern=CONNECTION_NAME)], NamedConnection]
)


@dataclass(frozen=True, slots=True)
class Connections:
    """All that the operator has set up, by their names."""

    by_name: Mapping[str, NamedConnection]

    @classmethod
    def read(cls) -> "Connections":
        """Read the file; nothing when none is named. Raises InvalidRequest, saying what in it is wrong. Blocking."""
        return cls(read_operator_file(CONNECTIONS, _FILE, "connection"))

    def named(self, name: str) -> NamedConnection:
        """The connection of that name. Raises InvalidRequest when the operator has set up none."""
        if name in self.by_name:
            return self.by_name[name]
        names = ", ".join(self.by_name) or f"none: {CONNECTIONS} names the file that lists them"
        raise InvalidRequest("source.connection", f"there is no connection {name!r}; known: {names}")
