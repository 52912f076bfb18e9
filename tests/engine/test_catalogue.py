"""What the engine keeps about each document beside its versions."""

from pathlib import Path

from phaseflow import PhaseFlow
from phaseflow.domain.vocabulary import JobStatus
from tests.engine.components import CountingEmbedder, write_folder
from tests.stopwatch import fail_soon
from tests.store.probes import select


async def ingest(flow: PhaseFlow, folder: Path) -> None:
    job = await flow.start("kb", folder)
    with fail_soon(20):
        assert (await job.wait()).status is JobStatus.COMPLETED


def known(database: Path) -> list[tuple[object, ...]]:
    return select(database, "SELECT uri, attempts FROM catalogue ORDER BY uri")


async def test_what_is_in_the_folder_is_known_and_what_has_left_it_is_not(tmp_path: Path, database: Path) -> None:
    folder = write_folder(tmp_path / "docs", 3)
    (folder / "bad.pdf").write_bytes(b"%PDF-1.4 not one")
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await ingest(flow, folder)
        assert known(database) == [("bad.pdf", 1), ("doc000.md", 1), ("doc001.md", 1), ("doc002.md", 1)]
        (folder / "bad.pdf").unlink()
        (folder / "doc001.md").unlink()
        (folder / "doc002.md").write_text("other words")
        await ingest(flow, folder)
    assert [uri for uri, _ in known(database)] == ["doc000.md", "doc002.md"]
    versions = "SELECT uri, source, size, changed_at = indexed_at FROM documents WHERE state = 4 ORDER BY uri"
    assert select(database, versions) == [
        (name, "default", (folder / name).stat().st_size, 1) for name in ("doc000.md", "doc002.md")
    ]


async def test_what_a_cancelled_job_had_listed_is_forgotten_when_the_next_one_does_not_find_it(
    tmp_path: Path, database: Path
) -> None:
    folder = write_folder(tmp_path / "docs", 3)
    embedder = CountingEmbedder()
    embedder.close()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await flow.start("kb", folder)
        with fail_soon(10):
            await embedder.until_called()
        await flow.cancel("kb")
        embedder.gate.set()
        (folder / "doc001.md").unlink()
        assert len(known(database)) == 3
        await ingest(flow, folder)
    assert [uri for uri, _ in known(database)] == ["doc000.md", "doc002.md"]
