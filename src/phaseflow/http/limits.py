"""The most that the service takes, and how long it waits. Bytes, seconds, or numbers of what the name says."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

from phaseflow.domain.checked_fields import check_numbers
from phaseflow.domain.identifiers import is_loopback
from phaseflow.http.problems import LimitReached


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that the service takes, and how long it waits. Bytes, seconds, or numbers of what the name says."""

    body_bytes: int = 4_194_304
    """Room for the longest source there is: a thousand addresses of 2,083 characters."""
    upload_bytes: int = 1_073_741_824
    """The body of a request that carries files; what one file may have is the engine's, ``UploadLimits``."""
    uploads: int = 16
    """Requests with files at once: each writes to the disk."""
    body_s: float = 10.0
    """A body that carries no files has to be here within so long."""
    upload_idle_s: float = 60.0
    """A client that sends nothing for so long is not waited for."""
    upload_pace_bytes: int = 1024
    """A second; an upload that comes slower on the whole is not waited for."""
    head_s: float = 10.0
    """A connection has to bring the head of its next request within so long."""
    head_bytes: int = 65_536
    """The address and all headers of a request."""
    answer_idle_s: float = 30.0
    """A client that takes nothing of an answer for so long is dropped."""
    connections: int = 12_000
    """Fewer where the limit on open files asks for it: a quarter of those is kept for the work itself."""
    connections_per_client: int = 1000
    """For each address but those of this machine, streams included."""
    streams: int = 10_000
    streams_per_client: int = 200
    """For each address. Clients on this machine count towards ``streams`` only."""
    kbs: int = 10_000
    open_jobs: int = 1000
    """Jobs that are not over, in all knowledge bases."""
    send_s: float = 10.0
    """A client that takes nothing for so long is dropped; it goes on where it was with its Last-Event-ID."""
    heartbeat_s: float = 15.0

    def __post_init__(self) -> None:
        check_numbers(self)


class ConnectionLimiter:
    """Counts the open streams, in all and for each address."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._taken: Counter[str] = Counter()
        self._bodies: set[anyio.CancelScope] = set()
        self._uploads = 0
        self._closed = False

    @contextmanager
    def uploading(self) -> Iterator[anyio.CancelScope]:
        """Hold one of the places for uploads for the length of the block. Raises LimitReached when there is none.

        The scope, in which the body is to be read, is cancelled when the service stops.
        """
        if self._uploads >= self._limits.uploads:
            raise LimitReached("this server takes as many uploads as it can at once; try again later")
        self._uploads += 1
        try:
            with self.receiving() as scope:
                yield scope
        finally:
            self._uploads -= 1

    @contextmanager
    def receiving(self) -> Iterator[anyio.CancelScope]:
        """Give the scope in which a body is to be read. It is cancelled once the service is to stop."""
        scope = anyio.CancelScope()
        if self._closed:
            scope.cancel()
        self._bodies.add(scope)
        try:
            yield scope
        finally:
            self._bodies.discard(scope)

    def close(self) -> None:
        """Wait for no more of any body."""
        self._closed = True
        for scope in self._bodies:
            scope.cancel()

    @contextmanager
    def taken(self, client: tuple[str, int] | None) -> Iterator[None]:
        """Hold a seat for the length of the block. Raises LimitReached when there is none left."""
        address = client[0] if client else ""
        if self._taken.total() >= self._limits.streams:
            raise LimitReached("this server has as many streams open as it can; try again later")
        if not is_loopback(address) and self._taken[address] >= self._limits.streams_per_client:
            raise LimitReached("your address has as many streams open as this server allows; close some first")
        self._taken[address] += 1
        try:
            yield
        finally:
            self._taken[address] -= 1
            if not self._taken[address]:
                del self._taken[address]
