"""What every program here has in common: the vectors, which are counted, and the line of JSON that it prints.

    python benchmarks/peers/PROGRAM.py FOLDER STATE [constant|static]

STATE is a folder that the program may fill and finds again in its next run. Modules of phaseflow are imported for
`static` only, so a Python without phaseflow can run the rest.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

SIZE, OVERLAP = 1000, 100
"""Of a passage, in characters."""

DIMENSION = 256


class Vectors:
    """Vectors for texts, and how many texts were asked for: what a run does again is seen here.

    With KILL_AFTER in the environment the process kills itself before the text of that number is embedded.
    """

    def __init__(self, kind: str) -> None:
        self.kind, self.embedded = kind, 0
        self._static: Any = None
        self._kill_after = int(os.environ.get("KILL_AFTER", "0"))

    def count(self, texts: Sequence[str]) -> None:
        if self._kill_after and self.embedded + len(texts) > self._kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        self.embedded += len(texts)

    def counted(self, embedder: Any) -> Any:
        """An embedder of phaseflow, whose texts are counted here."""
        embed = embedder.embed_documents

        def embed_documents(texts: Sequence[str]) -> Any:
            self.count(texts)
            return embed(texts)

        embedder.embed_documents = embed_documents
        return embedder

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        """A list of floats for each text, the form that the frameworks take."""
        self.count(texts)
        if self.kind == "static":
            if self._static is None:
                from phaseflow.components.embedders import StaticEmbedder

                self._static = StaticEmbedder()
            return self._static.embed_documents(list(texts)).tolist()
        return [[1.0] + [0.0] * (DIMENSION - 1) for _ in texts]


def measured(ingest: Callable[[Path, Path, Vectors], dict]) -> None:
    """Run ``ingest(folder, state, vectors)``; print its counts, the texts embedded and the seconds without imports."""
    folder, state = Path(sys.argv[1]), Path(sys.argv[2])
    vectors = Vectors(sys.argv[3] if len(sys.argv) > 3 else "constant")
    state.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    counts = ingest(folder, state, vectors)
    job_s = time.perf_counter() - began
    print(json.dumps({"job_s": job_s, "embedded": vectors.embedded} | counts))


class Saving:
    """Seconds that go into loading and saving a store which is in memory while it is filled."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> "Saving":
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began
