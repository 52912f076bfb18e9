"""Workers on a cluster of Ray, as the service has them: calls through the pipes of a driver process."""

import asyncio
import pickle
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anyio

from phaseflow.components.abandonable_thread import call_in_abandonable_thread
from phaseflow.components.workers.frames import Frame, MalformedFrame, encode
from phaseflow.components.workers.local import usable_cores
from phaseflow.components.workers.process import Limits
from phaseflow.components.workers.protocol import Model, Outcome, RawDocument
from phaseflow.components.workers.ray import messages
from phaseflow.components.workers.ray.driver_process import DriverProcess
from phaseflow.domain.errors import ComponentError, ComponentUnavailable, DocumentError, WorkerLost, WorkersDown
from phaseflow.domain.exception_text import text_of
from phaseflow.domain.log import get_logger

if TYPE_CHECKING:
    from phaseflow.components.protocols import Vectors

_CONNECT_S = 1.0
"""How long a call waits for a cluster that is being started or joined, before it says that there is none."""
_FIRST_WAIT_S = 0.2
_MOST_WAIT_S = 10.0
"""Waits between two attempts to reach the cluster double from the first to the longest."""


class RayWorkers:
    """Implements ``Workers``. Without an ``address`` (``ray://HOST:PORT``) the cluster is one of its own on this
    machine, bound to loopback, which starts and ends with it.

    A cluster that is gone is joined again, or started anew, with growing waits; calls meanwhile raise WorkersDown. The
    nodes need the same version of phaseflow, of Ray and of Python. ``limits`` hold for each document there as here.
    """

    batch_documents = 16
    is_remote = True

    def __init__(self, address: str | None = None, *, size: int | None = None, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.capacity = size or usable_cores()
        """Until the cluster has said how many processors it has."""
        self._address = address
        self._driver: DriverProcess | None = None
        self._down: str | None = "they are being started" if address is None else f"{address} is being joined"
        self._reason: str | None = None
        """What the driver said before it ended."""
        self._changed = anyio.Event()
        self._calls: dict[str, asyncio.Future[Frame]] = {}
        self._models: dict[str, bytes] = {}
        self._sent: set[str] = set()
        self._failures = 0
        self._retry: asyncio.TimerHandle | None = None
        self._is_open = False

    @property
    def down(self) -> str | None:
        """Why no worker can be reached now, or None."""
        return self._down

    @property
    def pid(self) -> int | None:
        """The driver process."""
        return None if self._driver is None else self._driver.process.pid

    async def open(self) -> None:
        """Begin to start or join the cluster."""
        self._is_open = True
        if self._driver is None and self._retry is None:
            self._start()

    async def aclose(self) -> None:
        """End all calls, the driver, and a cluster of its own. Cancelling leaves the last to its thread."""
        self._is_open = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        driver, self._driver = self._driver, None
        self._give_up_calls("the workers were closed")
        if driver is not None:
            driver.close()
            await call_in_abandonable_thread(driver.end)

    async def extract(self, batch: Sequence[RawDocument]) -> Sequence[Outcome]:
        """Read documents on the cluster. Cancelling it ends the worker there."""
        limits = self.limits
        head = {"do": "read", "limits": (limits.time_s, limits.memory_bytes, limits.idle_s)}
        try:
            body = messages.documents(batch)
            found = await self._call(head, body)
            return messages.read_outcomes(found, [document.name for document in batch])
        except MalformedFrame as error:
            raise WorkerLost(f"a worker answered nonsense ({error})") from error

    async def embed(self, model: Model, texts: list[str]) -> "Vectors":
        """Compute vectors on the cluster. Raises DocumentError with what the model raised, ComponentUnavailable when it
        cannot be loaded there."""
        await self._connected()
        name = model.fingerprint
        if name not in self._sent:
            self._send({"do": "model", "name": name}, self._pickled(name, model))
            self._sent.add(name)
        try:
            return messages.read_vectors(await self._call({"do": "embed", "name": name, "texts": texts}, b""))
        except MalformedFrame as error:
            raise WorkerLost(f"a worker answered nonsense ({error})") from error

    async def _call(self, head: Mapping[str, Any], body: bytes) -> bytes:
        await self._connected()
        number = secrets.token_hex(8)
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._calls[number] = future
        try:
            self._send({**head, "id": number}, body)
            answer, found = await future
        except asyncio.CancelledError:
            if self._driver is not None:
                self._send({"do": "cancel", "id": number}, b"")
            raise
        finally:
            self._calls.pop(number, None)
        if answer["status"] != messages.DONE:
            raise _error(str(answer["status"]), str(answer.get("why")))
        return found

    async def _connected(self) -> None:
        if self._down is not None:
            with anyio.move_on_after(_CONNECT_S):
                while self._down is not None:
                    await self._changed.wait()
        if self._down is not None:
            raise WorkersDown(f"no worker can be reached: {self._down}")

    def _pickled(self, name: str, model: Model) -> bytes:
        if name not in self._models:
            if type(model.embedder).__module__ == "__main__":
                kind = type(model.embedder).__qualname__
                message = f"{kind} says that it may run on a cluster, which cannot import the script that runs here"
                raise ComponentUnavailable(f"{message}: put it into a module, or set remote = False")
            try:
                self._models[name] = pickle.dumps(model.embedder)
            except Exception as error:
                kind = type(model.embedder).__qualname__
                message = f"{kind} says that it may run on a cluster, but cannot be pickled: {text_of(error)}"
                raise ComponentUnavailable(f"{message}; set remote = False") from error
        return self._models[name]

    def _send(self, head: Mapping[str, Any], body: bytes) -> None:
        assert self._driver is not None
        self._driver.send(encode(head, body))

    def _start(self) -> None:
        self._retry, self._reason = None, None
        self._sent.clear()
        try:
            self._driver = DriverProcess(self._address or "", self.capacity, self._received, self._ended)
        except OSError as error:
            self._ended(f"its driver process cannot be started ({error.strerror})")

    def _received(self, head: Mapping[str, Any], body: bytes) -> None:
        match head.get("status"):
            case messages.READY:
                self.capacity, self._failures = int(head["capacity"]), 0
                self._set_down(None)
                get_logger().info("workers are ready", capacity=self.capacity, address=self._address or "ray")
            case messages.CAPACITY:
                self.capacity = int(head["capacity"])
            case messages.DOWN:
                self._reason = str(head["why"])
                self._set_down(self._reason)
            case _:
                future = self._calls.get(str(head.get("id")))
                if future is not None and not future.done():
                    future.set_result((dict(head), body))

    def _ended(self, why: str) -> None:
        """The driver is gone, and with it all that it had in hand; it is tried again later."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.kill()
        why = self._reason or why
        self._set_down(why)
        self._give_up_calls(why)
        if not self._is_open:
            return
        wait_s = min(_FIRST_WAIT_S * 2.0 ** min(self._failures, 10), _MOST_WAIT_S)
        self._failures += 1
        get_logger().warning("no worker can be reached; trying again", why=why, wait_s=wait_s)
        self._retry = asyncio.get_running_loop().call_later(wait_s, self._start)

    def _give_up_calls(self, why: str) -> None:
        for future in self._calls.values():
            if not future.done():
                future.set_exception(WorkersDown(f"no worker can be reached: {why}"))

    def _set_down(self, why: str | None) -> None:
        self._down = why
        self._changed.set()
        self._changed = anyio.Event()


def _error(status: str, why: str) -> ComponentError:
    if status == messages.LOST:
        return WorkerLost(f"its worker was lost: {why}")
    if status in {messages.REFUSED, messages.GONE}:
        return WorkersDown(why)
    if status == messages.UNAVAILABLE:
        return ComponentUnavailable(why)
    return DocumentError(why, code="embed_error")
