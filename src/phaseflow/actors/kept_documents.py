"""What stays searchable though the sources of a job were not found to have it: the status says how much, and why."""

from collections.abc import Mapping
from functools import partial

from phaseflow.actors.context import RunContext
from phaseflow.actors.gate import Gate
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store.crawl_frontier import Frontier
from phaseflow.store.job_sources import JobSources, Kept
from phaseflow.store.progress import Done
from phaseflow.store.transaction import Transaction
from phaseflow.store.unlisted import UnlistedParts

_NAMED = 2
"""Pages looked for: one is named, and whether there are others is said."""


class KeptDocuments:
    """Notes, inside the gate, what one job keeps of the sources that it reads."""

    def __init__(self, context: RunContext, gate: Gate) -> None:
        self._context = context
        self._gate = gate
        self._seq = context.plan.attempt.job_seq

    async def tell(self, kept: Mapping[str, int], whys: Mapping[str, str]) -> None:
        """Note how many documents of each source are ``kept``; ``whys``: why a source, which was read, cannot be looked
        at once more. A job that lists no source has not looked for them, so it keeps none."""
        plan = self._context.plan
        mine = {name: count for name, count in kept.items() if count and plan.lists and name in plan.components.loaders}
        had_some = await self._context.reads.read(lambda tx: JobSources(tx, self._seq).has_kept())
        if mine or had_some:
            async with self._gate:
                await self._context.write(partial(self._note, mine, whys))

    def _note(self, kept: Mapping[str, int], whys: Mapping[str, str], tx: Transaction) -> None:
        self._context.advance(tx, JobPhase.INDEXING, Done())
        sources = JobSources(tx, self._seq)
        says_why = {*sources.failed(), *whys}
        sources.set_kept(
            {
                name: Kept(count, () if name in says_why else self._hiding(tx, name), whys.get(name))
                for name, count in kept.items()
            }
        )

    def _hiding(self, tx: Transaction, name: str) -> tuple[str, ...]:
        """What a source has that could not be read, and may lead to others, or hold them."""
        follows_links = getattr(self._context.plan.components.loaders[name], "follows_links", False)
        pages = Frontier(tx, self._seq).failed(name, _NAMED) if follows_links else []
        return tuple([*pages, *UnlistedParts(tx, self._seq).of(name, _NAMED)][:_NAMED])
