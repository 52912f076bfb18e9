"""The same folder by phaseflow, a bare script, LangChain, Haystack, LlamaIndex, CocoIndex and DBOS.

    python -m benchmarks peers FOLDER [--rounds 3] [--kinds constant,static] [--only NAME,NAME] [--python PYTHON]

Prints two tables in Markdown: what a first and a second run cost, and what happens to a changed document, a deleted one
and a killed run. Each run is a process of its own; in each round all take turns. PYTHON has the packages of
requirements.txt; without it they are installed in an environment below a temporary folder, which goes afterwards. What
cannot be installed or fails is a row that says so. `static` needs phaseflow in that Python too.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from ingest import copies  # noqa: E402  # found by the path added above

LONGEST_S = 900
QUIET = {
    # None of them is to tell its makers that it ran.
    "COCOINDEX_DISABLE_USAGE_TRACKING": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LANGSMITH_TRACING": "false",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True)
class Peer:
    """``status`` is what its documentation offers while a run goes on; the rest of its row is measured."""

    name: str
    program: str
    status: str
    package: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def ours(self) -> bool:
        return not self.package


PEERS = [
    Peer("bare script", "bare_script.py", "none"),
    Peer("phaseflow", "phaseflow_job.py", "phases, counts and time left, from any process; pause, resume, cancel"),
    Peer("DBOS", "dbos_workflow.py", "state of each workflow, from any process; cancel and resume", "dbos"),
    Peer("DBOS, 32 a workflow", "dbos_workflow.py", "the same for each 32 documents", "dbos", ("32",)),
    Peer("CocoIndex", "cocoindex_app.py", "counts of components, in the process itself", "cocoindex"),
    Peer("Haystack", "haystack_pipeline.py", "none", "haystack-ai"),
    Peer("LangChain index", "langchain_index.py", "none", "langchain-core"),
    Peer("LlamaIndex", "llamaindex_pipeline.py", "a progress bar", "llama-index-core"),
]


class Failed(Exception):
    """A run that ended with an error, or did not end."""


class Killed(Exception):
    """A run that was to be killed, and was."""


@dataclass
class Run:
    wall_s: float
    cpu_s: float
    peak_mb: float
    job_s: float
    embedded: int
    passages: int
    saving_s: float = 0.0


@dataclass
class Row:
    peer: Peer
    first: list[Run] = field(default_factory=list)
    second: list[Run] = field(default_factory=list)
    changed: Run | None = None
    deleted: Run | None = None
    after_kill: Run | None = None
    error: str = ""


class Bench:
    """Runs of programs on one folder with one kind of vectors, each state below ``work``."""

    def __init__(self, python: Path, folder: Path, work: Path, kind: str) -> None:
        self.python, self.folder, self.work, self.kind = python, folder, work, kind

    def start(self, peer: Peer, state: str, kill_after: int = 0) -> "subprocess.Popen[str]":
        python = sys.executable if peer.ours else str(self.python)
        place = self.work / f"{PEERS.index(peer)}-{state}"
        command = [python, str(HERE / peer.program), str(self.folder), str(place), self.kind, *peer.arguments]
        environment = os.environ | QUIET | {"PYTHONPATH": str(HERE.parent) if peer.ours else ""}
        environment["KILL_AFTER"] = str(kill_after)
        output = self.work / "output"
        with output.open("w") as out, (self.work / "errors").open("w") as errors:
            return subprocess.Popen(command, stdout=out, stderr=errors, text=True, env=environment, cwd=self.work)

    def run(self, peer: Peer, state: str, kill_after: int = 0) -> Run:
        began = time.perf_counter()
        process = self.start(peer, state, kill_after)
        usage = self._ended(process, began)
        wall_s = time.perf_counter() - began
        if kill_after and process.returncode == -signal.SIGKILL:
            raise Killed
        said = (self.work / "output").read_text().strip().splitlines()
        if process.returncode != 0 or not said:
            errors = (self.work / "errors").read_text().strip().splitlines() or said
            raise Failed(errors[-1] if errors else f"ended with {process.returncode}")
        counts = json.loads(said[-1])
        return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, **counts)

    @staticmethod
    def _ended(process: "subprocess.Popen[str]", began: float):
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                return usage
            if time.perf_counter() - began > LONGEST_S:
                process.kill()
                os.wait4(process.pid, 0)
                process.returncode = -signal.SIGKILL
                raise Failed(f"not at its end after {LONGEST_S} s")
            time.sleep(0.005)


def measure(bench: Bench, peers: list[Peer], rounds: int) -> list[Row]:
    rows = [Row(peer) for peer in peers]

    def attempt(row: Row, what: str, task) -> None:
        if not row.error:
            print(f"{bench.kind}: {row.peer.name}: {what}", file=sys.stderr)
            try:
                task(row)
            except (Failed, ValueError, TypeError, OSError) as error:
                row.error = str(error)

    for number in range(rounds):
        for row in rows:
            attempt(row, f"first run {number + 1}", lambda r, n=number: r.first.append(bench.run(r.peer, str(n))))
        for row in rows:
            attempt(row, f"second run {number + 1}", lambda r, n=number: r.second.append(bench.run(r.peer, str(n))))
    for row in rows:
        attempt(row, "killed", lambda r: kill_and_run(bench, r))
    largest = max(sorted(bench.folder.rglob("*.md")), key=lambda file: file.stat().st_size)
    with largest.open("a", encoding="utf-8") as file:
        file.write("\n\nA paragraph that was not there before.\n")
    for row in rows:
        attempt(row, "a changed document", lambda r: setattr(r, "changed", bench.run(r.peer, "0")))
    largest.unlink()
    for row in rows:
        attempt(row, "a deleted document", lambda r: setattr(r, "deleted", bench.run(r.peer, "0")))
    return rows


def kill_and_run(bench: Bench, row: Row) -> None:
    """A run that kills itself when half of its texts are embedded, and the run after it."""
    try:
        bench.run(row.peer, "killed", kill_after=max(1, row.first[-1].embedded // 2))
    except Killed:
        row.after_kill = bench.run(row.peer, "killed")
    else:
        raise Failed("was not killed")


def costs(rows: list[Row]) -> str:
    lines = [
        "| | first run | × script | CPU | of the run: start, imports | of the run: saving | memory | second run "
        "| embedded again | passages |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    script = next((row.first for row in rows if row.peer.program == "bare_script.py"), [])
    for row in rows:
        if not row.first or not row.second:
            lines.append(f"| {row.peer.name} | not measured: {cell(row.error)} |" + " |" * 8)
            continue
        ratios = [ours.wall_s / bare.wall_s for ours, bare in zip(row.first, script, strict=False)]
        values = [
            row.peer.name,
            f"{median(run.wall_s for run in row.first):.2f} s",
            f"{median(ratios):.1f}" if ratios else "",
            f"{median(run.cpu_s for run in row.first):.2f} s",
            f"{median(run.wall_s - run.job_s for run in row.first):.2f} s",
            f"{median(run.saving_s for run in row.first):.2f} s" if row.first[0].saving_s else "–",
            f"{median(run.peak_mb for run in row.first):.0f} MB",
            f"{median(run.wall_s for run in row.second):.2f} s",
            f"{row.second[-1].embedded:,}",
            f"{row.first[-1].passages:,}",
        ]
        lines.append(f"| {' | '.join(values)} |")
    return "\n".join(lines)


def abilities(rows: list[Row]) -> str:
    lines = [
        "| | a changed document | a deleted document | killed in the middle, run again | status while it runs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        changed, deleted, resumed = row.changed, row.deleted, row.after_kill
        if not row.first or changed is None or deleted is None or resumed is None:
            lines.append(f"| {row.peer.name} | not measured: {cell(row.error)} | | | {row.peer.status} |")
            continue
        whole = row.first[-1]
        if not changed.embedded:
            edit = "**not noticed**"
        elif changed.passages - whole.passages > 3:
            edit = f"{changed.embedded:,} embedded, **the old passages stay**"
        else:
            edit = f"{changed.embedded:,} embedded, replaced"
        gone = "gone" if deleted.passages < changed.passages else "**its passages stay**"
        again = f"{resumed.embedded:,} of {whole.embedded:,} embedded"
        if resumed.passages != whole.passages:
            again += f", **{resumed.passages:,} of {whole.passages:,} passages in the store**"
        lines.append(f"| {row.peer.name} | {edit} | {gone} | {again} | {row.peer.status} |")
    return "\n".join(lines)


def cell(text: str) -> str:
    return text.replace("|", "/")[:160]


def environment(place: Path, with_phaseflow: bool) -> Path:
    """A virtual environment with what can be installed of the peers; one that cannot is reported by its row."""
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python = place / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    requirements = HERE / "requirements.txt"
    if subprocess.run([*install, "-r", str(requirements)], check=False).returncode != 0:
        for paragraph in requirements.read_text(encoding="utf-8").split("\n\n"):
            wanted = [line for line in paragraph.splitlines() if line and not line.startswith("#")]
            subprocess.run([*install, *wanted], check=False)
    if with_phaseflow:
        subprocess.run([*install, str(HERE.parents[1])], check=False)
    return python


def versions(python: Path) -> str:
    names = sorted({peer.package for peer in PEERS if peer.package})
    code = (
        "import importlib.metadata as m, sys\n"
        "have = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        "print(', '.join(f'{n} {have.get(n, \"absent\")}' for n in sys.argv[1:]))"
    )
    done = subprocess.run([str(python), "-c", code, *names], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", default="constant", help="of vectors: constant, static")
    parser.add_argument("--copies", type=int, default=1, help="of the folder, each a little different")
    parser.add_argument("--only", default="", help="names as in the table, with commas")
    parser.add_argument("--python", type=Path, help="that has the packages of requirements.txt")
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    only = [name.strip().lower() for name in options.only.split(",") if name.strip()]
    peers = [peer for peer in PEERS if not only or any(peer.name.lower().startswith(name) for name in only)]
    if options.rounds < 1 or not peers or not set(kinds) <= {"constant", "static"}:
        parser.error("--rounds is 1 or more, --kinds constant or static, --only some of the names of the table")
    if not any(options.folder.rglob("*.md")):
        parser.error(f"{options.folder} holds no Markdown files")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        python = options.python or environment(work / "environment", "static" in kinds)
        print(f"{versions(python)}; Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}")
        for kind in kinds:
            folder = copies(options.folder, work / "documents", options.copies)
            files = list(folder.rglob("*.md"))
            size = sum(file.stat().st_size for file in files) / 1e6
            before = os.getloadavg()[0]
            place = work / kind
            place.mkdir()
            rows = measure(Bench(python, folder, place, kind), peers, options.rounds)
            load = f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores"
            print(f"\n{kind} vectors, {len(files)} documents, {size:.1f} MB, {options.rounds} rounds, {load}\n")
            print(costs(rows), abilities(rows), sep="\n\n")
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
