"""Documents on their way: what one phase hands over to the next is the rows in its state, by id."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from phaseflow.domain.status import timestamp
from phaseflow.store.loaded_text import LoadedText
from phaseflow.store.pieces import document_of, piece_id, pieces_of
from phaseflow.store.states import IS_ON_ITS_WAY, DocumentState
from phaseflow.store.texts import Texts, segmented
from phaseflow.store.transaction import Row, Transaction, json_array

HASH_BYTES = 16
_OF_OLDER: Final = (
    f"ingestion_jobs AS j JOIN documents AS d ON d.job_seq = j.seq AND d.{IS_ON_ITS_WAY}"
    " WHERE j.kb_id = ? AND j.seq < ?"
)


def text_hash(text: str) -> bytes:
    """BLAKE2b-128 of the UTF-8 bytes: what vectors are kept under."""
    return hashlib.blake2b(text.encode(), digest_size=HASH_BYTES).digest()


@dataclass(frozen=True, slots=True)
class StagedDocument:
    """A document as one phase hands it to the next: its text, and its chunks once it has any.

    ``spans`` are (start, end) in characters, ``hashes`` those of the passages; ``embedded``: has a chunk its vector.
    ``contexts``: what stands above each passage, where it is known. ``turn``: its place in the hand-over when it failed
    and was given back. ``indexed``: so many of its passages, from the first, stand in the full-text index already.
    ``own_metadata``, found in the document, is there until it is cut. ``media_type`` is that of the text.
    ``is_carried``: a copy of the version that an older index has.
    """

    id: int
    uri: str
    title: str
    media_type: str
    text: str
    spans: Sequence[tuple[int, int]] = ()
    hashes: Sequence[bytes] = ()
    embedded: Sequence[bool] = ()
    turn: int = 0
    indexed: int = 0
    contexts: Sequence[str] = ()
    own_metadata: Mapping[str, Any] = field(default_factory=dict)
    is_carried: bool = False

    @property
    def place(self) -> int:
        """Documents are handed over by this, ascending."""
        return self.turn or self.id

    def chunk_id(self, position: int) -> int:
        """The id of the chunk at ``position``."""
        return piece_id(self.id, position)

    def context(self, position: int) -> str:
        """What stands above the chunk at ``position``: headings, the head row of its table."""
        return self.contexts[position] if self.contexts else ""

    def embedded_texts(self) -> list[str]:
        """The texts of all chunks as they are embedded: with what stands above them."""
        if not self.contexts:
            return self.passages()
        return [
            f"{context}\n\n{self.text[start:end]}" if context else self.text[start:end]
            for context, (start, end) in zip(self.contexts, self.spans, strict=True)
        ]

    def embedded_text(self, position: int) -> str:
        """That of the chunk at ``position``."""
        start, end = self.spans[position]
        context = self.contexts[position] if self.contexts else ""
        return f"{context}\n\n{self.text[start:end]}" if context else self.text[start:end]

    def passages(self) -> list[str]:
        """The texts of all chunks."""
        return [self.text[start:end] for start, end in self.spans]


class Target(NamedTuple):
    """Where a job's documents go: its number, the key of its knowledge base, the index version, the recipe; and what
    the recipe has after it (``mark``) for documents that the setting of OCR makes a difference to."""

    job_seq: int
    kb_key: str
    index_version: int
    recipe: str
    mark: str = ""


class StagedDocuments(NamedTuple):
    """The documents on their way, of any job."""

    tx: Transaction

    def add(self, where: Target, loaded: Sequence[LoadedText], at: datetime) -> list[StagedDocument]:
        """Store texts; ids ascend in the order given."""
        found = _insert(self.tx, where, loaded, DocumentState.LOADED, at)
        Texts(self.tx).add(
            ((document.id, n, each) for document, text in zip(found, loaded, strict=True)
             for n, each in enumerate(segmented(text.text, text.parts))),
        )  # fmt: skip
        return found

    def begin(self, where: Target, loaded: LoadedText, at: datetime) -> StagedDocument:
        """A document whose text follows in several transactions. Nobody sees it and nothing counts it before
        ``finish``."""
        return _insert(self.tx, where, [loaded], DocumentState.STORING, at)[0]

    def finish(self, document_id: int, at: datetime) -> None:
        """All of the document's text is stored: it is loaded."""
        self.move([document_id], DocumentState.STORING, DocumentState.LOADED, at)

    def give_up_unfinished(self, job_seq: int) -> None:
        """What an earlier run of a job has stored in part is gone; its entries are still open."""
        self.tx.run(
            f"UPDATE documents SET state = {DocumentState.GONE}"
            f" WHERE job_seq = ? AND state = {DocumentState.STORING} AND {IS_ON_ITS_WAY}",
            job_seq,
        )

    def add_chunks(self, document: StagedDocument, first: int, last: int) -> None:
        """Store the chunks of a loaded document from position ``first`` up to ``last``; ``cut`` then counts them."""
        _insert_chunks(self.tx, [(document, n) for n in range(first, min(last, len(document.spans)))])

    def cut(self, documents: Sequence[StagedDocument], at: datetime, first: int = 0) -> None:
        """Store the chunks of loaded documents, which thereby are chunked. Those before position ``first`` are
        stored."""
        _insert_chunks(self.tx, [(d, n) for d in documents for n in range(first, len(d.spans))])
        counts = json_array([[d.id, len(d.spans)] for d in documents])
        self.tx.run(  # what a run that was broken off has stored beyond them, if its chunker cut in another way
            "DELETE FROM chunks WHERE id IN (SELECT c.id FROM json_each(?) AS d JOIN chunks AS c"
            f" ON {pieces_of('c.id', 'd.value ->> 0', first='d.value ->> 1')})",
            counts,
        )
        self.tx.run(
            f"UPDATE documents SET state = {DocumentState.CHUNKED}, chunk_count = c.n, changed_at = ?2"
            " FROM (SELECT value ->> 0 AS id, value ->> 1 AS n FROM json_each(?1)) AS c"
            f" WHERE documents.id = c.id AND state = {DocumentState.LOADED}",
            counts, timestamp(at),
        )  # fmt: skip

    def move(self, ids: Iterable[int], before: DocumentState, after: DocumentState, at: datetime) -> None:
        """Take documents from one state to another."""
        self.tx.run(
            "UPDATE documents SET state = ?, changed_at = ? WHERE id IN (SELECT value FROM json_each(?)) AND state = ?",
            after, timestamp(at), json_array(ids), before,
        )  # fmt: skip

    def next_of(
        self, job_seq: int, state: DocumentState, after_turn: int, limit: int, characters: int
    ) -> list[StagedDocument]:
        """The next documents of a job in a state, by turn: at most ``limit``, and about ``characters`` of text."""
        rows = self.tx.rows(
            "SELECT id, uri, title, coalesce(text_type, media_type), coalesce(turn, 0), indexed,"
            f" iif(?2 = {DocumentState.LOADED}, own_metadata, '{{}}'), carried_from IS NOT NULL FROM ("
            " SELECT *, coalesce(turn, id) AS place, sum(characters) OVER"
            "  (ORDER BY coalesce(turn, id) ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"
            f" FROM (SELECT * FROM documents WHERE job_seq = ?1 AND state = ?2 AND {IS_ON_ITS_WAY}"
            "  AND coalesce(turn, id) > ?3 ORDER BY coalesce(turn, id) LIMIT ?4))"
            " WHERE before IS NULL OR before < ?5 ORDER BY place",
            job_seq, state, after_turn, limit, characters,
        )  # fmt: skip
        whole = Texts(self.tx).of_documents([row[0] for row in rows])
        found = [
            StagedDocument(
                key,
                uri,
                title,
                media_type,
                whole[key],
                turn=turn,
                indexed=indexed,
                own_metadata=json.loads(metadata),
                is_carried=bool(carried),
            )
            for key, uri, title, media_type, turn, indexed, metadata, carried in rows
        ]
        return found if state == DocumentState.LOADED or not found else _with_chunks(self.tx, found)

    def are_left_by_older(self, kb_key: str, before_job: int) -> bool:
        """Whether ``purge_older`` would find any."""
        sql = f"SELECT 1 FROM {_OF_OLDER} LIMIT 1"
        return self.tx.row(sql, kb_key, before_job) is not None

    def purge_older(self, kb_key: str, before_job: int, limit: int) -> int:
        """Give up to ``limit`` documents that older jobs left on their way to the janitor; how many."""
        rows = self.tx.rows(
            f"UPDATE documents SET state = {DocumentState.GONE} WHERE id IN"
            f" (SELECT d.id FROM {_OF_OLDER} LIMIT ?) RETURNING 1",
            kb_key, before_job, limit,
        )  # fmt: skip
        return len(rows)

    def withdraw(self, ids: Sequence[int]) -> None:
        """No search sees these documents any more; the janitor removes them. Vectors stay: they are paid for."""
        gone = DocumentState.GONE
        self.tx.run(
            f"UPDATE documents SET state = {gone} WHERE id IN (SELECT value FROM json_each(?))", json_array(ids)
        )


