"""What search keeps in memory of a knowledge base: its passages, their lengths, their vectors."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from phaseflow.components.arrays import numbers, runs
from phaseflow.components.vector_reading import read_vectors
from phaseflow.components.vectors import Rows
from phaseflow.store.passages import Scope, SearchablePassages, sizes_of
from phaseflow.store.pieces import PIECE_BITS
from phaseflow.store.shared_reading import SharedReading, Task
from phaseflow.store.transaction import Transaction

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

MOST_BYTES = 1 << 30
"""Of all knowledge bases together: those that were not searched for longest go. The one that is searched is kept."""
DOCUMENTS = 1000
"""Whose passages are read in one statement."""


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
    def updated(
        cls, tx: Transaction, scope: Scope, old: "Passages | None", sharing: SharedReading | None = None
    ) -> "Passages":
        """What was read before, without the documents that are gone, and with those that came since."""
        import numpy as np

        revision, live = SearchablePassages(tx, scope).live_documents()
        documents = numbers(live)
        if old is None:
            ids, sizes = _sizes_of(documents, sharing or SharedReading(tx))
        else:
            ids, sizes = map(numbers, SearchablePassages(tx, scope).sizes_since(old.search_revision))
        lengths = sizes.astype(np.float32)
        if old is not None:
            keep = old.of_documents(documents)
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


class Vectors(NamedTuple):
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
    def updated(
        cls, tx: Transaction, scope: Scope, old: "Vectors | None", known: Passages, sharing: SharedReading | None = None
    ) -> "Vectors":
        """Those of ``known``: without those of passages that are gone, and with those that came since."""
        import numpy as np

        sharing = sharing or SharedReading(tx)
        after = old.search_revision if old else -1
        wanted = known.ids if old is None else known.ids[~_places(old.of, known.ids)[1]]
        if old is None or not len(old.ids):
            return cls(known.search_revision, *read_vectors(tx, scope, after, wanted, None, sharing), known.ids)
        keep = known.places(old.ids)[1]
        kept_ids, kept = (old.ids, old.rows) if keep.all() else (old.ids[keep], old.rows.taken(keep))
        if not len(wanted):
            return cls(known.search_revision, kept_ids, kept, known.ids)
        ids, rows = read_vectors(tx, scope, after, wanted, kept, sharing)
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


def _sizes_of(documents: "Ids", sharing: SharedReading) -> "tuple[Ids, Ids]":
    """The passages of documents, and their characters."""
    import numpy as np

    found: dict[int, tuple[Ids, Ids]] = {}

    def task(first: int) -> Task:
        def read(tx: Transaction) -> None:
            ids, sizes = sizes_of(tx, documents[first : first + DOCUMENTS].tolist())
            found[first] = numbers(ids), numbers(sizes)

        return read

    sharing.run(task(first) for first in range(0, len(documents), DOCUMENTS))
    each = [(np.empty(0, np.int64),) * 2, *(found[first] for first in sorted(found))]
    return np.concatenate([ids for ids, _ in each]), np.concatenate([sizes for _, sizes in each])


def _places(known: "Ids", ids: "Ids") -> "tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]":
    import numpy as np

    at = np.searchsorted(known, ids)
    at[at == len(known)] = 0
    return at, known[at] == ids if len(known) else np.zeros(len(ids), bool)
