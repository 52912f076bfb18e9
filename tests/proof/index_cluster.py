"""A cluster of Ray for the cells in which a part of it is killed: one for all of them."""

import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio

from phaseflow.components.workers.protocol import Model, Outcome, RawDocument
from phaseflow.components.workers.ray.workers import RayWorkers
from phaseflow.domain.errors import ComponentError
from tests.components.test_workers import docx
from tests.engine.ray_parts import named
from tests.proof.index_victim import Who
from tests.stopwatch import fail_soon

if TYPE_CHECKING:
    from phaseflow.components.protocols import Vectors

UP_S = 120
EMPTY_PARAGRAPHS = 30_000
NAMES = {Who.WORKER: ("ray::read", "ray::IDLE", "ray::"), Who.RAYLET: ("raylet/raylet",)}


def slow_docx(text: str) -> bytes:
    """A document that says little and takes a while to read."""
    body = "<w:p/>" * EMPTY_PARAGRAPHS + f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"
    return docx(
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        f"<w:body>{body}</w:body></w:document>".encode()
    )


class Cluster:
    """Workers of many engines, one after the other: closing them with an engine leaves the cluster up."""

    batch_documents = RayWorkers.batch_documents
    is_remote = True

    def __init__(self) -> None:
        self._workers = RayWorkers(size=2)
        self.busy = 0
        """How often a worker had documents in hand when a part was killed."""

    @property
    def capacity(self) -> int:
        return self._workers.capacity

    @property
    def down(self) -> str | None:
        return self._workers.down

    async def open(self) -> None:
        await self._workers.open()

    async def aclose(self) -> None:
        """The cluster stays; what was in hand was cancelled by those who waited for it."""

    async def extract(self, batch: Sequence[RawDocument]) -> Sequence[Outcome]:
        return await self._workers.extract(batch)

    async def embed(self, model: Model, texts: list[str]) -> "Vectors":
        return await self._workers.embed(model, texts)

    async def until_up(self) -> None:
        """Until it reads a document: what was killed last may not have been noticed yet."""
        await self._workers.open()
        with fail_soon(UP_S):
            while True:
                try:
                    await self._workers.extract([RawDocument(rb"{\rtf1 x\par}", "x.rtf")])
                except ComponentError:
                    await anyio.sleep(0.1)
                else:
                    return

    def kill(self, who: Who) -> None:
        """Kill a part with ``kill -9``."""
        session = self._workers.pid or 0
        self.busy += bool(named(session, "ray::read"))
        for part in NAMES[who]:
            if found := named(session, part):
                os.kill(found[0], signal.SIGKILL)
                return
        raise AssertionError(f"the cluster has no {who}")

    async def end(self) -> None:
        """End the cluster."""
        await self._workers.aclose()
