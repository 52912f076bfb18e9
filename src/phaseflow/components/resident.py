"""What search keeps in memory of a knowledge base: its passages, their lengths, their vectors."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from phaseflow.components import stored_vectors
from phaseflow.components.arrays import numbers, runs
from phaseflow.components.vectors import CompactBuilder, CompactRows, ExactRows, Rows
from phaseflow.store import passages
from phaseflow.store.passages import Scope, SearchablePassages
from phaseflow.store.pieces import PIECE_BITS
from phaseflow.store.transaction import Transaction

if TYPE_CHECKING:
    from concurrent.futures import Future

    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

MOST_BYTES = 1 << 30
"""Of all knowledge bases together: those that were not searched for longest go. The one that is searched is kept."""
BATCH = 1024
"""Vectors read in one statement."""
MOST_EXACT = 50_000
"""Vectors that are kept as they are; more are kept in a smaller form."""
SAMPLES = 64
"""Places from which vectors are taken to tell their mean, and how many from each."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Passages:
    """The passages of a knowledge base that search sees, by id, and their documents."""

    search_revision: int
    ids: "Ids"
    lengths: "Numbers"
    """Characters of each."""
    document_of: "npt.NDArray[np.int64]"
    """The place in ``documents`` of each."""
    documents: "Ids"
    document_lengths: "Numbers"
    mean_length: float
    mean_document_length: float

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(a.nbytes for a in (self.ids, self.lengths, self.document_of, self.documents, self.document_lengths))

    def of_documents(self, ids: "Ids") -> "npt.NDArray[np.bool_]":
        """Which passages are those of these documents."""
        import numpy as np

        return np.isin(self.documents, ids).take(self.document_of)

    def places(self, ids: "Ids") -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]":
        """The places of passages, and which of them search sees."""
        return _places(self.ids, ids)

    def seen(self, ids: Sequence[int]) -> list[int]:
        """The places of those of these passages that search sees."""
        import numpy as np

        at, is_seen = self.places(np.array(ids, np.int64))
        found: list[int] = at[is_seen].tolist()
        return found

    @classmethod
    def updated(cls, tx: Transaction, scope: Scope, old: "Passages | None") -> "Passages":
        """What was read before, without the documents that are gone, and with those that came since."""
        import numpy as np

        revision, live = SearchablePassages(tx, scope).live_documents()
        new_ids, new_lengths = SearchablePassages(tx, scope).sizes_since(old.search_revision if old else -1)
        ids, lengths = numbers(new_ids), numbers(new_lengths).astype(np.float32)
        if old is not None:
            keep = old.of_documents(numbers(live))
            ids, lengths = np.concatenate([old.ids[keep], ids]), np.concatenate([old.lengths[keep], lengths])
        if not (ids[1:] > ids[:-1]).all():
            order = np.argsort(ids, kind="stable")
            ids, lengths = ids.take(order), lengths.take(order)
        owners = ids >> PIECE_BITS
        firsts = runs(owners)
        counts = np.diff(np.append(firsts, len(ids)))
        whole = np.add.reduceat(lengths, firsts) if len(ids) else lengths
        return cls(
            search_revision=revision,
            ids=ids,
            lengths=lengths,
            document_of=np.repeat(np.arange(len(firsts)), counts),
            documents=owners[firsts],
            document_lengths=whole,
            mean_length=float(lengths.mean()) if len(ids) else 1.0,
            mean_document_length=float(whole.mean()) if len(ids) else 1.0,
        )


@dataclass(frozen=True, slots=True)
class Vectors:
    """Their vectors: row n is that of passage ``ids[n]``; the ids ascend."""

    search_revision: int
    ids: "Ids"
    rows: Rows
    of: "Ids"
    """The passages among which they were looked for."""

    @property
    def size(self) -> int:
        """Bytes, without the passages, which are kept anyway."""
        return self.ids.nbytes + self.rows.size

    def places(self, ids: "Ids") -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]":
        """The rows of passages, and which of them have one."""
        return _places(self.ids, ids)

    @classmethod
    def updated(cls, tx: Transaction, scope: Scope, old: "Vectors | None", known: Passages) -> "Vectors":
        """Those of ``known``: without those of passages that are gone, and with those that came since."""
        import numpy as np

        after = old.search_revision if old else -1
        wanted = known.ids if old is None else known.ids[~_places(old.of, known.ids)[1]]
        if old is None or not len(old.ids):
            return cls(known.search_revision, *_read(tx, scope, after, wanted, None), known.ids)
        keep = known.places(old.ids)[1]
        kept_ids, kept = (old.ids, old.rows) if keep.all() else (old.ids[keep], old.rows.taken(keep))
        if not len(wanted):
            return cls(known.search_revision, kept_ids, kept, known.ids)
        ids, rows = _read(tx, scope, after, wanted, kept)
        ids = np.concatenate([kept_ids, ids])
        if not (ids[1:] > ids[:-1]).all():
            order = np.argsort(ids)
            ids, rows = ids[order], rows.taken(order)
        return cls(known.search_revision, ids, rows, known.ids)


class _Sized(Protocol):
    @property
    def search_revision(self) -> int: ...

    @property
    def size(self) -> int: ...


