"""The source of what was pushed: the rows of the database, and the files that they name."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread

from phaseflow.components.extraction.registry import as_given, extract
from phaseflow.components.extraction.types import Extracted
from phaseflow.components.protocols import Document, Entry, Known, Skipped, Unchanged
from phaseflow.components.uploads import Uploads
from phaseflow.components.workers.recognition import AnyPool
from phaseflow.domain.errors import ComponentUnavailable, TransientError
from phaseflow.store.pushed import STAMP, Pushed, PushesOfJob
from phaseflow.store.transaction import Transaction

PAGE_SIZE = 1000
T = TypeVar("T")
Read = Callable[[Callable[[Transaction], Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class PushLoader:
    """Lists and reads what was pushed into the knowledge base of a job (its number), whose name is ``kb_id``.

    ``read`` runs a function on a view of the database. A document that has not come since is known by its stamp.
    """

    read: Read
    job_seq: int
    kb_id: str
    uploads: Uploads
    workers: AnyPool

    @property
    def in_flight(self) -> int:
        """As many documents at once as the workers are kept busy by."""
        return self.workers.in_flight

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield the documents in pages of at most 1,000, in the order in which they came first."""
        after = 0
        while found := await self.read(partial(self._page, after)):
            after = found[-1].id
            yield [Entry(each.uri, each.size, each.stamp) for each in found]

    async def load(self, entry: Entry, known: Known | None) -> Document | Unchanged | Skipped:
        """Read one document: text in one visit to a worker thread, a binary format or mail in a worker process.

        Skipped when it was deleted meanwhile. Raises ComponentUnavailable when the folder of uploads is missing,
        TransientError when it was replaced again and again, and what extraction raises.
        """
        for _ in range(3):
            found = await self.read(lambda tx: PushesOfJob(tx, self.job_seq).with_content(entry.uri))
            if found is None:
                return Skipped(entry, "it was deleted")
            kept, content = found
            listed = Entry(entry.uri, kept.size, kept.stamp, entry.depth)
            if known is not None and _is_same(kept, known):
                return Unchanged(listed, known.content_hash, kept.stamp)
            data = content if content is not None else await _in_thread(partial(self._bytes, kept))
            if data is not None:
                return _document(listed, kept, await self._extracted(data, kept))
        raise TransientError(f"{entry.uri} was replaced while it was read")

    def _page(self, after: int, tx: Transaction) -> Sequence[Pushed]:
        return PushesOfJob(tx, self.job_seq).page(after, PAGE_SIZE)

    def _bytes(self, kept: Pushed) -> bytes | None:
        """None when the file was replaced after its row was read."""
        try:
            return self.uploads.path(self.kb_id, kept.file or "").read_bytes()
        except FileNotFoundError:
            if self.uploads.path(self.kb_id, "").is_dir():
                return None
            raise ComponentUnavailable(
                f"the uploaded files of {self.kb_id!r} are missing: put the folder of uploads back beside the"
                " database, or upload them again"
            ) from None

    async def _extracted(self, data: bytes, kept: Pushed) -> Extracted:
        found = await _in_thread(partial(_read_text, self.workers, data, kept))
        if found is not None:
            return found
        return await self.workers.extract(
            data, kept.uri, declared_charset=_charset(kept), declared_type=as_given(kept.media_type, kept.uri)
        )


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)


def _read_text(workers: AnyPool, data: bytes, kept: Pushed) -> Extracted | None:
    """None for what belongs in a worker."""
    if workers.takes(data, kept.uri, declared_type=as_given(kept.media_type, kept.uri)):
        return None
    return extract(data, kept.uri, declared_charset=_charset(kept), declared_type=as_given(kept.media_type, kept.uri))


def _charset(kept: Pushed) -> str | None:
    """Only a text has a media type, and it is Unicode whatever that, or the text itself, says. A file has its own."""
    return None if kept.media_type is None else "utf-8"


def _is_same(kept: Pushed, known: Known) -> bool:
    """The same bytes with the same title and type. A version whose stamp is no push had neither given."""
    if known.content_hash.hex() != kept.digest:
        return False
    was_pushed = known.stamp is not None and known.stamp.startswith(STAMP)
    return known.stamp == kept.stamp if was_pushed else kept.title is None and kept.media_type is None


def _document(entry: Entry, kept: Pushed, found: Extracted) -> Document:
    return Document(
        entry, found.text, kept.title or found.title, found.media_type, bytes.fromhex(kept.digest), kept.stamp,
        found.parts, metadata=found.metadata, size=kept.size, read_as=found.read_as,
    )  # fmt: skip
