"""New settings hold for the next job, whatever begins it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from phaseflow import FolderSource, JobStatus, PhaseFlow, Policies, RetryPolicy
from phaseflow.domain.status import KnowledgeBase
from tests.engine.components import CountingEmbedder, write_folder
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon
from tests.store.probes import select

LETTER = " ".join(f"word{number}" for number in range(40))
SMALLER = {"chunk_size": 40, "chunk_overlap": 0}


def _push(name: str) -> list[dict[str, str]]:
    return [{"uri": name, "text": f"{name} {LETTER}"}]


async def _push_another(flow: PhaseFlow) -> None:
    await flow.add("kb", _push("b"))


async def _retry_a_document(flow: PhaseFlow) -> None:
    await flow.retry_document("kb", "a")


async def _until(flow: PhaseFlow, is_so: Callable[[KnowledgeBase], bool]) -> KnowledgeBase:
    with fail_soon(20):
        while True:
            hint = flow.tracker.feed.hint()
            if is_so(kb := await flow.kb("kb")):
                return kb
            with anyio.move_on_after(0.1):
                await hint.wait()


async def _until_whole(flow: PhaseFlow) -> KnowledgeBase:
    """Until the newest job is completed, and nothing waits or is older than the settings."""
    return await _until(flow, lambda kb: _is_completed(kb) and not kb.counts.queued and not kb.stale)


def _is_completed(kb: KnowledgeBase) -> bool:
    return kb.job is not None and kb.job.status is JobStatus.COMPLETED


async def _chunks(flow: PhaseFlow) -> dict[str, int]:
    return {each.uri: each.chunks for each in (await flow.documents("kb")).items}


@pytest.mark.parametrize("begin", first_of_each([_push_another, _retry_a_document]))
async def test_a_job_that_a_push_or_a_retry_begins_cuts_all_documents_anew(
    database: Path, begin: Callable[[PhaseFlow], Awaitable[None]]
) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.add("kb", _push("a"))
        await flow.add("kb", _push("c"))
        await _until_whole(flow)
        assert await _chunks(flow) == {"a": 1, "c": 1}
        await flow.put_kb("kb", None, SMALLER)
        await begin(flow)
        kb = await _until_whole(flow)
        assert min((await _chunks(flow)).values()) > 5
        assert kb.indexed_with is not None
        assert kb.indexed_with.chunk_size == 40


@pytest.mark.thorough
async def test_a_job_is_said_to_read_the_sources_when_it_does_and_only_then(database: Path, folder: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:

        async def newest_reads_sources() -> bool:
            kb = await _until_whole(flow)
            assert kb.job is not None
            return await flow.reads_sources(kb.job.job_id)

        await (await flow.start("kb", folder)).wait()
        assert await newest_reads_sources()
        await flow.add("kb", _push("b"))
        assert not await newest_reads_sources()
        await flow.put_kb("kb", None, SMALLER)
        await flow.add("kb", _push("c"))
        assert await newest_reads_sources()


async def test_a_push_uses_the_embedder_that_was_chosen_and_search_the_old_index_until_it_is_made(
    database: Path, folder: Path
) -> None:
    dead = {"embedder": {"type": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "none"}}
    async with PhaseFlow(database, policies=Policies(retry=RetryPolicy(first_s=30))) as flow:
        await (await flow.start("kb", folder)).wait()
        await flow.put_kb("kb", None, dead)
        await flow.add("kb", _push("b"))
        with fail_soon(20):
            async for status in (await flow.job("kb")).watch():
                if status.waiting_on == "retry":
                    break
        assert "was indexed with another embedder: every passage is embedded again" in status.message
        assert await flow.search("kb", "word1")
        await flow.cancel("kb")
        await flow.put_kb("kb", None, {})
        await flow.add("kb", _push("c"))
        assert (await _until_whole(flow)).counts.indexed == 14


async def test_a_job_in_step_reads_the_sources_that_have_not_changed_too(database: Path, tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for uri in ("a.md", "b.md"):
            (tmp_path / name / uri).write_text(f"{name} {uri} {LETTER}")
    sources = {name: FolderSource(str(tmp_path / name)) for name in ("one", "two")}
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await flow.put_kb("kb", sources=sources, settings={"sync": {"watch": True}})
        await _until(flow, lambda kb: kb.sync is not None and len(kb.sync.watching) == 2 and _is_completed(kb))
        await flow.put_kb("kb", None, {**SMALLER, "sync": {"watch": True}})
        (tmp_path / "one" / "a.md").unlink()  # only a list of its source can tell
        await _until(flow, lambda kb: kb.documents == 3)
        await _until_whole(flow)
        assert min((await _chunks(flow)).values()) > 5


async def test_a_knowledge_base_of_another_program_goes_on_to_read_what_was_pushed_to_it(database: Path) -> None:
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder) as flow:
        await flow.tracker.initialize_phases("elsewhere", "kb")
        await flow.cancel("kb")
        await flow.add("kb", _push("a"))
        await _until_whole(flow)
        await flow.put_kb("kb", None, SMALLER)
        embedder.close()
        await flow.add("kb", _push("b"))
        with fail_soon(20):
            await embedder.until_called()
        embedder.gate.set()
        await flow.pause("kb")
        await (await flow.job("kb")).wait_until_idle()
        await flow.resume("kb")
        await _until_whole(flow)
        assert min((await _chunks(flow)).values()) > 5


async def test_only_the_first_push_after_text_is_to_be_recognised_otherwise_reads_all_documents_again(
    database: Path, folder: Path
) -> None:
    pytest.importorskip("rapidocr")
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", folder)).wait()
        recognised = {"ocr": {"languages": ["en"]}}
        for name, settings in {"a": {}, "b": recognised, "c": recognised}.items():
            await flow.put_kb("kb", None, settings)
            await flow.add("kb", _push(name))
            await _until_whole(flow)
    assert select(database, "SELECT lists FROM ingestion_jobs ORDER BY seq") == [(1,), (0,), (1,), (0,)]


async def test_what_is_gone_when_another_embedder_makes_the_index_anew_is_known_no_more_and_counted(
    database: Path, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "docs", 5)
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", FolderSource(str(folder)))).wait()
        await flow.add("kb", _push("pushed"))
        await _until_whole(flow)
    for number in range(2):
        (folder / f"doc{number:03}.md").unlink()
    another = CountingEmbedder()
    another.fingerprint = "another"
    async with PhaseFlow(database, embedder=another) as flow:
        done = await (await flow.start("kb", FolderSource(str(folder)))).wait()
        assert (done.status, done.metrics.documents_deleted) == (JobStatus.COMPLETED, 2)
        found = await flow.documents("kb")
        assert {each.uri: each.status for each in found.items} == {
            "pushed": "indexed", **{f"doc{number:03}.md": "indexed" for number in range(2, 5)}
        }  # fmt: skip
        await flow.add("kb", _push("doc000.md"))  # its name is free
        await _until_whole(flow)


async def test_without_the_extra_for_pictures_they_fail_and_the_others_go_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pillow = pytest.importorskip("PIL.Image")
    lacking, folder = tmp_path / "lacking", tmp_path / "docs"
    lacking.mkdir()
    (lacking / "rapidocr.py").write_text("raise ModuleNotFoundError(name=__name__)", encoding="utf-8")
    monkeypatch.syspath_prepend(lacking)  # first where workers look, too
    write_folder(folder, 2)
    pillow.new("L", (64, 64)).save(folder / "scan.png")
    async with PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()) as flow:
        final = await (await flow.start("kb", folder, settings={"ocr": {"languages": ["en"]}})).wait()
        (failure,) = (await flow.failures("kb")).items
    assert (final.status, final.metrics.documents_failed) == (JobStatus.COMPLETED, 1)
    assert (failure.uri, failure.code) == ("scan.png", "missing_extra")
    assert "phaseflow[ocr]" in failure.error
