"""The public API: ``PhaseFlow`` runs ingestion inside an asyncio application, ``Reader`` reads beside a running one."""

from phaseflow.flow.job import Job
from phaseflow.flow.phase_flow import PhaseFlow
from phaseflow.flow.reader import Reader

__all__ = ["Job", "PhaseFlow", "Reader"]
