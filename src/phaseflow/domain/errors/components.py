"""What loaders, chunkers, embedders and indexes raise."""

import math

from phaseflow.domain.errors.requests import PhaseflowError


class ComponentError(PhaseflowError):
    """Base of what loaders, chunkers, embedders and indexes raise."""

    code = "component_error"


def _is_word(code: object) -> bool:
    return isinstance(code, str) and 0 < len(code) <= 100 and code.isprintable() and not code.isspace()


class DocumentError(ComponentError):
    """This document cannot be used, and trying again at once would not help. The phase continues.

    ``code`` names the kind in ``failures`` (``unsupported_format``, ``decode_error``, …). ``counts`` says whether
    the failure is part of the phase's error budget. ``gone`` says that the document does not exist any more.
    What is no word, or longer than 100 characters, is no code: ``document_error`` stands for it.
    """

    def __init__(self, message: str, *, code: str = "document_error", counts: bool = True, gone: bool = False) -> None:
        super().__init__(message)
        self.code = code if _is_word(code) else "document_error"
        self.counts = counts
        self.gone = gone


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
    """The other side asks us to slow down (429). It is waited out, and counts as no attempt."""

    code = "rate_limited"


class LeftAlone(RateLimited):
    """It was not asked at all, since it wants to be left alone for a while, whoever asks."""


class EmbedderDown(TransientError):
    """The embedding server cannot be reached at all, so no text is the cause. The engine tries again with backoff,
    then the phase fails."""

    code = "embedder_down"


class DimensionMismatch(TransientError):
    """The embedder answers with vectors of another length than those stored. Tried again, then the phase fails."""

    code = "dimension_mismatch"


class SourceDown(TransientError):
    """Nothing of the source can be reached just now. The engine tries again with backoff, then the phase fails."""

    code = "source_down"


class WorkerUnavailable(TransientError):
    """No worker process could be started, which is not the document's fault. The engine tries again with backoff,
    then the document fails without counting against the error budget."""

    code = "worker_unavailable"


class WorkerLost(ComponentError):
    """A worker ended in the middle of its work without being told to, or never answered. It blames no document: the
    cause may be one, or a node that died, or the kernel that ran out of memory. Each is tried alone next."""

    code = "worker_lost"


class WorkersDown(TransientError):
    """No worker can be reached: the cluster is gone, or does not fit. The engine waits until there is one again,
    however long that takes; no document is the cause, and nothing is read elsewhere instead."""

    code = "workers_down"


class IndexUnavailable(TransientError):
    """The index outside the database does not answer, or not as an index does."""

    code = "index_unavailable"


class BatchTooLarge(ComponentError):
    """The batch is too large (413). The engine tries again with halves."""

    code = "batch_too_large"


class ComponentUnavailable(ComponentError):
    """Nothing of this kind will work until someone fixes the cause (401, no such folder). The phase fails at once."""

    code = "component_unavailable"
