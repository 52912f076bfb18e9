"""Tries a batch until it is stored: again after a passing fault, in parts when the texts may be the cause."""

from collections.abc import Sequence

import anyio

from phaseflow.actors.batch_result import BatchResult, TextsRejected
from phaseflow.actors.context import PhaseFailed, RunContext
from phaseflow.actors.embedding_calls import EmbeddingCalls, Spent
from phaseflow.actors.gate import Gate
from phaseflow.actors.pending_documents import Chunk
from phaseflow.actors.release import OrderedRelease
from phaseflow.background_task import only_error
from phaseflow.components.contained import not_cancelled_by
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import (
    BatchTooLarge,
    DimensionMismatch,
    EmbedderDown,
    PhaseflowError,
    TransientError,
    WorkersDown,
)
from phaseflow.domain.exception_text import named, text_of
from phaseflow.domain.policy import workers_wait_s
from phaseflow.domain.vocabulary import JobPhase, WaitingOn
from phaseflow.store.progress import PhaseProgress

_QUICK_TRIES = 2
"""Attempts at a part of a batch whose own tries are used up; where each takes long, one."""
_SLOW_S = 5.0
"""A server that takes so long to fail hangs. Then parts are tried beside each other."""
_SLOW_AT_ONCE = 4
_QUICK_WAIT_S = 0.25
"""The wait between them."""
_SPREAD = 4
"""So many texts of a batch are tried alone, spread over it, when both of its halves fail and nothing else passes …"""
_ROUNDS = 2
"""… so often. If none of them passes, it is the server: texts at which it breaks may be in all parts of a batch, but
hardly are all of these. …"""
_SECONDS_WITHOUT_SUCCESS = 150.0
"""… and also after so long, with fewer rounds: each may take its time-out, and many batches may be looking."""
FEW = 3
"""So many texts may be blamed because others have passed before, if none has passed meanwhile."""


class EmbeddingRetries:
    """Gets each batch stored, however often it must be tried and however small it must be cut.

    Texts that the server refuses are found by halves. So are those at which it breaks (a 5xx, a reset, vectors that are
    none, time-outs): once the tries of a batch are used up, its parts are tried. If any of them passes, or another
    batch meanwhile, the texts that fail alone are the cause, and their documents fail with the server's words; if
    nothing passes, it is the server, and the phase fails.
    """

    def __init__(self, context: RunContext, gate: Gate, release: OrderedRelease, calls: EmbeddingCalls) -> None:
        self._context = context
        self._gate = gate
        self._release = release
        self._calls = calls

    def stop(self) -> None:
        """Begin no more calls; those under way end and are stored."""
        self._calls.stop()

    async def embed(self, chunks: Sequence[Chunk]) -> None:
        """Return once each of these texts is stored or rejected. Raises PhaseFailed when it is the server."""
        # ``successes`` as they were before the first try: whether anything else has passed since is what tells a text
        # at which the server breaks from a server that is broken.
        attempt, waited_s, spent, successes = 1, 0.0, Spent(), self._calls.successes
        while True:
            try:
                await self._attempt(chunks, spent)
            except TextsRejected as rejected:
                await self._divide(chunks, rejected.cause)
                return
            except TransientError as error:
                wait_s = self._context.backoff_s(attempt, waited_s + spent.seconds, error.retry_after_s)
                if wait_s is None:
                    # No text can be the cause of these two: looking for it would only ask a dead server again.
                    if isinstance(error, EmbedderDown | DimensionMismatch):
                        raise _given_up(attempt, error) from error
                    is_slow = spent.seconds > _SLOW_S * attempt
                    await _Isolation(self, attempt, successes, error, is_slow=is_slow).run(chunks)
                    return
                attempt, waited_s = attempt + 1, waited_s + wait_s
                await self._calls.show(WaitingOn.RETRY)
                await self._calls.sleep(wait_s)
            else:
                return

    async def _attempt(self, chunks: Sequence[Chunk], spent: Spent) -> None:
        """One attempt, once there are workers to make it."""
        # No attempt, and without an end: no text is to blame, and machines that are being replaced may take hours. The
        # status says what is waited for, and a pause ends the wait.
        down = 0
        while True:
            try:
                await self._calls.attempt(chunks, spent)
            except WorkersDown as error:
                down += 1
                await self._calls.show(WaitingOn.WORKERS)
                await self._calls.sleep(workers_wait_s(down, error.retry_after_s))
            else:
                return

    async def _divide(self, chunks: Sequence[Chunk], error: Exception) -> None:
        """Try halves, so that the text which cannot be embedded is found and its neighbours are not lost."""
        if len(chunks) == 1:
            await self.reject(chunks[0], error)
            return
        for half in _halves(chunks):
            await self.embed(half)

    async def reject(self, chunk: Chunk, error: Exception) -> None:
        """Record that a text cannot be embedded: its document fails."""
        if isinstance(error, BatchTooLarge):
            code = "text_too_large"
        elif isinstance(error, TransientError):
            code = "embedding_failed"
        else:
            code = error.code if isinstance(error, PhaseflowError) else "embed_error"
        said = text_of(error) if isinstance(error, PhaseflowError) else named(error)
        async with self._gate:
            await self._release.store(BatchResult(rejected={chunk.text_hash: (code, said)}))

    async def try_quickly(self, chunks: Sequence[Chunk], tries: int) -> TransientError | None:
        """A few attempts at a part of a batch; the last fault, or None when it is stored or rejected."""
        fault: TransientError | None = None
        for _ in range(tries):
            if fault is not None:
                await self._calls.show(WaitingOn.RETRY)
                await self._calls.sleep(max(_QUICK_WAIT_S, fault.retry_after_s or 0.0))
            try:
                await self._attempt(chunks, Spent())
            except TextsRejected as rejected:
                await self._divide(chunks, rejected.cause)
                return None
            except TransientError as error:
                fault = error
            else:
                return None
        return fault

    @property
    def successes(self) -> int:
        """How many calls of this embedder were answered, for whomever."""
        return self._calls.successes

    @property
    def is_stopped(self) -> bool:
        """Another batch has failed the phase."""
        return self._calls.is_stopped

    async def has_succeeded_before(self) -> bool:
        """Whether any text of this job was embedded, in this run or an earlier one."""
        return await self._context.reads.read(
            lambda tx: PhaseProgress(tx, self._context.plan.attempt, JobPhase.EMBEDDING).has_succeeded()
        )


