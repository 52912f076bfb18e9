"""Services as processes of their own, on a port that survives them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx2

import phaseflow
from phaseflow.cli.exit_codes import Exit
from phaseflow.cli.interrupts import SERVICE_S
from phaseflow.store.stop_deadline import WRITES_S
from tests.cli.forked import Forked
from tests.http.service import http_client, until
from tests.stopwatch import Stopwatch, fail_soon

UP_S = 20
SERVE = (sys.executable, "-m", "phaseflow", "serve")
FORKED_SERVE = ("serve",)
"""The same, forked from a process that has imported the program: 0.6 s of a core less. Its end is that of the command,
not of the interpreter, so tests of how a service stops start ``SERVE``."""
PLAIN_UVICORN = (sys.executable, "-m", "uvicorn", "--factory", "phaseflow.http:app_from_env")


class ServiceProcess:
    """A service in a process. ``folder`` is where it runs, and holds its database."""

    def __init__(self, folder: Path, port: int, command: Sequence[str] = FORKED_SERVE) -> None:
        mine = {name: value for name, value in os.environ.items() if not name.startswith("PHASEFLOW_")}
        source = str(Path(phaseflow.__file__).parents[1])
        self.environment = mine | {"PYTHONPATH": source, "PHASEFLOW_DB": str(folder / "kb.db")}
        self.url = f"http://127.0.0.1:{port}"
        self._log = (folder / "log").open("ab")
        words = [*command, "--port", str(port)]
        self._process: Forked | subprocess.Popen[bytes]
        self._stop_s = 0.0
        if command[0] == FORKED_SERVE[0]:
            output = self._log.fileno()
            self._process = Forked(words, folder, self.environment, stdout=output, stderr=output)
        else:
            self._process = subprocess.Popen(
                words, cwd=folder, env=self.environment, stdout=self._log, stderr=self._log
            )

    async def ready(self, prefix: str = "", *, within_s: float = UP_S) -> None:
        """Wait until the engine is up, which is mounted under ``prefix``."""

        async def is_ready() -> bool:
            assert self._process.poll() is None, "the service has ended"
            return await _is_ready(http, prefix)

        async with http_client(self.url) as http:
            await until(is_ready, within_s)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> Stopwatch:
        """Send a signal and wait for the end; the watch runs since the signal."""
        watch = Stopwatch()
        self._process.send_signal(number)
        with fail_soon(UP_S):
            await anyio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)
        self._stop_s = watch.seconds
        return watch

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended."""
        return self._process.poll()

    @property
    def had_time(self) -> bool:
        """After ``stop``: it took so little that nothing of it was given up, as the note that its job waits is at last.
        A machine too busy for that lets no service end in order within the time that is promised."""
        return self._stop_s < WRITES_S

    @property
    def ended_in_order(self) -> bool:
        """After ``stop``, as far as the machine lets it: one that takes longer than it has promised leaves at once."""
        return self.exit_code == (Exit.PAUSED if self._stop_s > SERVICE_S and self.exit_code else 0)

    def close(self) -> None:
        """Kill it if it still runs."""
        if isinstance(self._process, Forked):
            self._process.close()
        elif self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._log.close()


@contextmanager
def process(folder: Path, port: int, command: Sequence[str] = FORKED_SERVE) -> Iterator[ServiceProcess]:
    """A service for the length of the block."""
    service = ServiceProcess(folder, port, command)
    try:
        yield service
    finally:
        service.close()


async def _is_ready(http: httpx2.AsyncClient, prefix: str) -> bool:
    try:
        return (await http.get(f"{prefix}/readyz")).is_success
    except httpx2.TransportError:
        return False
