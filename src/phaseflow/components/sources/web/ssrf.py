"""Which addresses may be connected to: public ones, and the private ones that were named."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import anyio

from phaseflow.components.sources.web.address import advice, host_and_port, normalised, site_of
from phaseflow.domain.errors import InvalidRequest, SourceNotAllowed
from phaseflow.domain.settings import WebSource

Addresses = Callable[[str, int], Sequence[str]]
"""The addresses of a host and port that may be connected to. Raises SourceNotAllowed, and OSError when it has none."""
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Turns a host and a port into IP addresses. Raises OSError when there are none."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_CHECK_S = 10.0
_NAMED = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[^\s/\[\]]+)?\]|[^:\s/\[\]]+)(?::(\d{1,5}))?")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Special blocks that some versions of Python call global.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(block)
    for block in (
        "0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4",
        "::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "fec0::/10",
    )
)  # fmt: skip


def is_public(address: str) -> bool:
    """Say whether an IP address lies in the public internet, also the IPv4 address inside a translated IPv6 one."""
    try:
        return _is_public(ipaddress.ip_address(address))
    except ValueError:
        return False


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver, in a worker thread."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _Named(NamedTuple):
    host: str
    port: int | None

    def opens(self, host: str, port: int) -> bool:
        """``host`` is written as ``_spelled`` writes it. An address without a zone is meant in every zone."""
        return self.host in {host, host.partition("%")[0]} and self.port in {None, port}


class AddressPolicy:
    """Decides for each connection. ``allow_private`` holds ``HOST`` or ``HOST:PORT``; an address of IPv6 as ``::1`` or
    ``[::1]``, with a port as ``[::1]:8000``.

    A named host may have any address; a named address may have any host. Raises InvalidRequest for what is neither.
    """

    def __init__(self, allow_private: Collection[str] = (), *, resolver: Resolver = resolve) -> None:
        self._named = tuple(_named(given) for given in allow_private)
        self._resolver = resolver

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host, all of which may be connected to.

        Raises SourceNotAllowed when any of them may not, OSError when the host has none.
        """
        host = host.lower().removesuffix(".")
        found = await self._resolver(host, port)
        if not found:
            raise OSError(f"{host} has no address")
        if not self._opens(host, port):
            for address in found:
                self.check(host, port, address)
        return found

    def for_threads(self, wait_s: float) -> Addresses:
        """The same for a thread that blocks, for at most ``wait_s``: the loop that this is called in resolves.

        No loop of the thread's own: it would have to be begun and ended for each connection.
        """
        loop = asyncio.get_running_loop()

        def addresses(host: str, port: int) -> Sequence[str]:
            return asyncio.run_coroutine_threadsafe(self.addresses(host, port), loop).result(wait_s)

        return addresses

    def check(self, host: str, port: int, address: str) -> None:
        """Raise SourceNotAllowed when this address of a host may not be connected to."""
        if is_public(address) or self._opens(address, port):
            return
        where = "is" if host == address else f"has the address {address}, which is"
        named = f"[{host}]" if ":" in host else host
        raise SourceNotAllowed(
            f"{host} {where} not public, and is not fetched from; allow it with --allow-private {named}:{port}"
        )

    def _opens(self, host: str, port: int) -> bool:
        spelled = _spelled(host) or host
        return any(named.opens(spelled, port) for named in self._named)


async def check_source(source: WebSource, allow_private: Collection[str] = (), *, resolver: Resolver = resolve) -> None:
    """Raise SourceNotAllowed when a site of the source has an address that may not be connected to.

    Raises InvalidRequest for an address that no crawler can follow, such as one with a user name. A host that cannot
    be resolved within 10 seconds is left to the job: every connection is checked again.
    """
    await check_sites(AddressPolicy(allow_private, resolver=resolver), _followable(source))


async def check_sites(guard: AddressPolicy, addresses: Iterable[str], within_s: float | None = None) -> None:
    """Ask the guard about the sites of normalised addresses; by default within 10 seconds. Raises SourceNotAllowed."""
    sites = dict.fromkeys(map(site_of, addresses))
    with anyio.move_on_after(_CHECK_S if within_s is None else within_s):
        for site in sites:
            try:
                await guard.addresses(*host_and_port(site))
            except OSError:
                continue


def _followable(source: WebSource) -> Iterator[str]:
    for url in source.urls:
        address = normalised(str(url))
        if address is None:
            raise InvalidRequest("source.urls", advice(url.host))
        yield address


def _named(given: str) -> _Named:
    if (address := _spelled(given.strip())) is not None:  # of IPv6 without brackets all of it
        return _Named(address, None)
    match = _NAMED.fullmatch(given.strip())
    if match is None or not 0 < int(match[2] or 1) <= 65_535 or (given.strip()[0] == "[" and not _spelled(match[1])):
        raise InvalidRequest(
            "allow_private", f"{given!r} is not HOST or HOST:PORT; write it as localhost:8000, ::1 or [::1]:8000"
        )
    host = match[1].lower().removesuffix(".")
    return _Named(_spelled(host) or _normalised_host(host), int(match[2]) if match[2] else None)


def _spelled(host: str) -> str | None:
    """An IP address in its one spelling, with or without brackets: one of IPv4 in IPv6 is the IPv4 address that it
    leads to. A zone is written as in URLs (``%25eth0``) or plain. None for a name."""
    bare = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    try:
        address = ipaddress.ip_address(bare.replace("%25", "%", 1))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).compressed


def _normalised_host(host: str) -> str:
    """Return a host as it stands in a normalised address; an impossible one stays, and matches nothing."""
    address = normalised(f"http://{host}/")
    return host_and_port(address)[0] if address else host


def _is_public(address: _Address) -> bool:
    inner = _inside(address)
    if inner is not None:
        return _is_public(inner)
    if any(address.version == block.version and address in block for block in _NOT_PUBLIC):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _inside(address: _Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a translator would connect to."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
