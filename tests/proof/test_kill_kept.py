"""A kill between the count of documents that stay unfound and the note of it, or right behind: the next run says what
is true then, and nothing that nobody could look at has gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from phaseflow import FolderSource, JobStatus, PhaseFlow
from phaseflow.domain.identifiers import document_id
from phaseflow.store import failpoints
from tests.components.binary_fixtures import package
from tests.engine.components import CountingEmbedder
from tests.proof import outcome
from tests.proof.test_kill_copies import kill_at
from tests.stopwatch import fail_soon
from tests.store.probes import select

POINTS = ("indexing.counted", "indexing.kept")
INSIDE = [f"guide.zip/{n}.md" for n in range(3)]
KEPT = "3 documents of the source 'default' were not found and stay until guide.zip can be read"


@pytest.fixture(autouse=True)
def no_failpoints() -> Iterator[None]:
    yield
    failpoints.clear()


def noted(database: Path) -> int:
    """Of how many sources it is noted that documents stay."""
    [(count,)] = select(database, "SELECT count(*) FROM job_sources WHERE kept IS NOT NULL")
    return int(count)


async def killed(database: Path, point: str) -> Path:
    """The file as a kill leaves it in the run that finds an archive half written, beside a file that is gone."""
    folder = database.with_name("docs")
    folder.mkdir()
    for name in ("a.md", "gone.md"):
        (folder / name).write_text(f"# {name}\n\nText.")
    archive = folder / "guide.zip"
    archive.write_bytes(package({f"{n}.md": f"# Page {n}\n\nText {n}." for n in range(3)}))
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        with fail_soon(20):
            source = FolderSource(str(folder), archives=True)
            assert (await (await flow.start("kb", source)).wait()).status is JobStatus.COMPLETED
            archive.write_bytes(archive.read_bytes()[:50])
            (folder / "gone.md").unlink()
            copy = kill_at(database, point, 1)
            assert KEPT in (await (await flow.start("kb")).wait()).message
    failpoints.clear()
    assert noted(copy) == POINTS.index(point)
    assert set(outcome.searchable(copy)) == {"a.md", "gone.md", *INSIDE}
    assert outcome.violations(copy) == []
    return copy


@pytest.mark.parametrize("point", POINTS)
async def test_the_next_run_counts_again_and_says_so(database: Path, point: str) -> None:
    copy = await killed(database, point)
    async with PhaseFlow(copy, embedder=CountingEmbedder()) as flow:
        with fail_soon(20):
            final = await (await flow.job("kb")).wait()
    assert (final.status, final.metrics.documents_deleted) == (JobStatus.COMPLETED, 1)
    assert KEPT in final.message
    assert outcome.searchable(copy) == outcome.searchable(database)
    assert outcome.violations(copy) == []


@pytest.mark.parametrize("point", POINTS)
async def test_what_is_left_out_before_the_next_run_lets_them_go_and_is_not_said_to_keep_them(
    database: Path, point: str
) -> None:
    copy = await killed(database, point)
    async with PhaseFlow(copy, embedder=CountingEmbedder(), auto_resume=False) as flow:
        await flow.skip_document("kb", document_id("kb", "guide.zip"))
        await flow.resume("kb")
        with fail_soon(20):
            final = await (await flow.job("kb")).wait()
    assert (final.metrics.documents_deleted, "not found" in final.message) == (4, False)
    assert (set(outcome.searchable(copy)), noted(copy)) == ({"a.md"}, 0)
    assert outcome.violations(copy) == []
