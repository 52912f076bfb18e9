"""Versions on their way whose documents were skipped or deleted: no phase goes on with them.

The verb gives them to the janitor, in its own transaction, and the counts of their job follow. The rows of a job that
is paused are left as they are: it does the same when it goes on, before it takes anything up. What a phase has in hand
meanwhile ends, and ``in_hand`` says to the transaction that would store it what is still wanted.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from phaseflow.domain.phase import MOST_BEFORE_THE_END
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store.catalogue import PUSH
from phaseflow.store.pieces import pieces_of
from phaseflow.store.pushed import STAMP
from phaseflow.store.states import HANDED_TO, IS_IN_HAND, IS_SEARCHABLE, DocumentState
from phaseflow.store.transaction import Transaction, json_array
from phaseflow.store.upkeep import QUIET

UNWANTED: Final = (
    "(EXISTS (SELECT 1 FROM catalogue AS c WHERE c.kb_id = d.kb_id AND c.uri = d.uri AND c.skipped = 1)"
    f" OR d.source = '{PUSH}' AND NOT EXISTS (SELECT 1 FROM pushed AS p WHERE p.kb_id = d.kb_id AND p.uri = d.uri"
    f"  AND (d.stamp IS NULL OR d.stamp NOT GLOB '{STAMP}*' OR d.stamp GLOB '{STAMP}' || p.id || ' *'))"
    " OR d.carried_from IS NOT NULL AND NOT EXISTS"
    f" (SELECT 1 FROM documents AS o WHERE o.id = d.carried_from AND o.{IS_SEARCHABLE}))"
)
"""SQL for versions ``d`` that are not to be seen: of a document that is skipped, or was pushed and then deleted, even
if it has been pushed again since; and copies of a version that was taken out."""
_HAS_TEXT: Final = f"{IS_IN_HAND} AND d.state > {DocumentState.STORING}"
"""What is being stored is the loading phase's alone; it asks when the text is whole."""
_IS_COPY: Final = f"carried_from IS NOT NULL AND d.state IN ({DocumentState.CHUNKED:d}, {DocumentState.EMBEDDED:d})"
"""With the index ``documents_carried``."""
_PHASE_OF: Final = {state: phase for phase, state in HANDED_TO.items()}


def in_hand(tx: Transaction, ids: Collection[int], state: DocumentState) -> set[int]:
    """Those of these versions that are in a state still."""
    rows = tx.rows(
        "SELECT id FROM documents WHERE id IN (SELECT value FROM json_each(?)) AND state = ?",
        json_array(list(ids)),
        state,
    )
    return {row[0] for row in rows}


class OnTheirWay(NamedTuple):
    """The versions of a knowledge base that are on their way."""

    tx: Transaction
    kb_key: str

    def take_out(self, uri: str) -> None:
        """A document was just skipped or deleted: what is on its way of it is gone, unless its job is paused or
        waits."""
        if not self.tx.value(f"SELECT ?1 IN {QUIET}", self.kb_key):
            self.take_out_some([uri])

    def take_out_some(self, uris: Sequence[str]) -> None:
        """What is on its way of a few documents that nobody wants any more is gone, also of a job that was paused."""
        # CROSS: else the planner goes through all documents of the knowledge base, and looks among the uris for each.
        which = (
            "SELECT d.id FROM json_each(?2) AS n CROSS JOIN documents AS d ON d.kb_id = ?1 AND d.uri = n.value AND d."
        )
        rows = self.tx.rows(
            f"{which}{_HAS_TEXT} WHERE {UNWANTED} UNION ALL {which}{_IS_COPY} WHERE {UNWANTED}",
            self.kb_key, json_array(uris),
        )  # fmt: skip
        _give_up(self.tx, self.kb_key, [row[0] for row in rows])

    def unwanted(self, after: str, limit: int) -> tuple[list[str], str | None]:
        """Of the next ``limit`` versions on their way, by uri, those that nobody wants any more; and the uri to go on
        after, None at the end."""
        rows = self.tx.rows(
            f"SELECT d.uri, {UNWANTED} FROM documents AS d WHERE d.kb_id = ?1 AND d.{_HAS_TEXT} AND d.uri > ?2"
            f" UNION ALL SELECT d.uri, {UNWANTED} FROM documents AS d WHERE d.kb_id = ?1 AND d.{_IS_COPY}"
            " AND d.uri > ?2 ORDER BY 1 LIMIT ?3",
            self.kb_key, after, limit,
        )  # fmt: skip
        return [uri for uri, is_unwanted in rows if is_unwanted], rows[-1][0] if len(rows) == limit else None


def _give_up(tx: Transaction, kb_key: str, ids: Sequence[int]) -> None:
    """Give versions to the janitor. What no phase will do any more is not among what their job has to do."""
    if not ids:
        return
    job_seq = tx.value("SELECT max(seq) FROM ingestion_jobs WHERE kb_id = ?", kb_key)
    less: Counter[JobPhase] = Counter()
    for key, state, chunks in tx.rows(
        "SELECT id, state, chunk_count FROM documents WHERE id IN (SELECT value FROM json_each(?)) AND job_seq = ?",
        json_array(ids), job_seq,
    ):  # fmt: skip
        less[_PHASE_OF[state]] += _items(tx, key, state, chunks)
    tx.run(
        f"UPDATE documents SET state = {DocumentState.GONE} WHERE id IN (SELECT value FROM json_each(?))",
        json_array(ids),
    )
    # The counts of a job that was cancelled are history, as are those of older ones.
    tx.run(
        "UPDATE ingestion_phase_status AS s SET items_available = s.items_available - (d.value ->> 1),"
        " items_total = s.items_total - (d.value ->> 1), progress = max(s.progress, min(?3, coalesce("
        "  100 * (s.items_processed + s.items_failed) / nullif(s.items_total - (d.value ->> 1), 0), 0)))"
        " FROM json_each(?2) AS d"
        " WHERE s.phase_name = d.value ->> 0 AND s.job_id ="
        " (SELECT id FROM ingestion_jobs WHERE seq = ?1 AND cancelled_at IS NULL)",
        job_seq, json_array([[phase, count] for phase, count in less.items()]), MOST_BEFORE_THE_END,
    )  # fmt: skip


def _items(tx: Transaction, key: int, state: int, chunks: int) -> int:
    """What of a version its phase has yet to do, in that phase's items."""
    if state == DocumentState.LOADED:
        return 1
    if state == DocumentState.EMBEDDED:
        return chunks
    return int(tx.value(f"SELECT count(*) FROM chunks WHERE {pieces_of('id', '?1')} AND vector_id IS NULL", key))
