"""What the sources of a job have: who holds what, and when it is known how many documents there are."""

from collections.abc import Collection, Sequence
from functools import partial

from phaseflow.actors.context import RunContext
from phaseflow.actors.gate import Gate
from phaseflow.actors.source_reading import SourceReader
from phaseflow.components.protocols import Entry
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import failpoints
from phaseflow.store.catalogue import PUSH
from phaseflow.store.crawl_frontier import Frontier
from phaseflow.store.displaced import DisplacedEntries, DisplacedEntry
from phaseflow.store.job_sources import JobSources
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.progress import Done, PhaseProgress
from phaseflow.store.transaction import Transaction
from phaseflow.store.unlisted import UnlistedParts

LARGEST = 2**31
STEP = 500
"""Documents looked at, or let in, in one transaction."""


class SourceLists:
    """The entries of a job, as its sources list them. What it knows is in the rows: an interrupted list goes on."""

    def __init__(self, context: RunContext, gate: Gate) -> None:
        self._context = context
        self._gate = gate
        self._seq = context.plan.attempt.job_seq
        self._readers: dict[str, SourceReader] = {}
        self._others: frozenset[str] = frozenset()

    def begin(self, readers: Sequence[SourceReader], names: Collection[str]) -> None:
        """Take the sources of the job; ``names``: those of the knowledge base."""
        self._readers = {reader.name: reader for reader in readers}
        # A source of the knowledge base that this job does not read keeps what it holds, too.
        self._others = frozenset({*names, *self._readers} - {PUSH})

    def begin_without_list(self, tx: Transaction) -> None:
        """No source will be listed."""
        Frontier(tx, self._seq).finish_listing()
        self._context.advance(tx, JobPhase.LOADING, Done(total=self.total(tx)))

    def store(self, tx: Transaction, reader: SourceReader, found: Sequence[Entry], *, is_last: bool) -> None:
        """Write what a source has into the entries of the job, without what others hold."""
        plan = self._context.plan
        rows = DisplacedEntries(tx, self._seq).keep_out(
            reader.name, [(e.uri, e.size, e.stamp, e.depth) for e in found], plan.target.kb_key,
            self._others, self._complete(tx, self._others - {reader.name}), follow=self._room(tx, reader),
        )  # fmt: skip
        UnlistedParts(tx, self._seq).add(reader.name, [entry.uri for entry in found if entry.hides_others])
        if reader.has_max_depth:
            DisplacedEntries(tx, self._seq).read_again(reader.name, rows)
        new, unchanged = Frontier(tx, self._seq).add(
            rows, None if plan.full else reader.known, reader.max_entries,
            at=self._context.clock.now(), source=reader.name,
        )  # fmt: skip
        if is_last:
            JobSources(tx, self._seq).finish(reader.name)
            self._finish_listing(tx)
        if new and reader.follows_links:
            reader.has_let_in = False  # it may find more, and what it does not find is known only then
        total = self.total(tx) if is_last else None
        if new or unchanged or total is not None:
            done = Done(processed=unchanged, reused=unchanged, total=total, found=new)
            self._context.advance(tx, JobPhase.LOADING, done)
        else:  # why another source waits stays to be seen
            PhaseProgress(tx, self._context.plan.attempt, JobPhase.LOADING).check()

    def give_up(self, tx: Transaction, name: str, error: str) -> None:
        """A source cannot be listed, or read, any further."""
        JobSources(tx, self._seq).fail(name, error)
        self._finish_listing(tx)
        self._context.advance(tx, JobPhase.LOADING, Done(total=self.total(tx)))

    def _finish_listing(self, tx: Transaction) -> None:
        sources = JobSources(tx, self._seq)
        if {*sources.listed(), *sources.failed()} >= self._readers.keys():
            Frontier(tx, self._seq).finish_listing()

    def total(self, tx: Transaction) -> int | None:
        """How many documents there are; None while more may be found. What is asked for meanwhile is added to it."""
        failed = JobSources(tx, self._seq).failed()
        if all(name in failed or self._is_known(tx, reader) for name, reader in self._readers.items()):
            return Frontier(tx, self._seq).count()
        return None

    async def let_in(self, reader: SourceReader) -> None:
        """Once a source has named all it has: what it does not have any more is no longer kept from the others."""
        if reader.has_let_in or not await self._context.reads.read(lambda tx: self._may_keep_out(tx, reader.name)):
            return
        after: tuple[str, str] | None = ("", "")
        while after is not None:
            async with self._gate:
                found, after = await self._context.reads.read(partial(self._given_up, reader.name, after))
                if found:
                    await self._context.write(partial(self._let_in, found))
            failpoints.hit("loading.let_in")
        reader.has_let_in = True
        if await self._context.reads.read(self.total) is None:
            return  # nothing has moved: why another source waits stays to be seen
        async with self._gate:
            await self._context.write(
                lambda tx: self._context.advance(tx, JobPhase.LOADING, Done(total=self.total(tx)))
            )

    def _given_up(
        self, holder: str, after: tuple[str, str], tx: Transaction
    ) -> tuple[list[DisplacedEntry], tuple[str, str] | None]:
        return DisplacedEntries(tx, self._seq).given_up(holder, after, STEP)

    def _let_in(self, found: Sequence[DisplacedEntry], tx: Transaction) -> None:
        for name in sorted({each.source for each in found} & self._readers.keys()):
            mine = [Entry(each.uri, each.size, each.stamp, each.depth) for each in found if each.source == name]
            self.store(tx, self._readers[name], mine, is_last=False)

    def _may_keep_out(self, tx: Transaction, name: str) -> bool:
        """Whether a source that has named all it has keeps out documents that it may not have any more."""
        return DisplacedEntries(tx, self._seq).has_any(name) and bool(self._complete(tx, {name}))

    def _complete(self, tx: Transaction, names: Collection[str]) -> set[str]:
        """Those of these sources that have named all they have: what they have not named is not there any more."""
        if not names:
            return set()
        sources, frontier, parts = JobSources(tx, self._seq), Frontier(tx, self._seq), UnlistedParts(tx, self._seq)
        found = sources.listed() - sources.failed().keys()
        return {
            name
            for name in found & self._readers.keys() & set(names)
            if not parts.has_any(name)
            and not (self._readers[name].follows_links and (frontier.has_unread(name) or frontier.any_failed(name)))
        }

    def _is_known(self, tx: Transaction, reader: SourceReader) -> bool:
        """Whether no more documents of a source will be found, nor come in because it does not have them any more."""
        if self._context.plan.lists and reader.name not in JobSources(tx, self._seq).listed():
            return False
        if reader.follows_links and Frontier(tx, self._seq).has_unread(reader.name):
            return not self._room(tx, reader)
        return reader.has_let_in or not self._may_keep_out(tx, reader.name)

    def _room(self, tx: Transaction, reader: SourceReader) -> int:
        """How many more pages may be read of a source that follows links; 0 for one that does not."""
        if not reader.follows_links:
            return 0
        most = reader.max_entries
        return LARGEST if most is None else Frontier(tx, self._seq).room(reader.name, most)

    def names(self, tx: Transaction) -> set[str]:
        """The sources of the knowledge base, also those that this job does not read."""
        return KnowledgeBases(tx).get(self._context.plan.attempt.kb_id).holders()
