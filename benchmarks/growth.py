"""How large the file becomes over 200 runs that each edit a tenth of the documents.

What the documents take has to stay as it is, but for vectors that are kept for a while; the history of the runs (the
jobs, their phases, the log) is kept whole, and named apart.

python -m benchmarks growth [RUNS] [DOCUMENTS]
"""

import asyncio
import random
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
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


def history(database: str) -> int:
    """The bytes of the pages that hold jobs, phases and the log."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        row = connection.execute(
            "SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'transitions%' OR name LIKE '%ingestion\\_%' ESCAPE '\\'"
        ).fetchone()
    return int(row[0])


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
                    past = history(database)
                    first = first or size - past
                    times = (size - past) / first
                    print(
                        f"run {run:4}: {size / 1e6:7.2f} MB, of which the history of the runs has {past / 1e6:5.2f} MB;"
                        f" without that {times:5.2f} times the first",
                        flush=True,
                    )
        print(f"{runs} runs with vectors kept for {keep_vectors:g} days: {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    for keep in (0.0, 30.0):
        asyncio.run(main(*(given + [200, 100][len(given) :]), keep_vectors=keep))
