"""A site looked at once more before its pages are taken out: what it has again, only its pages can tell."""

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import anyio

from phaseflow.actors.context import RunContext
from phaseflow.actors.gate import Gate
from phaseflow.actors.listing import CannotList, list_again
from phaseflow.actors.reading_window import DROP_S
from phaseflow.actors.source_reading import IN_FLIGHT
from phaseflow.components.contained import contained, not_cancelled_by
from phaseflow.components.loader_answers import checked_document
from phaseflow.components.protocols import Document, Entry, Known, Loader, Skipped, Unchanged
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import DocumentError, TransientError
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import failpoints
from phaseflow.store.crawl_frontier import Frontier, KnownVersions, leads_nowhere
from phaseflow.store.passages import Scope
from phaseflow.store.progress import Done, PhaseProgress
from phaseflow.store.transaction import Transaction

_WAITS_S: Final = (1.0, 4.0, 16.0)
"""Between the attempts at pages that fail for now, or longer, as the site asks, …"""
_LONGEST_WAIT_S: Final = 60.0
"""… but not longer than this."""
_MOST: Final = 100_000
"""Pages of a crawl without a limit of its own: their addresses are in memory."""
_STEP: Final = 500
_TELL_S: Final = 2.0

_Answer = Document | Unchanged | Skipped | Exception


class SecondCrawl:
    """Of one source that is known by its links. Its pages are fetched again, and none is stored. All inside the gate.

    Raises CannotList where it cannot tell what the source has: a page could not be read that may lead to others.
    """

    def __init__(self, context: RunContext, gate: Gate, scope: Scope, name: str, loader: Loader) -> None:
        self._context = context
        self._gate = gate
        self._known_as = (scope.kb_key, scope.index_version)
        self._name = name
        self._loader = loader
        self._seq = context.plan.attempt.job_seq
        self._at_once = max(1, int(getattr(loader, "in_flight", IN_FLIGHT)))
        self._count = 0
        self._tells_at = 0.0

    async def run(self, gone: Sequence[str], *, follows: bool) -> None:
        """Keep those of ``gone`` pages that the source has again. Without ``follows`` only those are looked at that the
        job had asked for: the others stay anyway."""
        asked: set[str] = set()
        for first in range(0, len(gone), _STEP):
            some = gone[first : first + _STEP]
            asked |= await self._context.reads.read(partial(self._asked, some))
        await self._look_at(sorted(asked))
        if follows and (left := {*gone} - asked):
            await self._follow(left)

    def _asked(self, uris: Sequence[str], tx: Transaction) -> set[str]:
        return Frontier(tx, self._seq).among(uris)

    async def _look_at(self, uris: Sequence[str]) -> None:
        """Pages that were no documents when they were asked for. One of which that cannot be told now stays."""
        for first in range(0, len(uris), self._at_once):
            answers = await self._answers([Entry(uri) for uri in uris[first : first + self._at_once]])
            await self._keep([uri for uri, answer in answers.items() if not _is_none(answer)])

    async def _follow(self, left: set[str]) -> None:
        """Go through the source until all that is ``left`` is found, or there is no more of it."""
        most = min(getattr(self._loader, "max_entries", None) or _MOST, _MOST)
        waiting: deque[Entry] = deque()
        seen: set[str] = set()

        async def found(entries: Sequence[Entry]) -> None:
            new = {entry.uri: entry for entry in entries if entry.uri not in seen}
            added = list(new.values())[: most - len(seen)]
            seen.update(entry.uri for entry in added)
            waiting.extend(added)

        await list_again(self._loader, self._gate, found)
        while left and waiting:
            batch = [waiting.popleft() for _ in range(min(self._at_once, len(waiting)))]
            answers = await self._answers(batch)
            for uri, answer in answers.items():
                if isinstance(answer, Exception):
                    if not _is_none(answer) and not leads_nowhere(uri):
                        raise CannotList(answer)
                else:
                    await found(answer.links)
            back = [uri for uri, answer in answers.items() if uri in left and not _is_none(answer)]
            await self._keep(back)
            left.difference_update(back)

    async def _keep(self, uris: Sequence[str]) -> None:
        if not uris:
            return
        async with self._gate:
            await self._context.write(partial(self._note_found, uris))

    def _note_found(self, uris: Sequence[str], tx: Transaction) -> None:
        self._context.advance(tx, JobPhase.INDEXING, Done())
        Frontier(tx, self._seq).add_found_again(self._name, uris, self._context.clock.now())

    async def _answers(self, entries: Sequence[Entry]) -> dict[str, _Answer]:
        """What becomes of some pages, by uri: what stays of faults that may pass was tried several times."""
        answers: dict[str, _Answer] = {}
        waits = list(_WAITS_S)
        while left := [entry for entry in entries if entry.uri not in answers]:
            async with self._gate:
                known = await self._context.reads.read(partial(self._known, [entry.uri for entry in left]))
                answers |= await self._ask(left, known)
                await self._tell(len(answers))
            failpoints.hit("indexing.looked_again")
            passing = {uri: answer for uri, answer in answers.items() if isinstance(answer, TransientError)}
            if passing and waits:
                wait_s = max(waits.pop(0), *(error.retry_after_s or 0 for error in passing.values()))
                answers = {uri: answer for uri, answer in answers.items() if uri not in passing}
                await self._gate.sleep(min(wait_s, _LONGEST_WAIT_S))
        self._count += len(answers)
        return answers

    def _known(self, uris: Sequence[str], tx: Transaction) -> dict[str, Known]:
        found = KnownVersions(tx, *self._known_as).of(uris)
        return {uri: Known(bytes.fromhex(digest), stamp) for uri, digest, stamp in found}

    async def _ask(self, entries: Sequence[Entry], known: dict[str, Known]) -> dict[str, _Answer]:
        """Those that have answered, once the gate is closed for long: the others are dropped."""
        answers: dict[str, _Answer] = {}

        async def ask(entry: Entry) -> None:
            answers[entry.uri] = await self._outcome(entry, known.get(entry.uri))
            if len(answers) == len(entries):
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for entry in entries:
                tasks.start_soon(ask, entry)
            await self._gate.closed_for(DROP_S)
            tasks.cancel_scope.cancel()
        return answers

    async def _outcome(self, entry: Entry, known: Known | None) -> _Answer:
        try:
            with not_cancelled_by("the loader"), self._gate.calls.on():
                answer: Any = await contained(self._loader.load(entry, known), "the loader")
            return checked_document(self._loader, answer, entry, known)
        except Exception as error:  # noqa: BLE001  # judged by whoever has asked
            return error

    async def _tell(self, more: int) -> None:
        if (now := anyio.current_time()) < self._tells_at:
            return
        self._tells_at = now + _TELL_S
        note = f"looking once more at what the site has, {counted(self._count + more, 'page')} so far"
        attempt = self._context.plan.attempt
        await self._context.write(lambda tx: PhaseProgress(tx, attempt, JobPhase.INDEXING).note(note))


def _is_none(answer: _Answer) -> bool:
    """There is no document: nothing, or a page that is another, or wants to be left out."""
    return isinstance(answer, Skipped) or (isinstance(answer, DocumentError) and answer.gone)
