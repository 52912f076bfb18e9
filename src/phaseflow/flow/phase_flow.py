"""``PhaseFlow``: the engine, as an asynchronous context manager inside an asyncio application."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, BinaryIO, Self

from phaseflow.actors.context import Policies
from phaseflow.components.protocols import Chunker, Index, Loader, TextSplitter
from phaseflow.components.upload_batch import UploadBatch
from phaseflow.components.uploads import UploadLimits, Uploads
from phaseflow.domain.etags import Etags, Precondition
from phaseflow.domain.new_document import NewDocument
from phaseflow.domain.settings import Settings
from phaseflow.domain.status import JobStatusResponse, KnowledgeBase, Transition, Vacuumed
from phaseflow.domain.vocabulary import Action, JobPhase
from phaseflow.flow import inputs
from phaseflow.flow.choices import Choices
from phaseflow.flow.components import ComponentFactory
from phaseflow.flow.control import Control
from phaseflow.flow.document_verbs import DocumentVerbs
from phaseflow.flow.documents import Documents, Taken
from phaseflow.flow.engine import SLOTS, Engine
from phaseflow.flow.job import Job
from phaseflow.flow.kb_notes import KbNotes
from phaseflow.flow.kept_files import KeptFiles
from phaseflow.flow.queries import Queries
from phaseflow.flow.source_loaders import LoaderFor
from phaseflow.flow.starting import Starting
from phaseflow.flow.upkeep import Upkeep
from phaseflow.flow.webhooks import Webhooks
from phaseflow.store.document_changes import DocumentChanges
from phaseflow.supervisor.janitor import KEEP_DAYS
from phaseflow.tracker import PhaseTracker


class PhaseFlow(Queries):
    """Runs ingestion jobs on one database file.

    Entering the block opens the file (creating it if needed), records jobs of a dead process as ``interrupted``, and
    resumes them unless ``auto_resume`` is False. Leaving it stops running jobs after the batch in hand; the next block
    resumes them. A call that is cancelled is done completely or not at all; a value it cannot use is InvalidRequest.

    ``loader``, ``chunker``, ``embedder`` and ``index`` replace the built-in components (see ``components.protocols``;
    LangChain's text splitters and embeddings can be passed in as is). ``settings`` are those of new knowledge bases.
    ``slots``: how many jobs run at once (0: none); ``only``: the knowledge bases whose jobs run here. ``check_source``
    may raise SourceNotAllowed; ``allow_private`` opens private addresses (``HOST[:PORT]``) to the web source and to
    embedders that clients choose; ``embedding_url`` alone gets PHASEFLOW_EMBEDDING_API_KEY. ``keep_vectors``: days for
    which unused vectors are kept. ``index_servers`` (by name) and ``workers`` (processes, ``ray``, ``ray://HOST:PORT``)
    replace PHASEFLOW_INDEX_SERVERS and PHASEFLOW_WORKERS. Entering raises DatabaseHeld, NotADatabase, NewerDatabase.
    """

    def __init__(
        self,
        path: str | Path = "phaseflow.db",
        *,
        loader: Loader | LoaderFor | None = None,
        chunker: Chunker | TextSplitter | None = None,
        embedder: Any = None,
        index: Index | None = None,
        settings: inputs.SettingsLike | None = None,
        policies: Policies | None = None,
        slots: int = SLOTS,
        auto_resume: bool = True,
        only: Collection[str] | None = None,
        check_source: Callable[[inputs.Source], None] | None = None,
        allow_private: Collection[str] = (),
        uploads: UploadLimits | None = None,
        embedding_url: str | None = None,
        keep_vectors: float = KEEP_DAYS,
        index_servers: Mapping[str, str] | None = None,
        workers: "inputs.WorkersLike | None" = None,
    ) -> None:
        self.path = inputs.as_path("path", path).absolute()
        self.settings = inputs.as_settings(settings) or Settings()
        files = Uploads(self.path, inputs.as_kind("uploads", uploads, UploadLimits))
        components = ComponentFactory(
            loader=loader, chunker=chunker, embedder=embedder, index=index, uploads=files, workers=workers,
            check_source=inputs.as_function("check_source", check_source), index_servers=index_servers,
            allow_private=inputs.as_names("allow_private", allow_private), embedding_url=inputs.as_url(embedding_url),
        )  # fmt: skip
        self.embedder_access = components.access
        self._engine = Engine(
            self.path, components, files, self.settings, inputs.as_kind("policies", policies, Policies),
            keep_vectors=keep_vectors, slots=slots, auto_resume=auto_resume, only=only,
        )  # fmt: skip
        super().__init__(self._engine, components, self._engine.searching)
        self.choices = Choices(self._engine)
        self._starting = Starting(self._engine)
        self._control = Control(self._engine)
        self._intake = Documents(self._engine)
        self.document_verbs = DocumentVerbs(self._engine)
        self._upkeep = Upkeep(self._engine)

    async def __aenter__(self) -> Self:
        await self._engine.begin(self._starting)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._engine.end(*error)

    @property
    def is_running(self) -> bool:
        """Inside the ``async with`` block: the database is open and jobs run."""
        return self._engine.is_running

    @property
    def interrupted(self) -> list[str]:
        """The ids of the jobs that a dead process had left running."""
        return self._engine.interrupted

    @property
    def embedding_calls(self) -> tuple[int, int, int]:
        """(calls to embedders, how many of them failed, characters of those answered) since the start."""
        return self._engine.components.embedding_calls

    @property
    def writer_queue(self) -> int:
        """How many requests wait for the database's writer."""
        return self._engine.hub.database.queue_length

    @property
    def document_changes(self) -> DocumentChanges:
        """Hints of which documents have changed, live; ``documents_named`` reads them."""
        return self._engine.hub.database.document_changes

    @property
    def tracker(self) -> PhaseTracker:
        """The tracker, for jobs of your program's own pipeline."""
        return PhaseTracker(self._engine.hub)

    @property
    def webhooks(self) -> Webhooks:
        """Who is told what becomes of jobs and documents."""
        return Webhooks(self._engine.hub, self.embedder_access)

    @property
    def files(self) -> KeptFiles:
        """Files that were sent and belong to no knowledge base yet."""
        return KeptFiles(self._engine.hub, self._engine.uploads.limits, self._engine.coming_in)

    @property
    def notes(self) -> KbNotes:
        """What a face keeps about knowledge bases, and lists of them in the order that it needs."""
        return KbNotes(self._engine.hub)

    async def start(
        self, kb_id: str, source: inputs.SourceLike | None = None, *,
        sources: Mapping[str, inputs.SourceLike] | None = None, full: bool = False,
        hold: Iterable[JobPhase | str] = (), settings: inputs.SettingsLike | None = None, allow_deletes: bool = False,
    ) -> Job:  # fmt: skip
        """Make a new job, which runs once a slot is free. A source creates the knowledge base or changes it: it becomes
        the only one, named ``default``; ``sources`` are several, by name. The job reads all of them.

        ``full`` reads every document, even if its size and mtime are unchanged. ``hold`` names phases that start
        paused: load and chunk now, see what embedding would cost, then resume. ``allow_deletes``: take out even most of
        a source without asking. A job that nobody started, for what was pushed, gives way: what it has not done waits
        for this one. Raises JobConflict beside any other open job, KnowledgeBaseNotFound where there is no source.
        """
        return await self._starting.start(
            kb_id, source, sources, settings, full=full, hold=hold, allow_deletes=allow_deletes
        )

    async def put_kb(
        self, kb_id: str, source: inputs.SourceLike | None = None, settings: inputs.SettingsLike | None = None, *,
        sources: Mapping[str, inputs.SourceLike] | None = None,
        if_match: Etags | None = None, if_none_match: Etags | None = None,
    ) -> KnowledgeBase:  # fmt: skip
        """Create a knowledge base or change it. A running job keeps the sources and settings it started with.

        ``if_match``: the ``etag`` that it must have, else PreconditionFailed; ``if_none_match="*"``: it must be new.
        """
        await self._starting.put_kb(kb_id, source, settings, sources, Precondition(if_match, if_none_match))
        return await self.kb(kb_id)

    async def pause(self, kb_id: str, phase: JobPhase | str | None = None) -> JobStatusResponse:
        """Pause the job, or one phase of it, after the batch in hand."""
        return (await self.act(Action.PAUSE, kb_id, phase))[0]

    async def resume(self, kb_id: str, phase: JobPhase | str | None = None) -> JobStatusResponse:
        """Resume the job, or one phase, exactly where it stopped."""
        return (await self.act(Action.RESUME, kb_id, phase))[0]

    async def cancel(self, kb_id: str) -> JobStatusResponse:
        """End the job now; what was indexed stays searchable."""
        return (await self.act(Action.CANCEL, kb_id))[0]

    async def retry(self, kb_id: str) -> JobStatusResponse:
        """Continue a failed job: failed and held-back phases run again, finished work is kept."""
        return (await self.act(Action.RETRY, kb_id))[0]

    async def act(
        self, action: Action | str, kb_id: str, phase: JobPhase | str | None = None
    ) -> tuple[JobStatusResponse, bool]:
        """Carry out a verb on the newest job: (its status, whether anything changed).

        It is durable, then this waits up to 0.5 s for its effect; ``requested`` is still set if that takes longer.
        Raises JobConflict, naming the status and the allowed actions, when it cannot apply; JobNotFound.
        """
        return await self._control.act(action, kb_id, phase)

    def transitions(self, after: int | None = None, kb_id: str | None = None) -> AsyncIterator[Transition]:
        """Every transition after number ``after``, once and in order: replay, then live. None begins with now."""
        at = None if after is None else inputs.as_count("after", after, 0)
        return self._engine.hub.feed.transitions(at, None if kb_id is None else inputs.as_text("kb_id", kb_id))

    async def job(self, kb_id: str) -> Job:
        """A handle on the newest job."""
        return await self._control.newest(kb_id)

    async def next_job(self, job: Job) -> Job | None:
        """The job after ``job``, which is over; made now where something waits in the inbox. None: there is none."""
        return await self._control.after(job)

    async def add(self, kb_id: str, documents: Iterable[NewDocument | Mapping[str, Any]]) -> Taken:
        """Push texts into a knowledge base, whatever its job does. An unknown one is created.

        They are durable when this returns, and searchable soon after: the open job takes them while it still loads,
        else the next one does, which starts as soon as none is open. While a job is paused they wait. After a failed or
        cancelled job a push starts a new one. Pushing the same again costs nothing; of two pushes of one uri the later
        one counts. More than 100 are stored in several steps, in the order given. Raises HeldBySource for a uri that
        another source has, UploadTooLarge; then nothing is stored.
        """
        return await self._intake.add(kb_id, documents)

    async def add_documents(
        self, kb_id: str, files: Iterable[inputs.File], metadata: Mapping[str, Any] | None = None
    ) -> Job:
        """Push files, each a path or (name, bytes), as ``add`` does texts; the newest job of the knowledge base.

        A file replaces an older one of the same name; ``metadata`` is that of all. All are stored, or none on a cancel.
        """
        return self._control.job((await self._intake.add_files(kb_id, files, metadata)).job_id, kb_id)

    def receiving(self, kb_id: str) -> AbstractAsyncContextManager[UploadBatch]:
        """A place for documents on their way into a knowledge base, emptied at the end."""
        return self._intake.receiving(kb_id)

    async def take_in(self, kb_id: str, batch: UploadBatch) -> Taken:
        """Store what was received, and ask for it to be loaded. Raises what ``add`` does, and then stores nothing."""
        return await self._intake.take_in(kb_id, batch)

    async def retry_document(self, kb_id: str, document: str) -> str:
        """Load a document anew, even if it is unchanged; one that was skipped is taken in again. Returns its uri.

        A job takes it as it takes what is pushed; after a failed or cancelled one it waits for the next start or push.
        """
        return (await self.document_verbs.retry(kb_id, document))[0]

    async def skip_document(self, kb_id: str, document: str) -> str:
        """Take a document out of search at once, and leave it out of every job until it is retried. Returns its uri."""
        return (await self.document_verbs.skip(kb_id, document))[0]

    async def delete_document(self, kb_id: str, document: str) -> str:
        """Take a document that was pushed out of the knowledge base, at once. Raises HeldBySource for any other."""
        return (await self.document_verbs.delete(kb_id, document))[0]

    async def remove_document(self, kb_id: str, uri: str) -> Job | None:
        """The same by the uri alone; the newest job of the knowledge base, None when it has never run."""
        job_id = (await self.document_verbs.delete(kb_id, inputs.as_text("uri", uri), by_uri=True))[1]
        return None if job_id is None else self._control.job(job_id, kb_id)

    async def set_metadata(
        self, kb_id: str, document: str, metadata: Mapping[str, Any], *,
        if_match: Etags | None = None, if_none_match: Etags | None = None,
    ) -> str:  # fmt: skip
        """Replace the metadata of a document, also what was found in it. Nothing is loaded or embedded again.

        ``if_match``: the ``etag`` of what was read; PreconditionFailed where that has changed since. Raises
        InvalidRequest, naming the field: at most 64 names and 16 KB; texts, numbers, booleans, lists of texts.
        """
        wanted = Precondition(if_match, if_none_match)
        return (await self.document_verbs.set_metadata(kb_id, document, metadata, wanted))[0]

    async def delete_kb(self, kb_id: str) -> None:
        """Delete a knowledge base and free its name. Raises JobConflict while a job is not over."""
        await self._upkeep.delete_kb(kb_id)

    async def vacuum(self, *, rebuild: bool = False) -> Vacuumed:
        """Free everything that nobody needs any more: nothing deleted stays readable in the file, and it shrinks.

        In small steps, beside running jobs. ``rebuild`` then writes the file anew, as compactly as it can be: writes
        wait for that, and it needs room for two more copies. Cancelling leaves the rest. Raises StoreUnavailable.
        """
        return await self._upkeep.vacuum(rebuild=rebuild)

    async def check_store(self) -> None:
        """Raise StoreUnavailable when the database cannot be written now, WorkersDown when there is no worker."""
        await self._engine.check()

    async def backup(self, path: str | Path, *, check: bool = True) -> int:
        """Copy the database as it is now, with all that was pushed, into a new file for its owner; its size in bytes.

        ``check`` refuses a damaged one. Cancelling leaves none. Raises BackupFailed, NotADatabase.
        """
        return await self._upkeep.backup(path, check=check)

    def copied(self, *, check: bool = True) -> AbstractAsyncContextManager[tuple[BinaryIO, int]]:
        """A copy as ``backup`` makes it, open for reading, and its size; gone after the block. Busy beside another."""
        return self._upkeep.copied(check=check)
