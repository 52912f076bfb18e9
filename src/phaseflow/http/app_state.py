"""What the endpoints of one application share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from phaseflow.flow import PhaseFlow
from phaseflow.http.access import Access
from phaseflow.http.limits import ConnectionLimiter, Limits
from phaseflow.http.metrics import Metrics
from phaseflow.http.stream_hub import StreamHub

if TYPE_CHECKING:
    from phaseflow.http.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class AppState:
    """One engine behind one application. Two sites in one process share nothing."""

    flow: PhaseFlow
    access: Access
    limits: Limits
    hub: StreamHub
    seats: ConnectionLimiter
    metrics: Metrics
    endpoints: "Sequence[Endpoint]"
    closing: list[Callable[[], object]] = field(default_factory=list)

    @property
    def is_ready(self) -> bool:
        """The engine is up."""
        return self.flow.is_running and not self.hub.closed

    def close(self) -> None:
        """End the streams and the uploads: a server that stops would wait for them."""
        self.hub.close()
        self.seats.close()
        self.access.guesses.close()
        for end in self.closing:
            end()

    def on_close(self, end: Callable[[], object]) -> None:
        """Call this, too, when the server stops."""
        self.closing.append(end)
