"""How soon live clients know, what they cost, and whether any misses anything.

    python benchmarks/streams.py [--clients 1000] [--frozen 10] [--rate 10] [--seconds 10] [--documents 300]

- feed: from the commit of a transition to its arrival at each of many clients over HTTP, some of them frozen.
- memory: what a client costs the server.
- status: ``GET status`` of a job that runs at full speed, while 100 clients listen.
- job: how much longer the job takes with these 100 clients than with none.

Prints each with its target; exit code 1 when one is missed. The clients share the machine with the server.
"""

import argparse
import asyncio
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from latency import write_documents

from phaseflow import PhaseFlow, Transition
from phaseflow.feed import Feed
from phaseflow.http import serve

SEQ = re.compile(rb'^data: \{"seq":(\d+),', re.MULTILINE)
LISTENERS = 100
OPEN_FILES = 20_000


async def service(database: str, rate: float) -> None:
    """The server's side, in a process of its own: serves, and on a line of input says so many transitions."""
    committed: dict[int, float] = {}

    class Watched(Feed):
        def publish(self, logged: Any) -> None:
            told: list[Transition] = list(logged)
            committed.update({transition.seq: time.monotonic() for transition in told})
            super().publish(told)

    talking: list[asyncio.Task[None]] = []

    async def talk() -> None:
        tracker = flow.tracker
        await tracker.initialize_phases("bench", "bench")
        await tracker.start_phase("bench", "loading")
        await tracker.start_phase("bench", "chunking")
        while line := await asyncio.to_thread(sys.stdin.readline):
            committed.clear()
            began = time.monotonic()
            for number in range(int(line)):
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                move = tracker.resume_phase if number % 2 else tracker.pause_phase
                await move("bench", "chunking")
            print(json.dumps(committed), flush=True)

    def up(url: str) -> None:
        flow.tracker.feed.__class__ = Watched
        print(url, flush=True)
        talking.append(asyncio.create_task(talk()))

    flow = PhaseFlow(database)
    await serve(flow, port=0, started=up)


class Client(asyncio.Protocol):
    """Takes the feed and notes when each transition arrived; a frozen one never reads."""

    def __init__(self, frozen: bool) -> None:
        self.frozen = frozen
        self.arrived: dict[int, float] = {}
        self.seen: list[int] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(b"GET /api/ingestion/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if self.frozen:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        for found in SEQ.finditer(data):
            seq = int(found[1])
            self.seen.append(seq)
            self.arrived[seq] = now


@contextmanager
def running(database: Path, rate: float) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server's process and its address."""
    words = [sys.executable, __file__, "--serve", str(database), "--rate", str(rate)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.terminate()


async def connect(url: str, count: int, frozen: int = 0) -> list[Client]:
    """Open streams, the first of them frozen."""
    host, port = url.removeprefix("http://").split(":")
    clients = []
    for number in range(count + frozen):
        make = partial(Client, number < frozen)
        _, client = await asyncio.get_running_loop().create_connection(make, host, int(port))
        clients.append(client)
    await asyncio.sleep(1)
    return clients


def rss_kb(pid: int) -> int:
    """Resident memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", text)[0])


def cpu_s(pid: int) -> float:
    """Seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def feed(database: Path, options: argparse.Namespace) -> tuple[list[float], float, float]:
    """Seconds from commit to arrival, all clients together; KB of memory a client; CPU seconds an event."""
    events = int(options.rate * options.seconds)
    with running(database, options.rate) as (process, url):
        assert process.stdin is not None
        assert process.stdout is not None
        await asyncio.to_thread(_say, process, 20)
        before = rss_kb(process.pid)
        clients = await connect(url, options.clients, options.frozen)
        computed = cpu_s(process.pid)
        committed = await asyncio.to_thread(_say, process, events)
        await asyncio.sleep(1)
        computed = cpu_s(process.pid) - computed
        after = rss_kb(process.pid)
        for client in clients:
            client.transport.abort()
    awake = [client for client in clients if not client.frozen]
    for client in awake:
        wanted = sorted(committed)
        assert client.seen == wanted, f"a client saw {len(client.seen)} of {len(wanted)} transitions"
    delays = [client.arrived[seq] - at for client in awake for seq, at in committed.items()]
    return delays, (after - before) / len(clients), computed / events


def _say(process: "subprocess.Popen[str]", count: int) -> dict[int, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{count}\n")
    process.stdin.flush()
    return {int(seq): at for seq, at in json.loads(process.stdout.readline()).items()}


async def job(database: Path, folder: Path, listeners: int, *, ask: bool) -> tuple[float, list[float]]:
    """Running seconds of a job, and the seconds of each answer to ``GET status`` meanwhile."""
    answers: list[float] = []
    with running(database, 10) as (_, url):
        clients = await connect(url, listeners)
        async with httpx2.AsyncClient(base_url=f"{url}/api/ingestion/kb/docs/", trust_env=False) as http:
            source = {"type": "folder", "path": str(folder)}
            (await http.post("start", json={"source": source})).raise_for_status()
            status = {"status": "pending"}
            while status["status"] in {"pending", "running"}:
                await asyncio.sleep(0.02 if ask else 0.5)
                status = (await _timed(http, answers)).json()
        for client in clients:
            client.transport.abort()
    assert status["status"] == "completed", status["error"]
    began, ended = (datetime.fromisoformat(status[name]) for name in ("started_at", "completed_at"))
    return (ended - began).total_seconds(), answers


async def _timed(http: httpx2.AsyncClient, answers: list[float]) -> httpx2.Response:
    began = time.perf_counter()
    answer = await http.get("status")
    answers.append(time.perf_counter() - began)
    return answer


def p99(values: list[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(values, n=100)[98] if len(values) > 1 else values[0]


async def main(options: argparse.Namespace) -> bool:
    """Run everything; True when all targets are met."""
    results: list[tuple[str, float, str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        delays, memory, computed = await feed(place / "feed.db", options)
        print(f"feed: {options.clients} clients, {len(delays)} arrivals, none missing, none twice, none out of order")
        results.append(("feed p50", statistics.median(delays) * 1000, "ms", float("inf")))
        results.append(("feed p99", p99(delays) * 1000, "ms", 100))
        results.append(("memory of a client", memory, "KB", 40))
        results.append(("server's CPU", computed * 1000, "ms an event", float("inf")))
        if options.documents:
            folder = write_documents(place / "docs", options.documents)
            alone, _ = await job(place / "alone.db", folder, 0, ask=False)
            watched, _ = await job(place / "watched.db", folder, LISTENERS, ask=False)
            _, answers = await job(place / "asked.db", folder, LISTENERS, ask=True)
            results.append(("status p99", p99(answers) * 1000, "ms", 10))
            results.append((f"job, {LISTENERS} clients", (watched / alone - 1) * 100, "% longer", 5))
    for what, value, unit, target in results:
        verdict = "" if target == float("inf") else f"  target {target:g}  {'ok' if value <= target else 'MISSED'}"
        print(f"{what:22}{value:8.1f} {unit}{verdict}")
    return all(value <= target for _, value, _, target in results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--frozen", type=int, default=10)
    parser.add_argument("--rate", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if arguments.serve:
        asyncio.run(service(arguments.serve, arguments.rate))
    else:
        sys.exit(0 if asyncio.run(main(arguments)) else 1)
