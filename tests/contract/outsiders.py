"""Components as somebody outside would write them: no base class, nothing imported, only the methods."""

import threading
from collections import Counter
from hashlib import blake2b

import anyio

from phaseflow import TransientError


def vector(text: str) -> list[float]:
    """The same text has the same vector, and two texts have two."""
    return [byte / 128 - 1 for byte in blake2b(text.encode(), digest_size=8).digest()]


class Plain:
    """Only what is needed to ingest, and not asynchronous. Counts what it was asked for."""

    def __init__(self) -> None:
        self.texts: Counter[str] = Counter()
        self.calls = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls += 1
        self.texts.update(texts)
        return [vector(text) for text in texts]


class Complete(Plain):
    """The shape of LangChain's embeddings."""

    def embed_query(self, text: str) -> list[float]:
        return vector(text)


class Coroutine:
    """Asynchronous, and slow where told to be."""

    batch_size = 2

    def __init__(self, delay_s: float = 0) -> None:
        self.delay_s = delay_s
        self.texts: Counter[str] = Counter()
        self.in_progress = 0

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.in_progress += 1
        try:
            await anyio.sleep(self.delay_s)
            self.texts.update(texts)
            return [vector(text) for text in texts]
        finally:
            self.in_progress -= 1

    async def embed_query(self, text: str) -> list[float]:
        return vector(text)


class Turnstile:
    """Lets one batch pass for each ``let``, and says when one stands before it."""

    batch_size = 1

    def __init__(self) -> None:
        self.arrived = 0
        self.done = 0
        self._passes = anyio.Semaphore(0)
        self._moved = anyio.Event()

    def let(self, batches: int) -> None:
        for _ in range(batches):
            self._passes.release()

    async def until_arrived(self, batches: int) -> None:
        while self.arrived < batches:
            await self._moved.wait()

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.arrived += 1
        moved, self._moved = self._moved, anyio.Event()
        moved.set()
        await self._passes.acquire()
        self.done += 1
        return [vector(text) for text in texts]

    async def embed_query(self, text: str) -> list[float]:
        return vector(text)


class Hung:
    """Never answers, in a thread that nothing can interrupt."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.release = threading.Event()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.called.set()
        assert self.release.wait(60)
        return [vector(text) for text in texts]


class Broken:
    """Raises, as long as it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error: Exception | None = error or ValueError("the model has no weights")
        self.texts: Counter[str] = Counter()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.error is not None:
            raise self.error
        self.texts.update(texts)
        return [vector(text) for text in texts]


class Flaky(Broken):
    """Says that it is busy, as long as it is told to."""

    def __init__(self) -> None:
        super().__init__(TransientError("busy"))


class Lines:
    """A text splitter of the shape of LangChain's: a passage a line."""

    def split_text(self, text: str) -> list[str]:
        return [line for line in text.splitlines() if line.strip()]
