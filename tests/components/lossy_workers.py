"""Workers that are lost at random: real processes, killed with SIGKILL in the middle of a batch."""

import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio

from phaseflow.components.workers.local import LocalWorkers
from phaseflow.components.workers.protocol import Model, Outcome, RawDocument
from phaseflow.domain.errors import WorkerLost

if TYPE_CHECKING:
    from phaseflow.components.protocols import Vectors


WARM_UP = RawDocument(rb"{\rtf1 warm}", "warm.rtf")


class LossyWorkers(LocalWorkers):
    """Batches of up to eight; a batch in ``share`` loses its worker, and sometimes nobody says on which document.

    A document alone is spared after two losses in a row, so that none may fail for it.
    """

    is_remote = True
    batch_documents = 8

    def __init__(self, seed: int, share: float = 0.4, size: int = 2) -> None:
        super().__init__(size)
        self._random = random.Random(seed)  # noqa: S311  # no secret
        self._share = share
        self._alone: Counter[str] = Counter()
        self.read: Counter[str] = Counter()
        """How often the text of a document came back."""
        self.losses = 0
        self.largest = 0

    async def extract(self, batch: Sequence[RawDocument]) -> Sequence[Outcome]:
        self.largest = max(self.largest, len(batch))
        fatal = self._random.randrange(len(batch)) if self._loses(batch) else None
        outcomes: list[Outcome] = []
        for number, document in enumerate(batch):
            if number == fatal and not await self._lose_one(document, outcomes):
                raise WorkerLost("the worker of the whole batch is gone")
            if number != fatal:
                outcomes.append(await self._outcome(document))
        self.read.update(d.name for d, o in zip(batch, outcomes, strict=True) if not isinstance(o, Exception))
        return outcomes

    async def embed(self, model: Model, texts: list[str]) -> "Vectors":
        if self._random.random() < self._share and (len(texts) > 1 or self._alone[texts[0]] < 2):
            self._alone[texts[0]] += len(texts) == 1
            self.losses += 1
            raise WorkerLost("the worker that embeds is gone")
        return await super().embed(model, texts)

    def _loses(self, batch: Sequence[RawDocument]) -> bool:
        names = [document.name for document in batch]
        if self._random.random() >= self._share or any(self._alone[name] >= 2 for name in names):
            return False
        self._alone.update(names if len(names) == 1 else [])
        return True

    async def _lose_one(self, document: RawDocument, outcomes: list[Outcome]) -> bool:
        """Kill a process in the middle of a document; whether it is told which document that was."""
        self.losses += 1
        victim, lost = LocalWorkers(1), dict[str, Outcome]()
        await victim._outcome(WARM_UP)
        [pid] = victim.pids
        os.kill(pid, signal.SIGSTOP)

        async def read() -> None:
            lost["it"] = await victim._outcome(document)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            os.kill(pid, signal.SIGKILL)
        await victim.aclose()
        assert isinstance(lost["it"], WorkerLost)
        if self._random.random() < 0.5:
            return False
        outcomes.append(lost["it"])
        self._alone[document.name] += 1
        return True
