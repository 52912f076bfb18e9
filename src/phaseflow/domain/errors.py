"""Every error phaseflow raises, in one tree.

PhaseflowError
├── InvalidTransition        a move the state machine does not know; nothing was changed
├── JobConflict              a verb that cannot apply to the job as it stands
├── KnowledgeBaseNotFound
├── JobNotFound              no such job, or a KB that has never run
├── DocumentNotFound         no such document in this knowledge base
├── WebhookNotFound
├── HeldBySource             a document that a source holds, not one that was pushed; nothing was changed
├── InvalidRequest           a value that cannot be used; names the field
├── UploadTooLarge           a file, or all of a knowledge base, larger than is taken; nothing was stored
├── SourceNotAllowed         a folder or address outside what was allowed
├── MissingExtra             an optional dependency is not installed
├── StoreError               the database file
│   ├── DatabaseHeld         another process has it; names the holder
│   ├── NotADatabase         damaged, or not a phaseflow file; left as it is
│   ├── NewerDatabase        written by a newer phaseflow; left as it is
│   ├── BackupFailed         the copy could not be made; nothing is left of it
│   ├── StoreUnavailable     disk full, read-only, locked by another program, vanished
│   └── StaleRun        a write of a run that is over; refused
├── Busy                     a search that took too long, for itself or for others before it; try again
├── EngineStopped            the engine behind a call has ended
├── WrongEventLoop           a call from another event loop than the one that the engine runs in
└── ComponentError           what loaders, chunkers, embedders and indexes raise
    ├── DocumentError        this document cannot be used; the phase goes on
    ├── TransientError       try again later (timeout, 5xx)
    │   ├── RateLimited      try again later, the server said so (429)
    │   ├── EmbedderDown     the embedding server cannot be reached at all
    │   ├── DimensionMismatch  vectors of another length than before
    │   ├── IndexUnavailable  the index outside the database does not answer
    │   ├── SourceDown       nothing of the source can be reached; the phase fails when trying again does not help
    │   └── WorkerUnavailable  no process to read the document in; fails the document when trying again does not help
    ├── BatchTooLarge        the same texts in smaller batches may pass (413)
    └── ComponentUnavailable nothing of this kind will work (401, no such folder); the phase fails
"""

import math
from collections.abc import Sequence


class PhaseflowError(Exception):
    """Base of all errors raised by phaseflow. ``code`` is stable and part of the public contract."""

    code = "error"


class InvalidTransition(PhaseflowError):
    """A move that is not in the transition table. Nothing was changed. ``job_status``: that of its job, if known."""

    code = "invalid_transition"

    def __init__(self, subject: str, current: str, move: str) -> None:
        super().__init__(f"{subject} is {current}: it cannot {move}")
        self.subject, self.current, self.move = subject, current, move
        self.job_status: str | None = None


class JobConflict(PhaseflowError):
    """A verb that cannot apply now. Nothing was changed; ``allowed_actions`` can be taken instead."""

    code = "job_conflict"

    def __init__(self, verb: str, status: str, allowed_actions: Sequence[str], why: str | None = None) -> None:
        allowed = ", ".join(allowed_actions) or "nothing"
        super().__init__(f"cannot {verb}: {why or f'the job is {status}'}; allowed now: {allowed}")
        self.verb, self.status = verb, status
        self.allowed_actions = list(allowed_actions)


class KnowledgeBaseNotFound(PhaseflowError):
    """No knowledge base of that name."""

    code = "kb_not_found"

    def __init__(self, kb_id: str) -> None:
        super().__init__(f"there is no knowledge base {kb_id!r}; start one with a source to create it")
        self.kb_id = kb_id


class JobNotFound(PhaseflowError):
    """No such job, or a knowledge base that has never run."""

    code = "job_not_found"

    def __init__(self, what: str) -> None:
        super().__init__(f"there is no job for {what!r}; start one first")
        self.what = what


class DocumentNotFound(PhaseflowError):
    """No such document in this knowledge base."""

    code = "document_not_found"

    def __init__(self, kb_id: str, uri: str) -> None:
        super().__init__(f"{kb_id!r} has no document {uri!r}; `documents` lists those it has")
        self.kb_id, self.uri = kb_id, uri


class WebhookNotFound(PhaseflowError):
    """No webhook of that name."""

    code = "webhook_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no webhook {name!r}; put one first")
        self.name = name


class HeldBySource(PhaseflowError):
    """A document that a source holds: it can be changed there only. Nothing was changed."""

    code = "held_by_source"

    def __init__(self, uri: str, source: str, advice: str) -> None:
        super().__init__(f"{uri!r} comes from the source {source!r} of the knowledge base; {advice}")
        self.uri, self.source = uri, source


