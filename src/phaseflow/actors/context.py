"""What the four actors of one run have in common: the store, the components, the rules."""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from phaseflow.actors.single_flight import SingleFlight
from phaseflow.components.embedders import EmbedderAdapter
from phaseflow.components.indexes import Index
from phaseflow.components.indexes.losses import Losses
from phaseflow.components.protocols import Chunker, Loader
from phaseflow.domain.checked_fields import check_kinds
from phaseflow.domain.errors import PhaseflowError, StoreUnavailable
from phaseflow.domain.log import get_logger
from phaseflow.domain.policy import BudgetPolicy, GuardPolicy, RetryPolicy
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import failpoints
from phaseflow.store.catalogue import Catalogue
from phaseflow.store.clock import Clock
from phaseflow.store.database import Database, T
from phaseflow.store.documents import Target
from phaseflow.store.failures import FailedDocument, Failures
from phaseflow.store.inbox import Inbox
from phaseflow.store.patient_reads import PatientReads
from phaseflow.store.progress import Attempt, Done, PhaseProgress
from phaseflow.store.transaction import Transaction
from phaseflow.store.write_request import Write

OpenIndex = Callable[[], Awaitable[Index]]
"""Opens an index at its first call. Raises TransientError while it cannot be reached: the next call tries again."""


class PhaseFailed(PhaseflowError):
    """The phase cannot go on."""

    code = "phase_failed"


@dataclass(frozen=True, slots=True)
class Components:
    """What does the work of one job. ``loaders`` has one for each source, by name; what they list has the uris of the
    knowledge base. ``open_index`` None: the index is the one inside the database, else that on ``index_server``. Its
    own: given by the program."""

    loaders: Mapping[str, Loader]
    chunker: Chunker
    embedder: EmbedderAdapter
    open_index: OpenIndex | None = None
    index_server: str | None = None
    index_losses: Losses = field(default_factory=Losses)
    working_on: Callable[[], str | None] | None = None
    """What is being done that takes long within a document, in words."""
    has_own_chunker: bool = False
    has_own_embedder: bool = False


@dataclass(frozen=True, slots=True)
class Policies:
    """When a job tries again (``retry``), when a phase gives up (``budget``), and when it pauses itself (``guard``)."""

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    budget: BudgetPolicy = field(default_factory=BudgetPolicy)
    guard: GuardPolicy = field(default_factory=GuardPolicy)

    def __post_init__(self) -> None:
        check_kinds(self)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run of a job does: with which components, on which documents, by which rules.

    ``lists``: its sources are listed; ``listed``: by an earlier run; ``loaded``: one has completed the loading phase.
    ``space``: the name of what it writes to in an index outside the database. ``moves``: search does not see that yet;
    all that it sees is brought there first, or back into the database. ``has_leftovers``: jobs before it have left
    documents on their way.
    """

    attempt: Attempt
    target: Target
    components: Components
    policies: Policies
    full: bool
    lists: bool
    listed: bool
    loaded: bool
    model: str
    model_id: int
    max_deleted_share: float
    live_settings: str
    characters_sent: int
    space: str | None = None
    moves: bool = False
    has_leftovers: bool = False


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run of one job, as its actors see it."""

    plan: Plan
    database: Database
    clock: Clock
    touch: Callable[[], None]
    single_flight: SingleFlight

    @property
    def reads(self) -> PatientReads:
        """Those of the run: where the file is taken away and put back, they wait for it, as its writes do."""
        return PatientReads(self.database, self.touch)

    async def write(self, write: Write[T], then: Callable[[T], None] | None = None) -> T:
        """One transaction of the run; ``then`` and the feed hear of it after the commit.

        While the file cannot be written, which is no fault of the phase, it is tried again until it can: ``write``
        may be called several times. Cancelling ends that.
        """

        def committed(value: T) -> None:
            if then is not None:
                then(value)
            self.touch()

        def failed(error: StoreUnavailable) -> None:
            get_logger().warning("cannot write what is done, trying again until it can", error=str(error))
            self.touch()  # the status says why nothing moves

        return await self.database.until_stored(lambda: self.database.write(write, then=committed), failed)

    def advance(self, tx: Transaction, phase: JobPhase, done: Done) -> None:
        """Count; first in each transaction, for it refuses the writes of a run that is over."""
        PhaseProgress(tx, self.plan.attempt, phase).advance(done, self.clock.running_now())
        failpoints.hit(f"{phase}.writing")

    def fail(self, tx: Transaction, phase: JobPhase, failed: Sequence[FailedDocument]) -> None:
        """Record documents that failed. Call it while their versions are still in hand."""
        if failed:
            where = self.plan.target
            uris = [each.uri for each in failed]
            Inbox(tx, where.kb_key).settle(where.job_seq, uris)
            Catalogue(tx, where.kb_key).keep_details(where.job_seq, uris)
            Failures(tx, where.kb_key).add(where.job_seq, phase, failed, self.clock.now())

    def fail_carried(self, tx: Transaction, phase: JobPhase, failed: Sequence[FailedDocument]) -> None:
        """Record documents of which even the older version cannot be carried over: a failure that is there stays."""
        where = self.plan.target
        Failures(tx, where.kb_key).add_new(where.job_seq, phase, failed, self.clock.now())

    def backoff_s(self, attempt: int, waited_s: float, asked_s: float | None) -> float | None:
        """Seconds to wait before the next attempt, None to give up."""
        return self.plan.policies.retry.wait_s(attempt, waited_s, asked_s, random.random())  # noqa: S311  # no secret
