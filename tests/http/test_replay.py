"""Clients that are killed, frozen and connect again, while the server restarts and dies: each has 1..N exactly."""

import signal
from pathlib import Path

import anyio
import httpx2
from tests.http.listening import stream
from tests.http.processes import ServiceProcess, free_port, process
from tests.http.service import documents

from phaseflow.client import Client, ServiceUnreachable
from phaseflow.domain.errors import PhaseflowError
from phaseflow.flow import Reader

KB = "/api/ingestion/kb"
DEATHS = {15: signal.SIGKILL, 35: signal.SIGTERM, 55: signal.SIGKILL}
"""How the server ends, and after which transition."""
ENOUGH = 75
WITHIN_S = 100


class Listener:
    """What one client has received, over all its connections."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[int] = []

    @property
    def last(self) -> int:
        """The last number received."""
        return self.seen[-1] if self.seen else 0

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


async def _keep_starting(url: str, source: Path) -> None:
    """Start one job after the other, whatever happens to the server."""
    async with Client(url) as client:
        while True:
            try:
                await client.start("waf", source, full=True)
                async for _ in client.watch("waf"):
                    pass
            except (ServiceUnreachable, PhaseflowError):
                await anyio.sleep(0.05)


async def _live_and_die(folder: Path, port: int, witness: Listener) -> None:
    """Run the server, ending it where DEATHS says, and a last time until there is enough."""
    for after, how in DEATHS.items():
        with process(folder, port) as service:
            await _lives_until(service, witness, after)
            await service.stop(how)
    with process(folder, port) as service:
        await _lives_until(service, witness, ENOUGH)


async def _lives_until(service: ServiceProcess, witness: Listener, seq: int) -> None:
    await service.ready()
    while witness.last < seq:
        await anyio.sleep(0.01)


async def test_every_client_has_every_transition_once_whatever_happens(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    patient, hasty, frozen = Listener(url), Listener(url), Listener(url)
    with anyio.fail_after(WITHIN_S):
        with process(tmp_path, port) as first:  # the library's client needs a server to begin with
            await first.ready()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(patient.patient)
                tasks.start_soon(hasty.impatient, 2, 0.0)
                tasks.start_soon(frozen.impatient, 7, 0.7)
                tasks.start_soon(_keep_starting, url, documents(tmp_path / "docs"))
                await _lives_until(first, patient, 5)
                await first.stop(signal.SIGKILL)
                await _live_and_die(tmp_path, port, patient)
                tasks.cancel_scope.cancel()
    async with Reader(tmp_path / "kb.db") as reader:
        (newest, *older) = (await reader.jobs("waf", limit=1000)).items
        logged = [t.seq for job in [newest, *older] for t in (await reader.transitions_of(job.job_id, 1000)).items]
    assert sorted(logged) == list(range(1, max(logged) + 1))
    for listener in (patient, hasty, frozen):
        assert listener.last >= ENOUGH / 2
        assert listener.seen == list(range(1, listener.last + 1))
