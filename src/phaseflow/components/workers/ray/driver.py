"""The process between a service and its cluster: the only one that is a driver of Ray.

It decides nothing. It starts or joins the cluster, makes the calls that its input names, cancels those that it names,
and ends with its input: then no work is left. The answers go to its output, in the order in which they come.
"""

import os
import queue
import shutil
import signal
import sys
import time
from functools import partial
from threading import Lock, Thread
from typing import Any

from phaseflow.components.workers.frames import Decoder, Frame, MalformedFrame, encode
from phaseflow.components.workers.ray import messages, tasks
from phaseflow.components.workers.ray.driver_process import kill_session

_CHUNK = 1 << 20
_LOOK_S = 1.0
"""How often it is looked whether the cluster is there, and how large it is."""
_SILENT_S = 10.0
"""A cluster that has not answered for so long is gone."""
_END_S = 0.7
"""What ending takes at most once the input is over."""


def main(address: str, capacity: int, folder: str) -> None:
    """Serve one service until its input ends. Without an ``address`` the cluster is one of its own, in ``folder``."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # meant for the service, which finishes its batch and then closes the pipe
    driver = _Driver(os.dup(1), folder)
    os.dup2(2, 1)  # a library that prints must not write into the answers
    requests: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    Thread(target=_receive, args=(requests, driver), daemon=True).start()
    try:
        driver.connect(address, capacity)
    except BaseException as error:  # noqa: BLE001  # whatever it is, the service is told and tries again
        named = "" if isinstance(error, RuntimeError) else f"{type(error).__name__}: "
        driver.fail(named + _without_code(error))
    Thread(target=driver.watch, daemon=True).start()
    while True:
        driver.handle(*requests.get())


class _Driver:
    """Calls on their way, by the id that the service gave them."""

    def __init__(self, answers: int, folder: str) -> None:
        self._answers = answers
        self._folder = folder
        self._writing = Lock()
        self._version = messages.code_version()
        self._calls: dict[str, Any] = {}
        self._models: dict[str, Any] = {}
        self._functions: dict[str, Any] = {}
        self._capacity = 0
        self._seen = time.monotonic()
        self._is_joined = False

    def connect(self, address: str, capacity: int) -> None:
        """Start or join the cluster, and say what it can do. Raises whatever Ray does when it cannot."""
        import ray

        quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
        if address:
            ray.init(address, **quiet)
        else:
            ray.init(
                "local", num_cpus=capacity, num_gpus=0, include_dashboard=False, _temp_dir=self._folder, **quiet,
                object_store_memory=512 << 20,
            )  # fmt: skip
        self._is_joined = bool(address)
        options = {"num_cpus": 1, "max_retries": 0, "retry_exceptions": False}
        for function in (tasks.look, tasks.read, tasks.embed):
            self._functions[function.__name__] = ray.remote(function).options(**options)
        try:
            how, why, _ = ray.get(self._functions["look"].remote(self._version), timeout=60)
        except Exception as error:
            raise RuntimeError(_without_code(error)) from error
        if how == messages.REFUSED:
            raise RuntimeError(why)
        self._capacity = max(1, _capacity())
        self._send({"status": messages.READY, "capacity": self._capacity}, b"")

    def handle(self, head: dict[str, Any], body: bytes) -> None:
        """Carry out what the service wants."""
        import ray

        match head["do"]:
            case "read":
                self._call(head["id"], "read", tuple(head["limits"]), body)
            case "model":
                self._models[head["name"]] = ray.put(body)
            case "embed":
                # In a list: it is fetched only where it has not been loaded yet.
                self._call(head["id"], "embed", head["name"], [self._models[head["name"]]], head["texts"])
            case "cancel":
                call = self._calls.pop(head["id"], None)
                if call is not None:
                    ray.cancel(call, force=True)

    def watch(self) -> None:
        """Look after the cluster; end when it is gone, so that the service learns of it."""
        self._seen = time.monotonic()
        Thread(target=self._watch_watch, daemon=True).start()
        while True:
            time.sleep(_LOOK_S)
            try:
                found = _capacity()
            except BaseException as error:  # noqa: BLE001  # Ray has many ways to say that it is gone
                self.fail(f"the cluster is gone: {error}")
            self._seen = time.monotonic()
            if not found and not self._is_joined:
                self.fail("the node of this cluster is gone")
            if found and found != self._capacity:
                self._capacity = found
                self._send({"status": messages.CAPACITY, "capacity": found}, b"")

    def fail(self, why: str) -> None:
        """Tell the service why this cannot go on, and end."""
        self._send({"status": messages.DOWN, "why": why[:2000]}, b"")
        self.end(1)

    def end(self, status: int = 0) -> None:
        """Leave no work behind: a cluster of our own ends with this process, on another the calls are cancelled."""
        if self._is_joined:
            ending = Thread(target=self._cancel_all, daemon=True)
            ending.start()
            ending.join(_END_S)
        else:
            kill_session(os.getpid(), spare=os.getpid())
            shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(status)

    def _watch_watch(self) -> None:
        while time.monotonic() - self._seen < _SILENT_S:
            time.sleep(_LOOK_S)
        self.fail(f"the cluster has not answered for {_SILENT_S:.0f} seconds")

    def _cancel_all(self) -> None:
        import ray

        for call in list(self._calls.values()):
            ray.cancel(call, force=True)
        ray.shutdown()

    def _call(self, number: str, name: str, *arguments: Any) -> None:
        call = self._functions[name].remote(self._version, *arguments)
        self._calls[number] = call
        call.future().add_done_callback(partial(self._done, number))

    def _done(self, number: str, future: Any) -> None:
        if self._calls.pop(number, None) is None:
            return  # cancelled: nobody waits for it
        try:
            how, why, body = future.result()
        except BaseException as error:  # noqa: BLE001  # Ray's errors are many
            if _is_end_of_node(error):
                self.fail("the node of this cluster is gone")
            how, why, body = messages.LOST if _is_of_worker(error) else messages.GONE, _without_code(error), b""
        try:
            self._send({"status": how, "id": number, "why": why}, body)
        except MalformedFrame as error:
            self._send({"status": messages.LOST, "id": number, "why": str(error)}, b"")

    def _send(self, head: dict[str, Any], body: bytes) -> None:
        pieces = encode(head, body)
        with self._writing:
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(self._answers, rest) :]


def _receive(requests: "queue.SimpleQueue[Frame]", driver: _Driver) -> None:
    decoder = Decoder()
    while data := os.read(0, _CHUNK):
        decoder.feed(data)
        while (frame := decoder.take()) is not None:
            requests.put(frame)
    driver.end()


def _capacity() -> int:
    import ray

    untyped: Any = ray  # its types are there or not, as it is installed or not
    resources: dict[str, float] = untyped.cluster_resources()
    return int(resources.get("CPU", 0))


def _is_end_of_node(error: BaseException) -> bool:
    from ray.exceptions import LocalRayletDiedError

    return isinstance(error, LocalRayletDiedError)


def _is_of_worker(error: BaseException) -> bool:
    """Whether a worker has ended in the middle of a call; anything else says nothing about what it had in hand."""
    from ray.exceptions import OutOfMemoryError, WorkerCrashedError

    return isinstance(error, WorkerCrashedError | OutOfMemoryError)


def _without_code(error: BaseException) -> str:
    """The last line of an error of Ray, which may hold a whole traceback of the cluster."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[-1] if lines else type(error).__name__
    if "ray client connection timeout" in said:
        return f"{said}; nobody answers there, or the cluster asks for a token: set RAY_AUTH_TOKEN"
    if "No module named 'phaseflow" in str(error):
        return "phaseflow is not installed on the cluster; install the same version on all its nodes"
    return said[:500]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
