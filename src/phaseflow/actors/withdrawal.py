"""The end of a crawl: what its sources do not have any more is taken out of search, but never silently most of it."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from phaseflow.actors.context import Plan, RunContext
from phaseflow.actors.gate import Gate
from phaseflow.actors.kept_documents import KeptDocuments
from phaseflow.actors.listing import CannotList, list_again
from phaseflow.actors.second_crawl import SecondCrawl
from phaseflow.components.protocols import Entry, Loader
from phaseflow.domain.deletions import why_not_delete
from phaseflow.domain.errors import ComponentError
from phaseflow.domain.exception_text import text_of
from phaseflow.domain.log import get_logger
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import (
    failpoints,
)
from phaseflow.store.catalogue import Catalogue
from phaseflow.store.consent import Consent
from phaseflow.store.crawl_frontier import Frontier
from phaseflow.store.failures import Failures
from phaseflow.store.job_sources import JobSources
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.passages import Census, Scope, SearchablePassages
from phaseflow.store.progress import Done, JobCounts
from phaseflow.store.transaction import Transaction
from phaseflow.store.twins import Naming, Twins
from phaseflow.store.unlisted import UnlistedParts

CLEAN_UP = 500
"""Documents looked at, or taken out, in one transaction: a row each. The janitor removes what hangs on them."""

Gone = tuple[int, str, str]
"""(id, uri, source) of a searchable document."""


class _Found(NamedTuple):
    """What is known before anything is taken out. ``is_live``: search sees what the job has written. ``since``: a
    document must have been known before that to count as one that its source had."""

    uncertain: list[str]
    since: str
    was_asked: bool
    is_live: bool
    has_failures: bool
    names_others: bool
    has_switched: bool


class Withdrawal:
    """Takes out what is gone, inside the gate. ``hold`` asks for a pause of the phase with a reason.

    Of a source that could not be listed to its end, or read, of a part that could not be listed, and where a page could
    not be read that may have led to others, only that is gone which was asked for, and is no longer a document.
    """

    def __init__(self, context: RunContext, gate: Gate, scope: Scope, hold: Callable[[str], None]) -> None:
        self._context = context
        self._gate = gate
        self._scope = scope
        self._hold = hold
        self._uncertain: list[str] = []
        self._whys: dict[str, str] = {}

    async def run(self) -> None:
        """Take out all that is gone."""
        found = await self._context.reads.read(self._look)
        self._uncertain = found.uncertain
        had, gone, kept = await self._census(found.since)
        asks = await self._await_consent(had, gone)
        if (asks or found.was_asked) and await self._keep_returned():
            _, _, kept = await self._census(found.since)
        failpoints.hit("indexing.counted")
        await KeptDocuments(self._context, self._gate).tell(kept, self._whys)
        failpoints.hit("indexing.kept")
        if gone.total() or not found.is_live:  # else each document that search sees was found
            await self._withdraw_missing()
        if found.has_failures:
            await self._forget_failures()
        if found.names_others:
            await self._take_back_names()
        # A run that was killed behind the switch has looked for those that never were searchable before it.
        await self._forget_unknown(was_searchable=found.has_switched)

    def _look(self, tx: Transaction) -> _Found:
        plan, scope = self._context.plan, self._scope
        is_live = KnowledgeBases(tx).get(plan.attempt.kb_id).index_version == scope.index_version
        return _Found(
            uncertain=uncertain_sources(plan, tx),
            since=Consent(tx).counted_from(scope.kb_key, plan.attempt.job_seq),
            was_asked=Consent(tx).was_asked(plan.attempt.job_id),
            is_live=is_live,
            has_failures=Failures(tx, scope.kb_key).are_there(),
            names_others=Twins(tx).are_named(scope.kb_key),
            has_switched=is_live and SearchablePassages(tx, scope).has_other_versions(),
        )

    async def _await_consent(self, had: Counter[str], gone: Counter[str]) -> bool:
        """Pause the phase before most of a source would go, until somebody resumes it. Whether most of one would."""
        share = self._context.plan.max_deleted_share
        reason = why_not_delete(had, gone, share)
        over = [name for name in had if why_not_delete({name: had[name]}, {name: gone[name]}, share)]
        # ``hold`` asks the supervisor to close the gate, and the next round waits in it: that is the pause. Somebody
        # who resumes gives consent in the same commit. A gate that opens without it (resumed for another reason) leads
        # here again.
        while reason is not None:
            async with self._gate:
                if await self._context.reads.read(partial(self._has_consent, over)):
                    return True
            failpoints.hit("indexing.guarded")
            self._hold(reason)
        return False

    def _has_consent(self, names: Sequence[str], tx: Transaction) -> bool:
        return Consent(tx).given(self._context.plan.attempt.job_id, names)

    async def _keep_returned(self) -> bool:
        """After a wait for an answer: keep what the sources have again. They are listed once more, or crawled, where
        that is how they are known. Whether there was one."""
        plan = self._context.plan
        if not await self._context.reads.read(lambda tx: Consent(tx).was_asked(plan.attempt.job_id)):
            return False
        for name, loader in plan.components.loaders.items():
            try:
                if getattr(loader, "follows_links", False):
                    await self._crawl_again(name, loader)
                elif name not in self._uncertain:
                    await list_again(loader, self._gate, partial(self._note_page, name))
            except (CannotList, ComponentError) as error:
                get_logger().warning("nothing of a source goes: it cannot be listed", source=name, error=text_of(error))
                self._uncertain = [*self._uncertain, name]
                self._whys[name] = text_of(error)
        return True

    async def _crawl_again(self, name: str, loader: Loader) -> None:
        gone = [uri for found in await self._all_missing() for _, uri, source in found if source == name]
        if gone:
            crawl = SecondCrawl(self._context, self._gate, self._scope, name, loader)
            await crawl.run(gone, follows=name not in self._uncertain)

    async def _note_page(self, name: str, page: Sequence[Entry]) -> None:
        await self._context.write(partial(self._note_returned, name, page))

    def _note_returned(self, name: str, page: Sequence[Entry], tx: Transaction) -> None:
        self._context.advance(tx, JobPhase.INDEXING, Done())
        seq = self._context.plan.attempt.job_seq
        Frontier(tx, seq).add_returned(name, [entry.uri for entry in page])
        UnlistedParts(tx, seq).add(name, [entry.uri for entry in page if entry.hides_others])

    async def _census(self, since: str) -> tuple[Counter[str], Counter[str], Counter[str]]:
        """How many searchable documents there were of each source before the job, how many of these are gone, and how
        many stay though they were not found."""
        plan = self._context.plan
        seq = plan.attempt.job_seq
        had, gone, kept = Counter[str](), Counter[str](), Counter[str]()
        # Counted in full before anything goes: a guard that looks at each page would have taken out most of them by the
        # time that the share is known. In pages, for one statement over a million documents would hold a reader for
        # seconds.
        after: str | None = ""
        while after is not None:
            async with self._gate:
                found, after = await self._context.reads.read(
                    partial(_counted, plan.attempt.kb_id, seq, since, self._uncertain, after)
                )
            for each in found:
                had[each.source] += each.documents
                gone[each.source] += each.gone
                kept[each.source] += each.kept
        return had, gone, kept

    async def _withdraw_missing(self) -> None:
        after: str | None = ""
        while after is not None:
            async with self._gate:
                gone, after = await self._missing(after)
                if gone:
                    await self._context.write(partial(self._withdraw, gone))
            failpoints.hit("indexing.withdrawn")

    async def _all_missing(self) -> list[list[Gone]]:
        found: list[list[Gone]] = []
        after: str | None = ""
        while after is not None:
            async with self._gate:
                gone, after = await self._missing(after)
            found.append(gone)
        return found

    async def _missing(self, after: str) -> tuple[list[Gone], str | None]:
        seq = self._context.plan.attempt.job_seq
        return await self._context.reads.read(partial(_missing, self._scope, seq, self._uncertain, after))

    def _withdraw(self, gone: Sequence[Gone], tx: Transaction) -> None:
        self._context.advance(tx, JobPhase.INDEXING, Done())
        SearchablePassages(tx, self._scope).withdraw([key for key, _, _ in gone])
        Catalogue(tx, self._scope.kb_key).forget([uri for _, uri, _ in gone])
        JobCounts(tx, self._context.plan.attempt.job_seq).add_deleted(len(gone))

    async def _forget_failures(self) -> None:
        after: str | None = ""
        while after is not None:
            async with self._gate:
                after = await self._context.write(partial(self._forget_some, after))

    def _forget_some(self, after: str, tx: Transaction) -> str | None:
        self._context.advance(tx, JobPhase.INDEXING, Done())
        seq = self._context.plan.attempt.job_seq
        return Failures(tx, self._scope.kb_key).clear_missing(seq, self._uncertain, after, CLEAN_UP)

    async def _take_back_names(self) -> None:
        """A page that was the same as another's, and is one of its own now, or gone: the other one names it no more."""
        after: Naming | None = ("", 0)
        seq, key = self._context.plan.attempt.job_seq, self._scope.kb_key
        while after is not None:
            async with self._gate:
                named, after = await self._context.reads.read(partial(_misnamed, key, seq, self._uncertain, after))
                if named:
                    await self._context.write(partial(self._take_back, named))

    def _take_back(self, named: Sequence[Naming], tx: Transaction) -> None:
        self._context.advance(tx, JobPhase.INDEXING, Done())
        Twins(tx).take_back(named)

    async def forget_replaced(self) -> None:
        """Once search sees an index that was made anew: what only the one before had counts as taken out."""
        await self._forget_unknown(was_searchable=True)

    async def _forget_unknown(self, *, was_searchable: bool = False) -> None:
        """What an earlier crawl has found and this one has not, and never became searchable or failed."""
        seq, reads, key = self._context.plan.attempt.job_seq, self._context.reads, self._scope.kb_key
        after: str | None = ""
        while after is not None:
            async with self._gate:
                gone, after = await reads.read(partial(_unknown, key, seq, self._uncertain, after))
                if gone:
                    await self._context.write(partial(self._forget_documents, gone, was_searchable))

    def _forget_documents(self, uris: Sequence[str], was_searchable: bool, tx: Transaction) -> None:
        self._context.advance(tx, JobPhase.INDEXING, Done())
        Catalogue(tx, self._scope.kb_key).forget(uris)
        if was_searchable:
            JobCounts(tx, self._context.plan.attempt.job_seq).add_deleted(len(uris))


