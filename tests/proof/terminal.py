"""The command line under chaos: ``phaseflow ingest`` in the foreground, until it ends or is sent a signal."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from phaseflow import JobStatus
from tests.proof.outcome import Contradiction
from tests.proof.victim import SETTINGS

KB = "three"
MODEL = "c"
SIGNALS = (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
EXITS = {0, 1, 3}
"""Completed; failed, or the database cannot be used; paused or interrupted."""
ASKS_AGAIN = "Ctrl-C again leaves at once"
AT_ONCE_S = 5
ENDS_S = 15
"""A command that was told to end has ended within this. A database that another program has locked is waited for."""


class Command:
    """One process. ``ended`` says how it ended, and raises Contradiction when that was not as it should."""

    def __init__(
        self,
        database: Path,
        documents: Path,
        base_url: str,
        log: Path,
        *,
        wait_s: float = ENDS_S,
        allow_deletes: bool = False,
    ) -> None:
        self._log = log
        self._wait_s = wait_s
        words = [
            "ingest", documents, "--kb", KB, "--db", database, "--embedder", "openai", "--embedding-url", base_url,
            "--embedding-model", MODEL, "--chunk-size", SETTINGS["chunk_size"], "--chunk-overlap",
            SETTINGS["chunk_overlap"], *(["--allow-deletes"] if allow_deletes else []),
        ]  # fmt: skip
        command = [sys.executable, "-m", "phaseflow", *map(str, words)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PHASEFLOW_")}
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=environment
            )

    def end(self, dice: random.Random) -> signal.Signals | None:
        """Send it a random signal, sometimes twice; the signal, or None when it had ended before."""
        if self.process.poll() is not None:
            return None
        sent = dice.choice(SIGNALS)
        self.process.send_signal(sent)
        if dice.random() < 0.2:
            self.process.send_signal(sent)
        return sent

    def ended(self, sent: signal.Signals | None) -> int:
        """Wait for its end; the exit code. Before its job and after it a signal may end it as it likes."""
        try:
            code = self._wait(sent)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Contradiction(f"ingest did not end within {self._wait_s} s of {sent!r}:\n{self.said()}") from None
        was_killed = sent is not None and code == -sent and (sent is signal.SIGKILL or not self._is_at_work())
        if code not in EXITS and not was_killed:
            raise Contradiction(f"ingest ended with {code} after {sent!r}:\n{self.said()}")
        if "Traceback" in self.said():
            raise Contradiction(f"ingest ended with {code} after {sent!r} and a traceback:\n{self.said()}")
        return code

    def _wait(self, sent: signal.Signals | None) -> int:
        try:
            return self.process.wait(self._wait_s)
        except subprocess.TimeoutExpired:
            if sent is None or ASKS_AGAIN not in self.said():
                raise
        self.process.send_signal(signal.SIGINT)  # the embedder hangs with the batch in hand
        return self.process.wait(AT_ONCE_S)

    def _is_at_work(self) -> bool:
        said = self.said()
        return bool(said) and not any(f"{KB}: {end}" in said for end in (JobStatus.COMPLETED, JobStatus.FAILED))

    def said(self) -> str:
        """What it printed, the end of it."""
        return self._log.read_text(errors="replace")[-4000:]
