"""What one phase hands to the next: rows in the store, and a bounded channel of hints that carry the same documents.

A full channel never blocks its sender. A receiver whose cursor fits takes the batch from memory; one that is behind
(paused, slow, restarted) reads the gap from the store.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from phaseflow.store.database import Database
from phaseflow.store.documents import StagedDocument, StagedDocuments
from phaseflow.store.patient_reads import PatientReads
from phaseflow.store.progress import Attempt
from phaseflow.store.states import DocumentState

BUFFER = 8
"""Batches in a channel; more give no more speed. …"""
MOST_CHARACTERS = 2_000_000
"""… Of their texts about so much: with more in it, a channel is full, too. All channels together hold some 6 MB of it,
whatever the size of the documents, and one that is larger goes alone."""
READ_DOCUMENTS = 32
"""Documents read from the store at once, and …"""
_READ_CHARACTERS = 1_000_000
"""… about how much text, so that memory stays flat."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Documents by ascending place. ``after``: the place of the last one handed over before them. ``characters``: of
    their texts."""

    after: int
    documents: Sequence[StagedDocument]
    characters: int

    @property
    def last(self) -> int:
        """The place of its last document."""
        return self.documents[-1].place


class Handoff:
    """Both ends of one channel, between two actors of one run."""

    def __init__(self, database: Database | PatientReads, attempt: Attempt, state: DocumentState) -> None:
        send: MemoryObjectSendStream[_Batch]
        receive: MemoryObjectReceiveStream[_Batch]
        send, receive = anyio.create_memory_object_stream(BUFFER)
        self.sender = Sender(send)
        self.receiver = Receiver(receive, self.sender, database, attempt, state)


class Sender:
    """The sender's end."""

    def __init__(self, send: MemoryObjectSendStream[_Batch]) -> None:
        self._send = send
        self._held = 0
        self.last = 0
        self.is_complete = False

    def offer(self, staged: Sequence[StagedDocument]) -> None:
        """Hand over documents that have been committed. Never waits."""
        if not staged:
            return
        batch = _Batch(self.last, staged, sum([len(document.text) for document in staged]))
        assert batch.after < batch.documents[0].place
        self.last = batch.last
        if self._held >= MOST_CHARACTERS:
            return  # a hint: the receiver sees ``last`` and reads the store
        try:
            self._send.send_nowait(batch)
        except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return  # as above. Closed: this end was given up meanwhile
        self._held += batch.characters

    def taken(self, batch: _Batch) -> None:
        """The channel holds this one no more."""
        self._held -= batch.characters

    def close(self, *, complete: bool) -> None:
        """No more will come. ``complete``: because all was handed over, not because the sender failed."""
        self.is_complete = complete
        self._send.close()


class Receiver:
    """The receiver's end: a cursor on the documents in one state."""

    def __init__(
        self,
        receive: MemoryObjectReceiveStream[_Batch],
        sender: Sender,
        database: Database | PatientReads,
        attempt: Attempt,
        state: DocumentState,
    ) -> None:
        self._receive = receive
        self._sender = sender
        self._database = database
        self._job_seq = attempt.job_seq
        self._state = state
        self._cursor = 0
        self._behind = attempt.number > 1  # what an earlier run has handed over is in the store only
        self._old = 0
        self._reads_old = False

    @property
    def is_complete(self) -> bool:
        """Everything that will ever come was received."""
        return self._sender.is_complete

    @property
    def has_more(self) -> bool:
        """More is there already, or nothing will come at all: ``next`` need not wait."""
        return self._behind or self._sender.last > self._cursor

    def look_again(self) -> None:
        """There may be more in the store, which nobody has handed over."""
        self._behind = True

    def note_taken_out(self) -> None:
        """Documents were skipped or deleted: what is on its way here may have been read, or handed over, before that.

        How far that goes is known at once, but for a read of the store that is under way: with its end.
        """
        self._old = max(self._old, self._cursor, self._sender.last)
        self._reads_old = True

    def is_old(self, document: StagedDocument) -> bool:
        """Whether a document that was received may be one that was taken out before. Later ones are not: they are
        handed over without those that nobody wants."""
        return document.place <= self._old

    async def next(self) -> Sequence[StagedDocument]:
        """The next documents, by ascending place; none when no more will come. Cancelling loses nothing."""
        while True:
            if self._behind:
                if found := await self._read():
                    return found
                self._behind = False
            try:
                batch = await self._take()
            except anyio.EndOfStream:
                return await self._read() if self.has_more else []
            if batch is None or batch.after > self._cursor:
                self._behind = True
            elif batch.last > self._cursor:  # else it was read from the store already
                self._cursor = batch.last
                return batch.documents

    def close(self) -> None:
        """Receive no more."""
        self._receive.close()

    async def _take(self) -> _Batch | None:
        """The next batch in the channel; None when more was handed over than it holds. Raises EndOfStream."""
        # The channel first, then the sender's ``last``: a full channel still holds batches that fit, and only what
        # follows them has to be read. Looking at ``last`` first would read from the store all that a full channel has.
        with suppress(anyio.WouldBlock):
            return self._taken(self._receive.receive_nowait())
        if self._sender.last > self._cursor:
            return None
        return self._taken(await self._receive.receive())

    def _taken(self, batch: _Batch) -> _Batch:
        self._sender.taken(batch)
        return batch

    async def _read(self) -> Sequence[StagedDocument]:
        # Taken before the read: all up to there is committed, so when nothing is found the cursor may pass it. Taken
        # after, it could pass documents that were committed during the read.
        last = self._sender.last
        cursor = self._cursor
        self._reads_old = False
        found = await self._database.read_long(
            lambda tx: StagedDocuments(tx).next_of(self._job_seq, self._state, cursor, READ_DOCUMENTS, _READ_CHARACTERS)
        )
        if found and self._reads_old:  # told since it began
            self._old = max(self._old, found[-1].place)
        self._cursor = found[-1].place if found else max(self._cursor, last)
        return found
