"""Clients that are killed, frozen and connect again, while the server restarts and dies: each has 1..N exactly."""

import functools
import signal
from pathlib import Path

import anyio
import httpx2
import pytest

from phaseflow.client import Client
from phaseflow.domain.errors import PhaseflowError
from phaseflow.flow import Reader
from tests.http.listening import stream
from tests.http.processes import ServiceProcess, process
from tests.http.service import documents, until
from tests.ports import free_port
from tests.stopwatch import fail_soon

KB = "/api/ingestion/kb"
DEATHS = {15: signal.SIGKILL, 35: signal.SIGTERM, 55: signal.SIGKILL}
"""How the server ends, and after which transition."""
ENOUGH = 75
WITHIN_S = 100


class Subscriber:
    """What one client has received, over all its connections."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[int] = []

    @property
    def last(self) -> int:
        """The last number received."""
        return self.seen[-1] if self.seen else 0

    async def has(self, seq: int) -> bool:
        """Whether it has come so far."""
        return self.last >= seq

    async def patient(self) -> None:
        """The client of the library, which connects again by itself."""
        async with Client(self.url) as client:
            async for transition in client.transitions(after=0):
                self.seen.append(transition.seq)

    async def impatient(self, takes: int, freezes_s: float) -> None:
        """Take a few events, freeze, go away in the middle, come back with the last id."""
        async with httpx2.AsyncClient(base_url=self.url, trust_env=False) as http:
            while True:
                try:
                    async with stream(http, last_event_id=self.last) as opened:
                        for _ in range(takes):
                            self.seen.append((await opened.transitions(1))[0].seq)
                        await anyio.sleep(freezes_s)
                except (httpx2.TransportError, StopAsyncIteration, TimeoutError):
                    await anyio.sleep(0.05)


async def _keep_starting(url: str, source: Path, scope: anyio.CancelScope) -> None:
    """Start one job after the other, whatever happens to the server, until the scope is cancelled."""
    with scope:
        async with Client(url) as client:
            while True:
                try:
                    await client.start("waf", source, full=True)
                    async for _ in client.watch("waf"):
                        pass
                except PhaseflowError:
                    await anyio.sleep(0.05)


async def _live_and_die(folder: Path, port: int, witness: Subscriber) -> None:
    """Run the server, ending it where DEATHS says."""
    for after, how in DEATHS.items():
        with process(folder, port) as service:
            await _lives_until(service, witness, after)
            await service.stop(how)


async def _lives_until(service: ServiceProcess, witness: Subscriber, seq: int) -> None:
    await service.ready()
    await until(lambda: witness.has(seq), WITHIN_S)


async def _last_of_all(folder: Path) -> int:
    """The number of the last transition; the log must have no hole before it."""
    async with Reader(folder / "kb.db") as reader:
        jobs = (await reader.jobs("waf", limit=1000)).items
        logged = [t.seq for job in jobs for t in (await reader.transitions_of(job.job_id, 1000)).items]
    assert sorted(logged) == list(range(1, len(logged) + 1))
    return len(logged)


@pytest.mark.thorough
async def test_every_client_has_every_transition_once_whatever_happens(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    patient, hasty, frozen = listeners = Subscriber(url), Subscriber(url), Subscriber(url)
    starting = anyio.CancelScope()
    with fail_soon(WITHIN_S):
        async with anyio.create_task_group() as tasks:
            with process(tmp_path, port) as first:  # the library's client needs a server to begin with
                await first.ready()
                tasks.start_soon(patient.patient)
                tasks.start_soon(hasty.impatient, 5, 0.0)
                tasks.start_soon(frozen.impatient, 11, 0.5)
                tasks.start_soon(_keep_starting, url, documents(tmp_path / "docs"), starting)
                await _lives_until(first, patient, 5)
                await first.stop(signal.SIGKILL)
            await _live_and_die(tmp_path, port, patient)
            with process(tmp_path, port) as last:
                await _lives_until(last, patient, ENOUGH)
                starting.cancel()
                async with Client(url) as client:
                    async for _ in client.watch("waf"):
                        pass
                count = await _last_of_all(tmp_path)
                for listener in listeners:
                    await until(functools.partial(listener.has, count), WITHIN_S)
            tasks.cancel_scope.cancel()
    assert [listener.seen for listener in listeners] == [list(range(1, count + 1))] * 3
