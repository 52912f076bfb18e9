"""The index inside the database: exact cosine over the vectors and BM25 over the words, fused by reciprocal rank."""

import json
import re
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from threading import Lock
from typing import TYPE_CHECKING

from phaseflow.domain.status import SearchHit
from phaseflow.store import passages
from phaseflow.store.documents import CHUNK_BITS
from phaseflow.store.passages import Scope
from phaseflow.store.transaction import Transaction

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

RRF_K = 60
"""Reciprocal rank fusion: score = sum of 1 / (k + rank). k from Cormack, Clarke and Büttcher, SIGIR 2009."""
CANDIDATES = 100
"""Passages that each ranking contributes at least."""
MOST_WORDS = 64
"""Words of a query that are looked up."""
KEPT = 8
"""Knowledge bases whose vectors stay in memory, the last ones searched."""


@dataclass(slots=True)
class _Table:
    """The vectors of one knowledge base at one search revision."""

    scope: Scope
    search_revision: int
    ids: "Ids"
    vectors: "Matrix"


class EmbeddedIndex:
    """Searches what the database holds. Keeps vectors in memory and brings them up to date at each search."""

    def __init__(self) -> None:
        self._tables: OrderedDict[str, _Table] = OrderedDict()
        self._updating = Lock()

    def search(
        self, tx: Transaction, scope: Scope, search_revision: int, query: str, vector: "Matrix | None", limit: int
    ) -> list[SearchHit]:
        """The best passages in the snapshot ``tx`` sees, best first. Without a vector the words alone decide."""
        most = max(CANDIDATES, limit)
        rankings = [_by_words(tx, scope, query, most)]
        if vector is not None:
            table = self._table(tx, scope, search_revision)
            rankings.append(_by_vector(table, vector, most))
        scores = fuse(rankings)
        best = sorted(scores, key=lambda chunk: (-scores[chunk], chunk))[:limit]
        found = passages.fetch(tx, scope, best)
        return [_hit(found[chunk], scores[chunk]) for chunk in best if chunk in found]

    def forget(self, kb_key: str) -> None:
        """Drop what is kept of a knowledge base that was deleted."""
        self._tables.pop(kb_key, None)

    def _table(self, tx: Transaction, scope: Scope, search_revision: int) -> _Table:
        with self._updating:
            table = self._tables.get(scope.kb_key)
            if table is None or table.scope != scope:
                table = _empty(scope)
            if table.search_revision != search_revision:
                table = _updated(tx, table, search_revision)
            self._tables[scope.kb_key] = table
            self._tables.move_to_end(scope.kb_key)
            while len(self._tables) > KEPT:
                self._tables.popitem(last=False)
            return table


def fuse(rankings: Iterable[Sequence[int]]) -> dict[int, float]:
    """Reciprocal rank fusion of rankings, best first, to a score for each member."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, member in enumerate(ranking, start=1):
            scores[member] = scores.get(member, 0.0) + 1 / (RRF_K + rank)
    return scores


def match_expression(query: str) -> str:
    """The words of a query as an FTS5 expression in which nothing is an operator; empty when there are none."""
    words = re.findall(r"\w+", query)[:MOST_WORDS]
    return " OR ".join(f'"{word}"' for word in words)


def _by_words(tx: Transaction, scope: Scope, query: str, limit: int) -> list[int]:
    expression = match_expression(query)
    return passages.best_by_words(tx, scope, expression, limit) if expression else []


def _by_vector(table: _Table, vector: "Matrix", limit: int) -> list[int]:
    import numpy as np

    if not len(table.ids):
        return []
    length = float(np.linalg.norm(vector))
    if length == 0:
        return []
    similar = table.vectors @ (vector / length).astype(np.float32)
    most = min(limit, len(similar))
    best = np.argpartition(-similar, most - 1)[:most]
    ordered = best[np.lexsort((table.ids[best], -similar[best]))]
    found: list[int] = table.ids[ordered].tolist()
    return found


def _empty(scope: Scope) -> _Table:
    import numpy as np

    return _Table(scope, 0, np.empty(0, np.int64), np.empty((0, 0), np.float32))


def _updated(tx: Transaction, table: _Table, search_revision: int) -> _Table:
    """The table without the documents that are gone, and with those that came after it."""
    import numpy as np

    live = np.array(passages.live_documents(tx, table.scope), np.int64)
    keep = np.isin(table.ids >> CHUNK_BITS, live)
    rows = passages.vectors_since(tx, table.scope, table.search_revision)
    ids = np.array([row[0] for row in rows], np.int64)
    vectors = np.frombuffer(b"".join(row[1] for row in rows), "<f4").reshape(len(rows), -1 if rows else 0)
    if not len(table.ids):
        return _Table(table.scope, search_revision, ids, vectors)
    if not rows:
        return _Table(table.scope, search_revision, table.ids[keep], table.vectors[keep])
    return _Table(
        table.scope,
        search_revision,
        np.concatenate([table.ids[keep], ids]),
        np.concatenate([table.vectors[keep], vectors]),
    )


def _hit(row: tuple[str, str, str, int, int, str], score: float) -> SearchHit:
    uri, title, text, start, end, parts = row
    where = place(json.loads(parts), start)
    return SearchHit(
        uri=uri, title=f"{title} · {where}" if where else title, text=text, score=score, start=start, end=end
    )


def place(parts: Sequence[tuple[int, str]], start: int) -> str | None:
    """The page, slide, sheet or section in which a passage begins; None in a document without such parts."""
    position = bisect_right(parts, start, key=itemgetter(0))
    return parts[position - 1][1] if position else None
