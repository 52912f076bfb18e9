"""An HTTP client for fsspec that connects only where the policy lets it, sends what a source was given of headers
nowhere else, also after a redirect, and takes no other part of a file than it asked for."""

import ipaddress
import socket
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from phaseflow.components.sources.partial_answers import ACCEPTED, PARTIAL, WITHOUT_CONTENT, is_whole, other_range
from phaseflow.components.sources.web.ssrf import AddressPolicy
from phaseflow.domain.errors import DocumentError, TransientError

_MOST_REMEMBERED = 1000
_OURS = frozenset({"range", "accept", "accept-encoding", "accept-language", "user-agent"})
"""Headers that say nothing about who asks."""


async def guarded_client(policy: AddressPolicy | None, loop: Any = None, **options: Any) -> aiohttp.ClientSession:
    """Make a session whose every connection is checked, where there is a policy. No proxies of the environment, no
    cookies."""
    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(_leave_headers_behind)
    tracing.on_request_end.append(_check_answer)
    options["trace_configs"] = [*options.get("trace_configs", ()), tracing]
    if policy is None:
        return aiohttp.ClientSession(**options)
    resolver = _Resolver(policy)
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, socket_factory=resolver.socket)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), **options)


async def _leave_headers_behind(_: Any, __: Any, redirect: aiohttp.TraceRequestRedirectParams) -> None:
    """The client takes away ``Authorization`` alone where a redirect leads to another server; a key may have any name,
    and anybody who may name a page may name one that redirects."""
    try:
        leads_to = redirect.url.join(URL(redirect.response.headers.get("Location", "")))
        is_same = leads_to.origin() == redirect.url.origin()
    except ValueError:
        return  # the client refuses it
    if not is_same:
        for name in [name for name in redirect.headers if name.lower() not in _OURS]:
            redirect.headers.popall(name, None)


async def _check_answer(_: Any, __: Any, ended: aiohttp.TraceRequestEndParams) -> None:
    """The file system takes any 206 for the part that it asked for, and any other good answer for a file."""
    fault = None if ended.method != "GET" else _fault(ended.headers.get("Range"), ended.response)
    if fault is not None:
        ended.response.close()
        raise fault


def _fault(asked: str | None, answer: aiohttp.ClientResponse) -> TransientError | DocumentError | None:
    status, said = answer.status, answer.headers.get("Content-Range", "")
    if status in WITHOUT_CONTENT:
        return DocumentError(f"{answer.url} answered {status}: {WITHOUT_CONTENT[status]}", code="unreadable")
    if status == ACCEPTED:
        return TransientError(f"{answer.url} answered 202: it is not there yet")
    if status == PARTIAL and asked is None and not is_whole(said):
        return TransientError(f"{answer.url} answered 206 ({said or 'a part'}), though all of it was asked for")
    if asked is not None and (wrong := other_range(asked, said or ("none" if status == PARTIAL else ""))):
        return TransientError(f"{answer.url} sent {wrong}")
    return None


class _Resolver(AbstractResolver):
    """Resolves names by the policy, and opens sockets only to what it has resolved or lets be named as a number."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._checked: dict[tuple[str, int], None] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises SourceNotAllowed when an address of the host may not be connected to."""
        found = await self._policy.addresses(host, port)
        for address in found:
            self._checked[_number(address), port] = None
        while len(self._checked) > _MOST_REMEMBERED:
            del self._checked[next(iter(self._checked))]
        return [_result(host, port, address) for address in found]

    async def close(self) -> None:
        """Nothing is held."""

    def socket(self, info: Any) -> socket.socket:
        """A socket for an address that is about to be connected; one that stands in a URL as a number is checked."""
        family, kind, protocol, _, place = info
        address, port = _number(place[0]), place[1]
        if (address, port) not in self._checked:
            self._policy.check(address, port, address)
        return socket.socket(family, kind, protocol)


def _number(address: str) -> str:
    return ipaddress.ip_address(address.partition("%")[0]).compressed


def _result(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
