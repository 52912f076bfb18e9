"""What a batch of the embedding actor came to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from phaseflow.actors.context import PhaseFailed
from phaseflow.actors.pending_documents import Chunk
from phaseflow.domain.exception_text import text_of

if TYPE_CHECKING:
    from phaseflow.components.protocols import Vectors


class TextsRejected(PhaseFailed):
    """The embedder raised something that is about the texts it was given."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(text_of(cause))
        self.cause = cause


@dataclass(slots=True)
class BatchResult:
    """What a batch came to. ``done``: chunks that had their vector already; ``texts``: those that have one now, of
    which ``hashes`` are new and their ``vectors`` to be stored; ``rejected``: a text that cannot be embedded, and why.
    """

    done: Sequence[Chunk] = ()
    texts: Sequence[bytes] = ()
    hashes: Sequence[bytes] = ()
    vectors: "Vectors | None" = None
    characters: int = 0
    rejected: dict[bytes, tuple[str, str]] = field(default_factory=dict)
    is_stored: bool = False
