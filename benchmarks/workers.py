"""Workers on a cluster of Ray against the processes of this machine: overhead, and throughput on PDFs.

    python -m benchmarks workers FOLDER… [--rounds 3] [--size 2]

`empty call`: the time of one call with a document that takes no time to read, one after the other, milliseconds.
`head` and `driver`: processor time that a document costs the service and its driver process, milliseconds, in batches
as they form by themselves. `PDFs`: all PDF files below the folders, copied until there are enough, with `--size`
workers; the two kinds of workers in turns, the best of the rounds, and the ratio, also of the processor time that all
processes together have taken, with who has taken it: on a busy machine, look at that, and at the one without what a
cluster takes that has nothing to do, which grows with the time. Needs the extra `ray`, and starts a cluster of its own.
"""

import argparse
import os
import resource
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import anyio

from phaseflow.components.workers.local import LocalWorkers
from phaseflow.components.workers.pool import ExtractionPool
from phaseflow.components.workers.protocol import Outcome, RawDocument, Workers
from phaseflow.components.workers.ray.workers import RayWorkers
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import DocumentError

EMPTY = rb"{\rtf1 x\par}"
MANY = 2_000
ENOUGH = 300
"""PDF files of a round, at least."""
IDLE_S = 5

Documents = list[tuple[str, bytes]]


def own_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return 1000 * (used.ru_utime + used.ru_stime)


def ms_of(pid: int | None) -> float:
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


Spent = Counter[str]
"""Processor time by what has spent it, milliseconds."""
_KINDS = (
    ("workers.child import main", "reading"), ("ray.driver import main", "driver"), ("ray::", "Ray's workers"),
    ("raylet/raylet", "raylet"), ("gcs_server", "GCS"),
)  # fmt: skip


def kind_of(words: str) -> str:
    """What a process is, by the words that it was started with."""
    return next((kind for part, kind in _KINDS if part in words), "Ray's agents and monitors")


def spent(session: int | None) -> Spent:
    """By this process, and by all those of a session; without one by those that this process has started to read
    documents, also those that have ended since."""
    found: Spent = Counter({"head": round(own_ms())})
    if session is None:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        found["reading"] += round(1000 * (ended.ru_utime + ended.ru_stime))
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        kind = kind_of(words)
        is_ours = int(fields[1]) == os.getpid() and kind == "reading" if session is None else int(fields[3]) == session
        if is_ours:
            found[kind] += 1000 * sum(map(int, fields[11:13])) // os.sysconf("SC_CLK_TCK")
            found["reading"] += 1000 * sum(map(int, fields[13:15])) // os.sysconf("SC_CLK_TCK")
    return found


async def read_all(pool: ExtractionPool, documents: Documents) -> float:
    """Read documents, as many on their way as a loader has; seconds."""
    limit, began = anyio.CapacityLimiter(pool.in_flight), time.perf_counter()

    async def read(name: str, data: bytes) -> None:
        limit.total_tokens = pool.in_flight
        async with limit:
            try:
                await pool.extract(data, name)
            except DocumentError:
                return

    async with anyio.create_task_group() as tasks:
        for name, data in documents:
            tasks.start_soon(read, name, data)
    return time.perf_counter() - began


class Counted(RayWorkers):
    """Counts its calls."""

    made = 0

    async def extract(self, batch: Sequence[RawDocument]) -> Sequence[Outcome]:
        self.made += 1
        return await super().extract(batch)


async def overhead(name: str, workers: Workers, driver: int | None) -> None:
    pool = ExtractionPool(workers)
    await read_all(pool, [("warm.rtf", EMPTY)] * 50)
    began = time.perf_counter()
    for _ in range(100):
        await pool.extract(EMPTY, "a.rtf")
    call = 10 * (time.perf_counter() - began)
    head, of_driver = own_ms(), ms_of(driver)
    seconds = await read_all(pool, [("a.rtf", EMPTY)] * MANY)
    head, of_driver = (own_ms() - head) / MANY, (ms_of(driver) - of_driver) / MANY
    print(f"{name:6} empty call {call:6.2f} ms | head {head:5.2f} ms, driver {of_driver:5.2f} ms a document"
          f" | {MANY / seconds:6.0f} documents/s", flush=True)  # fmt: skip


def pdfs(folders: list[str]) -> Documents:
    found = [(path.name, path.read_bytes()) for folder in folders for path in sorted(Path(folder).rglob("*.pdf"))]
    if not found:
        raise SystemExit("there are no PDF files below these folders")
    return found * max(1, -(-ENOUGH // len(found)))


async def measure(folders: list[str], rounds: int, size: int) -> None:
    local, cluster = LocalWorkers(size), Counted(size=size)
    await cluster.open()
    try:
        while cluster.down is not None:  # noqa: ASYNC110  # the cluster is another process
            await anyio.sleep(0.1)
        await overhead("local", local, None)
        await overhead("ray", cluster, cluster.pid)
        documents = pdfs(folders) if folders else []
        megabytes = sum(len(data) for _, data in documents) / 1e6
        best: dict[str, float] = {}
        least: dict[str, tuple[int, float, Spent]] = {}
        pools = {"local": ExtractionPool(local), "ray": ExtractionPool(cluster)}
        for _ in range(rounds if documents else 0):
            for name, pool in pools.items():
                session = cluster.pid if name == "ray" else None
                before, cluster.made = spent(session), 0
                seconds = await read_all(pool, documents)
                used = spent(session)
                used.subtract(before)
                best[name] = min(best.get(name, seconds), seconds)
                if name not in least or used.total() < least[name][0]:
                    least[name] = used.total(), seconds, used
        for name, seconds in best.items():
            print(
                f"{name:6} {len(documents)} PDFs, {megabytes:.1f} MB: {seconds:6.2f} s, {megabytes / seconds:.2f} MB/s"
            )
            shares = ", ".join(f"{kind} {ms / 1000:.2f}" for kind, ms in least[name][2].most_common() if ms >= 5)
            print(f"       of the processor {least[name][0] / 1000:.2f} s: {shares}")
        before = spent(cluster.pid)
        await anyio.sleep(IDLE_S)
        used = spent(cluster.pid)
        used.subtract(before)
        idle_ms = used.total() / IDLE_S
        print(f"a cluster of our own with nothing to do: {idle_ms:.0f} ms of the processor a second")
        if best:
            (here, *_), (there, seconds, _) = least["local"], least["ray"]
            print(
                f"ray / local, in {counted(cluster.made, 'call')} the last time: {best['local'] / best['ray']:.2f}, by"
                f" processor time {here / there:.2f}, {here / (there - idle_ms * seconds):.2f} without what the cluster"
                " takes that has nothing to do"
            )
    finally:
        await cluster.aclose()
        await local.aclose()


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("folders", nargs="*")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--size", type=int, default=2)
    chosen = words.parse_args()
    anyio.run(measure, chosen.folders, chosen.rounds, chosen.size)


if __name__ == "__main__":
    main()
