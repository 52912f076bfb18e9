"""From the bytes of a document that a source has brought to its text."""

from dataclasses import dataclass
from functools import partial
from hashlib import blake2b

import anyio
import anyio.to_thread

from phaseflow.components.extraction import extract
from phaseflow.components.protocols import Document, Entry, Known, Unchanged
from phaseflow.components.workers.recognition import AnyPool


@dataclass(frozen=True, slots=True)
class Reading:
    """The bytes of a document, and the stamp of what they are."""

    data: bytes
    stamp: str | None

    async def document(self, workers: AnyPool, entry: Entry, known: Known | None) -> Document | Unchanged:
        """The document as text, or that it is the one that is known. Raises DocumentError. A cancel abandons the
        thread, or kills the process, that works on it."""
        digest = await anyio.to_thread.run_sync(partial(_digest, self.data), abandon_on_cancel=True)
        if known is not None and known.content_hash == digest:
            return Unchanged(entry, digest, self.stamp)
        if workers.takes(self.data, entry.uri):
            found = await workers.extract(self.data, entry.uri)
        else:
            found = await anyio.to_thread.run_sync(partial(extract, self.data, entry.uri), abandon_on_cancel=True)
        return Document(
            entry,
            found.text,
            found.title,
            found.media_type,
            digest,
            self.stamp,
            found.parts,
            metadata=found.metadata,
            size=len(self.data),
            read_as=found.read_as,
        )


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
