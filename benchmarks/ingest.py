"""What durable status costs: phaseflow against a sequential script that has none, in turn, on the same documents.

    python benchmarks/ingest.py FOLDER [--rounds 5] [--only static,constant,remote,unchanged,memory]

FOLDER holds Markdown files; five copies of it (the first line of each document changed) are what is ingested, so that
phaseflow finds most vectors in the store after the first copy. Each round runs the one, then the other, as processes of
their own; medians of the seconds of whole processes, of the clock and of the processor, and the ratio round by round.
`remote` compares with the ideal of an embedding server that takes 50 ms for a batch of 64, 8 at once: the time of its
calls, or that of the same job with a free embedder where that is longer. `unchanged` is the second run on the same
folder, of both; the script keeps hashes and times. `memory` compares one copy with ten.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from processes import HERE, Compared, Run, run

BATCH, DELAY_S, IN_FLIGHT = 64, 0.050, 8


def copies(folder: Path, target: Path, count: int) -> Path:
    """``count`` copies of the Markdown files of ``folder``, each document different from its likes."""
    for number in range(count):
        for file in sorted(folder.rglob("*.md")):
            inside = [part.lstrip(".") for part in file.relative_to(folder).parts]
            place = target.joinpath(f"copy{number}", *inside)
            place.parent.mkdir(parents=True, exist_ok=True)
            first, _, rest = file.read_text(encoding="utf-8").partition("\n")
            place.write_text(f"{first} copy {number}\n{rest}", encoding="utf-8")
            os.utime(place, (1_600_000_000, 1_600_000_000))
    return target


def ours(folder: Path, database: Path, kind: str) -> Run:
    """One ingestion, from the start of the process to its end."""
    done = run("once.py", folder, database, kind)
    assert done.answer()["status"] == "completed", done.said
    return done


def against_script(kind: str, folder: Path, work: Path, rounds: int) -> Compared:
    """phaseflow and the script in turn, each from nothing."""
    found = Compared([], [])
    for number in range(rounds):
        place = work / f"{kind}-{folder.name}-{number}"
        found.theirs.append(run("script.py", folder, f"{place}-script.db", kind))
        found.ours.append(ours(folder, place.with_suffix(".db"), kind))
    return found


def unchanged(folder: Path, work: Path, rounds: int) -> Compared:
    """The second run on the same folder, of phaseflow and of the script, which keeps hashes and times."""
    mine, script = work / "again.db", work / "again-script.db"
    ours(folder, mine, "constant")
    run("script.py", folder, script, "constant")
    found = Compared([], [])
    for _ in range(rounds):
        found.theirs.append(run("script.py", folder, script, "constant"))
        found.ours.append(ours(folder, mine, "constant"))
        assert found.ours[-1].answer()["documents_loaded"] == 0, found.ours[-1].said
    return found


@dataclass(frozen=True)
class Remote:
    """Seconds of the jobs; those of the calls alone, with all slots busy; the ratios to the longer of calls and job
    with a free embedder."""

    seconds: list[float]
    calls_s: float
    ratios: list[float]


def remote(folder: Path, work: Path, rounds: int) -> Remote:
    """A job whose vectors come from a server that takes ``DELAY_S`` for a batch."""
    found = Remote([], 0.0, [])
    with embedding_server() as url:
        for number in range(rounds):
            free = ours(folder, work / f"free-{folder.name}-{number}.db", "constant").answer()
            paid = ours(folder, work / f"remote-{folder.name}-{number}.db", url).answer()
            calls_s = math.ceil(paid["embeddings_computed"] / BATCH / IN_FLIGHT) * DELAY_S
            found.ratios.append(paid["seconds"] / max(calls_s, free["seconds"]))
            found.seconds.append(paid["seconds"])
            found = replace(found, calls_s=calls_s)
    return found


def memory(folder: Path, work: Path) -> tuple[float, float]:
    """MB at the most of one copy, and of ten."""
    places = [copies(folder, work / name, count) for name, count in (("one", 1), ("ten", 10))]
    one, ten = (ours(place, place.with_suffix(".db"), "static").answer()["peak_mb"] for place in places)
    return one, ten


@contextmanager
def embedding_server() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.components.fake_embedding_server", "--delay-ms", str(int(DELAY_S * 1000))]
    server = subprocess.Popen([*command, "--dimension", "16"], stdout=subprocess.PIPE, text=True, cwd=HERE.parent)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="static,constant,remote,unchanged,memory")
    options = parser.parse_args()
    wanted = options.only.split(",")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = copies(options.folder, work / "five", 5)
        for kind in ("static", "constant"):
            if kind in wanted:
                print(against_script(kind, folder, work, options.rounds).line(kind, "script"))
        if "remote" in wanted:
            found = remote(folder, work, options.rounds)
            print(
                f"remote     phaseflow {median(found.seconds):6.2f} s   ideal  {found.calls_s:6.2f} s of calls"
                f"   ratio {median(found.ratios):5.2f} to the longer of calls and a free embedder"
            )
        if "unchanged" in wanted:
            print(unchanged(folder, work, options.rounds).line("unchanged", "script"))
        if "memory" in wanted:
            one, ten = memory(options.folder, work)
            print(f"memory     one copy {one:.0f} MB, ten copies {ten:.0f} MB: {ten - one:+.0f} MB")


if __name__ == "__main__":
    main()
