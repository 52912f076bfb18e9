"""One ingestion by phaseflow, as a process of its own; prints its wall seconds, its peak memory and its counts as JSON.

python benchmarks/once.py FOLDER DATABASE [static|constant|URL of an embedding server]
"""

import asyncio
import json
import resource
import sys
import time

from constant import Constant

from phaseflow import FolderSource, PhaseFlow


async def main(folder: str, database: str, kind: str) -> None:
    options: dict = {}
    if kind == "constant":
        options["embedder"] = Constant()
    elif kind.startswith("http"):
        options["settings"] = {"embedder": {"type": "openai", "base_url": kind, "model": "fake"}}
    began = time.perf_counter()
    async with PhaseFlow(database, **options) as flow:
        job = await flow.start("bench", FolderSource(folder, include=["**/*.md"]))
        final = await job.wait()
    seconds = time.perf_counter() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    active = {detail.name: detail.active_seconds for detail in final.phase_details}
    print(
        json.dumps(
            {"status": final.status, "seconds": seconds, "peak_mb": peak_mb, "active": active}
            | final.metrics.model_dump()
        )
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "static"))
