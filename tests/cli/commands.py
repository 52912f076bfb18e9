"""Running the command line as a user does: a process of its own, on a real file."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from tests.cli.forked import Forked
from tests.stopwatch import fail_soon, patience

TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Shell:
    """A directory to type commands in."""

    here: Path

    @contextmanager
    def running(self, *words: str, env: Mapping[str, str] | None = None) -> Iterator[Forked]:
        """A command that runs while the block does. It is killed when it takes too long, so that nothing hangs."""
        process = Forked(words, self.here, env or self.environment())
        watchdog = threading.Timer(patience(TIMEOUT_S), process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            process.close()

    def __call__(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        with self.running(*words) as process:
            return ended(process)

    def answer(self, *words: str) -> Any:
        """The one JSON document that a command prints; it must end well and say nothing else."""
        done = self(*words, "--json")
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return json.loads(done.stdout)

    def until_requested(self, kb_id: str, action: str) -> None:
        """Wait until the verb is in the database: before, the job could still end by itself."""

        async def look() -> None:
            from phaseflow import Reader

            async with Reader(self.here / "phaseflow.db") as reader:
                with fail_soon(TIMEOUT_S):
                    while (await reader.status(kb_id)).requested != action:  # noqa: ASYNC110  # nothing tells of it
                        await anyio.sleep(0.01)  # of another process, which sets no event here

        anyio.run(look)

    def write(self, name: str, text: str) -> Path:
        """Put a document into the directory."""
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def environment(self) -> dict[str, str]:
        """The environment of the commands: ours, without what would change what they do."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith("PHASEFLOW_")}
        source = str(Path(__file__).parents[2] / "src")
        return mine | {"PYTHONPATH": source}


def ended(process: Forked) -> "subprocess.CompletedProcess[str]":
    """Wait for the end of a command and take what is left of its output."""
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)
