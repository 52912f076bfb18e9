"""The words of the status, exactly as they stand in JSON and in the database."""

from enum import StrEnum


class JobPhase(StrEnum):
    """The four phases of a job, in order."""

    LOADING = "loading"
    """Documents are listed, read and turned into text. Items are documents."""
    CHUNKING = "chunking"
    """Texts are cut into passages. Items are documents."""
    EMBEDDING = "embedding"
    """Passages are turned into vectors. Items are chunks."""
    INDEXING = "indexing"
    """Whole documents are made searchable. Items are chunks."""

    @property
    def position(self) -> int:
        """0 for the first phase, 3 for the last."""
        return PHASES.index(self)

    @property
    def before(self) -> "JobPhase | None":
        """The phase that hands over to this one."""
        return PHASES[self.position - 1] if self.position else None

    @property
    def item(self) -> str:
        """What an item of this phase is."""
        return "document" if self.position < 2 else "chunk"


PHASES = tuple(JobPhase)


class PhaseStatus(StrEnum):
    """Where one phase of one job stands."""

    NOT_STARTED = "not_started"
    """Nothing was done yet."""
    RUNNING = "running"
    """It works, or waits for work, or finishes the batch in hand before a pause."""
    PAUSED = "paused"
    """It is quiet: no component call is in progress and nothing is written until it is resumed."""
    COMPLETED = "completed"
    """All its items are done. Final."""
    FAILED = "failed"
    """It ended with an error, or its job was cancelled. A retry runs it again."""


class JobStatus(StrEnum):
    """Where a job stands. Always derived from its phases, never assigned."""

    PENDING = "pending"
    """No phase has started; it waits for a slot."""
    RUNNING = "running"
    """At least one phase is running, or the next is about to."""
    PAUSED = "paused"
    """Quiet and resumable."""
    COMPLETED = "completed"
    """All four phases are completed. Final."""
    FAILED = "failed"
    """A phase failed. A retry goes on."""
    CANCELLED = "cancelled"
    """Ended by the user. Final."""

    @property
    def is_terminal(self) -> bool:
        """No phase will run again unless someone asks for a retry."""
        return self in _OVER


_OVER = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


class WaitingOn(StrEnum):
    """Why nothing moves. None where something does, or where nothing is to move any more."""

    UPSTREAM = "upstream"
    """The phase before has delivered nothing yet."""
    RATE_LIMIT = "rate_limit"
    """The embedding server or the source asked us to slow down."""
    RETRY = "retry"
    """A temporary fault; the next attempt is scheduled."""
    PAUSE = "pause"
    """Someone paused the phase or the job."""
    QUEUE = "queue"
    """Other jobs have all slots."""
    WORKERS = "workers"
    """No worker of the cluster can be reached; the job continues when one is back."""
    INDEX = "index"
    """The index outside the database cannot be reached; it is tried again until it can."""
    COMPONENT = "component"
    """A call of a component has taken more than 5 seconds, and nothing else of the phase moves."""
    INTERRUPTED = "interrupted"
    """The process that ran it has ended, and no other has taken it up."""


class SearchMode(StrEnum):
    """How passages are ranked."""

    HYBRID = "hybrid"
    """By vectors and by words, fused."""
    WORDS = "words"
    """By words alone."""
    VECTORS = "vectors"
    """By vectors alone."""


class DocumentStatus(StrEnum):
    """Where a document stands."""

    QUEUED = "queued"
    """Known; no phase has it yet."""
    PROCESSING = "processing"
    """A phase has it, or has it next."""
    INDEXED = "indexed"
    """Its newest version answers searches."""
    FAILED = "failed"
    """Its newest version could not be read or indexed."""
    SKIPPED = "skipped"
    """Taken out on request, until it is retried."""


class Action(StrEnum):
    """The verbs that a job takes."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"


class Intent(StrEnum):
    """What a job waits in the queue for."""

    START = "start"
    """To run for the first time."""
    RESUME = "resume"
    """To go on from where it was paused."""
    RETRY = "retry"
    """To run its failed phases again."""


OCR = "ocr"
"""The key under which metadata says that text was recognised."""
PAGES_BY_OCR = "pages_by_ocr"
PAGES_WITHOUT_TEXT = "pages_without_text"
"""The keys under which metadata says of how many pages the text was recognised, and how many have none."""
