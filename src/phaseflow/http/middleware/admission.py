"""The door of the service: one rule each for hosts, origins, the token and the length of a body, on all routes."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phaseflow.http.access import Access, cookie_name
from phaseflow.http.problems import BodyTooLarge, HttpError

SESSION = "phaseflow.session"
"""Where the session of a request stands in its scope; None where it carried the token itself."""


class Admission:
    """Lets a request in, or raises what it is refused with.

    ``body_bytes`` says how long the body of a method on a path may be, ``is_public`` which paths need no token.
    """

    def __init__(
        self, app: ASGIApp, access: Access, body_bytes: Callable[[str, str], int], is_public: Callable[[str], bool]
    ) -> None:
        self._app = app
        self._access = access
        self._body_bytes = body_bytes
        self._is_public = is_public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            await self._check(scope, headers)
            receive = _limited(headers, receive, self._body_bytes(scope["method"], path_of(scope)))
        await self._app(scope, receive, send)

    async def _check(self, scope: Scope, headers: Headers) -> None:
        client = scope.get("client")
        self._access.check_peer(client)
        self._access.check_host(headers)
        is_public = self._is_public(path_of(scope))
        self._access.check_origin(scope["method"], headers, is_public=is_public)
        if not is_public:
            name = cookie_name(headers, scope.get("server"))
            scope[SESSION] = await self._access.check_token(client[0] if client else "", headers, name)


def _limited(headers: Headers, receive: Receive, most_bytes: int) -> Receive:
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > most_bytes:
        raise _too_large(most_bytes)
    if not length and "transfer-encoding" not in headers:
        return receive
    taken = 0

    async def receive_limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most_bytes:
            raise _too_large(most_bytes)
        return message

    return receive_limited


def _too_large(most_bytes: int) -> HttpError:
    return BodyTooLarge(f"the body is longer than {most_bytes} bytes; send less")


def path_of(scope: Scope) -> str:
    """The path inside this application, without the prefix it is mounted under."""
    path: str = scope["path"]
    prefix: str = scope.get("root_path", "")
    return path[len(prefix) :] or "/" if prefix and path.startswith(prefix) else path
