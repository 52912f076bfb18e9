"""Whether an index outside the database has all that search should see, document by document.

A count cannot tell that of an index that the keeper has yet to compare: where the database is an older copy, it may
have as many passages that are gone here.
"""

from functools import partial

from phaseflow.actors.index_audit import PAGE, Reads, compared, passages_there
from phaseflow.components.indexes import Index, Space
from phaseflow.components.indexes.losses import Comparison
from phaseflow.store import index_spaces
from phaseflow.store.index_spaces import SpaceContents


async def lacks_any(database: Reads, index: Index, space: index_spaces.Space, so_far: Comparison) -> bool:
    """Whether an index lacks a document of a space that search sees, or has it in part. Changes nothing.

    Goes on where ``so_far`` has come to, and keeps there how far it comes: who cancels it has lost nothing. Raises what
    the index raises.
    """
    at = Space(space.name, space.dimension or 0)
    async with so_far.lock:
        while so_far.after is not None:
            there = await passages_there(index, at, so_far.after, PAGE)
            unknown, missing, after = await database.read(partial(compared, space, there, so_far.after))
            for document_id, _ in missing:
                if await _is_lacking(database, index, at, space, document_id):
                    return True
            so_far.has_unknown = so_far.has_unknown or bool(unknown)
            so_far.after = after
    return False


async def _is_lacking(database: Reads, index: Index, at: Space, space: index_spaces.Space, document_id: int) -> bool:
    """Whether that is so of a document that was searchable before the index is asked, and is so after it: what has
    become searchable, or is gone, since the index was asked first is not lost."""
    there = dict(await passages_there(index, at, document_id - 1, 1))
    named = await database.read(lambda tx: SpaceContents(tx, space).named(document_id))
    return named is not None and there.get(document_id, 0) < named.passages
