"""What defines a knowledge base, its source and settings, as it is stored when a job starts or somebody puts it."""

from datetime import datetime

from phaseflow.components.uploads import Uploads, disk
from phaseflow.domain.errors import InvalidRequest, KnowledgeBaseNotFound
from phaseflow.domain.etags import Precondition
from phaseflow.domain.settings import DEFAULT_SOURCE, SOURCES, Settings, UploadSource
from phaseflow.flow.kb_view import etag_of_kb
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord, KnowledgeBases
from phaseflow.store.pushed import PushedDocuments
from phaseflow.store.transaction import Transaction

_UPLOAD = SOURCES.dump_json({DEFAULT_SOURCE: UploadSource()}).decode()


class Definitions:
    """Keeps a knowledge base's definition, and its folder of uploads, up to date inside the transaction of a request.

    ``defaults`` are the settings of new ones. ``needs_source`` is False where the program loads documents itself, and
    keeps no uploads. The folder is as before when the transaction is not stored.
    """

    def __init__(self, defaults: Settings, uploads: Uploads, *, needs_source: bool) -> None:
        self._defaults = defaults
        self._uploads = uploads
        self._needs_source = needs_source

    def to_start(
        self, tx: Transaction, kb_id: str, sources: str | None, settings: Settings | None, at: datetime
    ) -> KnowledgeBaseRecord:
        """The knowledge base that a job starts on, created or changed by what the start gives.

        Raises KnowledgeBaseNotFound without a source on an unknown one, InvalidRequest where there is none to read.
        """
        kb = KnowledgeBases(tx).find(kb_id)
        if sources is None and self._needs_source:
            if kb is None:
                raise KnowledgeBaseNotFound(kb_id)
            if kb.sources is None and PushedDocuments(tx, kb.key).is_all():
                sources = _UPLOAD  # its jobs were another program's: what was pushed beside them is all it can load
            elif kb.sources is None:
                raise InvalidRequest("source", f"knowledge base {kb_id!r} has no source; start it with one")
        if kb is None or sources is not None or settings is not None:
            KnowledgeBases(tx).put(kb_id, sources, self.settings_json(settings, kb), at)
        return KnowledgeBases(tx).get(kb_id)

    def to_push(self, tx: Transaction, kb_id: str, at: datetime) -> KnowledgeBaseRecord:
        """The knowledge base that documents are pushed into; an unknown one is created, without any other source."""
        if KnowledgeBases(tx).find(kb_id) is None:
            KnowledgeBases(tx).put(kb_id, _UPLOAD, self.settings_json(None, None), at)
        return KnowledgeBases(tx).get(kb_id)

    def put(
        self,
        tx: Transaction,
        kb_id: str,
        sources: str | None,
        settings: Settings | None,
        at: datetime,
        precondition: Precondition,
    ) -> None:
        """Create or change a knowledge base. Raises KnowledgeBaseNotFound without a source on an unknown one,
        PreconditionFailed where it is not as it has to be."""
        kb = KnowledgeBases(tx).find(kb_id)
        if kb is None and sources is None:
            raise KnowledgeBaseNotFound(kb_id)
        if not precondition.is_empty:
            precondition.check(f"knowledge base {kb_id!r}", etag_of_kb(kb))
        KnowledgeBases(tx).put(kb_id, sources, self.settings_json(settings, kb), at)

    def remove(self, tx: Transaction, kb_id: str) -> str:
        """Delete a knowledge base; its key, by which ``Uploads.empty_trash`` deletes its files once that is stored."""
        key = KnowledgeBases(tx).get(kb_id).key
        KnowledgeBases(tx).remove(kb_id)
        with disk():
            self._uploads.move_to_trash(kb_id, key, tx)
        return key

    def settings_json(self, chosen: Settings | None, kb: KnowledgeBaseRecord | None) -> str:
        """The settings chosen, else those that it has, else the defaults."""
        if kb is None:
            return (chosen or self._defaults).model_dump_json()
        if chosen is None:
            return kb.settings
        return chosen.in_place_of(Settings.model_validate_json(kb.settings)).model_dump_json()
