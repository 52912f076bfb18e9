"""What a caller asked for and cannot have; the base of all errors."""

from collections.abc import Sequence


class PhaseflowError(Exception):
    """Base of all errors raised by phaseflow. ``code`` is stable and part of the public contract."""

    code = "error"


class InvalidTransition(PhaseflowError):
    """A move that is not in the transition table. Nothing was changed. ``job_status``: that of its job, if known."""

    code = "invalid_transition"

    def __init__(self, subject: str, current: str, move: str) -> None:
        super().__init__(f"{subject} is {current}: it cannot {move}")
        self.subject = subject
        self.current = current
        self.move = move
        self.job_status: str | None = None


class JobConflict(PhaseflowError):
    """A verb that cannot apply now. Nothing was changed; ``allowed_actions`` can be taken instead."""

    code = "job_conflict"

    def __init__(self, verb: str, status: str, allowed_actions: Sequence[str], why: str | None = None) -> None:
        allowed = ", ".join(allowed_actions) or "nothing"
        super().__init__(f"cannot {verb}: {why or f'the job is {status}'}; allowed now: {allowed}")
        self.verb = verb
        self.status = status
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

    def __init__(self, what: str, *, is_kb: bool = False) -> None:
        super().__init__(f"{what!r} has no job yet; start one first" if is_kb else f"no job has the id {what!r}")
        self.what = what


class DocumentNotFound(PhaseflowError):
    """No such document in this knowledge base."""

    code = "document_not_found"

    def __init__(self, kb_id: str, uri: str) -> None:
        super().__init__(f"{kb_id!r} has no document {uri!r}; `documents` lists those it has")
        self.kb_id = kb_id
        self.uri = uri


class NoText(DocumentNotFound):
    """The document is known, and nothing has been extracted from it yet, or it is skipped."""

    code = "no_text"

    def __init__(self, kb_id: str, uri: str, *, is_skipped: bool = False) -> None:
        super().__init__(kb_id, uri)
        if is_skipped:
            self.args = (f"{uri!r} is skipped, so that nothing of it is kept; retry it to take it in again",)
        else:
            self.args = (f"nothing was extracted from {uri!r} yet; its status says why",)


class PreconditionFailed(PhaseflowError):
    """What a change was bound to (``if_match``, ``if_none_match``) does not hold. Nothing was changed."""

    code = "precondition_failed"


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


class FileNotKept(PhaseflowError):
    """No such file among those that were sent and belong to no knowledge base."""

    code = "file_not_found"

    def __init__(self, id_: str) -> None:
        super().__init__(f"there is no file {id_!r}; send it first, and check that it has not expired")
        self.id = id_


class UploadTooLarge(PhaseflowError):
    """A file, or all files of a knowledge base together, are larger than is taken. Nothing was stored."""

    code = "upload_too_large"


class InvalidRequest(PhaseflowError):
    """A value that cannot be used. ``field`` is its dotted path, as in ``settings.chunk_size``."""

    code = "invalid_request"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class InvalidValue(InvalidRequest, ValueError):
    """A value that a program makes by a call cannot be made. ``field`` begins with its class: ``FolderSource.path``."""


class SourceNotAllowed(PhaseflowError):
    """A folder or an address that this engine may not read."""

    code = "source_not_allowed"


class MissingExtra(PhaseflowError):
    """An optional dependency is not installed."""

    code = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency: pip install 'phaseflow[{extra}]'")
        self.extra = extra


class Busy(PhaseflowError):
    """Something was not answered in time, such as a search, or as much of it as goes at once is under way already."""

    code = "busy"


class EngineStopped(PhaseflowError):
    """The engine has ended, or ended before it could answer."""

    code = "engine_stopped"


class WrongEventLoop(PhaseflowError):
    """A call from another event loop than the one that opened the database, where it would wait for ever, or from none
    of asyncio."""

    code = "wrong_event_loop"

    def __init__(
        self,
        message: str = "this belongs to another event loop; call it there, with "
        "asyncio.run_coroutine_threadsafe(…, loop)",
    ) -> None:
        super().__init__(message)
