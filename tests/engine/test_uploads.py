"""Documents that are uploaded, through the engine: stored, searchable, replaced, gone."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from phaseflow import (
    DocumentNotFound,
    HeldBySource,
    InvalidRequest,
    Job,
    JobStatus,
    KnowledgeBaseNotFound,
    PhaseFlow,
    UploadLimits,
    UploadSource,
    UploadTooLarge,
)
from phaseflow.domain.errors import StoreUnavailable
from phaseflow.domain.identifiers import document_id
from tests.engine.components import CountingEmbedder
from tests.stopwatch import fail_soon

A = ("a.md", b"# Alpha\n\nThe first of the letters.\n")
B = ("b.md", b"# Beta\n\nThe second of the letters.\n")
LONG = b"The first of the letters. " * 3000
"""Kept in a file."""


@pytest.fixture
async def flow(database: Path) -> AsyncIterator[PhaseFlow]:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        yield flow


async def _done(job: Job) -> None:
    with fail_soon(20):
        assert (await job.wait()).status is JobStatus.COMPLETED


async def _uris(flow: PhaseFlow) -> set[str]:
    return {hit.uri for hit in await flow.search("waf", "letters")}


def _stored(flow: PhaseFlow) -> list[str]:
    root = flow.path.with_name(f"{flow.path.name}.uploads")
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_uploaded_documents_are_searchable_when_the_job_is_done(flow: PhaseFlow) -> None:
    await _done(await flow.add_documents("waf", [A, B]))
    assert await _uris(flow) == {"a.md", "b.md"}
    assert (await flow.kb("waf")).source == UploadSource()


async def test_a_path_is_copied(flow: PhaseFlow, tmp_path: Path) -> None:
    (tmp_path / "c.md").write_bytes(b"One more of the letters.")
    await _done(await flow.add_documents("waf", [tmp_path / "c.md"]))
    (tmp_path / "c.md").unlink()
    await _done(await flow.add_documents("waf", [A]))
    assert await _uris(flow) == {"a.md", "c.md"}


async def test_a_second_upload_reads_only_what_came(flow: PhaseFlow) -> None:
    await _done(await flow.add_documents("waf", [A]))
    job = await flow.add_documents("waf", [B])
    await _done(job)
    metrics = (await job.status()).metrics
    assert (metrics.documents_found, metrics.documents_loaded) == (1, 1)


async def test_an_upload_of_the_same_name_replaces_the_document(flow: PhaseFlow) -> None:
    await _done(await flow.add_documents("waf", [A]))
    await _done(await flow.add_documents("waf", [("a.md", b"Nothing but letters, anew.")]))
    assert [hit.text for hit in await flow.search("waf", "letters")] == ["Nothing but letters, anew."]


async def test_a_document_taken_out_leaves_the_disk_and_the_index(flow: PhaseFlow) -> None:
    await _done(await flow.add_documents("waf", [(A[0], LONG), B]))
    assert len(_stored(flow)) == 1
    await flow.remove_document("waf", "a.md")
    assert (await _uris(flow), _stored(flow)) == ({"b.md"}, [])


async def test_the_last_document_can_be_taken_out(flow: PhaseFlow) -> None:
    await _done(await flow.add_documents("waf", [A]))
    await flow.remove_document("waf", "a.md")
    assert await _uris(flow) == set()


async def test_a_knowledge_base_for_uploads_can_be_made_and_run_before_its_first_document(flow: PhaseFlow) -> None:
    await flow.put_kb("waf", {"type": "upload"})
    await _done(await flow.start("waf"))
    await _done(await flow.start("other", UploadSource()))


async def test_documents_come_and_go_beside_a_folder_that_keeps_its_own(flow: PhaseFlow, folder: Path) -> None:
    await _done(await flow.start("waf", folder))
    await _done(await flow.add_documents("waf", [A]))
    assert (await flow.kb("waf")).documents == 13
    with pytest.raises(HeldBySource, match="comes from the source 'default'") as refused:
        await flow.add_documents("waf", [B, ("doc001.md", b"mine")])
    assert (refused.value.uri, refused.value.source) == ("doc001.md", "default")
    with pytest.raises(HeldBySource, match="skip it instead"):
        await flow.remove_document("waf", "doc001.md")
    await _done(await flow.start("waf"))
    assert (await flow.kb("waf")).documents == 13
    await flow.remove_document("waf", "a.md")
    assert (await flow.kb("waf")).documents == 12


async def test_an_unknown_document_or_knowledge_base_is_not_found(flow: PhaseFlow) -> None:
    await _done(await flow.add_documents("waf", [A]))
    before = (await flow.status("waf")).job_id
    with pytest.raises(DocumentNotFound):
        await flow.remove_document("waf", "../waf/a.md")
    with pytest.raises(KnowledgeBaseNotFound):
        await flow.remove_document("other", "a.md")
    assert (await flow.status("waf")).job_id == before


async def test_a_name_in_the_form_of_an_id_takes_out_the_document_of_that_name(flow: PhaseFlow) -> None:
    await _done(await flow.add_documents("waf", [A]))
    other = document_id("waf", "a.md")
    await _done(await flow.add_documents("waf", [(other, b"Another one.")]))
    await flow.remove_document("waf", other)
    assert await _uris(flow) == {"a.md"}
    with pytest.raises(DocumentNotFound):
        await flow.remove_document("waf", other)
    await flow.delete_document("waf", other)
    assert await _uris(flow) == set()


async def test_no_files_are_no_upload(flow: PhaseFlow) -> None:
    with pytest.raises(InvalidRequest, match="at least one"):
        await flow.add_documents("waf", [])
    with pytest.raises(KnowledgeBaseNotFound):
        await flow.kb("waf")


async def test_one_name_that_cannot_be_kept_refuses_the_whole_upload(flow: PhaseFlow) -> None:
    with pytest.raises(InvalidRequest):
        await flow.add_documents("waf", [A, ("../b.md", b"")])
    assert _stored(flow) == []


async def test_an_upload_over_the_limit_creates_no_knowledge_base(database: Path) -> None:
    async with PhaseFlow(database, uploads=UploadLimits(file_bytes=10, kb_bytes=15)) as flow:
        for files in ([A], [("a.md", b"x" * 8), ("b.md", b"x" * 8)]):
            with pytest.raises(UploadTooLarge):
                await flow.add_documents("waf", files)
        with pytest.raises(KnowledgeBaseNotFound):
            await flow.kb("waf")
        assert _stored(flow) == []


async def test_deleting_a_knowledge_base_deletes_its_files(flow: PhaseFlow) -> None:
    await _done(await flow.add_documents("waf", [A]))
    await flow.delete_kb("waf")
    assert _stored(flow) == []
    await _done(await flow.add_documents("waf", [B]))
    assert await _uris(flow) == {"b.md"}


async def test_files_left_on_their_way_by_a_dead_process_are_deleted_at_the_start(database: Path) -> None:
    left = database.with_name("kb.db.uploads") / ".staging" / "x" / "0"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    async with PhaseFlow(database):
        assert not left.exists()


async def test_an_upload_that_is_cancelled_leaves_nothing(flow: PhaseFlow) -> None:
    with anyio.CancelScope() as scope:
        async with flow.receiving("waf") as staging:
            staging.add(A[0], LONG)
            scope.cancel()
            await flow.take_in("waf", staging)
    assert _stored(flow) == []


async def test_a_folder_of_uploads_that_was_left_behind_fails_the_job_and_empties_no_index(database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await _done(await flow.add_documents("waf", [(A[0], LONG)]))
        root = database.with_name("kb.db.uploads")
        root.rename(root.with_name("elsewhere"))
        with fail_soon(20):
            final = await (await flow.start("waf", full=True, settings={"chunk_size": 500})).wait()
        assert final.status is JobStatus.FAILED
        assert "put the folder of uploads back" in str(final.error)
        assert str(database.parent) not in str(final.error)
        assert await _uris(flow) == {"a.md"}
        root.with_name("elsewhere").rename(root)
        with fail_soon(20):
            await flow.retry("waf")
            await _done(await flow.job("waf"))


async def test_a_disk_that_refuses_is_said_so(flow: PhaseFlow) -> None:
    flow.path.with_name("kb.db.uploads").write_text("a file in the way")
    with pytest.raises(StoreUnavailable, match="cannot keep the files"):
        await flow.add_documents("waf", [(A[0], LONG)])
    with pytest.raises(KnowledgeBaseNotFound):
        await flow.kb("waf")
