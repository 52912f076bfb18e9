"""Who may ask what: known hosts, own origin, the token."""

import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from phaseflow.http.problems import CrossOrigin, LocalOnly, Unauthorized, UnknownHost

COOKIE = "phaseflow"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
ANY = "*"
ANY_ADDRESS = "<address>"
"""Any IP address as a host: no name server can be made to point one elsewhere."""


def is_address(host: str) -> bool:
    """An IP address, and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Access:
    """The access rules of one application. ``hosts`` may hold ``*``: then whoever mounts it has checked the host."""

    token: str | None = None
    hosts: Collection[str] = LOOPBACK
    origins: Collection[str] = ()

    def check_host(self, headers: Headers) -> None:
        """Raise UnknownHost unless the request was meant for this server: a page may have its own name point here."""
        if ANY in self.hosts:
            return
        host = host_name(headers.get("host", ""))
        if host in self.hosts or (ANY_ADDRESS in self.hosts and is_address(host)):
            return
        raise UnknownHost("this server does not go by that host name; start it with --allow-host to add one")

    def check_peer(self, client: tuple[str, int] | None) -> None:
        """Raise LocalOnly for another machine's client when nothing was set up for other machines."""
        if self.token is None and frozenset(LOOPBACK).issuperset(self.hosts) and client and is_address(client[0]):
            address = ip_address(client[0])
            if not (getattr(address, "ipv4_mapped", None) or address).is_loopback:
                raise LocalOnly("this server answers this machine only; set a token to let others in")

    def check_origin(self, method: str, headers: Headers) -> None:
        """Raise CrossOrigin when a page of another site tries to change something."""
        if method in SAFE_METHODS:
            return
        origin = headers.get("origin")
        if origin is None:
            if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
                raise CrossOrigin(_ELSEWHERE)
        elif origin not in self.origins and origin.lower().partition("://")[2] != headers.get("host", "").lower():
            raise CrossOrigin(_ELSEWHERE)

    def check_token(self, headers: Headers) -> None:
        """Raise Unauthorized unless the request carries the token, or the cookie that stands for it."""
        if self.token is None:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.knows(given.strip()):
            return
        if _same(_cookie(headers), self.pass_value):
            return
        raise Unauthorized("send the token of this server as Authorization: Bearer …")

    def knows(self, token: str) -> bool:
        """Whether that is the token. Takes as long for a wrong one as for the right one."""
        return self.token is not None and _same(token, self.token)

    @property
    def pass_value(self) -> str:
        """What the cookie holds: it proves that its owner knew the token, and does not give it away."""
        return hmac.new((self.token or "").encode(), b"phaseflow cookie", hashlib.sha256).hexdigest()


_ELSEWHERE = "changes are taken from this server's own pages and from programs only, not from another site's page"


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def _cookie(headers: Headers) -> str:
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def host_name(host: str) -> str:
    """The name or address in a ``Host``, without its port and brackets; empty when it is none."""
    if host in {ANY, ANY_ADDRESS}:
        return host
    if is_address(host):
        return host.lower()
    if "@" in host:
        return ""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
