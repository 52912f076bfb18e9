"""What can be known of the connection behind a request, beyond what ASGI says.

The need, to be met by ASGI one day: a way to abort a connection, and a message to the application that the server is
on its way down while answers are still being sent. Until then this is the only module that looks at uvicorn's answers.
It promises none of this, so ``tests/test_private_parts.py`` says what breaks when it changes.
"""

import asyncio
from typing import Any

from starlette.types import Receive, Scope

KEY = "phaseflow.connection"
_ANSWERING = "run_asgi"
"""The coroutine of uvicorn in which an answer is made."""


class Connection:
    """One client's connection.

    ASGI has no word for two things that an endless answer needs: to drop a client that takes nothing, and that the
    server is on its way down (uvicorn says so only when all answers have ended). That a client has left it says in a
    message, for which a task would have to wait: 4 kB of a stream. Where the server is uvicorn, all three can be seen
    on the object that ``receive`` is a method of. Elsewhere nothing is known, and a stop waits for the limit of the
    server.
    """

    def __init__(self, receive: Receive) -> None:
        self._cycle: Any = getattr(receive, "__self__", None)
        self._kept_alive = self._keep_alive

    def find(self, scope: Scope) -> None:
        """Look for the server's end where the middleware of a host has put a ``receive`` of its own in between."""
        if not hasattr(self._cycle, "transport"):
            self._cycle = _answering(scope)
            self._kept_alive = self._keep_alive

    @property
    def tells_its_end(self) -> bool:
        """``is_gone`` will say that the client has left, so that nobody need wait for a message about it."""
        return hasattr(self._cycle, "disconnected")

    @property
    def is_gone(self) -> bool:
        """The client has left. False where nothing is known."""
        return bool(getattr(self._cycle, "disconnected", False))

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


def _answering(scope: Scope) -> Any:
    """Whoever answers this request in a task of the server, None when nobody does.

    By the tasks, because a host's middleware shows neither the server's ``receive`` nor anything that leads to it.
    """
    for task in asyncio.all_tasks():
        coroutine = task.get_coro()
        frame = getattr(coroutine, "cr_frame", None)
        if frame is None or getattr(coroutine, "__name__", "") != _ANSWERING:
            continue
        cycle = frame.f_locals.get("self")
        if _is_same(getattr(cycle, "scope", None), scope):
            return cycle
    return None


def _is_same(one: Any, scope: Scope) -> bool:
    """The same request; middleware may have copied its scope, and one connection answers one request at a time.

    Not by an address without a port: behind a proxy many requests have that.
    """
    client = scope.get("client")
    return one is scope or (isinstance(one, dict) and bool(client and client[1]) and one.get("client") == client)
