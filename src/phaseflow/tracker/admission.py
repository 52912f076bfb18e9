"""Whether a knowledge base may have another job: it has at most one that is not over."""

from datetime import datetime

from phaseflow.domain.errors import JobConflict
from phaseflow.domain.vocabulary import Action
from phaseflow.store.jobs import Jobs
from phaseflow.store.transaction import Transaction
from phaseflow.tracker.state_hub import Changed


class NextJob:
    """The place for the next job of a knowledge base, over a transaction."""

    def __init__(self, tx: Transaction, kb_id: str) -> None:
        self._jobs = Jobs(tx)
        self._kb_id = kb_id

    @staticmethod
    def check_not_followed(tx: Transaction, changed: Changed) -> None:
        """Raise JobConflict when a job that was over goes on though it is not the newest of its knowledge base."""
        before, after = changed.before.get_overall_status(), changed.after.get_overall_status()
        if before.is_terminal and not after.is_terminal and not Jobs(tx).record(changed.after.job_id).newest:
            raise JobConflict(Action.RETRY, before, [], "the knowledge base has a newer job")

    def check_free(self, verb: str = Action.START) -> None:
        """Raise JobConflict when the knowledge base has a job that is not over."""
        latest = self._jobs.latest(self._kb_id)
        if latest is not None and not latest.state.get_overall_status().is_terminal:
            state = latest.state
            raise JobConflict(verb, state.get_overall_status(), state.allowed_actions())

    def dequeue_failed(self, at: datetime) -> None:
        """Take a failed job that is queued for its retry out of the queue."""
        latest = self._jobs.latest(self._kb_id)
        if latest is not None and latest.state.intent is not None:
            self._jobs.save(latest.state, latest.state.queue(None, at), reason=None, at=at)

    def make_room(self, at: datetime, verb: str = Action.START) -> None:
        """Raise JobConflict when the knowledge base has a job that is not over; a failed one leaves the queue."""
        self.check_free(verb)
        self.dequeue_failed(at)
