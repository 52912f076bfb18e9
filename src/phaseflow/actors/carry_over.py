"""Before an index that was made anew takes the place of the old one: what could not be made again is carried over."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from phaseflow.actors.batching import in_parts
from phaseflow.actors.context import RunContext
from phaseflow.actors.gate import Gate
from phaseflow.actors.withdrawal import uncertain_sources
from phaseflow.domain.vocabulary import JobPhase, PhaseStatus
from phaseflow.store import failpoints
from phaseflow.store.carried_over import CarriedOver, Origin
from phaseflow.store.jobs import Jobs
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.progress import Done
from phaseflow.store.texts import SEGMENT
from phaseflow.store.transaction import Transaction

T = TypeVar("T")

_LOOKED_AT = 500
"""Documents looked at in one read."""
SEGMENTS = 32
"""Segments of texts copied in one transaction, some 20 ms, …"""
CHUNKS = 2048
"""… and passages."""


class CarryOver:
    """The end of the embedding phase of a job that makes an index anew, when it is known what each document came to.

    Of each document that stays and of which the new index would have nothing (it could not be read, cut or embedded, or
    its source could not be listed), the version that search sees is copied: its passages as they were cut, to be
    embedded with the new model. Its status and its failure stay as they are. After a crash in between, the next run
    goes on with the copies that are there, and makes the missing ones.
    """

    def __init__(self, context: RunContext, gate: Gate) -> None:
        self._context = context
        self._gate = gate

    async def run(self) -> bool:
        """Copy what is lacking; whether anything was."""
        version = await self._context.reads.read(self._older_version)
        if version is None:
            return False
        uncertain = await self._context.reads.read(partial(uncertain_sources, self._context.plan))
        after: str | None = ""
        was_lacking = False
        while after is not None:
            async with self._gate:
                found, after = await self._context.reads.read(partial(self._lacking, version, uncertain, after))
            for part in in_parts(found, _sizes, (SEGMENTS * SEGMENT, CHUNKS)):
                await (self._copy_large(part[0]) if _is_large(part[0]) else self._write(partial(self._copy, part)))
                failpoints.hit("embedding.carried")
            was_lacking = was_lacking or bool(found)
        return was_lacking

    def _older_version(self, tx: Transaction) -> int | None:
        """The index version that search sees while this job makes another; None also once all was carried over."""
        attempt, target = self._context.plan.attempt, self._context.plan.target
        if Jobs(tx).record(attempt.job_id).state[JobPhase.EMBEDDING].status is PhaseStatus.COMPLETED:
            return None  # nobody passes the gate any more
        version = KnowledgeBases(tx).get(attempt.kb_id).index_version
        return None if version == target.index_version else version

    def _lacking(
        self, version: int, uncertain: Sequence[str], after: str, tx: Transaction
    ) -> tuple[list[Origin], str | None]:
        return CarriedOver(tx, self._context.plan.target).lacking(version, uncertain, after, _LOOKED_AT)

    def _copy(self, origins: Sequence[Origin], copied: CarriedOver) -> None:
        copies = copied.begin([origin.id for origin in origins])
        copied.copy_texts(copies)
        copied.copy_chunks(copies)
        self._finish(copies, copied)

    async def _copy_large(self, origin: Origin) -> None:
        """One whose text or passages take several transactions. Nobody sees it, and nothing counts it, before the
        last."""
        copies = await self._write(lambda copied: copied.begin([origin.id]))
        for first in range(0, origin.characters, SEGMENTS * SEGMENT):
            await self._write(partial(_copy_texts, copies, first // SEGMENT))
            failpoints.hit("embedding.carried_some")
        for first in range(0, origin.chunks, CHUNKS):
            await self._write(partial(_copy_chunks, copies, first))
        await self._write(partial(self._finish, copies))

    def _finish(self, copies: Mapping[int, int], copied: CarriedOver) -> None:
        self._context.advance(copied.tx, JobPhase.EMBEDDING, Done(found=copied.finish(copies)))

    async def _write(self, write: Callable[[CarriedOver], T]) -> T:
        def step(tx: Transaction) -> T:
            self._context.advance(tx, JobPhase.EMBEDDING, Done())
            return write(CarriedOver(tx, self._context.plan.target))

        async with self._gate:
            return await self._context.write(step)


def _copy_texts(copies: Mapping[int, int], first: int, copied: CarriedOver) -> None:
    copied.copy_texts(copies, first, first + SEGMENTS)


def _copy_chunks(copies: Mapping[int, int], first: int, copied: CarriedOver) -> None:
    copied.copy_chunks(copies, first, first + CHUNKS)


def _sizes(origin: Origin) -> tuple[int, int]:
    return origin.characters, origin.chunks


def _is_large(origin: Origin) -> bool:
    return origin.characters > SEGMENTS * SEGMENT or origin.chunks > CHUNKS
