"""What runs on the cluster: plain functions, called by name, with the code that is installed there.

A document is read in a confined process of its own, as on the machine of the service, so that the same limits hold.
"""

import asyncio
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import isawaitable
from threading import Timer
from typing import Any

from phaseflow.components.embedders.fingerprint import fingerprint_of
from phaseflow.components.workers.process import Limits, Worker
from phaseflow.components.workers.ray import messages
from phaseflow.domain.errors import DocumentError, WorkerLost, WorkerUnavailable
from phaseflow.domain.exception_text import named

Answer = tuple[str, str, bytes]
"""How it ended, why, and what came of it."""


def look(version: str) -> Answer:
    """Whether this node has the same code."""
    refused = _refused(version)
    return refused or (messages.DONE, "", b"")


def read(version: str, limits: tuple[float, int, float], documents: bytes) -> Answer:
    """Read the documents of a batch one after the other."""
    if refused := _refused(version):
        return refused
    reader = _readers.setdefault(limits, _Reader(Limits(*limits)))
    with reader.in_use():
        found = [reader.read(head, data) for head, data in messages.frames(documents)]
    return messages.DONE, "", messages.outcomes(found)


def embed(version: str, name: str, pickled: list[Any], texts: list[str]) -> Answer:
    """Compute vectors with a model that the service has pickled; it is loaded once in each process."""
    if refused := _refused(version):
        return refused
    try:
        model = _loaded(name, pickled)
    except Exception as error:  # noqa: BLE001  # whatever the model of a program raises is told
        return (
            messages.UNAVAILABLE,
            f"the embedder cannot be loaded on the cluster: {named(error)}",
            b"",
        )
    try:
        found = model.embed_documents(texts)
        if isawaitable(found):
            found = asyncio.run(_awaited(found))
    except Exception as error:  # noqa: BLE001  # as the embedder of a program fails where it runs itself
        return "failed", named(error), b""
    import numpy as np

    return messages.DONE, "", messages.vectors(np.asarray(found, np.float32))


async def _awaited(found: Any) -> Any:
    return await found


class _Reader:
    """A confined process, kept between calls for as long as documents come."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._worker: Worker | None = None
        self._timer: Timer | None = None

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """For a batch: a timer for each document would cost as much as a small one."""
        if self._timer is not None:
            self._timer.cancel()
        try:
            yield
        finally:
            if self._worker is not None:
                self._timer = Timer(self._limits.idle_s, self._worker.end)
                self._timer.daemon = True
                self._timer.start()

    def read(self, head: dict[str, Any], data: bytes) -> Any:
        if self._worker is None or not self._worker.is_alive:
            self._worker = Worker(self._limits, dies_with_parent=True)
        try:
            return self._worker.ask(head, data)
        except (DocumentError, WorkerLost, WorkerUnavailable) as error:
            self._worker = None
            return error


def _loaded(name: str, pickled: list[Any]) -> Any:
    if name not in _models:
        import ray

        model = pickle.loads(ray.get(pickled[0]))  # noqa: S301  # from the service, which runs what it likes here
        made = fingerprint_of(model).value
        if made != name:
            raise ValueError(f"it has the fingerprint {made} there, and {name} here")
        _models.clear()  # a program has one or two
        _models[name] = model
    return _models[name]


def _refused(version: str) -> Answer | None:
    if not _version:
        _version.append(messages.code_version())
    if _version[0] == version:
        return None
    return messages.REFUSED, "the cluster has another version of phaseflow; install the same on all its nodes", b""


_version: list[str] = []
_models: dict[str, Any] = {}
_readers: dict[tuple[float, int, float], _Reader] = {}
