"""Any server that speaks the OpenAI embeddings protocol."""

import codecs
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import SplitResult, urlsplit

import anyio

from phaseflow.components.certificates import trusted
from phaseflow.components.embedders.answer import ACCEPTED, Answer, Bounds
from phaseflow.components.embedders.retry_after import retry_after_s
from phaseflow.components.embedders.server_name import ServerAddress, ServerName
from phaseflow.components.embedders.throttle import Pace
from phaseflow.components.embedders.vectors import checked_vectors
from phaseflow.domain.errors import (
    BatchTooLarge,
    ComponentError,
    ComponentUnavailable,
    DocumentError,
    EmbedderDown,
    RateLimited,
    SourceNotAllowed,
    TransientError,
)
from phaseflow.domain.identifiers import is_loopback

if TYPE_CHECKING:
    import httpx2
    import numpy as np
    import numpy.typing as npt

    from phaseflow.components.protocols import Vectors
    from phaseflow.components.sources.web.ssrf import AddressPolicy

BATCH_SIZE = 64
IN_FLIGHT = 8
_MESSAGE_LENGTH = 200
# Queries go beside the batches in flight without waiting for one of their connections.
_CONNECTIONS_FOR_QUERIES = 4


class OpenAIEmbedder:
    """Embeds by ``POST {base_url}/embeddings``, one attempt a call; whoever calls owns the retries.

    The texts are sent exactly as given, after the prefix that the model asks for, if any. ``dimensions`` asks for
    vectors of that length. Above ``requests_per_minute`` a call is not made and raises RateLimited. The answer must
    hold one vector of finite numbers for each text, all of one length: ``dimensions``, where it is given. Redirects
    are not followed. Proxies of the environment are used, but not for a loopback address. The key is in the request's
    header and nowhere else: no repr, log, error or fingerprint has it, nor a password that stands in ``base_url``.

    With a ``guard`` it connects only to addresses that the guard has passed, uses no proxy, and no error repeats what
    the server said: whoever chose the address is not to read through it. One with a ``name`` is
    called by it in all errors.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        timeout_s: float = 60,
        batch_size: int = BATCH_SIZE,
        in_flight: int = IN_FLIGHT,
        dimensions: int | None = None,
        requests_per_minute: int | None = None,
        query_prefix: str = "",
        document_prefix: str = "",
        guard: "AddressPolicy | None" = None,
        name: ServerName | None = None,
    ) -> None:
        self.batch_size = batch_size
        self.in_flight = in_flight
        self.dimension = dimensions
        self._prefixes = query_prefix, document_prefix
        self._pace = Pace(requests_per_minute)
        self._model = model
        self._timeout_s = timeout_s
        self._guard = guard
        address = urlsplit(base_url)
        address = address._replace(path=address.path.rstrip("/"))
        self._url = address._replace(path=address.path + "/embeddings").geturl()
        shown_url = _without_secrets(address)
        self._shown = name or ServerAddress(shown_url)
        self._api_key = _usable_key(api_key, self._shown.key_variable)
        self._trust_env = guard is None and not is_loopback(address.hostname)
        self.fingerprint = f"openai:{shown_url}:{model}" + _variant(dimensions, self._prefixes)
        self._client: httpx2.AsyncClient | None = None
        self._opening = anyio.Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"OpenAIEmbedder({str(self._shown)!r}, {self._model!r})"

    async def embed_documents(self, texts: list[str]) -> "Vectors":
        """Return float32 of shape (n, d). A cancel ends the request.

        Raises RateLimited (429), TransientError (408, 409, 5xx, a timeout, a broken connection, a malformed answer),
        BatchTooLarge (413), DocumentError (400, 422: these texts are refused) and ComponentUnavailable (401, 403,
        404, and what else will not pass by trying again).
        """
        prefix = self._prefixes[1]
        return await self._embed([prefix + text for text in texts] if prefix else texts)

    async def embed_query(self, text: str) -> "npt.NDArray[np.float32]":
        """Return float32 of shape (d,). Raises like ``embed_documents``; a cancel ends the request."""
        vector: npt.NDArray[np.float32] = (await self._embed([self._prefixes[0] + text]))[0]
        return vector

    async def aclose(self) -> None:
        """Close the connections. Idempotent; a later call raises ComponentUnavailable."""
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _embed(self, texts: list[str]) -> "Vectors":
        if not texts:
            return checked_vectors([], 0, self.dimension)
        answer = await self._post(self._body(texts), Bounds.of(len(texts), self.dimension))
        if not answer.is_success:
            raise self._refusal(answer)
        return checked_vectors(_rows(answer.content), len(texts), self.dimension)

    def _body(self, texts: list[str]) -> bytes:
        content: dict[str, Any] = {"model": self._model, "input": texts, "encoding_format": "float"}
        if self.dimension is not None:
            content["dimensions"] = self.dimension
        try:
            return json.dumps(content, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise DocumentError(
                "a text holds half of a surrogate pair and cannot be sent; fix its encoding", code="embedding_refused"
            ) from error

    async def _post(self, body: bytes, limits: Bounds) -> Answer:
        client = await self.prepare()
        import httpx2  # which takes 40 ms, but was done in a thread by now

        await self._pace.wait()
        try:
            # A deadline for the whole exchange: the client's own ones start again with every byte.
            with anyio.fail_after(self._timeout_s):
                async with client.stream("POST", self._url, content=body) as response:
                    headers = {name.lower(): value for name, value in response.headers.items()}
                    encoding = headers.get("content-encoding", "")
                    is_error = not response.is_success
                    content = await limits.read(response.aiter_raw(), encoding, is_error=is_error)
                    return Answer(response.status_code, headers, content)
        except TimeoutError as error:
            raise TransientError(f"{self._shown} did not answer within {self._timeout_s:g} s") from error
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise ComponentUnavailable(f"{self._shown} is not at an address that can be used; fix base_url") from error
        except SourceNotAllowed as error:
            raise ComponentUnavailable(str(error)) from error
        except httpx2.RequestError as error:
            why = self._quoted(str(error)) or type(error).__name__
            is_down = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError)
            kind = EmbedderDown if is_down else TransientError
            raise kind(f"{self._shown} cannot be reached: {why}") from error

    async def prepare(self) -> "httpx2.AsyncClient":
        """What the first call would have to do first, but for connecting. Raises ComponentUnavailable."""
        async with self._opening:
            if self._closed:
                raise ComponentUnavailable(f"the embedder for {self._shown} is closed; make a new one")
            if self._client is None:
                # Reading the certificates takes 80 ms: not on the event loop.
                self._client = await anyio.to_thread.run_sync(self._new_client)
            return self._client

    def _new_client(self) -> "httpx2.AsyncClient":
        import httpx2

        headers = {"Content-Type": "application/json", "User-Agent": "phaseflow", "Accept-Encoding": ACCEPTED}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        connections = self.in_flight + _CONNECTIONS_FOR_QUERIES
        try:
            return httpx2.AsyncClient(
                headers=headers,
                timeout=None,
                verify=trusted(),
                limits=httpx2.Limits(max_connections=connections),
                follow_redirects=False,
                trust_env=self._trust_env,
                transport=self._guarded_transport(connections),
            )
        except ImportError as error:
            raise self._cannot_connect(
                "a SOCKS proxy needs the package socksio: install it, or unset ALL_PROXY"
            ) from error
        except (ValueError, httpx2.InvalidURL) as error:  # its words may hold the proxy's password
            raise self._cannot_connect("check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY") from error
        except OSError as error:
            raise self._cannot_connect("check SSL_CERT_FILE and SSL_CERT_DIR") from error

    def _guarded_transport(self, connections: int) -> "httpx2.AsyncBaseTransport | None":
        if self._guard is None:
            return None
        from phaseflow.components.embedders.guarded import GuardedTransport

        return GuardedTransport(self._guard, connections)

    def _cannot_connect(self, advice: str) -> ComponentUnavailable:
        return ComponentUnavailable(f"no connection to {self._shown} can be set up: {advice}")

    def _refusal(self, answer: Answer) -> ComponentError:
        status = answer.status_code
        said = self._quoted(_server_message(answer.content))
        message = f"{self._shown} answered {status}" + (f": {said}" if said else "")
        if status in {400, 422}:
            return DocumentError(message, code="embedding_refused")
        if status == 413:
            return BatchTooLarge(message)
        if status in {408, 409, 429} or status >= 500:
            kind = RateLimited if status == 429 else TransientError
            return kind(message, retry_after_s=retry_after_s(answer.headers, datetime.now(UTC)))
        return ComponentUnavailable(f"{message}; {self._shown.advice(status)}")

    def _quoted(self, message: str) -> str:
        """What may be repeated of what the server said: protocol errors hold its bytes as well."""
        return "" if self._guard is not None else self._shortened(message)

    def _shortened(self, message: str) -> str:
        if self._api_key:
            message = message.replace(self._api_key, "…")
        message = " ".join(message.split())
        return message if len(message) <= _MESSAGE_LENGTH else message[: _MESSAGE_LENGTH - 1] + "…"


def _variant(dimensions: int | None, prefixes: tuple[str, str]) -> str:
    """What makes other vectors than the model alone would; empty for nothing, so that those there are stay good."""
    if dimensions is None and not any(prefixes):
        return ""
    return ":" + json.dumps([dimensions, *prefixes], ensure_ascii=False)


def _rows(content: bytes) -> list[Any]:
    """The vectors of an answer in the order of the texts. A server that numbers none has kept the order."""
    from pydantic_core import from_json

    try:
        data = from_json(content.removeprefix(codecs.BOM_UTF8))["data"]
        rows = [item["embedding"] for item in data]
        numbers = [item.get("index") for item in data]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TransientError("malformed answer of the embedding server: no list of embeddings") from error
    if all(number is None for number in numbers):
        return rows
    if set(numbers) != set(range(len(rows))):
        raise TransientError("malformed answer of the embedding server: indexes missing or given twice")
    return [row for _, row in sorted(zip(numbers, rows, strict=True), key=lambda pair: pair[0])]


def _server_message(content: bytes) -> str:
    from pydantic_core import from_json

    try:
        answer = from_json(content)
    except ValueError:
        return content[:1000].decode(errors="replace")
    for name in ("error", "message", "detail"):
        if isinstance(answer, dict) and name in answer:
            answer = answer[name]
    return str(answer)


def _usable_key(key: str | None, variable: str | None) -> str | None:
    if key and not (key.isascii() and key.isprintable()):
        raise ComponentUnavailable(f"{variable} holds what no header can carry; set it to the bare key")
    return key or None


def _without_secrets(address: SplitResult) -> str:
    """The address without user, password and query, where secrets stand."""
    return address._replace(netloc=address.netloc.rpartition("@")[2], query="", fragment="").geturl()
