"""phaseflow: a job on the folder, followed to its end; the status is written all the while."""

import asyncio
from pathlib import Path

from measured import Vectors, measured
from script import Constant

from phaseflow import FolderSource, JobConflict, PhaseFlow
from phaseflow.components.embedders import StaticEmbedder


def ingest(folder: Path, state: Path, vectors: Vectors) -> dict:
    embedder = vectors.counted(StaticEmbedder() if vectors.kind == "static" else Constant())

    async def job() -> int:
        async with PhaseFlow(state / "phaseflow.db", embedder=embedder) as flow:
            try:
                started = await flow.start("benchmark", FolderSource(folder, include=["**/*.md"]))
            except JobConflict:
                # A killed run left its job paused.
                await flow.resume("benchmark")
                started = await flow.job("benchmark")
            final = await started.wait()
            if final.status != "completed":
                raise SystemExit(final.message)
            return (await flow.kb("benchmark")).chunks

    return {"passages": asyncio.run(job())}


if __name__ == "__main__":
    measured(ingest)
