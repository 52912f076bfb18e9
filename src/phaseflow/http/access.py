"""Who may ask what: known hosts, own origin, the token."""

import hmac
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from phaseflow.domain.counting import counted
from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.identifiers import check_token
from phaseflow.http.guesses import Guesses
from phaseflow.http.problems import CrossOrigin, HttpError, LocalOnly, Unauthorized, UnknownHost
from phaseflow.http.sessions import Session, Sessions

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SHORTEST_TOKEN = 8
"""Guesses are slowed, but a word of a few letters is found all the same."""
ADVISED_TOKEN = 16
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


def check_secret(token: str) -> str:
    """A token that a service may ask for, or InvalidRequest: a header can carry it, and it is not soon guessed."""
    if token:
        check_token(token)
    if len(token) < _SHORTEST_TOKEN:
        raise InvalidRequest(
            "token",
            f"one of {counted(len(token), 'character')} is soon guessed; at least {_SHORTEST_TOKEN} are required and"
            f" {ADVISED_TOKEN} or more advised, such as what"
            " python3 -c 'import secrets; print(secrets.token_urlsafe(32))' prints",
        )
    return token


@dataclass(frozen=True, slots=True)
class Access:
    """The access rules of one application. ``hosts`` may hold ``*``: then whoever mounts it has checked the host."""

    token: str | None = None
    hosts: Collection[str] = LOOPBACK
    origins: Collection[str] = ()
    sessions: Sessions = field(default_factory=Sessions)
    guesses: Guesses = field(default_factory=Guesses)

    def check_host(self, headers: Headers) -> None:
        """Raise UnknownHost unless the request was meant for this server: a page may have its own name point here."""
        if len(headers.getlist("host")) > 1:
            raise HttpError("the request names its Host more than once; send one, the name of this server")
        if ANY in self.hosts:
            return
        host = host_name(headers.get("host", ""))
        if host in self.hosts or (ANY_ADDRESS in self.hosts and is_address(host)):
            return
        raise UnknownHost("this server does not go by that host name; start it with --allow-host to add one")

    @property
    def is_local(self) -> bool:
        """Nothing was set up for other machines: the programs of this one alone are answered."""
        return self.token is None and frozenset(LOOPBACK).issuperset(self.hosts)

    def check_peer(self, client: tuple[str, int] | None) -> None:
        """Raise LocalOnly for another machine's client when nothing was set up for other machines."""
        if self.is_local and not _is_here(client):
            raise LocalOnly("this server answers this machine only; set a token to let others in")

    def check_trusted(self, client: tuple[str, int] | None) -> None:
        """Raise LocalOnly for another machine's client without a token: whoever mounts the service may let such in, but
        not to tools that change things, nor to all that there is."""
        if self.token is None and not _is_here(client):
            raise LocalOnly("without a token this server answers this to programs of its own machine only; set a token")

    def check_origin(self, method: str, headers: Headers, *, is_public: bool) -> None:
        """Raise CrossOrigin when a page of another site asks for data or tries to change something.

        What is public holds no data, and links may lead to it from anywhere.
        """
        if is_public and method in SAFE_METHODS:
            return
        origin = headers.get("origin")
        if origin is None:
            if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
                raise CrossOrigin(_ELSEWHERE)
        elif origin not in self.origins and origin.lower().partition("://")[2] != headers.get("host", "").lower():
            raise CrossOrigin(_ELSEWHERE)

    async def check_token(self, address: str, headers: Headers, cookie: str) -> Session | None:
        """Raise Unauthorized unless the request carries the token, or the cookie of a session, which is returned.

        A wrong token may have to wait first, and LimitReached is raised where too many wait. A cancel does no harm.
        """
        if self.token is None:
            return None
        for secret in cookies(headers, cookie):
            session = self.sessions.find(secret)
            if session is not None:
                return session
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and await self.knows(address, given.strip()):
            return None
        raise Unauthorized("send the token of this server as Authorization: Bearer …")

    async def knows(self, address: str, token: str) -> bool:
        """Whether that is the token. The right one is let in at once; a wrong one waits for the address's turn.

        Comparing takes as long for a wrong one as for the right one.
        """
        if self.token is None or not token:
            return False
        if _same(token, self.token):
            return True
        await self.guesses.was_wrong(address)
        return False


def _is_here(client: tuple[str, int] | None) -> bool:
    """A program of this machine; one without an address has come by a socket of it."""
    if not client or not is_address(client[0]):
        return True
    address = ip_address(client[0])
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


_ELSEWHERE = "this server answers its own pages and programs only, not another site's page"


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def cookie_name(headers: Headers, server: tuple[str, int | None] | None) -> str:
    """The cookie of the service at this port. Browsers send cookies to all ports of a host, so names keep them apart.

    The port is the one that the browser sees, in the ``Host``; behind a proxy that leaves it out, that of the server.
    """
    port = _port(headers.get("host", "")) or (server[1] if server else None) or 0
    return f"phaseflow_session_{port}"


def cookies(headers: Headers, name: str) -> Iterator[str]:
    """All values of a cookie: a browser may have one for each of several paths."""
    for line in headers.getlist("cookie"):
        for pair in line.split(";"):
            found, _, value = pair.partition("=")
            if found.strip() == name:
                yield value.strip()


def _port(host: str) -> int | None:
    try:
        return urlsplit(f"//{host}").port
    except ValueError:
        return None


def host_name(host: str) -> str:
    """The name or address in a ``Host``, without its port and brackets; empty when it is none."""
    if host in {ANY, ANY_ADDRESS}:
        return host
    if is_address(host):
        return host.lower()
    if frozenset("@/?#\\").intersection(host):
        return ""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