T = TypeVar("T", bound=_Sized)


class Resident(Generic[T]):
    """Keeps one thing for each knowledge base, and brings it up to date. Thread-safe: one updates at a time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[Scope, T]] = OrderedDict()
        self._lock = Lock()

    def get(
        self,
        tx: Transaction,
        scope: Scope,
        search_revision: int,
        updated: Callable[[T | None], T],
        most_bytes: int = MOST_BYTES,
    ) -> T:
        """What belongs to the snapshot ``tx`` sees, made by ``updated`` from what is kept."""
        with self._lock:
            kept = self._kept.get(scope.kb_key)
            known = kept[1] if kept is not None and kept[0] == scope else None
            if known is not None and known.search_revision == search_revision:
                self._kept.move_to_end(scope.kb_key)
                return known
            with tx.to_the_end():  # else a search that is cut off would leave the next one as much to read
                known = updated(known)
            self._kept[scope.kb_key] = scope, known
            self._kept.move_to_end(scope.kb_key)
            size = sum(each.size for _, each in self._kept.values())
            while size > most_bytes and len(self._kept) > 1:
                size -= self._kept.popitem(last=False)[1][1].size
            return known

    def has(self, kb_key: str) -> bool:
        """Whether anything is kept of a knowledge base."""
        return kb_key in self._kept

    def forget(self, kb_key: str) -> None:
        """Drop what is kept of a knowledge base."""
        with self._lock:
            self._kept.pop(kb_key, None)


def _read(tx: Transaction, scope: Scope, after: int, wanted: "Ids", old: Rows | None) -> "tuple[Ids, Rows]":
    """The ids of passages that have a vector, and the old rows with their vectors behind."""
    import numpy as np

    found: list[Ids] = []

    def matrices() -> "Iterator[Numbers]":
        for first in range(0, len(wanted), BATCH):
            some = wanted[first : first + BATCH]
            ids, matrix = _vectors_since(tx, scope, after, int(some[0]), int(some[-1]))
            if len(ids):
                found.append(ids)
                yield matrix

    rows = _with_more(old, matrices(), len(wanted), lambda: _sample(tx, scope, after, wanted))
    return np.concatenate(found) if found else np.empty(0, np.int64), rows


def _vectors_since(tx: Transaction, scope: Scope, after: int, first: int, last: int) -> "tuple[Ids, Numbers]":
    text, packed, least, most = SearchablePassages(tx, scope).vectors_since(after, first, last)
    ids = numbers(text)
    if least == most > 0:
        return ids, stored_vectors.read(packed, most)
    return ids, stored_vectors.read_all([row[1] for row in passages.vectors_of(tx, ids.tolist())])


def _with_more(
    old: Rows | None, matrices: "Iterator[Numbers]", most: int, sample: "Callable[[], Numbers | None]"
) -> Rows:
    import numpy as np

    # Once compact, always compact: to and fro at the limit would read all vectors each time. And all rows are packed
    # around one mean, whatever comes later, for those of two packings could not be compared.
    if (len(old) if old is not None else 0) + most <= MOST_EXACT and not isinstance(old, CompactRows):
        read = list(matrices)
        exact = ExactRows(np.concatenate(read) if read else np.empty((0, 0), np.float32))
        return exact if old is None else old.with_more(exact.matrix) if len(exact) else old
    compact = old if isinstance(old, CompactRows) else None
    if compact is not None:
        mean: Numbers | None = compact.mean
    else:
        mean = old.matrix.mean(axis=0) if isinstance(old, ExactRows) and len(old) else sample()
    if mean is None:
        return old if old is not None else ExactRows(np.empty((0, 0), np.float32))
    builder = CompactBuilder(most + (len(old) if isinstance(old, ExactRows) else 0), mean)
    if isinstance(old, ExactRows):
        builder.add(old.matrix)
    _add_beside(builder, matrices)
    return builder.built() if compact is None else compact.joined(builder.built())


def _add_beside(builder: CompactBuilder, matrices: "Iterator[Numbers]") -> None:
    """Make the smaller form of vectors in a thread, while this one reads the next from the database: both let go of the
    GIL, and each takes its share of the first search."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1, "phaseflow-vectors") as beside:
        adding: Future[None] | None = None
        for matrix in matrices:
            if adding is not None:
                adding.result()  # never more than two of them in memory
            adding = beside.submit(builder.add, matrix)
        if adding is not None:
            adding.result()


def _sample(tx: Transaction, scope: Scope, after: int, wanted: "Ids") -> "Numbers | None":
    """About the mean of vectors; None where there are none."""
    import numpy as np

    read = []
    for at in range(0, len(wanted), len(wanted) // SAMPLES + 1):
        ids, matrix = _vectors_since(tx, scope, after, int(wanted[at]), int(wanted[at]) + SAMPLES)
        if len(ids):
            read.append(matrix)
    return np.concatenate(read).mean(axis=0) if read else None


def _places(known: "Ids", ids: "Ids") -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]":
    import numpy as np

    at = np.searchsorted(known, ids)
    at[at == len(known)] = 0
    return at, known[at] == ids if len(known) else np.zeros(len(ids), bool)
