"""What a component has to offer, and the values that go in and out.

A component does the work of one phase and knows nothing about jobs. It is used by one event loop. It may raise
subclasses of ``ComponentError``; the engine owns retries, backoff, splitting of batches and the error budget, so a
component makes one attempt and reports what happened. Any other exception counts against the documents in hand.
"""

import inspect
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, runtime_checkable

from phaseflow.components.indexes import protocol
from phaseflow.domain import values

Index = protocol.Index
MetadataValue = values.MetadataValue
INDEX_CALLS: Final = protocol.INDEX_CALLS
if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Entry:
    """A document of a source, before it is read."""

    uri: str
    """Its name in the knowledge base: the path relative to the folder, or the URL."""
    size: int | None = None
    """Bytes, where the source knows them without reading."""
    stamp: str | None = None
    """Changes whenever the content may have changed, where the source can tell without reading (size and mtime,
    ETag). None: it can't, or the answer can't be trusted; the document is read and hashed."""
    depth: int = 0
    """Links followed to get here; 0 for what the source lists itself."""
    hides_others: bool = False
    """It stands for what could not be listed, and loading it says why: an archive that cannot be opened. What the
    knowledge base has of the source below it (``URI/…``) stays, unless it turns out not to be there."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the knowledge base has of a document from an earlier job."""

    content_hash: bytes
    stamp: str | None


@dataclass(frozen=True, slots=True)
class Document:
    """A document as text.

    ``content_hash`` is the BLAKE2b-128 digest of the raw bytes. ``parts`` are (offset, label) pairs in ascending order
    of offset, in characters of ``text``: the page, slide, sheet or section that begins there. ``links`` are documents
    found while reading this one. ``metadata`` is what the document says about itself: at most 64 keys, and 16 KB as
    JSON.
    """

    entry: Entry
    text: str
    title: str
    media_type: str
    content_hash: bytes
    stamp: str | None = None
    parts: tuple[tuple[int, str], ...] = ()
    links: tuple[Entry, ...] = ()
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    size: int | None = None
    """Bytes that were read. None: as many as the entry says."""
    read_as: str | None = None
    """The media type of what was read, where ``media_type``, that of the text, is another."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The document is byte for byte what the knowledge base holds. ``stamp`` is the newest one."""

    entry: Entry
    content_hash: bytes
    stamp: str | None = None
    links: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """Neither a document nor a failure: a redirect, a page that asks not to be indexed.

    It is not counted; what the knowledge base has under its uri is removed at the end. ``twin``: the uri of the
    document that is the same or stands for it, whose metadata will name this one (``also_at``). ``is_same``: byte for
    byte, so that the shorter of the two uris is the document's when the crawl ends.
    """

    entry: Entry
    reason: str
    links: tuple[Entry, ...] = ()
    twin: str | None = None
    is_same: bool = False


class Span(NamedTuple):
    """A half-open range of characters of a document's text."""

    start: int
    end: int


@runtime_checkable
class Loader(Protocol):
    """Lists the documents of a source and reads one as text.

    Optional attributes, with their defaults: ``in_flight: int`` (4: documents read at once),
    ``max_entries: int | None`` (None: documents of one crawl, in the order found; more are left out),
    ``follows_links: bool`` (False: a document that could not be read may hide others, so that none counts as gone),
    ``max_depth: int | None`` (None; with it deeper documents wait up to ten seconds for those that hang, or that failed
    for now and are tried again; one that then turns out to lie nearer is read once more),
    ``drops_reads: bool`` (False: a pause waits for what is being read or listed. True: what still is a second later is
    cancelled, and begun anew when the job goes on; each page of ``list`` is then asked for by another task),
    ``expect_documents(documents: Sequence[tuple[str, bytes]])`` (called before the first ``load``, with the uri and the
    ``content_hash`` of each document that the knowledge base has of this source).
    """

    def list(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield the documents of the source in pages of bounded size, each uri once.

        Raises ComponentUnavailable when the source itself cannot be read (no such folder), and RateLimited when it asks
        to be asked later: that is waited out, and ``list`` called anew.
        """
        ...

    async def load(self, entry: Entry, known: Known | None) -> Document | Unchanged | Skipped:
        """Read one document. ``known`` is what the KB holds; return ``Unchanged`` without extraction when the bytes
        are the same, and never when ``known`` is None.

        Several calls run at once. Raises DocumentError when this document cannot be used, TransientError when it may
        be read later, SourceDown when nothing of the source can be read just now. Cancelling it leaves nothing
        behind.
        """
        ...


@runtime_checkable
class Chunker(Protocol):
    """Cuts a text into passages. Runs in a worker thread; several calls may run at once."""

    fingerprint: str
    """Changes whenever the same text could be cut differently."""

    def spans(self, text: str, media_type: str) -> Iterable[tuple[int, int]]:
        """Return the passages as ranges of ``text``, in ascending order of start; none for a text without content.

        A pause waits for what is returned; where this is a generator, it comes between two passages, and the generator
        goes on later, perhaps in another thread, or is dropped and the document cut again.
        """
        ...


@runtime_checkable
class TextSplitter(Protocol):
    """The shape of LangChain's text splitters, which can be passed in as is."""

    def split_text(self, text: str, /) -> list[str]: ...


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors. LangChain's embeddings have the same shape and can be passed in as is.

    Both methods may be coroutines; plain ones run in a worker thread. Optional attributes, with their defaults:
    ``fingerprint: str`` (identifies model and dimension: vectors are kept under it; default: the class and what it
    holds that says which model it is), ``batch_size: int`` (64), ``in_flight: int`` (1: batches at once),
    ``remote: bool`` (False: it may be pickled and run on a cluster).
    """

    def embed_documents(self, texts: list[str], /) -> Sequence[Sequence[float]]:
        """One vector for each text, in order, all of one dimension."""
        ...

    def embed_query(self, text: str, /) -> Sequence[float]: ...


LOADER_CALLS: Final = {"list": "list()", "load": "load(entry, known)"}


def check_calls(given: object, kind: str, calls: Mapping[str, str]) -> None:
    """Raise TypeError, which names what is missing, unless a program's own component can be called like this.

    ``calls`` shows each method with its arguments. Told when the component is given: a job would find it out only in
    the middle of its work, and then count it against the documents.
    """
    if isinstance(given, type):
        raise TypeError(f"{given.__qualname__} is a class; pass an instance of it as the {kind}")
    name = type(given).__qualname__
    missing = [shown for method, shown in calls.items() if not callable(getattr(given, method, None))]
    if missing:
        raise TypeError(f"{name} is not {_one(kind)}: give it {' and '.join(f'`{each}`' for each in missing)}")
    for method, shown in calls.items():
        arguments = [part for part in shown.partition("(")[2].rstrip(")").split(", ") if part]
        if not _takes(getattr(given, method), len(arguments)):
            raise TypeError(
                f"{name}.{method} does not fit: a {kind} is called as `{shown}`".replace("a index", "an index")
            )


def _one(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _takes(method: Any, count: int) -> bool:
    try:
        inspect.signature(method).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        return True  # written in C, it does not say what it takes
    return True
