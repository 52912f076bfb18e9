"""Every error phaseflow raises, in one tree.

PhaseflowError
├── InvalidTransition        a move the state machine does not know; nothing was changed
├── JobConflict              a verb that cannot apply to the job as it stands
├── KnowledgeBaseNotFound
├── JobNotFound              no such job, or a KB that has never run
├── DocumentNotFound         no such document in this knowledge base
│   └── NoText               nothing was extracted from it yet
├── WebhookNotFound
├── FileNotKept              no such file among those that belong to no knowledge base
├── HeldBySource             a document that a source holds, not one that was pushed; nothing was changed
├── PreconditionFailed       what a change was bound to was changed meanwhile; nothing was changed
├── InvalidRequest           a value that cannot be used; names the field
│   └── InvalidValue         the same of one that a program makes by a call; a ValueError, too
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
├── WrongEventLoop           a call from another event loop than that of the engine, or from none of asyncio
└── ComponentError           what loaders, chunkers, embedders and indexes raise
    ├── DocumentError        this document cannot be used; the phase goes on
    ├── TransientError       try again later (timeout, 5xx)
    │   ├── RateLimited      try again later, the server said so (429)
    │   │   └── LeftAlone    not asked at all until then
    │   ├── EmbedderDown     the embedding server cannot be reached at all
    │   ├── DimensionMismatch  vectors of another length than those stored
    │   ├── IndexUnavailable  the index outside the database does not answer
    │   ├── SourceDown       nothing of the source can be reached; the phase fails when trying again does not help
    │   ├── WorkerUnavailable  no process to read the document in; fails the document when trying again does not help
    │   └── WorkersDown      no worker of the cluster can be reached; waited for, however long that takes
    ├── WorkerLost           a worker ended in the middle of its work; blames no document
    ├── BatchTooLarge        the same texts in smaller batches may pass (413)
    └── ComponentUnavailable nothing of this kind will work (401, no such folder); the phase fails
"""

from phaseflow.domain.errors.components import BatchTooLarge as BatchTooLarge
from phaseflow.domain.errors.components import ComponentError as ComponentError
from phaseflow.domain.errors.components import ComponentUnavailable as ComponentUnavailable
from phaseflow.domain.errors.components import DimensionMismatch as DimensionMismatch
from phaseflow.domain.errors.components import DocumentError as DocumentError
from phaseflow.domain.errors.components import EmbedderDown as EmbedderDown
from phaseflow.domain.errors.components import IndexUnavailable as IndexUnavailable
from phaseflow.domain.errors.components import LeftAlone as LeftAlone
from phaseflow.domain.errors.components import RateLimited as RateLimited
from phaseflow.domain.errors.components import SourceDown as SourceDown
from phaseflow.domain.errors.components import TransientError as TransientError
from phaseflow.domain.errors.components import WorkerLost as WorkerLost
from phaseflow.domain.errors.components import WorkersDown as WorkersDown
from phaseflow.domain.errors.components import WorkerUnavailable as WorkerUnavailable
from phaseflow.domain.errors.requests import Busy as Busy
from phaseflow.domain.errors.requests import DocumentNotFound as DocumentNotFound
from phaseflow.domain.errors.requests import EngineStopped as EngineStopped
from phaseflow.domain.errors.requests import FileNotKept as FileNotKept
from phaseflow.domain.errors.requests import HeldBySource as HeldBySource
from phaseflow.domain.errors.requests import InvalidRequest as InvalidRequest
from phaseflow.domain.errors.requests import InvalidTransition as InvalidTransition
from phaseflow.domain.errors.requests import InvalidValue as InvalidValue
from phaseflow.domain.errors.requests import JobConflict as JobConflict
from phaseflow.domain.errors.requests import JobNotFound as JobNotFound
from phaseflow.domain.errors.requests import KnowledgeBaseNotFound as KnowledgeBaseNotFound
from phaseflow.domain.errors.requests import MissingExtra as MissingExtra
from phaseflow.domain.errors.requests import NoText as NoText
from phaseflow.domain.errors.requests import PhaseflowError as PhaseflowError
from phaseflow.domain.errors.requests import PreconditionFailed as PreconditionFailed
from phaseflow.domain.errors.requests import SourceNotAllowed as SourceNotAllowed
from phaseflow.domain.errors.requests import UploadTooLarge as UploadTooLarge
from phaseflow.domain.errors.requests import WebhookNotFound as WebhookNotFound
from phaseflow.domain.errors.requests import WrongEventLoop as WrongEventLoop
from phaseflow.domain.errors.store import BackupFailed as BackupFailed
from phaseflow.domain.errors.store import DatabaseHeld as DatabaseHeld
from phaseflow.domain.errors.store import NewerDatabase as NewerDatabase
from phaseflow.domain.errors.store import NotADatabase as NotADatabase
from phaseflow.domain.errors.store import StaleRun as StaleRun
from phaseflow.domain.errors.store import StoreError as StoreError
from phaseflow.domain.errors.store import StoreUnavailable as StoreUnavailable
