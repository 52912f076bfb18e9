"""How soon verbs and statuses are answered beside eight searches and a job that reads a large document.

python -m benchmarks beside [--passages 100000] [--rounds 100] [--folder FOLDER]

The corpus of `search`, of so many passages; where that has kept it in FOLDER, a copy of it. Eight searches are on their
way all the time, and a job of another knowledge base indexes a document of 20,000 passages, again and again. Pause and
resume in turn, from the call to its answer, which comes when it has taken effect; then statuses, of both knowledge
bases in turn. The interpreter is set as `phaseflow serve` sets it. Last, how many searches a second were answered
meanwhile.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from search import BESIDE, PASSAGES, Constant, Zipf, database_of, timed, told

from phaseflow import FolderSource, PhaseFlow
from phaseflow.components.protocols import Document, Entry, Known
from phaseflow.domain.errors import Busy, JobConflict
from phaseflow.http.server import set_for_serving

LARGE = "large.txt"
LARGE_PASSAGES = 20_000


class Corpus(Zipf):
    """The source of the path `large` has one document."""

    is_large = False
    large = ""
    """Made before: reading a document of this size is the work of another process."""

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        if self.is_large:
            yield [Entry(LARGE, LARGE_PASSAGES * 700)]
            return
        async for page in super().list():
            yield page

    async def load(self, entry: Entry, known: Known | None) -> Document:
        if entry.uri != LARGE:
            return await super().load(entry, known)
        self.large = self.large or "\n\n".join(map(self.text, range(LARGE_PASSAGES // PASSAGES)))
        return Document(entry, self.large, entry.uri, "text/plain", self.large[:16].encode().ljust(16))


async def working(flow: PhaseFlow) -> None:
    """Index the large document until cancelled."""
    while True:
        try:
            await (await flow.start("large", FolderSource("."), full=True)).wait()
        except JobConflict:  # it was paused in between
            await asyncio.sleep(0.01)


async def searching(flow: PhaseFlow, questions: Sequence[str], answered: list[float]) -> None:
    """Search until cancelled."""
    while True:
        for question in questions:
            with suppress(Busy):
                await flow.search("kb", question)
            answered.append(time.perf_counter())


async def verbs(flow: PhaseFlow, rounds: int) -> list[float]:
    """Seconds of each answer. A job may have ended when its verb comes: that is answered, too, and counts."""
    found = []
    for number in range(rounds):
        verb = flow.resume if number % 2 else flow.pause

        async def ask(verb=verb) -> None:
            try:
                await verb("large")
            except JobConflict:
                return

        found.append(await timed(ask))
        await asyncio.sleep(0.02)
    await flow.resume("large") if (await flow.status("large")).status == "paused" else None
    return found


async def main(passages: int, rounds: int, folder: Path | None) -> None:
    corpus, answered = Corpus(passages // PASSAGES), list[float]()
    questions = [corpus.question(number) for number in range(100)]
    with tempfile.TemporaryDirectory() as name, ExitStack() as tuned:
        kept = None if folder is None else database_of(folder, passages)
        if kept is not None and kept.exists():
            shutil.copyfile(kept, Path(name) / "kb.db")
        async with PhaseFlow(Path(name) / "kb.db", loader=corpus, embedder=Constant()) as flow:
            if kept is None or not kept.exists():
                await (await flow.start("kb", FolderSource("."))).wait()
            with suppress(Busy):
                await flow.search("kb", questions[0])  # which reads all vectors
            corpus.is_large = True
            await (await flow.start("large", FolderSource("."))).wait()
            tuned.enter_context(set_for_serving())
            job = await flow.start("large", FolderSource("."), full=True)
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(searching(flow, questions, answered)) for _ in range(BESIDE)]
                running.append(tasks.create_task(working(flow)))
                async for status in job.watch():
                    if status.phase_details[0].items_processed:
                        break
                print(f"verb beside {BESIDE} searches and a job    {told(await verbs(flow, rounds))}", flush=True)
                statuses = []
                answered.clear()
                began = time.perf_counter()
                for number in range(rounds):
                    asked = partial(flow.status, "large" if number % 2 else "kb")
                    statuses.append(await timed(asked))
                    await asyncio.sleep(0.01)
                spent = time.perf_counter() - began
                print(f"status beside {BESIDE} searches and a job  {told(statuses)}", flush=True)
                print(f"searches answered meanwhile        {len(answered) / spent:.0f} a second", flush=True)
                for task in running:
                    task.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks beside")
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    asyncio.run(main(given.passages, given.rounds, given.folder))
