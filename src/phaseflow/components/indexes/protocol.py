"""What an index outside the database has to offer, and the values that go in and out.

It proposes passages by their vectors; the database decides which of them are searchable, finds words and ranks. So an
index needs no transactions, and what it still has of a document that is gone is seen by nobody.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Space:
    """Where the passages of one version of a knowledge base stand, with vectors of one model.

    ``name`` is made of letters, digits and ``_``, at most 40 characters, and never used again. ``dimension``: numbers
    in a vector.
    """

    name: str
    dimension: int


@dataclass(frozen=True, slots=True)
class IndexDocument:
    """Passages of a document, in order. ``document_id`` is never used again: a newer version has another.

    ``first`` is the position of the first one: a long document comes in several parts, and each part in place of what
    the index has at these positions. ``vectors`` is float32, (n, dimension), each of length 1; row n is that of the
    passage at position ``first + n``, whose text is ``texts[n]``.
    """

    document_id: int
    uri: str
    title: str
    first: int
    texts: Sequence[str]
    vectors: "npt.NDArray[np.float32]"


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for. ``vector`` is float32, (dimension,), of length 1.

    ``document_ids``: only passages of these documents, where a search is filtered; else None.
    """

    text: str
    vector: "npt.NDArray[np.float32]"
    limit: int
    document_ids: Sequence[int] | None = None


class Candidate(NamedTuple):
    """A passage that may answer."""

    document_id: int
    position: int


@runtime_checkable
class Index(Protocol):
    """Keeps vectors outside the database and proposes passages.

    Each call is one attempt, idempotent, and may be made again after a crash; several run at once. Raises
    IndexUnavailable (or another TransientError) when the index cannot be reached: the engine waits and tries again.
    Raises DocumentError, or anything else, for documents that it cannot take: those in hand fail alone.
    ComponentUnavailable fails the phase. Cancelling a call leaves the index as it was, or as the call would have.
    """

    async def open(self) -> None:
        """Called once, by the event loop that makes all other calls, before them. A server that cannot be reached is
        no error here."""
        ...

    async def aclose(self) -> None:
        """Called once, at the end."""
        ...

    async def ping(self) -> None:
        """Raise when the index cannot be used now."""
        ...

    async def create(self, space: Space) -> None:
        """Make room for a space; one that is there stays as it is."""
        ...

    async def put(self, space: Space, documents: Sequence[IndexDocument]) -> None:
        """Keep these passages, in place of any at the same positions of the same documents."""
        ...

    async def remove(self, space: Space, document_ids: Sequence[int]) -> None:
        """Forget these documents; unknown ones, and an unknown space, are not an error."""
        ...

    async def ready(self, space: Space) -> None:
        """Build what makes search fast, where that is due: before search switches to a space, and after many puts. May
        take long; cancelling leaves it to the next call."""
        ...

    async def drop(self, space_name: str) -> None:
        """Forget a space; an unknown one is not an error."""
        ...

    def spaces(self) -> AsyncIterator[str]:
        """Yield the names of all spaces."""
        ...

    async def document_ids(self, space: Space, after: int, limit: int) -> Sequence[int]:
        """The ids of the documents in a space above ``after``, ascending, at most ``limit``."""
        ...

    async def search(self, space: Space, query: Query) -> Sequence[Candidate]:
        """The passages whose vectors are nearest (cosine), best first, at most ``query.limit``; none of an unknown
        space."""
        ...


@runtime_checkable
class CountingIndex(Index, Protocol):
    """An index that can also say how much it has: then a loss is noticed within seconds, and passage by passage.

    Without these two methods it is noticed by a search that finds nothing, and at the start of an engine, document by
    document.
    """

    async def count(self, space: Space) -> int:
        """How many passages are in a space; 0 of an unknown one."""
        ...

    async def passages(self, space: Space, after: int, limit: int) -> Sequence[tuple[int, int]]:
        """(document id, how many of its passages) above ``after``, ascending, at most ``limit`` documents."""
        ...


INDEX_CALLS: Final = {
    "open": "open()",
    "aclose": "aclose()",
    "ping": "ping()",
    "create": "create(space)",
    "put": "put(space, documents)",
    "remove": "remove(space, document_ids)",
    "ready": "ready(space)",
    "drop": "drop(space_name)",
    "spaces": "spaces()",
    "document_ids": "document_ids(space, after, limit)",
    "search": "search(space, query)",
}
