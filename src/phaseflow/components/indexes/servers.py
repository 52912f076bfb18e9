"""Index servers that the operator has set up under a name: an index outside the database has no other address."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.settings import EmbeddedIndexSettings, IndexServerName, PostgresIndexSettings

VARIABLE: Final = "PHASEFLOW_INDEX_SERVERS"
LONGEST: Final = 1_000_000
"""Bytes of what the variable holds, or names."""
SCHEMES: Final = ("postgresql://", "postgres://")
_NAME: TypeAdapter[str] = TypeAdapter(IndexServerName)
_NAMED: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])


class IndexServers:
    """The addresses by name: those given, over those of the environment. They hold passwords, so nothing shows them.

    ``PHASEFLOW_INDEX_SERVERS`` is a JSON object, or the name of a file that holds one. Raises InvalidRequest, naming
    ``field`` or the variable and never an address, for what cannot be used.
    """

    def __init__(self, given: Mapping[str, str] | None = None, field: str = "index_servers") -> None:
        if given is not None and not isinstance(given, Mapping):
            raise InvalidRequest(field, f"must be a mapping of names to addresses, not {type(given).__name__}")
        self._addresses = {**_checked(_from_environment(), VARIABLE), **_checked(given or {}, field)}

    def __repr__(self) -> str:
        return f"IndexServers({', '.join(self._addresses)})"

    def __iter__(self) -> Iterator[str]:
        return iter(self._addresses)

    def check(self, settings: EmbeddedIndexSettings | PostgresIndexSettings) -> None:
        """Raise InvalidRequest for a name that no server has."""
        if isinstance(settings, PostgresIndexSettings):
            self.address(settings.server)

    def address(self, name: str) -> str:
        """The address of a server, with its password. Raises InvalidRequest when the operator has set up none."""
        try:
            return self._addresses[name]
        except KeyError:
            known = ", ".join(self._addresses) or f"none: the operator names them with --index-server or {VARIABLE}"
            raise InvalidRequest(
                "settings.index.server", f"there is no index server {name!r}; known: {known}"
            ) from None


def _from_environment() -> Mapping[str, str]:
    """What the variable says. Blocking where it names a file."""
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return {}
    content: str | bytes = given if given.startswith("{") else _content(given)
    try:
        return _NAMED.validate_json(content)
    except ValidationError:  # not told in pydantic's words: they quote what was given, and that holds passwords
        raise InvalidRequest(VARIABLE, 'must be JSON: {"NAME": "postgresql://…", …}, or name a file of that') from None


def _content(path: str) -> bytes:
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(LONGEST + 1)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        shown = "what it names" if "://" in path else path
        raise InvalidRequest(VARIABLE, f"{shown} cannot be read ({reason}); give JSON, or name a JSON file") from None
    if len(content) > LONGEST:
        raise InvalidRequest(VARIABLE, f"{path} has more than {LONGEST:,} bytes; it holds one address a server")
    return content


def _checked(addresses: Mapping[str, str], field: str) -> Mapping[str, str]:
    for name, address in addresses.items():
        try:
            _NAME.validate_python(name)
        except ValidationError:
            raise InvalidRequest(
                field, "a server is named with letters, digits, _, - and . (up to 63), and not `embedded`"
            ) from None
        if not (isinstance(address, str) and address.startswith(SCHEMES) and address.isprintable()):
            raise InvalidRequest(field, f"the address of {name} must begin with postgresql:// and be one line")
    return addresses