class UploadTooLarge(PhaseflowError):
    """A file, or all files of a knowledge base together, are larger than is taken. Nothing was stored."""

    code = "upload_too_large"


class InvalidRequest(PhaseflowError):
    """A value that cannot be used. ``field`` is its dotted path, as in ``settings.chunk_size``."""

    code = "invalid_request"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field, self.message = field, message


class SourceNotAllowed(PhaseflowError):
    """A folder or an address that this engine may not read."""

    code = "source_not_allowed"


class MissingExtra(PhaseflowError):
    """An optional dependency is not installed."""

    code = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency: pip install 'phaseflow[{extra}]'")
        self.extra = extra


class StoreError(PhaseflowError):
    """The database file cannot be used as asked."""

    code = "store_error"


class DatabaseHeld(StoreError):
    """Another engine has this database open."""

    code = "database_held"

    def __init__(self, path: str, holder: str) -> None:
        super().__init__(
            f"{path} is in use by {holder}; stop that process, or talk to it with --server URL if it serves"
        )
        self.path, self.holder = path, holder


class NotADatabase(StoreError):
    """The file is damaged or is not a phaseflow database. It was left as it is."""

    code = "not_a_database"


class NewerDatabase(StoreError):
    """The file was written by a newer phaseflow. It was left as it is."""

    code = "newer_database"


class BackupFailed(StoreError):
    """A copy of the database could not be made. Nothing is left of it; the database is as it was."""

    code = "backup_failed"


class StoreUnavailable(StoreError):
    """The file cannot be read or written now: disk full, read-only, locked, or gone.

    ``reason`` is the same without a path of this machine; None when nothing can be said without one.
    """

    code = "store_unavailable"

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class StaleRun(StoreError):
    """A write that belongs to a run which is over. It was refused and changed nothing."""

    code = "ownership_lost"


class Busy(PhaseflowError):
    """A search was not answered in time."""

    code = "busy"


class EngineStopped(PhaseflowError):
    """The engine has ended, or ended before it could answer."""

    code = "engine_stopped"


class WrongEventLoop(PhaseflowError):
    """A call from another event loop than the one that opened the database: it would wait for ever."""

    code = "wrong_event_loop"

    def __init__(self) -> None:
        super().__init__("this belongs to another event loop; call it there: asyncio.run_coroutine_threadsafe(…)")


class ComponentError(PhaseflowError):
    """Base of what loaders, chunkers, embedders and indexes raise."""

    code = "component_error"


class DocumentError(ComponentError):
    """This document cannot be used, and trying again at once would not help. The phase goes on.

    ``code`` names the kind in ``failures`` (``unsupported_format``, ``decode_error``, …). ``counts`` says whether
    the failure is part of the phase's error budget. ``gone`` says that the document does not exist any more.
    """

    def __init__(self, message: str, *, code: str = "document_error", counts: bool = True, gone: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.counts, self.gone = counts, gone


class TransientError(ComponentError):
    """A fault that may pass: a timeout, a 5xx, a malformed answer. The engine tries again with backoff.

    ``retry_after_s`` is the wait the other side asked for, in seconds, or None.
    """

    code = "transient"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        usable = retry_after_s is not None and math.isfinite(retry_after_s) and retry_after_s >= 0
        self.retry_after_s = retry_after_s if usable else None


class RateLimited(TransientError):
    """The other side says that it is asked too much (429)."""

    code = "rate_limited"


class EmbedderDown(TransientError):
    """The embedding server cannot be reached at all: no text is the cause. Tried again, then the phase fails."""

    code = "embedder_down"


class DimensionMismatch(TransientError):
    """The embedder answers with vectors of another length than before. Tried again, then the phase fails."""

    code = "dimension_mismatch"


class SourceDown(TransientError):
    """Nothing of the source can be reached just now. The engine tries again with backoff, then the phase fails."""

    code = "source_down"


class WorkerUnavailable(TransientError):
    """No worker process could be started. Tried again; then the document fails, at no cost to the error budget."""

    code = "worker_unavailable"


class IndexUnavailable(TransientError):
    """The index outside the database does not answer, or not as an index does."""

    code = "index_unavailable"


class BatchTooLarge(ComponentError):
    """The batch is too large (413). The engine tries again with halves."""

    code = "batch_too_large"


class ComponentUnavailable(ComponentError):
    """Nothing of this kind will work until someone mends the cause (401, no such folder). The phase fails at once."""

    code = "component_unavailable"
