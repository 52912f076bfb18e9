"""phaseflow: document ingestion in four durable phases whose status never lies.

Names are imported when they are first used, so that ``import phaseflow`` is quick and starts nothing.
"""

TYPE_CHECKING = False  # as in typing, whose import would take most of the time before a Ctrl-C is heeded
if TYPE_CHECKING:
    from typing import Any

    from phaseflow.actors.context import Policies as Policies
    from phaseflow.components.uploads import UploadLimits as UploadLimits
    from phaseflow.domain.documents import DocumentInfo as DocumentInfo
    from phaseflow.domain.errors import BackupFailed as BackupFailed
    from phaseflow.domain.errors import Busy as Busy
    from phaseflow.domain.errors import ComponentUnavailable as ComponentUnavailable
    from phaseflow.domain.errors import DatabaseHeld as DatabaseHeld
    from phaseflow.domain.errors import DocumentError as DocumentError
    from phaseflow.domain.errors import DocumentNotFound as DocumentNotFound
    from phaseflow.domain.errors import EmbedderDown as EmbedderDown
    from phaseflow.domain.errors import EngineStopped as EngineStopped
    from phaseflow.domain.errors import HeldBySource as HeldBySource
    from phaseflow.domain.errors import IndexUnavailable as IndexUnavailable
    from phaseflow.domain.errors import InvalidRequest as InvalidRequest
    from phaseflow.domain.errors import InvalidTransition as InvalidTransition
    from phaseflow.domain.errors import JobConflict as JobConflict
    from phaseflow.domain.errors import JobNotFound as JobNotFound
    from phaseflow.domain.errors import KnowledgeBaseNotFound as KnowledgeBaseNotFound
    from phaseflow.domain.errors import NewerDatabase as NewerDatabase
    from phaseflow.domain.errors import NotADatabase as NotADatabase
    from phaseflow.domain.errors import NoText as NoText
    from phaseflow.domain.errors import PhaseflowError as PhaseflowError
    from phaseflow.domain.errors import PreconditionFailed as PreconditionFailed
    from phaseflow.domain.errors import RateLimited as RateLimited
    from phaseflow.domain.errors import SourceNotAllowed as SourceNotAllowed
    from phaseflow.domain.errors import StoreUnavailable as StoreUnavailable
    from phaseflow.domain.errors import TransientError as TransientError
    from phaseflow.domain.errors import UploadTooLarge as UploadTooLarge
    from phaseflow.domain.ingestion import IngestionState as IngestionState
    from phaseflow.domain.new_document import NewDocument as NewDocument
    from phaseflow.domain.phase import PhaseState as PhaseState
    from phaseflow.domain.policy import BudgetPolicy as BudgetPolicy
    from phaseflow.domain.policy import GuardPolicy as GuardPolicy
    from phaseflow.domain.policy import RetryPolicy as RetryPolicy
    from phaseflow.domain.remote_sources import FsspecSource as FsspecSource
    from phaseflow.domain.remote_sources import GitSource as GitSource
    from phaseflow.domain.settings import FolderSource as FolderSource
    from phaseflow.domain.settings import Settings as Settings
    from phaseflow.domain.settings import UploadSource as UploadSource
    from phaseflow.domain.settings import WebSource as WebSource
    from phaseflow.domain.status import Failure as Failure
    from phaseflow.domain.status import JobStatusResponse as JobStatusResponse
    from phaseflow.domain.status import KnowledgeBase as KnowledgeBase
    from phaseflow.domain.status import SearchHit as SearchHit
    from phaseflow.domain.status import SearchHits as SearchHits
    from phaseflow.domain.status import Transition as Transition
    from phaseflow.domain.vocabulary import Action as Action
    from phaseflow.domain.vocabulary import DocumentStatus as DocumentStatus
    from phaseflow.domain.vocabulary import JobPhase as JobPhase
    from phaseflow.domain.vocabulary import JobStatus as JobStatus
    from phaseflow.domain.vocabulary import PhaseStatus as PhaseStatus
    from phaseflow.domain.vocabulary import SearchMode as SearchMode
    from phaseflow.domain.vocabulary import WaitingOn as WaitingOn
    from phaseflow.flow import Job as Job
    from phaseflow.flow import PhaseFlow as PhaseFlow
    from phaseflow.flow import Reader as Reader
    from phaseflow.tracker import PhaseTracker as PhaseTracker

_HOMES = {
    "phaseflow.actors.context": ("Policies",),
    "phaseflow.components.uploads": ("UploadLimits",),
    "phaseflow.domain.documents": ("DocumentInfo",),
    "phaseflow.domain.errors": (
        "BackupFailed", "Busy", "ComponentUnavailable", "DatabaseHeld", "DocumentError", "DocumentNotFound",
        "EmbedderDown", "EngineStopped", "HeldBySource", "IndexUnavailable", "InvalidRequest", "InvalidTransition",
        "JobConflict", "JobNotFound", "KnowledgeBaseNotFound", "NewerDatabase", "NoText", "NotADatabase",
        "PhaseflowError", "PreconditionFailed", "RateLimited", "SourceNotAllowed", "StoreUnavailable", "TransientError",
        "UploadTooLarge",
    ),
    "phaseflow.domain.ingestion": ("IngestionState",),
    "phaseflow.domain.new_document": ("NewDocument",),
    "phaseflow.domain.phase": ("PhaseState",),
    "phaseflow.domain.policy": ("BudgetPolicy", "GuardPolicy", "RetryPolicy"),
    "phaseflow.domain.remote_sources": ("FsspecSource", "GitSource"),
    "phaseflow.domain.settings": ("FolderSource", "Settings", "UploadSource", "WebSource"),
    "phaseflow.domain.status": (
        "Failure", "JobStatusResponse", "KnowledgeBase", "SearchHit", "SearchHits", "Transition",
    ),
    "phaseflow.domain.vocabulary": (
        "Action", "DocumentStatus", "JobPhase", "JobStatus", "PhaseStatus", "SearchMode", "WaitingOn",
    ),
    "phaseflow.flow": ("Job", "PhaseFlow", "Reader"),
    "phaseflow.tracker": ("PhaseTracker",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = list(_HOME_OF)


def __getattr__(name: str) -> "Any":
    import gc
    from importlib import import_module

    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'phaseflow' has no attribute {name!r}")
    # What imports make stays. Python's collector would look through all of it again and again, since it grows so
    # quickly: a sixth of the time that they take.
    is_on = gc.isenabled()
    gc.disable()
    try:
        value = getattr(import_module(home), name)
    finally:
        if is_on:
            if not gc.get_freeze_count():  # else a program has set objects aside, which would come back
                # Both together only make all objects old ones. As young ones they would be looked through twice: as
                # the collector goes on, and in the middle of some later call, which took 12 ms for it.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
