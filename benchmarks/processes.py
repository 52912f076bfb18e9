"""Programs as processes of their own: what they took of the clock and of the processor, and what they said."""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""With it, each run would compile all that it imports."""


LONGEST_S = 900


@dataclass(frozen=True)
class Run:
    """Seconds of the clock and of the processor, with those of its children; the last line that was printed."""

    seconds: float
    cpu: float
    said: str

    def answer(self) -> dict[str, Any]:
        """The last line, as JSON."""
        return json.loads(self.said)


def run(*command: object, module: str | None = None) -> Run:
    """A Python program (a path below this folder, or a ``module``) with arguments."""
    program = ["-m", module] if module else [str(HERE / str(command[0]))]
    return timed([sys.executable, *program, *map(str, command if module else command[1:])])


def timed(command: list[str], **environment: str) -> Run:
    """Any program. Raises CalledProcessError when it fails."""
    env = {name: value for name, value in os.environ.items() if name != _BYTECODE} | environment
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=env, cwd=HERE.parent, timeout=LONGEST_S
    )
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(seconds, cpu, done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "")


@dataclass(frozen=True)
class Compared:
    """Two programs that took turns: medians of the seconds, and of the ratios round by round."""

    ours: list[Run]
    theirs: list[Run]

    @property
    def ratios(self) -> list[float]:
        """Of the clock."""
        return [a.seconds / b.seconds for a, b in zip(self.ours, self.theirs, strict=True)]

    @property
    def cpu_ratio(self) -> float:
        """Of the processor."""
        return median(a.cpu / b.cpu for a, b in zip(self.ours, self.theirs, strict=True))

    def line(self, name: str, other: str) -> str:
        """For people."""
        seconds = [median(each.seconds for each in side) for side in (self.ours, self.theirs)]
        cpu = [median(each.cpu for each in side) for side in (self.ours, self.theirs)]
        return (
            f"{name:10} phaseflow {seconds[0]:6.2f} s ({cpu[0]:.2f} s of CPU)   {other} {seconds[1]:6.2f} s"
            f" ({cpu[1]:.2f})   ratio {median(self.ratios):5.2f} ({min(self.ratios):.2f} to {max(self.ratios):.2f}),"
            f" of the CPU {self.cpu_ratio:.2f}"
        )
