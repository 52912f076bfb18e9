"""How fast search is, and what it costs: synthetic corpora, questions with common words.

python -m benchmarks search [--passages N …] [--questions N] [--folder FOLDER] [--peers]

Documents of ten passages of words by Zipf's law, vectors of 256 numbers that cost nothing. For each size: the first
search after a start, of a file that is on the disk alone and of one that the system has in memory; a hybrid search,
one at a time, also with a filter that lets one document of a hundred through; a status beside eight searches at a
time; bytes of memory that search took, and of the file, a passage; and a plain FTS5 query of the same words, ranked
by its own BM25, on the same machine at the same time. CPU is that of the whole process for a search, which a busy
machine does not change.

Corpora are made once, in minutes for a million passages, and kept in FOLDER (a folder of its own in the one for
temporary files) until the tables or the words of the index change. --peers adds sqlite-vec and pgvector to the table
(see search_peers.py). Each row is measured in a process of its own.
"""

import argparse
import asyncio
import hashlib
import os
import random
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from phaseflow import FolderSource, PhaseFlow
from phaseflow.components.protocols import Document, Entry, Known
from phaseflow.domain import words
from phaseflow.domain.errors import Busy

VOCABULARY = 50_000
WORDS = 110
"""Of a passage."""
PASSAGES = 10
"""Of a document."""
DIMENSION = 256
BESIDE = 8
MOST_S = 15.0
"""A row asks no more questions after so long: some of the others take a second for one."""
SCHEMA = Path(__file__).parent.parent / "schema.sql"


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


@dataclass(frozen=True)
class Row:
    """Seconds, and memory and file in bytes a passage; None where it was not measured."""

    name: str
    passages: int
    first: float
    alone: Sequence[float]
    cpu: float
    filtered: Sequence[float] | None = None
    status: Sequence[float] | None = None
    memory: float | None = None
    stored: float | None = None
    from_disk: float | None = None
    """The first, when the system has nothing of the file in memory."""

    def shown(self) -> str:
        """A row of the table, in milliseconds."""
        cells = [
            self.name,
            f"{self.passages:,}",
            _number(None if self.from_disk is None else self.from_disk * 1000),
            f"{self.first * 1000:.0f}",
            _two(self.alone),
            f"{self.cpu * 1000:.1f}",
        ]
        cells += [_two(self.filtered), _two(self.status), _number(self.memory), _number(self.stored)]
        return f"| {' | '.join(cells)} |"


HEAD = """
| | passages | from disk | first | alone p50, p99 | CPU | filter p50, p99 | status p50, p99 | memory | file |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


def _two(times: Sequence[float] | None) -> str:
    return "–" if times is None else ", ".join(f"{each * 1000:.1f}" for each in (_at(times, 0.5), _at(times, 0.99)))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _at(times: Sequence[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def cpu_s() -> float:
    """Seconds of the processor that this process took."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def asked_until(asked: Sequence[str], ask: Callable[[str], Awaitable[object]]) -> tuple[list[float], float]:
    """Seconds of each, one at a time for at most ``MOST_S``, and of the processor for one."""
    times: list[float] = []
    began, before = time.perf_counter(), cpu_s()
    for question in asked:
        times.append(await timed(lambda question=question: ask(question)))
        if time.perf_counter() - began > MOST_S:
            break
    return times, (cpu_s() - before) / len(times)


def database_of(folder: Path, passages: int) -> Path:
    """The database of a size. Others do for another form of the file."""
    form = hashlib.blake2b(SCHEMA.read_bytes() + bytes([words.VERSION]), digest_size=4).hexdigest()
    return folder / f"{passages}-{form}.db"


