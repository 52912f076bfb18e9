"""In which order the documents of a job are handed over, where that is not the one in which they were loaded."""

from collections.abc import Sequence
from dataclasses import dataclass

from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store.pieces import pieces_of
from phaseflow.store.states import HANDED_TO, IS_ON_ITS_WAY, DocumentState
from phaseflow.store.transaction import Transaction, json_array

_FROM_THE_END = (DocumentState.EMBEDDED, DocumentState.CHUNKED, DocumentState.LOADED)


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns of the documents of one job, between its runs.

    In a run each phase goes once through what comes to it, with a cursor that goes by the turn. So what is further on
    its way has to have the earlier turn: a document that comes to a phase behind its cursor is never seen.
    """

    tx: Transaction
    job_seq: int

    def requeue_failed(self, phase: JobPhase, limit: int) -> tuple[list[str], int, int]:
        """Give up to ``limit`` documents that failed in a phase after loading back to it, after all others.

        Returns (their uris, chunks without a vector, chunks). ``put_in_order`` has to follow.
        """
        failed = self.tx.rows(
            f"SELECT id, uri FROM documents WHERE job_seq = ?1 AND state = {DocumentState.FAILED} AND {IS_ON_ITS_WAY}"
            " AND EXISTS"
            " (SELECT 1 FROM failures AS f WHERE f.kb_id = documents.kb_id AND f.uri = documents.uri AND f.job_seq = ?1"
            "  AND f.phase = ?2) ORDER BY coalesce(turn, id) LIMIT ?3",
            self.job_seq, phase, limit,
        )  # fmt: skip
        if not failed:
            return [], 0, 0
        ids = [row[0] for row in failed]
        self._put_last(ids, HANDED_TO[phase])
        unembedded, chunks = self.tx.rows(
            "SELECT count(*) FILTER (WHERE c.vector_id IS NULL), count(*) FROM json_each(?1) AS d"
            f" JOIN chunks AS c ON {pieces_of('c.id', 'd.value')}",
            json_array(ids),
        )[0]
        return [row[1] for row in failed], unembedded, chunks

    def put_in_order(self, limit: int) -> int:
        """Put up to ``limit`` documents that would come to a phase behind its cursor after all others; how many: 0 once
        there are none. A document that failed late is given back behind those that were not even cut by then."""
        furthest = 0
        for state in _FROM_THE_END:
            there = f"FROM documents WHERE job_seq = ?1 AND state = {state:d} AND {IS_ON_ITS_WAY}"
            passed = self.tx.rows(
                f"SELECT id {there} AND coalesce(turn, id) < ?2 ORDER BY coalesce(turn, id) LIMIT ?3",
                self.job_seq, furthest, limit,
            )  # fmt: skip
            if passed:
                self._put_last([row[0] for row in passed], state)
                return len(passed)
            last = self.tx.value(
                f"SELECT coalesce(turn, id) {there} ORDER BY coalesce(turn, id) DESC LIMIT 1", self.job_seq
            )
            furthest = max(furthest, last or 0)
        return 0

    def _put_last(self, ids: Sequence[int], state: DocumentState) -> None:
        last = self.tx.value(
            "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'documents' RETURNING seq", len(ids)
        )  # no document ever gets these numbers as its id
        self.tx.run(
            "UPDATE documents SET state = ?2, turn = ?3 + d.key FROM json_each(?1) AS d WHERE documents.id = d.value",
            json_array(ids), state, last - len(ids) + 1,
        )  # fmt: skip
