"""What can be known of the connection behind a request, beyond what ASGI says."""

from typing import Any

KEY = "phaseflow.connection"


class Connection:
    """One client's connection.

    ASGI has no word for two things that an endless answer needs: to drop a client that takes nothing, and that the
    server is on its way down (uvicorn says so only when all answers have ended). Where the server is uvicorn, both can
    be seen on the object that ``receive`` is a method of. Elsewhere nothing is known, and a stop waits for the limit of
    the server.
    """

    def __init__(self, receive: Any) -> None:
        self._cycle = getattr(receive, "__self__", None)
        self._kept_alive = self._keep_alive

    @property
    def is_draining(self) -> bool:
        """The server has asked its connections to end."""
        return self._kept_alive and not self._keep_alive

    def drop(self) -> None:
        """Close it at once, with what the client has not taken: an orderly end would wait for the client for ever."""
        abort = getattr(getattr(self._cycle, "transport", None), "abort", None)
        if abort is not None:
            abort()

    @property
    def _keep_alive(self) -> bool:
        return bool(getattr(self._cycle, "keep_alive", False))
