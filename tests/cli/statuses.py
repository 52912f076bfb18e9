"""Statuses to render: a job in the middle of its work, and variations of it."""

from datetime import UTC, datetime
from typing import Any

from phaseflow.domain.status import Failure, JobStatusResponse
from phaseflow.domain.vocabulary import PHASES, JobPhase

AT = datetime(2025, 12, 3, 10, 0, 0, 123000, tzinfo=UTC)


def phase(name: JobPhase, **changes: Any) -> dict[str, Any]:
    """A phase that has not started, with changes."""
    fresh = {
        "name": name,
        "status": "not_started",
        "progress": 0,
        "items_processed": 0,
        "items_total": None,
        "items_failed": 0,
        "items_reused": 0,
        "started_at": None,
        "completed_at": None,
        "active_seconds": 0.0,
        "items_per_second": None,
        "waiting_on": None,
        "error": None,
    }
    return fresh | changes


def job(phases: dict[str, dict[str, Any]] | None = None, **changes: Any) -> JobStatusResponse:
    """A running job none of whose phases has started, with changes to the job and to phases by name."""
    fresh = {
        "job_id": "job-1",
        "kb_id": "waf",
        "status": "running",
        "phase": "loading",
        "progress": 0.0,
        "message": "Loading",
        "error": None,
        "requested": None,
        "waiting_on": None,
        "allowed_actions": ["pause", "cancel"],
        "eta_seconds": None,
        "metrics": {},
        "created_at": AT,
        "started_at": AT,
        "completed_at": None,
        "phase_details": [phase(name, **(phases or {}).get(name, {})) for name in PHASES],
    }
    return JobStatusResponse.model_validate(fresh | changes)


def failure(uri: str = "bad.bin", **changes: Any) -> Failure:
    """A document that failed in loading, with changes."""
    fresh = {
        "uri": uri,
        "phase": "loading",
        "code": "unsupported_format",
        "error": "unsupported format",
        "attempts": 1,
        "at": AT,
    }
    return Failure.model_validate(fresh | changes)
