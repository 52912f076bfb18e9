"""Index servers that the operator has set up under a name: an index outside the database has no other address."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from pydantic import TypeAdapter, ValidationError

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.settings import EmbeddedIndexSettings, IndexServerName, PostgresIndexSettings
from phaseflow.domain.values import kind_of

VARIABLE: Final = "PHASEFLOW_INDEX_SERVERS"
LONGEST: Final = 1_000_000
"""Bytes of what the variable holds, or names."""
_SCHEMES: Final = ("postgresql://", "postgres://")
_MOST_PORT: Final = 65_535
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\[\]:]*)(?::(?P<port>.*))?", re.DOTALL)
_AFTER_HOSTS: Final = re.compile(r"[/?]")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NAME: TypeAdapter[str] = TypeAdapter(IndexServerName)
_NAMED: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])


class IndexServers:
    """The addresses by name: those given, over those of the environment. They hold passwords, so nothing shows them.

    ``PHASEFLOW_INDEX_SERVERS`` is a JSON object, or the name of a file that holds one. Raises InvalidRequest, naming
    ``field`` or the variable and never an address, for what cannot be used.
    """

    def __init__(self, given: Mapping[str, str] | None = None, field: str = "index_servers") -> None:
        if given is not None and not isinstance(given, Mapping):
            raise InvalidRequest(field, f"must be a mapping of names to addresses, not {kind_of(given)}")
        self._field = field
        self._addresses = {**_checked(_from_environment(), VARIABLE), **_checked(given or {}, field)}
        _check_distinct(self._addresses, field if given else VARIABLE)

    def __repr__(self) -> str:
        return f"IndexServers({', '.join(self._addresses)})"

    def __iter__(self) -> Iterator[str]:
        return iter(self._addresses)

    def check(self, settings: EmbeddedIndexSettings | PostgresIndexSettings) -> None:
        """Raise InvalidRequest for a name that no server has."""
        if isinstance(settings, PostgresIndexSettings):
            self.address(settings.server)

    def check_with_driver(self) -> None:
        """Let the driver, where it is installed, look at the addresses, too. Raises InvalidRequest. Imports it."""
        if not self._addresses:
            return
        try:
            from psycopg import Error
            from psycopg.conninfo import conninfo_to_dict
        except ImportError:
            return  # whoever uses a server is told which extra is missing
        for name, address in self._addresses.items():
            try:
                conninfo_to_dict(address)
            except Error:  # its words hold what was given
                raise InvalidRequest(*_unusable(name, self._field, "cannot be understood; check its parts")) from None

    def address(self, name: str) -> str:
        """The address of a server, with its password. Raises InvalidRequest when the operator has set up none."""
        try:
            return self._addresses[name]
        except KeyError:
            said = f"there is no index server {name!r}; {self.known()}"
            raise InvalidRequest("settings.index.server", said) from None

    def known(self) -> str:
        """Which servers there are, for whoever has asked for another; where there are none, how they are named."""
        if self._addresses:
            return f"known: {', '.join(self._addresses)}"
        return f"the operator has named none; they are named with --index-server or {VARIABLE}"


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
        if not (isinstance(address, str) and address.startswith(_SCHEMES) and address.isprintable()):
            raise InvalidRequest(*_unusable(name, field, "must begin with postgresql:// and be one line"))
        if problem := _problem(address):
            raise InvalidRequest(*_unusable(name, field, problem))
    return addresses


def _check_distinct(addresses: Mapping[str, str], field: str) -> None:
    """One server under two names would wait for itself: a process has each for itself."""
    names: dict[str, str] = {}
    for name, address in addresses.items():
        if (first := names.setdefault(address, name)) != name:
            raise InvalidRequest(field, f"{first} and {name} have the same address; a server has one name")


def _unusable(name: str, field: str, problem: str) -> tuple[str, str]:
    return field, f"the address of {name} {problem}"


def _problem(address: str) -> str | None:
    """What is wrong with the hosts, ports and escapes of an address; nothing of it is quoted."""
    authority, *query = _AFTER_HOSTS.split(address.partition("://")[2], maxsplit=1)
    if _BROKEN_ESCAPE.search(address):
        return "has a % that is not followed by two hexadecimal digits; write %25 for a % itself"
    ports = [value for key, value in parse_qsl(query[0].rpartition("?")[2] if query else "") if key == "port"]
    for host in authority.rpartition("@")[2].split(","):
        found = _HOST.fullmatch(host)
        if found is None:
            return "has a host that cannot be one; put an IPv6 address in [ ], and escape : / @ and ? in a password"
        ports.append(found["port"] or "")
    if not all(port == "" or _is_port(port) for port in ",".join(ports).split(",")):
        return f"has a port that is not a number from 1 to {_MOST_PORT}; escape : / @ and ? in a password"
    return None


def _is_port(given: str) -> bool:
    return given.isascii() and given.isdigit() and len(given) < 6 and 1 <= int(given) <= _MOST_PORT