async def ingested(database: Path, passages: int) -> None:
    """Make the corpus of a size."""
    source = Zipf(passages // PASSAGES)
    building = database.with_suffix(".building")
    for beside in database.parent.glob(f"{building.name}*"):
        beside.unlink()
    async with PhaseFlow(building, loader=source, embedder=Constant()) as flow:
        begun, before = time.perf_counter(), cpu_s()
        job = await flow.start("kb", FolderSource("."))
        done = await job.wait()
        took, used = time.perf_counter() - begun, cpu_s() - before
        assert done.status == "completed", done.message
        chunks = (await flow.kb("kb")).chunks
    building.rename(database)
    print(
        f"{chunks:,} passages made: {chunks / took:.0f} a second, {used / chunks * 1e6:.0f} µs of CPU each", flush=True
    )


def dropped(database: Path) -> None:
    """Have the system forget what it has of a file in memory, where it can."""
    if not hasattr(os, "posix_fadvise"):
        return
    fd = os.open(database, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


async def first_from_disk(database: Path, passages: int) -> float:
    """Seconds of the first search after a start of the machine, more or less."""
    source = Zipf(passages // PASSAGES)
    dropped(database)
    async with PhaseFlow(database, loader=source, embedder=Constant()) as flow:
        return await timed(lambda: _until_answered(flow, source.question(0)))


async def measured(database: Path, passages: int, questions: int) -> Row:
    """What phaseflow takes."""
    source = Zipf(passages // PASSAGES)
    asked = [source.question(n) for n in range(1, questions + 1)]
    async with PhaseFlow(database, loader=source, embedder=Constant()) as flow:
        before = resident()
        first = await timed(lambda: _until_answered(flow, source.question(0)))
        alone, cpu = await asked_until(asked, lambda question: flow.search("kb", question))
        wanted = {"type": "eq", "key": "hundredth", "value": 7}
        some, _ = await asked_until(asked, lambda question: flow.search("kb", question, filter=wanted))
        memory = (resident() - before) / passages
        beside: list[float] = []
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(_searching(flow, asked[n::BESIDE])) for n in range(BESIDE)]
            while len(beside) < questions:
                beside.append(await timed(lambda: flow.status("kb")))
                await asyncio.sleep(0.01)
            for task in running:
                task.cancel()
    return Row("phaseflow", passages, first, alone, cpu, some, beside, memory)


async def _until_answered(flow: PhaseFlow, question: str) -> None:
    """On a busy machine, reading a large knowledge base takes longer than a search may."""
    while True:
        with suppress(Busy):
            await flow.search("kb", question)
            return


async def _searching(flow: PhaseFlow, asked: Sequence[str]) -> None:
    while True:
        for question in asked:
            with suppress(Busy):
                await flow.search("kb", question)


def _from_disk(database: Path, passages: int) -> float:
    return asyncio.run(first_from_disk(database, passages))


def _phaseflow(folder: Path, passages: int, questions: int) -> Row:
    database = database_of(folder, passages)
    if not database.exists():
        asyncio.run(ingested(database, passages))
    with ProcessPoolExecutor(1, get_context("spawn")) as another:  # what it leaves in memory is not what search takes
        from_disk = another.submit(_from_disk, database, passages).result()
    row = asyncio.run(measured(database, passages, questions))
    return replace(row, stored=database.stat().st_size / passages, from_disk=from_disk)


def _row(row: Callable[[Path, int, int], Row], name: str, folder: Path, passages: int, questions: int) -> str:
    try:
        return row(folder, passages, questions).shown()
    except Exception as error:  # noqa: BLE001  # the row says what
        return f"| {name} | {passages:,} | {type(error).__name__}: {error} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks search")
    parser.add_argument("--passages", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "phaseflow-search")
    parser.add_argument("--peers", action="store_true", help="beside sqlite-vec and pgvector")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    from search_peers import PEERS, fts5

    kinds = {"phaseflow": _phaseflow, "plain FTS5": fts5, **(PEERS if options.peers else {})}
    shown = [HEAD]
    for passages in options.passages:
        for name, row in kinds.items():
            with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                given = (row, name, options.folder, passages, options.questions)
                shown.append(alone.submit(_row, *given).result())
            print(shown[-1], flush=True)
    print("\n".join(shown))


if __name__ == "__main__":
    main()
