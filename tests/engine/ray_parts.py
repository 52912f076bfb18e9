"""What the tests of jobs on a cluster of Ray share: an embedder that runs there, documents, and the processes."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio

from tests.components.test_workers import big_docx, is_there
from tests.engine.components import vector_of
from tests.stopwatch import fail_soon

DOCUMENTS = 6


class SlowEmbedder:
    """Takes its time, wherever it runs."""

    fingerprint = "slow"
    remote = True
    batch_size = 2

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        time.sleep(0.5)
        return [vector_of(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return vector_of(text)


def write_documents(folder: Path, point: str) -> Path:
    """Documents that take a while to read, or, for the phase of embedding, none at all."""
    folder.mkdir()
    for number in range(DOCUMENTS):
        if point == "embedding":
            (folder / f"{number}.md").write_text(f"Paper number {number}.\n\nIts text.")
        else:
            (folder / f"{number}.docx").write_bytes(big_docx(8_000 + number))
    return folder


def processes(session: int) -> dict[int, str]:
    """The processes of a driver and all that it has started, by what they call themselves."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or not is_there(int(entry.name)):
            continue
        try:
            sid = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
            name = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (OSError, ValueError):
            continue
        if sid == session:
            found[int(entry.name)] = name
    return found


def named(session: int, part: str) -> list[int]:
    return [pid for pid, name in processes(session).items() if part in name]


async def eventually(condition: Callable[[], object], seconds: float = 60) -> None:
    with fail_soon(seconds):
        while not condition():  # noqa: ASYNC110  # nothing tells what other processes do
            await anyio.sleep(0.02)


async def victim(database: str, folder: str, point: str) -> None:
    """A head: runs a job, says how far it is, and waits to be killed."""
    from phaseflow import PhaseFlow
    from phaseflow.domain.vocabulary import JobStatus

    async with PhaseFlow(database, workers="ray", embedder=SlowEmbedder()) as flow:
        job = await flow.start("kb", folder)
        workers = flow._engine.components._workers.workers
        await eventually(lambda: workers.down is None, 90)
        print("driver", workers.pid, flush=True)  # type: ignore[attr-defined]  # put there by the test
        await eventually(lambda: at_work(workers.pid or 0, point))  # type: ignore[attr-defined]  # of these workers only
        if point == "paused":
            await flow.pause("kb")
            async for status in job.watch():
                if status.status is JobStatus.PAUSED:
                    break
        if point == "cancelling":
            await flow.cancel("kb")
        print("there", flush=True)
        await anyio.sleep_forever()


def at_work(session: int, point: str) -> bool:
    """Whether the cluster does what a point is about."""
    return bool(named(session, "ray::embed" if point == "embedding" else "ray::read"))


def main() -> None:
    """The victim, as a program."""
    anyio.run(victim, sys.argv[1], sys.argv[2], sys.argv[3])


def elsewhere(database: str, folder: str, address: str) -> None:
    """A head whose documents are read on a cluster at an address."""

    async def run() -> None:
        from phaseflow import PhaseFlow

        async with PhaseFlow(database, workers=address, embedder=SlowEmbedder()) as flow:
            await (await flow.start("kb", folder)).wait()

    anyio.run(run)