def _insert(
    tx: Transaction, where: Target, loaded: Sequence[LoadedText], state: DocumentState, at: datetime
) -> list[StagedDocument]:
    rows = json_array(
        [
            [d.uri, d.title, d.media_type, d.content_hash, d.stamp, len(d.text), d.source, d.size, dict(d.metadata),
             where.mark if d.has_pages_without_text else "", None if d.text_type == d.media_type else d.text_type]
            for d in loaded
        ]
    )  # fmt: skip
    ids = tx.rows(
        "INSERT INTO documents (kb_id, job_seq, index_version, recipe, state, uri, title, media_type, content_hash,"
        "  stamp, characters, source, size, own_metadata, text_type, changed_at)"
        " SELECT ?1, ?2, ?3, ?4 || (value ->> 9), ?5, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,"
        "  value ->> 5, value ->> 6, value ->> 7, value -> 8, value ->> 10, ?7 FROM json_each(?6) ORDER BY key"
        " RETURNING uri, id",
        where.kb_key, where.job_seq, where.index_version, where.recipe, state, rows, timestamp(at),
    )  # fmt: skip
    by_uri = {row[0]: row[1] for row in ids}
    return [
        StagedDocument(by_uri[d.uri], d.uri, d.title, d.text_type or d.media_type, d.text, own_metadata=d.metadata)
        for d in loaded
    ]


