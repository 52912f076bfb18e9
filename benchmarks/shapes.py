"""How soon verbs and statuses are answered beside a large document, by its shape.

python -m benchmarks shapes [SHAPE …] [--mb 12]

A job indexes one document of so many megabytes, then another version in its place, and its knowledge base is deleted.
All the while a phase of another job, which rests, is held and released in turn, each from the call to its commit, and
the status of the job that works is asked for. The interpreter is set as `phaseflow serve` sets it. The first row is
without a document: what this machine takes anyway.
"""

import argparse
import asyncio
import json
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from search import timed, told

from phaseflow import FolderSource, PhaseFlow
from phaseflow.http.server import set_for_serving

AFTER_S = 5.0
"""How long the deletion is looked on: what is left is removed after the answer."""
_CHOICE = random.Random(7)
_WORDS = [f"w{number}" for number in range(20_000)]


def _some(number: int) -> str:
    return " ".join(_CHOICE.choices(_WORDS, k=number))


def _filled(size: float, part: Callable[[], str], between: str = "\n\n") -> str:
    first = part()
    return between.join([first, *(part() for _ in range(int(size / len(first))))])


def _notebook(size: float) -> str:
    cells = [{"cell_type": "markdown", "metadata": {}, "source": [_some(40)]} for _ in range(int(size / 280))]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})


SHAPES: dict[str, tuple[str, Callable[[float], str]]] = {
    "prose": ("md", lambda size: _filled(size, lambda: _some(100))),
    "one-line": ("txt", lambda size: _filled(size, lambda: _some(100), " ")),
    "letters": ("txt", lambda size: "a " * int(size / 2) + _some(3)),
    "one-word": ("txt", lambda size: "whale " * int(size / 6) + _some(3)),
    "no-blanks": ("txt", lambda size: "x" * int(size) + _some(3)),
    "headings": ("md", lambda size: _filled(size, lambda: f"## {_some(3)}\n\n{_some(20)}")),
    "html": ("html", lambda size: _filled(size, lambda: f"<h2>{_some(3)}</h2><p>{_some(40)}</p>", "\n")),
    "nested": ("html", lambda size: f"{'<div>' * 20_000}{_filled(size, lambda: _some(100))}{'</div>' * 20_000}"),
    "notebook": ("ipynb", _notebook),
    "csv": ("csv", lambda size: _filled(size, lambda: _some(12).replace(" ", ","), "\n")),
    "mail": ("eml", lambda size: f"From: a@b.c\nSubject: large\n\n{_filled(size, lambda: _some(12), chr(10))}"),
}


async def asking(flow: PhaseFlow, verbs: list[float], statuses: list[float] | None) -> None:
    """Verbs, and with a list for them statuses, in turn, until cancelled."""
    while True:
        for verb in (flow.resume, flow.pause):
            verbs.append(await timed(lambda verb=verb: verb("rests", "indexing")))
            if statuses is not None:
                statuses.append(await timed(lambda: flow.status("large")))
            await asyncio.sleep(0.01)


async def measured(folder: Path, name: str, size: float) -> str:
    """One row."""
    for part in ("rests", "large"):
        (folder / part).mkdir(parents=True)
    (folder / "rests" / "a.md").write_text("A letter.")
    suffix, make = SHAPES.get(name, ("md", lambda _: "A letter."))
    path = folder / "large" / f"a.{suffix}"
    verbs: list[float] = []
    statuses: list[float] = []
    async with PhaseFlow(folder / "kb.db") as flow:
        await (await flow.start("rests", FolderSource(str(folder / "rests")), hold=["embedding"])).wait_until_idle()
        await flow.put_kb("large", FolderSource(str(folder / "large")))
        final = None
        for _ in range(2):
            await asyncio.to_thread(lambda: path.write_text(make(size)))
            job = await flow.start("large", full=True)
            async with asyncio.TaskGroup() as tasks:
                asks = tasks.create_task(asking(flow, verbs, statuses))
                final = await job.wait()
                await asyncio.sleep(0 if name in SHAPES else AFTER_S)
                asks.cancel()
        async with asyncio.TaskGroup() as tasks:
            rests = tasks.create_task(asking(flow, verbs, None))
            gone = await timed(lambda: flow.delete_kb("large"))
            await asyncio.sleep(AFTER_S)
            rests.cancel()
    assert final is not None
    load = os.getloadavg()[0]
    return (
        f"{name:10} verb {told(verbs)} · status {told(statuses)} · delete {gone * 1000:.0f} ms"
        f" · {final.status}, {final.metrics.chunks_indexed:,} passages · load {load:.0f}"
    )


async def main(names: list[str], megabytes: float) -> None:
    with tempfile.TemporaryDirectory() as name, set_for_serving():
        for shape in ("nothing", *names):
            print(await measured(Path(name) / shape, shape, megabytes * 1e6), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks shapes")
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=", ".join(SHAPES))
    parser.add_argument("--mb", type=float, default=12.0)
    given = parser.parse_args()
    asyncio.run(main(given.shapes or list(SHAPES), given.mb))
