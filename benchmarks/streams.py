"""How soon live clients know, what they cost, and whether any misses anything.

    python benchmarks/streams.py [--clients 1000] [--frozen 10] [--rate 10] [--seconds 10]
                                 [--documents 10000] [--rounds 3]

- feed: from the commit of a transition to its arrival at each of many clients over HTTP, some of them frozen.
- memory: what a client costs the server.
- status: ``GET status`` over a kept connection, of a job with 100,000 chunks (10,000 documents) that runs at full
  speed, with and without 100 clients that listen.
- job: how much longer a job of a quarter of the documents takes with these 100 clients than with none, both in each
  round, by turns.

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from latency import write_documents

from phaseflow import PhaseFlow, Transition
from phaseflow.feed import Feed
from phaseflow.http import serve

SEQ = re.compile(rb'^data: \{"seq":(\d+),', re.MULTILINE)
LISTENERS = 100
ASKED_EVERY_S = 0.02
PATIENCE_S = 60
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
        self.opened = False
        self.arrived: dict[int, float] = {}
        self.seen: list[int] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(b"GET /api/ingestion/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if self.frozen:
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self.opened = True
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
    """Open streams, the first of them frozen; back when all others have had their first bytes."""
    host, port = url.removeprefix("http://").split(":")
    clients = []
    for number in range(count + frozen):
        make = partial(Client, number < frozen)
        _, client = await asyncio.get_running_loop().create_connection(make, host, int(port))
        clients.append(client)
    await until(lambda: all(client.opened for client in clients[frozen:]))
    return clients


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what no event tells of."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  # see above
            await asyncio.sleep(0.05)


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
        last = max(committed)
        await until(lambda: all(last in client.arrived for client in clients if not client.frozen))
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


async def job(database: Path, folder: Path, listeners: int, every_s: float) -> tuple[float, list[float], int]:
    """Running seconds of a job, the seconds of each answer to ``GET status`` meanwhile, and its chunks."""
    answers: list[float] = []
    with running(database, 10) as (_, url):
        clients = await connect(url, listeners)
        host, port = url.removeprefix("http://").split(":")
        caller = Caller(*await asyncio.open_connection(host, int(port)))
        source = {"type": "folder", "path": str(folder)}
        status, _ = await caller.ask("POST", "/api/ingestion/kb/docs/start", {"source": source})
        while status["status"] in {"pending", "running"}:
            await asyncio.sleep(every_s)
            status, spent_s = await caller.ask("GET", "/api/ingestion/kb/docs/status")
            answers.append(spent_s)
        for client in clients:
            client.transport.abort()
    assert status["status"] == "completed", status["error"]
    began, ended = (datetime.fromisoformat(status[name]) for name in ("started_at", "completed_at"))
    return (ended - began).total_seconds(), answers, status["metrics"]["chunks_indexed"]


class Caller:
    """Asks over one kept connection, as little as HTTP takes: what is timed is the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, method: str, path: str, body: object = None) -> tuple[dict[str, Any], float]:
        """The answer, and its seconds."""
        raw = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        began = time.perf_counter()
        self._writer.write(f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"content-length: (\d+)", answer)
        assert answer.startswith(b"http/1.1 20"), answer
        assert length, answer
        text = await self._reader.readexactly(int(length[1]))
        return json.loads(text), time.perf_counter() - began


async def jobs(place: Path, documents: int, rounds: int) -> list[tuple[str, float, str, float]]:
    """What jobs and clients cost each other."""
    results = []
    folder = write_documents(place / "docs", documents)
    for listeners in (0, LISTENERS):
        _, answers, chunks = await job(place / f"{listeners}.db", folder, listeners, ASKED_EVERY_S)
        print(f"status: {len(answers)} answers while {chunks} chunks were made, {listeners} clients")
        results.append((f"status p50, {listeners}", statistics.median(answers) * 1000, "ms", float("inf")))
        results.append((f"status p99, {listeners}", p99(answers) * 1000, "ms", 10))
    folder = write_documents(place / "some", documents // 4)
    longer = []
    for number in range(rounds):
        alone, _, _ = await job(place / f"alone{number}.db", folder, 0, 0.5)
        watched, _, _ = await job(place / f"watched{number}.db", folder, LISTENERS, 0.5)
        print(f"job: {alone:.2f} s, with {LISTENERS} clients {watched:.2f} s")
        longer.append((watched / alone - 1) * 100)
    results.append((f"job, {LISTENERS} clients", statistics.median(longer), "% longer", 5))
    return results


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
        results.append(("feed p99", p99(delays) * 1000, "ms", 100 if options.clients <= 1000 else float("inf")))
        results.append(("memory of a client", memory, "KB", 40))
        results.append(("server's CPU", computed * 1000, "ms an event", float("inf")))
        if options.documents:
            results += await jobs(place, options.documents, options.rounds)
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
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if arguments.serve:
        asyncio.run(service(arguments.serve, arguments.rate))
    else:
        sys.exit(0 if asyncio.run(main(arguments)) else 1)
