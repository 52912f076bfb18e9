"""Searching an index outside the database: what it raises, and what it answers, is not ours."""

import anyio

from phaseflow.components.contained import contained
from phaseflow.components.protocols import Index
from phaseflow.domain.errors import IndexUnavailable, PhaseflowError
from phaseflow.domain.identifiers import document_id
from phaseflow.domain.log import get_logger
from phaseflow.domain.status import SearchHit

SEARCH_S = 4.0
"""What a search of it may take, seconds: less than any search, so that the answer names the index."""


async def search_outside(index: Index, kb_id: str, query: str, vector: list[float], limit: int) -> list[SearchHit]:
    """The best passages, best first. Raises IndexUnavailable when it does not answer in time, raises, or answers with
    something else than hits."""
    try:
        with anyio.fail_after(SEARCH_S):
            hits = await contained(index.search(kb_id, query, vector, limit), "it")
        return [SearchHit(document_id=document_id(kb_id, hit.uri), **hit._asdict()) for hit in hits][:limit]
    except PhaseflowError as error:
        why = str(error)
    except TimeoutError:
        why = f"it did not answer within {SEARCH_S:g} s"
    except Exception as error:  # noqa: BLE001  # a program's own index may raise anything; the answer says what
        why = f"{type(error).__name__}: {error}"
    get_logger().warning("the index cannot be searched", kb=kb_id, error=why)
    raise IndexUnavailable(f"the index of {kb_id!r} cannot be searched: {' '.join(why.split())[:300]}")
