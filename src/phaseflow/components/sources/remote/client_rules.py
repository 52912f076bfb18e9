"""Which addresses a client of the service may name: none that leads to this machine, and to other machines of the
operator only through a connection that the operator has set up for it."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from phaseflow.components.sources.remote.connections import Connections, NamedConnection
from phaseflow.components.sources.remote.filesystem import OBJECT_STORES
from phaseflow.components.sources.web.address import normalised
from phaseflow.components.sources.web.ssrf import AddressPolicy, check_sites
from phaseflow.domain.errors import SourceNotAllowed
from phaseflow.domain.remote_sources import FsspecSource, GitSource, links_of, protocol_of

_PUBLIC = frozenset({"http", "https", "github"})
"""On the public internet, and read without credentials."""
_LOCAL = frozenset({
    "file", "local", "memory", "dir", "data", "cached", "filecache", "simplecache", "blockcache", "reference", "zip",
    "tar", "libarchive", "git", "generic", "asynclocal", "asyncwrapper", "dask", "root",
})  # fmt: skip
"""They read this machine, or lead on to a second file system that may."""
_HOSTED = frozenset({"http", "https"})
"""Their options (a header, for example) go to whatever host the address names."""


def check_rules(source: FsspecSource | GitSource, connections: Connections) -> NamedConnection | None:
    """Return the connection of a source that a client has given. Raises SourceNotAllowed, or InvalidRequest when there
    is no connection of that name. Blocking.

    A Git repository is on the public internet, by http(s), or below the allowed roots, or read through a connection.
    Paths are for others to check.
    """
    return _of_repository(source, connections) if isinstance(source, GitSource) else _of_files(source, connections)


def _of_files(source: FsspecSource, connections: Connections) -> NamedConnection | None:
    protocol = protocol_of(source.url)
    if len(links_of(source.url)) > 1 or "%3a%3a" in source.url.lower():
        raise SourceNotAllowed(f"{_shown(source)} is a chain of addresses, and this server reads plain ones only")
    if protocol in _LOCAL:
        raise SourceNotAllowed(
            f"this server does not read {protocol}:// addresses; give a folder (type folder), or upload the files"
        )
    if source.connection is None:
        _check_open(source, protocol)
        return None
    connection = connections.named(source.connection)
    if not connection.speaks(protocol):
        raise SourceNotAllowed(f"the connection {source.connection!r} is for {connection.protocol}:// addresses")
    if connection.protocol in _LOCAL:
        raise SourceNotAllowed(f"the connection {source.connection!r} is not for clients of this server")
    if not connection.covers(source.url):
        raise SourceNotAllowed(f"the connection {source.connection!r} is for {connection.url} and what lies below it")
    if connection.url is None:
        _check_pinned(source, connection)
    return connection


def _of_repository(source: GitSource, connections: Connections) -> NamedConnection | None:
    protocol = protocol_of(source.url)
    if protocol not in _HOSTED | {"", "file"}:
        raise SourceNotAllowed(f"this server reads repositories by http(s), not by {protocol}://; give such an address")
    if "@" in urlsplit(source.url).netloc:
        raise SourceNotAllowed("this server reads no address with a user name; name a connection that has it")
    if source.connection is None:
        return None
    connection = connections.named(source.connection)
    if connection.protocol != protocol or connection.url is None or not connection.covers(source.url):
        what = f"{connection.url} and what lies below it" if connection.url else "no client of this server"
        raise SourceNotAllowed(f"the connection {source.connection!r} is for {what}")
    return connection


async def check_public(source: FsspecSource | GitSource, allow_private: Collection[str]) -> None:
    """Raise SourceNotAllowed when the host of an http address has an address that may not be connected to."""
    if source.connection is None and protocol_of(source.url) in _HOSTED:
        address = normalised(source.url)
        if address is None:
            raise SourceNotAllowed(f"{_shown(source)} cannot be fetched; give it without a user name")
        await check_sites(AddressPolicy(allow_private), [address])


def _check_open(source: FsspecSource, protocol: str) -> None:
    # The servers of object stores follow from the environment of the operator, as their credentials do.
    if protocol not in OBJECT_STORES | _PUBLIC:
        raise SourceNotAllowed(
            f"this server reads {protocol}:// addresses only through a connection that its operator has named;"
            " give its name as connection"
        )
    if protocol != "github" and "@" in urlsplit(source.url).netloc:
        raise SourceNotAllowed(f"an address that names a user or another host ({protocol}://…@…) is not read")


def _check_pinned(source: FsspecSource, connection: NamedConnection) -> None:
    """What the address itself says of the server must be what the operator has said: else the credentials of one server
    would go to another."""
    from fsspec import get_filesystem_class

    if connection.protocol in _HOSTED:
        raise SourceNotAllowed(f"the connection {source.connection!r} names no url, so it is not for clients")
    try:
        said = get_filesystem_class(connection.protocol)._get_kwargs_from_urls(source.url)
    except (ImportError, ValueError):
        return  # the loader says what is missing
    known = {**connection.options, **dict.fromkeys(connection.env)}
    if any(str(value) != str(known.get(name)) for name, value in said.items() if value not in (None, "")):
        raise SourceNotAllowed(
            f"the connection {source.connection!r} is for another server or user than {_shown(source)} names;"
            f" write it as {connection.protocol}:///folder"
        )


def _shown(source: FsspecSource | GitSource) -> str:
    return re.sub(r"//[^/@]*@", "//", source.url)[:200]