def _insert_chunks(tx: Transaction, chunks: Sequence[tuple[StagedDocument, int]]) -> None:
    """They may be there already, from a run that was broken off."""
    tx.run(
        "INSERT OR REPLACE INTO chunks (id, start, stop, context, text_hash)"
        " SELECT value ->> 0, value ->> 1, value ->> 2, coalesce(value ->> 3, ''), substr(?2, 1 + ?3 * key, ?3)"
        " FROM json_each(?1)",
        json_array([[d.chunk_id(n), *d.spans[n], *d.contexts[n : n + 1]] for d, n in chunks]),
        b"".join(d.hashes[n] for d, n in chunks), HASH_BYTES,
    )  # fmt: skip


def _with_chunks(tx: Transaction, found: Sequence[StagedDocument]) -> list[StagedDocument]:
    chunks: dict[int, list[Row]] = {document.id: [] for document in found}
    for chunk in tx.rows(
        f"SELECT {document_of('c.id')}, start, stop, text_hash, vector_id IS NOT NULL, context FROM json_each(?) AS d"
        f" JOIN chunks AS c ON {pieces_of('c.id', 'd.value')} ORDER BY c.id",
        json_array(list(chunks)),
    ):
        chunks[chunk[0]].append(chunk)
    return [
        replace(
            document,
            spans=[(chunk[1], chunk[2]) for chunk in chunks[document.id]],
            hashes=[chunk[3] for chunk in chunks[document.id]],
            embedded=[bool(chunk[4]) for chunk in chunks[document.id]],
            contexts=_contexts(chunks[document.id]),
        )
        for document in found
    ]


def _contexts(chunks: Sequence[Row]) -> Sequence[str]:
    return [chunk[5] for chunk in chunks] if any(chunk[5] for chunk in chunks) else ()
