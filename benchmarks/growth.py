"""How large the file becomes over 200 runs that each edit a tenth of the documents.

python -m benchmarks growth [RUNS] [DOCUMENTS]
"""

import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from script import Constant

from phaseflow import FolderSource, PhaseFlow

WORDS = 300


def write(path: Path, number: int, version: int) -> None:
    """A text that nothing else has."""
    text = " ".join(f"v{version}d{number}w{word}" for word in range(WORDS))
    path.write_text(f"# Document {number}\n\n{text}\n", encoding="utf-8")


def make(folder: Path, documents: int) -> list[Path]:
    """The documents before the first run."""
    folder.mkdir()
    paths = [folder / f"{number:05}.md" for number in range(documents)]
    for number, path in enumerate(paths):
        write(path, number, 0)
    return paths


async def main(runs: int, documents: int, keep_vectors: float) -> None:
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as home:
        folder, database = f"{home}/docs", f"{home}/kb.db"
        paths = make(Path(folder), documents)
        first, began = 0, time.perf_counter()
        async with PhaseFlow(database, embedder=Constant(), keep_vectors=keep_vectors) as flow:
            for run in range(runs + 1):
                for number in chance.sample(range(documents), documents // 10) if run else ():
                    write(paths[number], number, run)
                final = await (await flow.start("bench", FolderSource(folder))).wait()
                assert final.status == "completed", final.error
                if run % max(1, runs // 8) == 0:
                    size = (await flow.vacuum()).size_bytes
                    first = first or size
                    print(f"run {run:4}: {size / 1e6:7.2f} MB, {size / first:5.2f} times the first", flush=True)
        print(f"{runs} runs with vectors kept for {keep_vectors:g} days: {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    for keep in (0.0, 30.0):
        asyncio.run(main(*(given + [200, 100][len(given) :]), keep_vectors=keep))
