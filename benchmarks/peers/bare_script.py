"""The sequential script of benchmarks/script.py, which has no status and starts over each time."""

from pathlib import Path

import script
from measured import Vectors, measured

from phaseflow.components.embedders import StaticEmbedder


def ingest(folder: Path, state: Path, vectors: Vectors) -> dict:
    database = state / "script.db"
    for file in state.glob("script.db*"):
        file.unlink()
    embedder = vectors.counted(StaticEmbedder() if vectors.kind == "static" else script.Constant())
    return {"passages": script.ingest(folder, database, embedder)}


if __name__ == "__main__":
    measured(ingest)
