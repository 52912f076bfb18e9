"""What a run has to clear away: what older jobs have left on its way, and what was skipped or deleted of its own."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from phaseflow.actors.context import Plan
from phaseflow.domain.errors import JobNotFound, StoreUnavailable
from phaseflow.domain.vocabulary import JobStatus
from phaseflow.store import failpoints
from phaseflow.store.database import Database
from phaseflow.store.documents import StagedDocuments
from phaseflow.store.jobs import Jobs
from phaseflow.store.taken_out import OnTheirWay
from phaseflow.store.transaction import Transaction
from phaseflow.supervisor.run_start import DISCARD

_LOOKED_AT: Final = 1000
"""Versions on their way looked at in one read."""
_TAKEN_OUT: Final = 20
"""Documents taken off their way in one transaction."""


class Clearing:
    """``not_stored`` hears of each write that has to be tried again, and raises when it is not to be."""

    def __init__(self, database: Database, plan: Plan, not_stored: Callable[[StoreUnavailable], None]) -> None:
        self._database = database
        self._plan = plan
        self._not_stored = not_stored
        self._uris: list[str] = []
        self._has_begun = False

    def taken_out(self, uris: Sequence[str]) -> None:
        """These documents were skipped or deleted. While the job is paused, their rows stay as they are."""
        self._uris += uris

    @property
    def is_due(self) -> bool:
        """Something may be on its way that nobody wants any more: it is to be gone before a gate opens."""
        return bool(self._uris) or not self._has_begun

    async def take_out(self) -> None:
        """Take off its way what nobody wants any more; nothing, once the job is paused."""
        if not self._has_begun:  # what was taken out before this run
            after: str | None = ""
            while after is not None:
                found, after = await self._database.read_long(self._unwanted_after(after))
                self._uris += found
            self._has_begun = True
        while some := self._uris[:_TAKEN_OUT]:
            write = partial(self._take_out_some, some)
            if not await self._database.until_stored(partial(self._database.write, write), self._not_stored):
                return
            del self._uris[: len(some)]
            failpoints.hit("clearing.taken_out")

    def _unwanted_after(self, after: str) -> Callable[[Transaction], tuple[list[str], str | None]]:
        return lambda tx: OnTheirWay(tx, self._plan.target.kb_key).unwanted(after, _LOOKED_AT)

    def _take_out_some(self, uris: Sequence[str], tx: Transaction) -> bool:
        if self._is_paused(tx):
            return False
        OnTheirWay(tx, self._plan.target.kb_key).take_out_some(uris)
        return True

    async def purge_leftovers(self, is_asked: Callable[[], bool]) -> None:
        """Give what cancelled or failed jobs before this one left on its way to the janitor, until somebody has a word:
        what is left then waits for the next run."""
        discarded = int(self._plan.has_leftovers)
        with suppress(StoreUnavailable, JobNotFound):  # the engine stops; deleted with its knowledge base
            while discarded and not is_asked():
                discarded = await self._database.until_stored(
                    lambda: self._database.write(self._purge_some), self._not_stored
                )

    def _purge_some(self, tx: Transaction) -> int:
        """None of a paused job: it had its turn, but all that could run of it is held."""
        if self._is_paused(tx):
            return 0
        return StagedDocuments(tx).purge_older(self._plan.target.kb_key, self._plan.attempt.job_seq, DISCARD)

    def _is_paused(self, tx: Transaction) -> bool:
        return Jobs(tx).record(self._plan.attempt.job_id).state.get_overall_status() is JobStatus.PAUSED
