"""What does the work that costs CPU, wherever it runs: the processes of this machine, or a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from phaseflow.components.extraction.types import Extracted
from phaseflow.domain.errors import ComponentError

if TYPE_CHECKING:
    from phaseflow.components.protocols import Vectors


@dataclass(frozen=True, slots=True)
class RawDocument:
    """A document to be read. ``charset`` and ``media_type`` are what its carrier (an HTTP header) declares."""

    data: bytes
    name: str
    charset: str | None = None
    media_type: str | None = None


Outcome = Extracted | ComponentError
"""What became of a document: its text; the DocumentError that reading it ended with; WorkerLost where its worker ended
in it; WorkerUnavailable where none could be started."""


@dataclass(frozen=True, slots=True)
class Model:
    """An embedder that computes its vectors where it runs, and the fingerprint that its vectors are kept under."""

    fingerprint: str
    embedder: Any


@runtime_checkable
class Workers(Protocol):
    """Reads documents and computes vectors. Used by one event loop.

    Each call is one attempt: what is tried again, in which order, and how often, is decided by whoever calls. A call
    that is cancelled leaves no work behind after a second. Nothing is written, and nothing that costs money is called.

    ``extract`` and ``embed`` raise WorkerLost when the worker of the whole call is gone, and WorkersDown when there is
    none at all; both blame no document and no text.
    """

    @property
    def is_remote(self) -> bool:
        """Whether they are elsewhere: a call then costs milliseconds, and embedders are sent there that allow it."""
        ...

    @property
    def capacity(self) -> int:
        """How many calls are worth making at once, 1 or more. May change with the cluster."""
        ...

    @property
    def batch_documents(self) -> int:
        """The most documents of one ``extract``: 1 where a call costs next to nothing."""
        ...

    @property
    def down(self) -> str | None:
        """Why there is no worker now, in words; None while there is no reason to doubt that there is."""
        ...

    async def open(self) -> None:
        """Get ready, without waiting for it. Called before anything else, by the loop that uses the workers."""
        ...

    async def aclose(self) -> None:
        """End all work at once, and see it gone within a second or two. Idempotent; ``open`` may be called again."""
        ...

    async def extract(self, batch: Sequence[RawDocument]) -> Sequence[Outcome]:
        """Read documents: one outcome for each, in order. The limits on time and memory hold for each by itself."""
        ...

    async def embed(self, model: Model, texts: list[str]) -> "Vectors":
        """One vector for each text, in order. Raises what the model raises."""
        ...
