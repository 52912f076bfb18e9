"""Many clients push small documents one by one while the service is killed again and again, and its jobs are paused,
resumed, cancelled and started: ``./tasks pushes [--documents N] [--clients N] [--every N]``.

At the end, each document that was answered is searchable once, and no text was sent to the embedder twice but those of
a call that a kill broke off. Takes minutes; at a tenth of the size (``--documents 1000``) one or two.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx2

from tests.cli.embedding_server import EmbeddingServer
from tests.http.processes import SERVE, ServiceProcess
from tests.ports import free_port

KB = "/api/ingestion/kb/notes"
VERBS = ("pause", "resume", "cancel", "start", "retry")
PATIENCE_S = 300.0
UP_S = 60.0
"""Beside fifty clients a service takes long to be up."""
FULL = {429, 503}
"""Answers that are no refusal: a limit, or a service that stops."""


class Pushes:
    """The clients, and what they were answered."""

    def __init__(self, folder: Path, command: Sequence[str], documents: int, every: int) -> None:
        self._folder, self._command, self._port = folder, command, free_port()
        self._waiting = list(range(documents))
        self._every = every
        self._random = random.Random(documents)  # noqa: S311  # no secret
        self._service = ServiceProcess(folder, self._port, command)
        self.answered: set[int] = set()
        self.refused: Counter[str] = Counter()
        self.kills = 0
        self._due = every

    async def run(self, clients: int) -> None:
        """Push all documents, with kills and verbs in between."""
        await self._service.ready(within_s=UP_S)
        async with anyio.create_task_group() as pushing:
            async with anyio.create_task_group() as tasks:
                pushing.start_soon(self._disturb)
                for _ in range(clients):
                    tasks.start_soon(self._push)
            pushing.cancel_scope.cancel()
        await self._service.ready(within_s=UP_S)

    async def _push(self) -> None:
        async with httpx2.AsyncClient(base_url=self._service.url, timeout=60) as http:
            while self._waiting:
                number = self._waiting.pop()
                body = {"documents": [{"uri": f"note-{number}", "text": text_of(number), "metadata": {"n": number}}]}
                try:
                    answer = await http.post(f"{KB}/documents", json=body)
                except httpx2.HTTPError:  # killed meanwhile: whether it was stored, nobody knows
                    self._waiting.append(number)
                    await anyio.sleep(0.05)
                    continue
                if answer.status_code == 202:
                    self.answered.add(number)
                else:
                    self._waiting.append(number)
                    if answer.status_code not in FULL:
                        self.refused[f"{answer.status_code} {answer.text[:200]}"] += 1
                    await anyio.sleep(float(answer.headers.get("retry-after") or 0.1))

    async def _disturb(self) -> None:
        """Ask for verbs, and kill the service after each so many pushes."""
        async with httpx2.AsyncClient(base_url=self._service.url, timeout=60) as http:
            while True:
                await anyio.sleep(0.05)
                if len(self.answered) >= self._due:
                    self._due += self._every
                    with anyio.CancelScope(shield=True):
                        await self._kill()
                elif self._random.random() < 0.1:
                    try:
                        await http.post(f"{KB}/{self._random.choice(VERBS)}")
                    except httpx2.HTTPError:
                        continue

    async def _kill(self) -> None:
        self.kills += 1
        await self._service.stop(signal.SIGKILL)
        self._service.close()
        self._service = ServiceProcess(self._folder, self._port, self._command)
        await self._service.ready(within_s=UP_S)

    async def settle(self) -> list[dict[str, Any]]:
        """Let all be done: resume what is paused, push once more after what failed; all documents."""
        async with httpx2.AsyncClient(base_url=self._service.url, timeout=60) as http:
            until = time.monotonic() + PATIENCE_S
            while True:
                counts = (await http.get(KB)).json()["counts"]
                if counts["queued"] + counts["processing"] == 0 or time.monotonic() > until:
                    break
                await http.post(f"{KB}/resume")
                status = (await http.get(f"{KB}/status")).json()["status"]
                if status in {"failed", "cancelled"}:
                    await http.post(f"{KB}/start")
                await anyio.sleep(0.5)
            found: list[dict[str, Any]] = []
            cursor = None
            while True:
                page = await http.get(
                    f"{KB}/documents", params={"limit": 1000} | ({"cursor": cursor} if cursor else {})
                )
                found += page.json()["items"]
                cursor = page.json()["next_cursor"]
                if cursor is None:
                    break
            jobs = len((await http.get(f"{KB}/jobs", params={"limit": 1000})).json()["items"])
            print(f"jobs: {jobs}", file=sys.stderr)
            return found

    def close(self) -> None:
        """End the service."""
        self._service.close()


def text_of(number: int) -> str:
    """A text of its own."""
    return f"Note {number}: the letter word{number}x{number * 7919 % 104729}."


def main() -> int:
    """0 when every promise was kept."""
    parser = argparse.ArgumentParser(prog="tasks pushes", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--every", type=int, default=100, help="Pushes between two kills.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddingServer() as server:
        server.gate.set()
        pushes = Pushes(Path(folder), [*SERVE, *server.options], given.documents, given.every)
        try:
            began = time.monotonic()
            anyio.run(pushes.run, given.clients)
            pushed_s = time.monotonic() - began
            found = anyio.run(pushes.settle)
        finally:
            pushes.close()
    live = Counter(document["uri"] for document in found if document["searchable"])
    lost = {f"note-{number}" for number in pushes.answered} - live.keys()
    paid = Counter(text for text in server.texts if text.startswith("Note "))
    twice = sum(count - 1 for count in paid.values())
    # What a kill breaks off is at most the calls under way: four, of a batch each.
    print(
        f"{len(pushes.answered)} pushes answered in {pushed_s:.0f} s, {pushes.kills} kills, {len(lost)} lost,"
        f" {sum(live.values()) - len(live)} twice, {twice} texts paid for again, refused: {dict(pushes.refused)}"
    )
    return 1 if lost or pushes.refused or sum(live.values()) != len(live) else 0


if __name__ == "__main__":
    sys.exit(main())
