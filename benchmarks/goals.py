"""All goals of speed and size in one table, with what was got: some seven minutes on a quiet machine of two cores.

    python -m benchmarks goals FOLDER [--rounds 5] [--passages 100000] [--clients 1000] [--peers PYTHON]
                               [--corpora FOLDER] [--only ingest,remote,unchanged,memory,push,beside,feed,start,size]

FOLDER holds Markdown files, as for `ingest`; corpora are what `search` has kept in its folder. PYTHON has the packages
of `peers`: DBOS then takes turns with phaseflow on one copy. Prints a table in Markdown, with the load of the machine
before and after; ratios are medians of rounds, with the smallest and the largest. Ratios of the processor's time depend
less on what else the machine does.
"""

import argparse
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import ingest
from processes import HERE, Compared, Run, run, timed

PARTS = ("ingest", "remote", "unchanged", "memory", "push", "beside", "feed", "start", "size")
STARTS = 9
"""Processes of which the median is shown."""


@dataclass(frozen=True)
class Row:
    """``got`` and ``goal`` in ``unit``; ``more`` says what else was seen."""

    what: str
    goal: float
    got: float
    unit: str = "×"
    more: str = ""

    def cells(self) -> list[str]:
        """For a table."""
        number = f"{self.got:.2f}" if self.got < 10 else f"{self.got:.1f}"
        return [self.what, f"≤ {self.goal:g} {self.unit}", f"{number} {self.unit}", self._verdict, self.more]

    @property
    def _verdict(self) -> str:
        return "met" if self.got <= self.goal else "**missed**"


def compared(what: str, goal: float, found: Compared) -> Row:
    """A ratio to another program."""
    ours, theirs = (median(each.seconds for each in side) for side in (found.ours, found.theirs))
    low, high = min(found.ratios), max(found.ratios)
    more = f"{low:.2f} to {high:.2f}; {ours:.2f} s for {theirs:.2f} s; of the processor {found.cpu_ratio:.2f}"
    return Row(what, goal, median(found.ratios), "×", more)


