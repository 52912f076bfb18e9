"""Which embedding servers get the operator's key, and which may be connected to."""

import os
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import Field, TypeAdapter, ValidationError

from phaseflow.components.operator_file import EMBEDDERS, read_operator_file
from phaseflow.components.sources.web.address import advice, host_and_port, normalised
from phaseflow.components.sources.web.ssrf import AddressPolicy, Resolver, check_sites, resolve
from phaseflow.domain.errors import ComponentUnavailable, InvalidRequest
from phaseflow.domain.identifiers import is_loopback
from phaseflow.domain.patterns import VARIABLE_WORDS, worded
from phaseflow.domain.settings import (
    EMBEDDER_NAME,
    Address,
    EmbedderSettings,
    NamedEmbedderSettings,
    OpenAIEmbedderSettings,
)

if TYPE_CHECKING:
    from phaseflow.domain.choices import EmbeddingServers

_KEY_VARIABLE = "PHASEFLOW_EMBEDDING_API_KEY"
_URL_VARIABLE = "PHASEFLOW_EMBEDDING_URL"


class _NamedEmbedder(OpenAIEmbedderSettings):
    """A server with its model. ``api_key_env`` is the environment variable that holds its key; None: it needs none."""

    api_key_env: Annotated[str | None, Field(pattern=worded("^[A-Za-z_][A-Za-z0-9_]*$", VARIABLE_WORDS))] = None


_Named = Mapping[str, _NamedEmbedder]
_SERVERS_FILE: TypeAdapter[dict[str, _NamedEmbedder]] = TypeAdapter(
    dict[Annotated[str, Field(pattern=EMBEDDER_NAME)], _NamedEmbedder]
)


class EmbedderAccess:
    """The gate that every embedder passes, when its settings are given and each time it is made.

    The key belongs to ``operator_url`` (default: ``PHASEFLOW_EMBEDDING_URL``) and goes nowhere else; when none is
    named, to addresses that the operator or the program gave in the settings, never to one that a client chose. An
    address that a client chose must be public, named in ``allow_private``, or, while ``takes_loopback``, be a literal
    loopback address. What the operator or the program gave is not restricted. A server that the operator has named in
    the file ``PHASEFLOW_EMBEDDERS`` has a key of its own.

    Raises InvalidRequest for an ``operator_url`` that is not an http(s) address.
    """

    def __init__(
        self, operator_url: str | None = None, allow_private: Collection[str] = (), *, resolver: Resolver = resolve
    ) -> None:
        given = operator_url or os.environ.get(_URL_VARIABLE, "").strip()
        self._operator_url = _operator_address(given) if given else None
        self._allow_private = tuple(allow_private)
        AddressPolicy(
            self._allow_private
        )  # a mistake in one is told now, not by the first address that a client chooses
        self._resolver = resolver
        self._named: _Named | None = None
        self.takes_loopback = True
        """Only programs of this machine can be the clients, and they reach its servers anyway."""

    def key_for(self, settings: OpenAIEmbedderSettings) -> str | None:
        """The key that goes to this server, or None."""
        if isinstance(settings, _NamedEmbedder):
            return _key_of(settings)
        if self._is_operators(settings) or (self._operator_url is None and not settings.chosen_by_client):
            return embedding_api_key()
        return None

    def known(self) -> _Named:
        """The servers that the operator has named, read once. Raises InvalidRequest, saying what is wrong in the file.

        Blocking.
        """
        if self._named is None:
            self._named = read_operator_file(EMBEDDERS, _SERVERS_FILE, "server")
        return self._named

    def named(self, settings: NamedEmbedderSettings) -> _NamedEmbedder:
        """The server of that name. Raises InvalidRequest when the operator has set up none."""
        server = self.known().get(settings.server)
        if server is not None:
            return server
        known = ", ".join(self.known()) or f"none: {EMBEDDERS} names the file that lists them"
        raise InvalidRequest(
            "settings.embedder.server", f"there is no embedding server {settings.server!r}; known: {known}"
        )

    def offered(self) -> "EmbeddingServers":
        """What a client may know of the servers: names, models, and whether their keys are there."""
        from phaseflow.domain.choices import EmbeddingServer, EmbeddingServers

        servers = [
            EmbeddingServer(
                name=name,
                model=server.model,
                dimensions=server.dimensions,
                key_variable=server.api_key_env,
                has_key=server.api_key_env is not None and bool(os.environ.get(server.api_key_env, "").strip()),
            )
            for name, server in sorted(self.known().items())
        ]
        return EmbeddingServers(
            servers=servers,
            key_variable=_KEY_VARIABLE,
            url_variable=_URL_VARIABLE,
            has_key=self._operator_url is not None and embedding_api_key() is not None,
        )

    def guard_for(self, settings: OpenAIEmbedderSettings) -> AddressPolicy | None:
        """What decides on each connection to this server; None for an unrestricted one."""
        if not settings.chosen_by_client or self._is_operators(settings):
            return None
        return self.policy_for(_followable(settings))

    def policy_for(self, address: str) -> AddressPolicy:
        """What decides on each connection to an address (normalised) that a client chose, whatever it is for."""
        host, port = host_and_port(address)
        named = [*self._allow_private]
        if self.takes_loopback and is_loopback(host):
            named.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        return AddressPolicy(named, resolver=self._resolver)

    async def check(self, settings: EmbedderSettings, within_s: float | None = None) -> None:
        """Raise SourceNotAllowed when a client chose an address that may not be connected to.

        Raises InvalidRequest for one with a user name, and for a name that no server has. A host that cannot be
        resolved within 10 seconds, or ``within_s``, is left to the job: every connection is checked again.
        """
        if isinstance(settings, NamedEmbedderSettings):
            self.named(settings)
        guard = self.guard_for(settings) if isinstance(settings, OpenAIEmbedderSettings) else None
        if guard is not None and isinstance(settings, OpenAIEmbedderSettings):
            await check_sites(guard, [_followable(settings)], within_s)

    def _is_operators(self, settings: OpenAIEmbedderSettings) -> bool:
        return self._operator_url is not None and _canonical(str(settings.base_url)) == self._operator_url


def embedding_api_key() -> str | None:
    """The key for the embedding server from ``PHASEFLOW_EMBEDDING_API_KEY``, or None."""
    return os.environ.get(_KEY_VARIABLE, "").strip() or None


def _key_of(server: _NamedEmbedder) -> str | None:
    if server.api_key_env is None:
        return None
    key = os.environ.get(server.api_key_env, "").strip()
    if not key:
        raise ComponentUnavailable(f"the key of the embedding server is missing: set {server.api_key_env}")
    return key


def _operator_address(given: str) -> str:
    try:
        return _canonical(str(TypeAdapter(Address).validate_python(given)))
    except ValidationError:
        shown = given.rpartition("@")[2][:100]
        raise InvalidRequest("embedding_url", f"{shown!r} is not an address; give it as http(s)://host/path") from None


def _canonical(address: str) -> str:
    """One spelling for addresses that are the same. One with a user name is the same as itself only."""
    return (normalised(address) or address).rstrip("/")


def _followable(settings: OpenAIEmbedderSettings) -> str:
    address = normalised(str(settings.base_url))
    if address is None:
        raise InvalidRequest("settings.embedder.base_url", advice(urlsplit(str(settings.base_url)).hostname))
    return address
