"""What the endpoints of one application share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phaseflow.flow import PhaseFlow
from phaseflow.http.access import Access
from phaseflow.http.broadcast import Broadcast
from phaseflow.http.limits import Limits, Seats
from phaseflow.http.metrics import Metrics

if TYPE_CHECKING:
    from phaseflow.http.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Site:
    """One engine behind one application. Two sites in one process share nothing."""

    flow: PhaseFlow
    access: Access
    limits: Limits
    broadcast: Broadcast
    seats: Seats
    metrics: Metrics
    endpoints: "Sequence[Endpoint]"

    @property
    def is_ready(self) -> bool:
        """The engine is up."""
        return self.flow.is_running and not self.broadcast.closed

    def close(self) -> None:
        """End the streams and the uploads: a server that stops would wait for them."""
        self.broadcast.close()
        self.seats.close()
