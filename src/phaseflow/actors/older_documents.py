"""What search sees when a job ends, and the job would have made otherwise: it could not be read, so it stays."""

from functools import partial

from phaseflow.actors.context import RunContext
from phaseflow.actors.gate import Gate
from phaseflow.domain.indexed_with import LiveIndex
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.passages import Scope, SearchablePassages
from phaseflow.store.transaction import Transaction

_LOOKED_AT = 500
"""Documents looked at in one read."""


class OlderDocuments:
    """Looks, inside the gate, for documents of ``scope`` that are not made as the job makes them. A run that makes all
    as it was made before looks at none."""

    def __init__(self, context: RunContext, gate: Gate, scope: Scope) -> None:
        self._context = context
        self._gate = gate
        self._scope = scope

    async def live_settings(self) -> str:
        """What the index is made with once the job is over, and which settings some documents are older than."""
        before = await self._context.reads.read(self._before)
        made = LiveIndex.model_validate_json(self._context.plan.live_settings)
        names = [] if before is None else made.older_settings(before)
        if names and await self._are_there():
            made = made.model_copy(update={"older_in": names})
        return made.model_dump_json()

    def _before(self, tx: Transaction) -> LiveIndex | None:
        live = KnowledgeBases(tx).get(self._context.plan.attempt.kb_id).live_settings
        return None if live is None else LiveIndex.model_validate_json(live)

    async def _are_there(self) -> bool:
        target = self._context.plan.target
        after: str | None = ""
        recipes = (target.recipe, target.recipe + target.mark)
        while after is not None:
            async with self._gate:
                found, after = await self._context.reads.read(partial(self._look, recipes, after))
            if found:
                return True
        return False

    def _look(self, recipes: tuple[str, str], after: str, tx: Transaction) -> tuple[bool, str | None]:
        return SearchablePassages(tx, self._scope).any_not_made_by(
            self._context.plan.attempt.job_seq, recipes, after, _LOOKED_AT
        )
