"""A server of files on loopback: SFTP by asyncssh, which takes long to import."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import asyncssh


class _OneUser(asyncssh.SSHServer):
    """Lets a user in with one password."""

    connections: ClassVar[list[asyncssh.SSHServerConnection]]

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("reader", "open sesame")


@contextmanager
def sftp_server(root: Path) -> Iterator[int]:
    """An SFTP server that shows a folder as its root; its port. In a loop of its own: clients block theirs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    class Server(_OneUser):
        connections: ClassVar[list[asyncssh.SSHServerConnection]] = []

    class Files(asyncssh.SFTPServer):
        def __init__(self, channel: Any) -> None:
            super().__init__(channel, chroot=bytes(root))

    async def start() -> Any:
        return await asyncssh.create_server(
            Server, "127.0.0.1", 0, server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            sftp_factory=Files,
        )  # fmt: skip

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:

        async def stop() -> None:
            server.close()
            for connection in Server.connections:
                connection.abort()
                await connection.wait_closed()
            await server.wait_closed()
            await asyncio.sleep(0.05)  # its transports close by callbacks of the loop, which nothing tells of

        asyncio.run_coroutine_threadsafe(stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
