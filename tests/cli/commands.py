"""Running the command line as a user does: a process of its own, on a real file."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Shell:
    """A directory to type commands in."""

    here: Path

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Begin a command; the caller waits for its end."""
        return subprocess.Popen(
            [sys.executable, "-m", "phaseflow", *words],
            cwd=self.here,
            env=self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __call__(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        with self.start(*words) as process:
            try:
                out, err = process.communicate(timeout=TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def answer(self, *words: str) -> Any:
        """The one JSON document that a command prints; it must end well and say nothing else."""
        done = self(*words, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

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
        return mine | {"PYTHONPATH": source, "TOKENIZERS_PARALLELISM": "false"}
