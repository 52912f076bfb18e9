"""How fast search is, and what it costs: synthetic corpora, questions with common words.

python -m benchmarks search [--passages N …] [--questions N]

Documents of ten passages of words by Zipf's law, vectors of 256 numbers that cost nothing. For each size: passages
ingested a second and bytes a passage; the first search after a start; a hybrid search, one at a time, also with a
filter that lets one document of a hundred through; a status beside eight searches at a time; memory that search took.
"""

import argparse
import asyncio
import hashlib
import random
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from phaseflow import FolderSource, PhaseFlow
from phaseflow.components.protocols import Document, Entry, Known

VOCABULARY = 50_000
WORDS = 110
"""Of a passage."""
PASSAGES = 10
"""Of a document."""
DIMENSION = 256
BESIDE = 8


def _vocabulary() -> npt.NDArray[np.str_]:
    dice = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    return np.array(["".join(dice.choices(letters, k=dice.randint(3, 10))) for _ in range(VOCABULARY)])


class Zipf:
    """A source of documents, each the same in every run."""

    def __init__(self, documents: int) -> None:
        self._documents = documents
        self.words = _vocabulary()
        chances = 1 / np.arange(1, VOCABULARY + 1) ** 1.05
        self._chances = chances / chances.sum()

    def text(self, number: int) -> str:
        """The text of a document."""
        chosen = np.random.default_rng(number).choice(self.words, PASSAGES * WORDS, p=self._chances)
        return "\n\n".join(" ".join(chosen[n : n + WORDS]) for n in range(0, len(chosen), WORDS))

    def question(self, number: int) -> str:
        """Seven common words and two of any kind."""
        dice = np.random.default_rng(number + 10**9)
        return " ".join([*dice.choice(self.words[:40], 7), *dice.choice(self.words, 2, p=self._chances)])

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        for first in range(0, self._documents, 500):
            yield [Entry(f"{n:07}.txt", 10_000) for n in range(first, min(first + 500, self._documents))]

    async def load(self, entry: Entry, known: Known | None) -> Document:
        number = int(entry.uri[:7])
        text = self.text(number)
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        return Document(entry, text, entry.uri, "text/plain", digest, metadata={"hundredth": number % 100})


class Constant:
    """Vectors that follow from the first text of a batch: embedding costs nothing, and storing is what is left."""

    fingerprint = "constant-256"
    batch_size = 256
    dimension = DIMENSION

    def embed_documents(self, texts: list[str]) -> npt.NDArray[np.float32]:
        seed = int.from_bytes(hashlib.blake2b(texts[0].encode(), digest_size=4).digest())
        return np.random.default_rng(seed).standard_normal((len(texts), DIMENSION), dtype=np.float32)

    def embed_query(self, text: str) -> npt.NDArray[np.float32]:
        row: npt.NDArray[np.float32] = self.embed_documents([text])[0]
        return row


def resident() -> int:
    """Bytes of memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def told(times: Sequence[float]) -> str:
    """p50, p99 and the worst in milliseconds."""
    ordered = sorted(times)
    p50, p99 = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 for share in (0.5, 0.99))
    return f"p50 {p50:6.1f}  p99 {p99:6.1f}  max {ordered[-1] * 1000:6.1f} ms"


async def timed(ask: Callable[[], Awaitable[object]]) -> float:
    """Seconds."""
    begun = time.perf_counter()
    await ask()
    return time.perf_counter() - begun


async def measured(folder: Path, passages: int, questions: int) -> None:
    """Print the figures of one size."""
    source, database = Zipf(passages // PASSAGES), folder / f"{passages}.db"
    async with PhaseFlow(database, loader=source, embedder=Constant()) as flow:
        begun = time.perf_counter()
        job = await flow.start("kb", FolderSource("."))
        await job.wait()
        took = time.perf_counter() - begun
        chunks = (await flow.kb("kb")).chunks
    size = database.stat().st_size
    print(f"{chunks} passages: {chunks / took:.0f} a second, {size / chunks:.0f} bytes a passage")
    before = resident()
    async with PhaseFlow(database, loader=source, embedder=Constant()) as flow:
        first = await timed(lambda: flow.search("kb", source.question(0)))
        print(f"  first search          {first * 1000:.0f} ms")
        asked = [source.question(n) for n in range(1, questions + 1)]
        alone = [await timed(lambda question=question: flow.search("kb", question)) for question in asked]
        print(f"  hybrid                {told(alone)}")
        wanted = {"type": "eq", "key": "hundredth", "value": 7}
        some = [await timed(lambda question=question: flow.search("kb", question, filter=wanted)) for question in asked]
        print(f"  with a filter         {told(some)}")
        taken = resident() - before
        print(f"  memory                {taken / chunks:.0f} bytes a passage")
        beside: list[float] = []
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(_searching(flow, source, asked)) for _ in range(BESIDE)]
            for _ in range(questions):
                beside.append(await timed(lambda: flow.status("kb")))
                await asyncio.sleep(0.01)
            for task in running:
                task.cancel()
        print(f"  status beside {BESIDE}       {told(beside)}")


async def _searching(flow: PhaseFlow, source: Zipf, asked: Sequence[str]) -> None:
    while True:
        for question in asked:
            await flow.search("kb", question)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks search")
    parser.add_argument("--passages", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--questions", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for passages in options.passages:
            await measured(Path(name), passages, options.questions)


if __name__ == "__main__":
    asyncio.run(main())