def uncertain_sources(plan: Plan, tx: Transaction) -> list[str]:
    """The sources of which a job, once it has read them, does not know what they do not have any more."""
    seq = plan.attempt.job_seq
    others = KnowledgeBases(tx).get(plan.attempt.kb_id).holders() - plan.components.loaders.keys()
    led_elsewhere = [
        name
        for name, loader in plan.components.loaders.items()
        if getattr(loader, "follows_links", False) and Frontier(tx, seq).any_failed(name)
    ]
    return sorted({*led_elsewhere, *others, *JobSources(tx, seq).uncertain(plan.components.loaders)})


def _misnamed(
    key: str, seq: int, uncertain: Sequence[str], after: Naming, tx: Transaction
) -> tuple[list[Naming], Naming | None]:
    return Twins(tx).misnamed(key, seq, uncertain, after, CLEAN_UP)


def _counted(
    kb_id: str, seq: int, since: str, uncertain: Sequence[str], after: str, tx: Transaction
) -> tuple[list[Census], str | None]:
    kb = KnowledgeBases(tx).get(kb_id)  # what is searchable now, also when another index is being built
    return SearchablePassages(tx, Scope(kb.key, kb.index_version)).census(seq, since, uncertain, after, CLEAN_UP)


def _missing(
    scope: Scope, seq: int, uncertain: Sequence[str], after: str, tx: Transaction
) -> tuple[list[Gone], str | None]:
    return SearchablePassages(tx, scope).missing(seq, uncertain, after, CLEAN_UP)


def _unknown(key: str, seq: int, uncertain: Sequence[str], after: str, tx: Transaction) -> tuple[list[str], str | None]:
    return Catalogue(tx, key).missing(seq, uncertain, after, CLEAN_UP)