class _Isolation:
    """Finds the texts of one batch at which the server breaks, or that it is the server: level by level of halves."""

    def __init__(
        self, retries: EmbeddingRetries, attempts: int, successes: int, error: TransientError, *, is_slow: bool
    ) -> None:
        self._retries = retries
        self._tries = 1 if is_slow else _QUICK_TRIES
        self._at_once = anyio.CapacityLimiter(_SLOW_AT_ONCE if is_slow else 1)
        self._attempts = attempts
        self._successes = successes
        self._error = error
        self._alone: list[tuple[Chunk, TransientError]] = []

    async def run(self, chunks: Sequence[Chunk]) -> None:
        self._began = anyio.current_time()
        # Level by level, not to the end of one half first: after a few calls the parts of one level have been spread
        # over the whole batch, so that a single bad text is told from a broken server early. Several may be in all
        # parts of a level; then single texts tell.
        parts = [chunks]
        if len(chunks) == 1:
            self._alone.append((chunks[0], self._error))
        while parts and not self._retries.is_stopped:
            parts = await self._failing([half for part in parts if len(part) > 1 for half in _halves(part)])
            if self._nothing_passes() and (left := self._untried(parts)):
                await self._find_one_that_passes(left)
                rest = [some for part in parts if (some := self._untried([part]))]
                parts = await self._failing([piece for some in rest for piece in _pieces(some)])
        if self._retries.is_stopped:
            return
        # Blamed only at the end, all together: until then it may turn out to have been the server, and a document that
        # has failed once is not taken back.
        if self._alone and not await self._others_pass():
            raise _given_up(self._attempts, self._error) from self._error
        for chunk, error in self._alone:
            await self._retries.reject(chunk, error)

    async def _find_one_that_passes(self, chunks: Sequence[Chunk]) -> None:
        """Try single texts from all over these until one passes. Raises PhaseFailed when none does: it is the server,
        unless they were all there are."""
        for turn in range(1, _ROUNDS + 1):
            step = -(-len(chunks) // _SPREAD)
            first = turn % 2 * step // 2  # elsewhere each time: those at which it breaks may be at regular distances
            await self._failing([[chunk] for chunk in chunks[first::step]])
            chunks = self._untried([chunks])
            if not chunks or self._retries.is_stopped or not self._nothing_passes():
                return
            if turn == _ROUNDS or anyio.current_time() - self._began >= _SECONDS_WITHOUT_SUCCESS:
                raise _given_up(self._attempts, self._error) from self._error

    def _untried(self, parts: Sequence[Sequence[Chunk]]) -> list[Chunk]:
        """Those of some parts that have not failed alone."""
        failed = {chunk.text_hash for chunk, _ in self._alone}
        return [chunk for part in parts for chunk in part if chunk.text_hash not in failed]

    async def _failing(self, parts: Sequence[Sequence[Chunk]]) -> list[Sequence[Chunk]]:
        """Those of some parts that fail, in their order; the others are stored or rejected."""
        failing: dict[int, Sequence[Chunk]] = {}

        async def attempt(place: int, part: Sequence[Chunk]) -> None:
            with not_cancelled_by("the embedder"):
                async with self._at_once:
                    if not self._retries.is_stopped and await self._fails(part):
                        failing[place] = part

        try:
            async with anyio.create_task_group() as tasks:
                for place, part in enumerate(parts):
                    tasks.start_soon(attempt, place, part)
        except BaseExceptionGroup as group:
            raise only_error(group) from group
        return [failing[place] for place in sorted(failing)]

    async def _fails(self, part: Sequence[Chunk]) -> bool:
        fault = await self._retries.try_quickly(part, self._tries)
        if fault is None or self._retries.is_stopped:
            return False
        if len(part) == 1:
            self._alone.append((part[0], fault))
        return True

    def _nothing_passes(self) -> bool:
        return self._retries.successes == self._successes

    async def _others_pass(self) -> bool:
        """Whether the server does its work for other texts: now, or, for a few, before."""
        if self._retries.successes > self._successes:
            return True
        return len(self._alone) <= FEW and await self._retries.has_succeeded_before()


def _halves(chunks: Sequence[Chunk]) -> tuple[Sequence[Chunk], Sequence[Chunk]]:
    """Both halves of two or more chunks."""
    middle = len(chunks) // 2
    return chunks[:middle], chunks[middle:]


def _pieces(chunks: Sequence[Chunk]) -> Sequence[Sequence[Chunk]]:
    return _halves(chunks) if len(chunks) > 1 else [chunks]


def _given_up(attempts: int, error: Exception) -> PhaseFailed:
    return PhaseFailed(f"gave up after {counted(attempts, 'attempt')}: {text_of(error)}")
