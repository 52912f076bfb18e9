"""Whether a knowledge base may have another job: it has at most one that is not over."""

from datetime import datetime

from phaseflow.domain.errors import JobConflict
from phaseflow.domain.vocabulary import Action
from phaseflow.store.jobs import Jobs
from phaseflow.store.transaction import Transaction


def ensure_no_active_job(tx: Transaction, kb_id: str, verb: str = Action.START) -> None:
    """Raise JobConflict when the knowledge base has a job that is not over."""
    latest = Jobs(tx).latest(kb_id)
    if latest is not None and not latest.state.get_overall_status().is_terminal:
        state = latest.state
        raise JobConflict(verb, state.get_overall_status(), state.allowed_actions())


def admit_new_job(tx: Transaction, kb_id: str, at: datetime) -> None:
    """Raise JobConflict when the knowledge base has a job that is not over; a failed one leaves the queue."""
    ensure_no_active_job(tx, kb_id)
    dequeue_failed_job(tx, kb_id, at)


def dequeue_failed_job(tx: Transaction, kb_id: str, at: datetime) -> None:
    """Take a failed job that is queued for its retry out of the queue."""
    latest = Jobs(tx).latest(kb_id)
    if latest is not None and latest.state.intent is not None:
        Jobs(tx).save(latest.state, latest.state.queue(None, at), reason=None, at=at)
