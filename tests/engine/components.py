"""Embedders and folders for engine tests: real work, with a handle on when and how it is done."""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from math import isinf
from pathlib import Path

import anyio
import pytest

from phaseflow.actors.gate import Gate


def vector_of(text: str) -> list[float]:
    """Eight numbers that follow from the text."""
    return [byte / 255 + 0.01 for byte in hashlib.blake2b(text.encode(), digest_size=8).digest()]


class CountingEmbedder:
    """Counts what it is paid for. ``fault(texts)`` may raise; ``gate`` closed keeps every call waiting inside."""

    fingerprint = "counting"
    batch_size = 4
    in_flight = 2

    def __init__(self, fault: Callable[[Sequence[str]], None] | None = None) -> None:
        self.paid: Counter[str] = Counter()
        self.calls = 0
        self.inside = 0
        self.fault = fault
        self.gate = anyio.Event()
        self.gate.set()
        self._arrived = anyio.Event()

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls += 1
        self.inside += 1
        self._arrived.set()
        try:
            await self.gate.wait()
            if self.fault is not None:
                self.fault(texts)
            self.paid.update(texts)
            return [vector_of(text) for text in texts]
        finally:
            self.inside -= 1

    async def embed_query(self, text: str) -> list[float]:
        return vector_of(text)

    def close(self) -> None:
        """Keep calls inside from now on."""
        self.gate = anyio.Event()
        self._arrived = anyio.Event()

    async def until_called(self) -> None:
        """Wait for a call after ``close``."""
        await self._arrived.wait()

    async def until_full(self) -> None:
        """Wait until as many calls are inside as may be, after ``close``: no other begins then."""
        while self.inside < self.in_flight:
            self._arrived = anyio.Event()
            await self._arrived.wait()


class SpinningChunker:
    """Hangs in its thread until released."""

    fingerprint = "spinning"

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()

    def spans(self, text: str, media_type: str) -> list[tuple[int, int]]:
        self.entered.set()
        assert self.release.wait(60)
        return [(0, len(text))]


def write_folder(folder: Path, count: int, words: int = 150) -> Path:
    """``count`` Markdown files, each with a text of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        body = " ".join(f"word{number}x{word}" for word in range(words))
        (folder / f"doc{number:03}.md").write_text(f"# Document {number}\n\n{body}\n", encoding="utf-8")
    return folder


def note_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long phases wait before an open gate, in seconds, in their order; they go on at once."""
    waits: list[float] = []
    sleep = Gate.sleep

    async def note(gate: Gate, seconds: float) -> None:
        if isinf(seconds):
            await sleep(gate, seconds)  # until it is closed
        else:
            waits.append(seconds)
            await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(Gate, "sleep", note)
    return waits
