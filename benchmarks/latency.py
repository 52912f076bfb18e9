"""How soon a verb has taken effect, and how soon a subscriber knows.

    python benchmarks/latency.py [--rounds 100] [--subscribers 50]

- pause: from the verb to the committed ``paused``, beyond the batch in hand, with the static embedder at full speed.
- cancel: from the verb to its answer ``cancelled``, while the embedder hangs.
- feed: from the commit of a transition to its receipt by each of many subscribers, while jobs run.

Prints p50, p99 and the worst in milliseconds with the target; exit code 1 when a target is missed.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from phaseflow import JobStatus, PhaseFlow, PhaseStatus
from phaseflow.domain.errors import JobConflict
from phaseflow.domain.status import Transition
from phaseflow.store import failpoints

BATCH_ENDS = (
    "loading.listed", "loading.between", "chunking.between", "embedding.between", "indexing.between",
    "indexing.withdrawn", "indexing.switched", "indexing.cleaned",
)  # fmt: skip
WORDS = [f"word{number}" for number in range(3000)]


def write_documents(folder: Path, count: int) -> Path:
    """Folder of Markdown files of about 6 kB, each with a text of its own."""
    dice = random.Random(7)
    folder.mkdir()
    for number in range(count):
        paragraphs = [" ".join(dice.choices(WORDS, k=80)) for _ in range(10)]
        (folder / f"doc{number:04}.md").write_text(f"# Document {number}\n\n" + "\n\n".join(paragraphs))
    return folder


class Marks:
    """When the named points were last reached."""

    def __init__(self, *points: str) -> None:
        self.at: dict[str, float] = {}
        for point in points:
            failpoints.install(point, lambda point=point: self._mark(point))

    def _mark(self, point: str) -> None:
        self.at[point] = time.perf_counter()

    def last(self, points: Iterable[str]) -> float:
        """The latest of them, 0 when none was reached."""
        return max((self.at.get(point, 0.0) for point in points), default=0.0)


async def pauses(folder: Path, database: Path, rounds: int) -> list[float]:
    """Seconds from the verb, or from the end of the batch in hand when that is later, to ``paused``."""
    marks = Marks("supervisor.paused", *BATCH_ENDS)
    found: list[float] = []
    async with PhaseFlow(database) as flow:
        while len(found) < rounds:
            job = await flow.start("kb", folder, full=True, settings={"chunk_size": 300 + len(found)})
            while len(found) < rounds and not (await job.status()).status.is_terminal:
                await asyncio.sleep(random.random() * 0.05)
                asked = time.perf_counter()
                try:
                    await flow.pause("kb")
                except JobConflict:  # the job has ended meanwhile
                    break
                status = await job.wait_until_idle()
                if status.status is not JobStatus.PAUSED:
                    break
                in_hand = max(asked, marks.last(BATCH_ENDS))
                paused = marks.last(["supervisor.paused"])
                if paused > asked:
                    found.append(max(0.0, paused - in_hand))
                await flow.resume("kb")
            await finish(flow)
    return found


async def finish(flow: PhaseFlow) -> None:
    """Bring the job to an end."""
    status = await flow.status("kb")
    if not status.status.is_terminal:
        await flow.cancel("kb")


class Hanging:
    """An embedder that never answers."""

    fingerprint = "hanging"
    in_flight = 8

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        await asyncio.Event().wait()
        raise AssertionError


async def cancels(folder: Path, database: Path, rounds: int) -> list[float]:
    """Seconds from the verb to its answer."""
    found: list[float] = []
    async with PhaseFlow(database, embedder=Hanging()) as flow:
        while len(found) < rounds:
            job = await flow.start("kb", folder)
            async for status in job.watch():
                if status.phase_details[2].status is PhaseStatus.RUNNING:
                    break
            asked = time.perf_counter()
            status = await flow.cancel("kb")
            assert status.status is JobStatus.CANCELLED
            found.append(time.perf_counter() - asked)
    return found


class Constant:
    """Vectors that cost nothing: the feed is to be measured."""

    fingerprint = "constant"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0, 0.0] for _ in texts]


async def receipts(folder: Path, database: Path, rounds: int, subscribers: int) -> list[float]:
    """Seconds from the commit of each transition to its receipt, for each subscriber."""
    marks, committed, found = Marks("store.after_commit"), {}, []

    async def subscribe(flow: PhaseFlow) -> None:
        async for transition in flow.transitions():
            found.append(time.perf_counter() - committed[transition.seq])

    async with PhaseFlow(database, embedder=Constant()) as flow:
        feed = flow.tracker.feed
        publish = feed.publish

        def note(logged: Iterable[Transition]) -> None:
            told = list(logged)
            committed.update((transition.seq, marks.at["store.after_commit"]) for transition in told)
            publish(told)

        feed.publish = note  # type: ignore[method-assign]  # only here
        tasks = [asyncio.create_task(subscribe(flow)) for _ in range(subscribers)]
        await asyncio.sleep(0)
        for _ in range(max(1, rounds // 10)):
            await (await flow.start("kb", folder, full=True)).wait()
    await asyncio.gather(*tasks)
    return found


def show(name: str, seconds: list[float], target_ms: float) -> bool:
    """Print a line; whether the 99th percentile is within the target."""
    cuts = statistics.quantiles(seconds, n=100)
    p50, p99, worst = cuts[49] * 1000, cuts[98] * 1000, max(seconds) * 1000
    verdict = "met" if p99 < target_ms else "MISSED"
    print(f"{name:<8} n={len(seconds):<6} p50={p50:8.2f} ms  p99={p99:8.2f} ms  worst={worst:8.2f} ms", end="  ")
    print(f"target p99 < {target_ms:g} ms: {verdict}")
    return p99 < target_ms


async def measure(rounds: int, subscribers: int) -> bool:
    """All three; whether all targets are met."""
    with tempfile.TemporaryDirectory(prefix="phaseflow-latency-") as root:
        folder = write_documents(Path(root) / "docs", 200)
        met = [show("pause", await pauses(folder, Path(root) / "pause.db", rounds), 50)]
        failpoints.clear()
        met.append(show("cancel", await cancels(folder, Path(root) / "cancel.db", min(rounds, 30)), 1000))
        met.append(show("feed", await receipts(folder, Path(root) / "feed.db", rounds, subscribers), 20))
    return all(met)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--subscribers", type=int, default=50)
    options = parser.parse_args()
    sys.exit(0 if asyncio.run(measure(options.rounds, options.subscribers)) else 1)
