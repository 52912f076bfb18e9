"""What a face keeps about a knowledge base beside what all faces show, and lists in the orders that it needs."""

from collections.abc import Sequence

from phaseflow.domain.documents import DocumentInfo
from phaseflow.store import document_counts
from phaseflow.store.document_status import View
from phaseflow.store.kb_notes import Notes
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.pushed import PushedDocuments
from phaseflow.store.transaction import Transaction
from phaseflow.tracker import StateHub


class KbNotes:
    """Notes are JSON under keys of the face's own, and go with their knowledge base. Methods that name one raise
    KnowledgeBaseNotFound. All are safe to cancel."""

    def __init__(self, hub: StateHub) -> None:
        self._hub = hub

    async def get(self, kb_id: str, key: str) -> str | None:
        """A note, or None."""
        return await self._hub.database.read(lambda tx: Notes(tx, KnowledgeBases(tx).get(kb_id).key).find(key))

    async def put(self, kb_id: str, key: str, value: str, *, most: int | None = None, prefix: str = "") -> None:
        """Keep a note, durable when this returns. With more than ``most`` notes, the first whose key begins with
        ``prefix`` goes."""

        def write(tx: Transaction) -> None:
            notes = Notes(tx, KnowledgeBases(tx).get(kb_id).key)
            notes.put(key, value)
            if most is not None and notes.count() > most:
                notes.remove_first(prefix)

        await self._hub.database.write(write, durable=True)

    async def used_bytes(self, kb_id: str) -> int:
        """The sizes of all that was pushed into a knowledge base, and of what search sees of its other sources."""

        def read(tx: Transaction) -> int:
            kb = KnowledgeBases(tx).get(kb_id)
            pushed = PushedDocuments(tx, kb.key).kept_bytes()
            return pushed + document_counts.bytes_of_sources(tx, kb.key, kb.index_version)

        return await self._hub.database.read(read)

    async def kbs_by_age(self, beyond: str | None, limit: int, *, newest_first: bool) -> Sequence[str]:
        """The names of knowledge bases in the order of their creation, those behind the one named."""

        def read(tx: Transaction) -> Sequence[str]:
            if beyond is not None:
                KnowledgeBases(tx).get(beyond)
            return KnowledgeBases(tx).by_age(beyond, limit, newest_first=newest_first)

        return await self._hub.database.read(read)

    async def documents(
        self, kb_id: str, beyond: str | None, limit: int, *, last_first: bool
    ) -> Sequence[DocumentInfo]:
        """Documents in the order of their uris, or in the opposite one, those behind the uri ``beyond``."""

        def read(tx: Transaction) -> Sequence[DocumentInfo]:
            kb = KnowledgeBases(tx).get(kb_id)
            uris = Notes(tx, kb.key).uris(beyond, limit, last_first=last_first)
            found = View.now(tx, kb.key, kb.index_version).some(tx, uris)
            return [found[uri] for uri in uris if uri in found]

        return await self._hub.database.read(read)

    async def holders(self, uri: str) -> Sequence[str]:
        """The knowledge bases that know a document of this uri."""
        return await self._hub.database.read(lambda tx: KnowledgeBases(tx).holders(uri))
