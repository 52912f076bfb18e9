"""Ports of this machine for servers that start later, or that end and start again."""

import atexit
import socket
import sys

_held: list[socket.socket] = []


@atexit.register
def _release() -> None:
    """Else each is told as forgotten when the process ends."""
    for held in _held:
        held.close()


def free_port() -> int:
    """A port on which nobody listens, and which the system gives to nobody else until this process ends.

    A port that is only looked up may be that of another test's connection by the time at which a server wants it. One
    that is bound refuses connections and is given to nobody who does not ask for it; a server that sets SO_REUSEADDR,
    as all do, can listen on it as long as this socket does not. That is so on Linux; elsewhere it is only looked up.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port: int = held.getsockname()[1]
    if sys.platform == "linux":
        _held.append(held)
    else:
        held.close()
    return port
