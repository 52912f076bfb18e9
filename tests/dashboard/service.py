"""``phaseflow serve`` as a process of its own, that keeps its address and its database over a restart."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from tests.cli.forked import Forked
from tests.ports import free_port
from tests.stopwatch import patience

STOP_S = 10
LOOK_S = 0.02


class Service:
    """One server on one database in one folder. In a ``with`` block it runs from the beginning to the end of it."""

    def __init__(self, here: Path, *, token: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        self.here = here
        self._environment = dict(environment or {})
        self.token = token
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: Forked | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start, and wait until it answers."""
        token = ["--token", self.token] if self.token else []
        words = ["serve", "--port", str(self.port), "--json", *token]
        log = (self.here / "server.log").open("a")
        with log:
            self._process = Forked(words, self.here, _environment() | self._environment, stderr=log.fileno())
        assert self._process.stdout.readline(), (self.here / "server.log").read_text()

    def stop(self) -> None:
        """End it as an operator does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as the kernel does."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.wait(patience(STOP_S))
        process.close()

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request to ``/api/ingestion``; its JSON, or None. An error status raises HTTPError."""
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  # its own address
            f"{self.url}/api/ingestion/{path}", data, headers, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # its own address
            text = answer.read()
        return json.loads(text) if text else None

    def put(self, kb_id: str, folder: str, embedder: dict[str, str] | None = None) -> None:
        """Create a knowledge base of a folder."""
        settings = {"chunk_size": 400, "chunk_overlap": 40, "embedder": embedder or {"type": "static"}}
        self.call("PUT", f"kb/{kb_id}", {"source": {"type": "folder", "path": folder}, "settings": settings})

    def until(self, kb_id: str, is_so: Callable[[dict[str, Any]], bool], within_s: float = 10) -> dict[str, Any]:
        """Wait until the status of a knowledge base is as wanted."""
        end = time.monotonic() + patience(within_s)
        while True:
            status: dict[str, Any] = self.call("GET", f"kb/{kb_id}/status")
            if is_so(status):
                return status
            assert time.monotonic() < end, status
            time.sleep(LOOK_S)


def write_documents(folder: Path, count: int, *, paragraphs: int = 4) -> None:
    """Documents that differ from each other, about things that one can search for."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        topic = TOPICS[number % len(TOPICS)]
        parts = [f"# {topic.capitalize()}, part {number}"]
        parts += [
            f"Section {at} of guide {number} is about {topic}. {SENTENCES[(number + at) % len(SENTENCES)]} "
            f"Teams that plan for {topic} recover sooner, and write down what they have learned."
            for at in range(paragraphs)
        ]
        (folder / f"{topic.replace(' ', '-')}-{number:03}.md").write_text("\n\n".join(parts), encoding="utf-8")


TOPICS = ["reliability", "cost control", "security review", "capacity", "failure modes", "backup and restore"]
SENTENCES = [
    "A retry with a growing wait keeps a struggling service from being asked too much.",
    "Design for failure: assume that every part may stop, and decide what the others do then.",
    "Measure before and after a change, and keep the figures beside the decision.",
    "Health checks tell a load balancer which instance may be asked.",
    "An alert that nobody acts on is noise, and noise hides the next one.",
]


def _environment() -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PHASEFLOW_")}
    source = str(Path(__file__).parents[2] / "src")
    return mine | {"PYTHONPATH": source}