def ingested(folder: Path, work: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Against the script and DBOS."""
    five, one = ingest.copies(folder, work / "five", 5), ingest.copies(folder, work / "single", 1)
    for kind, place, goal in (("static", five, 0.5), ("constant", five, 1.0), ("constant", one, 1.2)):
        count = "five copies" if place is five else "one copy"
        found = ingest.against_script(kind, place, work, options.rounds)
        yield compared(f"{kind} vectors, {count}, over the script", goal, found)
    if options.peers:
        yield compared("constant vectors, one copy, over DBOS, 32 documents a workflow", 1.0, dbos(one, work, options))


def dbos(folder: Path, work: Path, options: argparse.Namespace) -> Compared:
    """phaseflow and DBOS, each as `peers` has them, in turn."""
    found = Compared([], [])
    peers = (
        (found.theirs, options.peers, "dbos_workflow.py", ["32"]),
        (found.ours, sys.executable, "phaseflow_job.py", []),
    )
    for number in range(options.rounds):
        for runs, python, program, more in peers:
            state = work / f"{program}-{number}"
            state.mkdir()
            command = [python, str(HERE / "peers" / program), str(folder), str(state), "constant", *more]
            runs.append(timed(command, PYTHONPATH=str(HERE)))
    return found


def remote(folder: Path, work: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Against the limit."""
    for count in (5, 1):
        place = ingest.copies(folder, work / f"remote{count}", count)
        found = ingest.remote(place, work, options.rounds)
        low, high = min(found.ratios), max(found.ratios)
        more = f"{low:.2f} to {high:.2f}; {median(found.seconds):.2f} s, {found.calls_s:.2f} s of calls"
        name = f"remote embedder, 50 ms a batch of 64, 8 in flight, copies: {count}"
        yield Row(f"{name}, over the longer of calls and a free embedder", 1.1, median(found.ratios), "×", more)


def unchanged(folder: Path, work: Path, options: argparse.Namespace) -> Iterator[Row]:
    """The second run."""
    place = ingest.copies(folder, work / "kept", 5)
    found = ingest.unchanged(place, work, options.rounds)
    yield compared("nothing changed, over a script that keeps hashes and times", 2.0, found)


def memory(folder: Path, work: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Of ten times the documents."""
    one, ten = ingest.memory(folder, work)
    yield Row("ten times the documents", 40, ten - one, "MB", f"{one:.0f} MB, {ten:.0f} MB")


def told(what: str, goal: float, pattern: str, *command: object, unit: str = "ms", more: str = "") -> Row:
    """A figure that another benchmark prints; it ends with an error where it misses a target of its own."""
    words = [sys.executable, "-m", "benchmarks", *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=HERE.parent)
    found = re.search(pattern, done.stdout)
    if found is None:
        raise RuntimeError(f"{' '.join(words[3:])}: {done.stdout[-500:]}{done.stderr[-2000:]}")
    return Row(what, goal, float(found[1]), unit, more or f"`benchmarks {' '.join(map(str, command))}`")


def pushed(folder: Path, work: Path, options: argparse.Namespace) -> Iterator[Row]:
    """One push."""
    line = r"push to searchable +p50 +[\d.]+ +p99 +([\d.]+)"
    yield told("push into an idle knowledge base, to searchable, p99", 100, line, "documents", "--only", "push")


def beside(folder: Path, work: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Verbs and statuses."""
    command = ["beside", "--passages", options.passages]
    if options.corpora:
        command += ["--folder", options.corpora]
    words = [sys.executable, "-m", "benchmarks", *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=HERE.parent).stdout
    shown = f"{options.passages:,} passages, a job on a document of 20,000"
    for name, goal in (("verb", 100.0), ("status", 10.0)):
        found = re.search(rf"{name} beside.* p50 +([\d.]+) +p99 +([\d.]+)", done)
        assert found is not None, done
        yield Row(f"{name} beside 8 searches, p99", goal, float(found[2]), "ms", f"p50 {found[1]} ms; {shown}")


def feed(folder: Path, work: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Subscribers and streams."""
    yield told("commit to subscriber, p99", 10, r"feed .*p99= *([\d.]+)", "latency", "--rounds", 40)
    command = ("streams", "--clients", options.clients, "--documents", 0)
    words = [sys.executable, "-m", "benchmarks", *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=HERE.parent)
    for name, pattern, goal, unit in (
        ("10 events a second, p99", r"feed p99 +([\d.]+)", 40.0, "ms"),
        ("memory of one", r"memory of a client +([\d.]+)", 24.0, "KB"),
    ):
        found = re.search(pattern, done.stdout)
        if found is None:
            raise RuntimeError(f"streams: {done.stdout[-500:]}{done.stderr[-2000:]}")
        lost = "nothing lost, doubled or out of order" if "none missing" in done.stdout else "see the benchmark"
        yield Row(f"{options.clients:,} streams: {name}", goal, float(found[1]), unit, lost)


def started(folder: Path, work: Path, options: argparse.Namespace) -> Iterator[Row]:
    """What processes take from their start to their end."""
    database = work / "started.db"
    place = ingest.copies(folder, work / "started", 1)
    run("once.py", place, database, "static")
    phaseflow = str(Path(sys.executable).with_name("phaseflow"))
    commands = {
        "`phaseflow status`": ([phaseflow, "status", "--db", str(database)], 0.25),
        "`phaseflow search`": ([phaseflow, "search", "bench", "how do I back up data?", "--db", str(database)], 0.25),
        "`import phaseflow`": ([sys.executable, "-c", "import phaseflow"], 0.05),
    }
    libraries = "import aiosqlite, anyio, asyncio, click, pydantic, sqlite3"
    alone = {wanted: processor([sys.executable, "-c", wanted]) for wanted in (libraries, f"{libraries}, numpy")}
    for name, (command, goal) in commands.items():
        needed = f"{libraries}, numpy" if "search" in name else libraries
        runs = [timed(command) for _ in range(STARTS)]
        seconds = median(each.seconds for each in runs)
        more = f"{seconds:.2f} s of the clock; `{needed}` alone {alone[needed]:.2f} s"
        yield Row(f"{name}, of the processor", goal, median(each.cpu for each in runs), "s", more)


def processor(command: list[str]) -> float:
    """The median of the processor's seconds."""
    return median(timed(command).cpu for _ in range(STARTS))


def size(folder: Path, work: Path, options: argparse.Namespace) -> Iterator[Row]:
    """What the default installs."""
    wheels, place = work / "wheels", work / "installed"
    pip = [sys.executable, "-m", "pip"]
    timed([*pip, "wheel", "-q", "--no-deps", "--wheel-dir", str(wheels), str(HERE.parent)])
    timed([*pip, "install", "-q", "--target", str(place), *map(str, wheels.glob("phaseflow-*.whl"))])
    parts = sorted(((taken(each), each.name) for each in place.iterdir()), reverse=True)
    largest = ", ".join(f"{name} {mb:.0f}" for mb, name in parts[:6])
    yield Row("installed size of the default", 200, sum(mb for mb, _ in parts), "MB", f"the largest: {largest}")


def taken(place: Path) -> float:
    """MB on the disk, in blocks as they are."""
    files = [each for each in place.rglob("*") if each.is_file()] if place.is_dir() else [place]
    return sum(each.stat().st_blocks for each in files) * 512 / 1e6


MEASURES = dict(
    zip(PARTS, (ingested, remote, unchanged, memory, pushed, beside, feed, started, size), strict=True)
)  # fmt: skip


def show(cells: list[str]) -> None:
    """A row of a table in Markdown."""
    print(f"| {' | '.join(cells)} |", flush=True)


def load() -> str:
    """Of the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


def warm(folder: Path, work: Path) -> Run:
    """Whatever is compiled or read at a first run."""
    few = work / "few"
    few.mkdir()
    shutil.copy(next(folder.rglob("*.md")), few / "one.md")
    run("script.py", few, work / "warm-script.db", "static")
    return run("once.py", few, work / "warm.db", "static")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--corpora", metavar="FOLDER", help="where `search` has kept its corpora")
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--only", default=",".join(PARTS))
    options = parser.parse_args()
    began, before = time.perf_counter(), load()
    show(["what", "goal", "got", "", "more"])
    show(["---"] * 5)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        warm(options.folder, work)
        for part in options.only.split(","):
            try:
                for row in MEASURES[part](options.folder, work, options):
                    show(row.cells())
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                said = f"{error} {getattr(error, 'stderr', None) or ''}".split()
                show([part, "", "not measured", "", " ".join(said)[-500:].replace("|", " ")])
    machine = (
        f"{os.cpu_count()} processors, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )
    took = f"{time.perf_counter() - began:.0f} s"
    print(f"\n{took}; load {before} before, {load()} after; {machine}, SQLite {sqlite3.sqlite_version}")


if __name__ == "__main__":
    main()
