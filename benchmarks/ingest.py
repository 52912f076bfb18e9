"""What durable status costs: phaseflow against a sequential script that has none, in turn, on the same documents.

    python benchmarks/ingest.py FOLDER [--rounds 5] [--only static,constant,remote,unchanged,memory]

FOLDER holds Markdown files; five copies of it (the first line of each document changed) are what is ingested. Each
round runs the one, then the other, as processes of their own; medians of the seconds of whole processes, and the ratio
round by round. `remote` compares with the ideal of an embedding server that takes 50 ms for a batch of 64, 8 at once:
the time of its calls, or that of the same job with a free embedder where that is longer. `unchanged` is the second run
on the same folder. `memory` compares one copy with ten.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
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


def run(program: str, *arguments: object) -> tuple[float, str]:
    """Seconds of a whole process, and what it printed last."""
    began = time.perf_counter()
    command = [sys.executable, str(HERE / program), *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - began, done.stdout.strip().splitlines()[-1]


def against_script(kind: str, folder: Path, work: Path, rounds: int) -> None:
    ours, script = [], []
    for number in range(rounds):
        seconds, _ = run("script.py", folder, work / f"script-{kind}-{number}.db", kind)
        script.append(seconds)
        seconds, said = run("once.py", folder, work / f"ours-{kind}-{number}.db", kind)
        assert json.loads(said)["status"] == "completed", said
        ours.append(seconds)
    ratios = [a / b for a, b in zip(ours, script, strict=True)]
    print(
        f"{kind:10} phaseflow {median(ours):6.2f} s   script {median(script):6.2f} s"
        f"   ratio {median(ratios):5.2f}   ({min(ratios):.2f}–{max(ratios):.2f})"
    )


def remote(folder: Path, work: Path, rounds: int) -> None:
    ratios, seconds = [], []
    with embedding_server() as url:
        for number in range(rounds):
            free = json.loads(run("once.py", folder, work / f"free-{number}.db", "constant")[1])
            paid = json.loads(run("once.py", folder, work / f"remote-{number}.db", url)[1])
            calls_s = math.ceil(paid["embeddings_computed"] / BATCH / IN_FLIGHT) * DELAY_S
            ratios.append(paid["seconds"] / max(calls_s, free["seconds"]))
            seconds.append(paid["seconds"])
    print(
        f"remote     phaseflow {median(seconds):6.2f} s   ideal  {calls_s:6.2f} s of calls"
        f"   ratio {median(ratios):5.2f} to the longer of calls and a free embedder"
    )


def unchanged(folder: Path, work: Path, rounds: int) -> None:
    ratios, second_s = [], []
    for number in range(rounds):
        database = work / f"again-{number}.db"
        first = json.loads(run("once.py", folder, database, "static")[1])
        second = json.loads(run("once.py", folder, database, "static")[1])
        assert second["documents_loaded"] == 0, second
        ratios.append(second["seconds"] / first["seconds"])
        second_s.append(second["seconds"])
    print(f"unchanged  second run {median(second_s):6.3f} s, {median(ratios):.3f} of the first")


def memory(folder: Path, work: Path) -> None:
    one = json.loads(run("once.py", copies(folder, work / "one", 1), work / "one.db", "static")[1])
    ten = json.loads(run("once.py", copies(folder, work / "ten", 10), work / "ten.db", "static")[1])
    print(
        f"memory     {one['documents_loaded']} documents {one['peak_mb']:.0f} MB, "
        f"{ten['documents_loaded']} documents {ten['peak_mb']:.0f} MB: {ten['peak_mb'] - one['peak_mb']:+.0f} MB"
    )


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
                against_script(kind, folder, work, options.rounds)
        if "remote" in wanted:
            remote(folder, work, options.rounds)
        if "unchanged" in wanted:
            unchanged(folder, work, options.rounds)
        if "memory" in wanted:
            memory(options.folder, work)


if __name__ == "__main__":
    main()
