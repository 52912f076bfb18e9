"""What a knowledge base says about the settings that made its index, and about those of the next job."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from phaseflow import FolderSource, JobStatus, PhaseFlow, Reader
from phaseflow.components import context, recipe
from phaseflow.domain.counting import counted
from phaseflow.domain.indexed_with import CUT_AGAIN, PHASEFLOW, READ_AGAIN, SOME_AGAIN
from phaseflow.domain.status import KnowledgeBase
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.flow.starting import Starting
from phaseflow.store.passages import SearchablePassages
from tests.engine.components import CountingEmbedder, write_folder
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon


class OwnChunker:
    fingerprint = "own-chunker"

    def spans(self, text: str, media_type: str) -> Sequence[tuple[int, int]]:
        return [(0, len(text))]


async def _run(flow: PhaseFlow, *arguments: Any, **options: Any) -> None:
    with fail_soon(20):
        assert (await (await flow.start("kb", *arguments, **options)).wait()).status is JobStatus.COMPLETED


def _stale(kb: KnowledgeBase) -> dict[str, str]:
    return {each.setting: each.cost for each in kb.stale}


def _made_with(kb: KnowledgeBase) -> Any:
    return None if kb.indexed_with is None else kb.indexed_with.model_dump(mode="json")


async def test_settings_that_were_changed_are_not_those_of_the_index_until_it_is_made_again(
    folder: Path, database: Path
) -> None:
    async with PhaseFlow(database) as flow:
        assert (await flow.put_kb("kb", folder)).indexed_with is None
        await _run(flow)
        kb = await flow.kb("kb")
        assert (_made_with(kb)["chunk_size"], kb.stale) == (1000, [])
        await flow.put_kb("kb", None, {"chunk_size": 300, "chunk_overlap": 20})
        kb = await flow.kb("kb")
        assert (kb.settings.chunk_size, _made_with(kb)["chunk_size"]) == (300, 1000)
        assert _stale(kb) == {"chunk_size": CUT_AGAIN, "chunk_overlap": CUT_AGAIN}
        await _run(flow)
        kb = await flow.kb("kb")
        assert (_made_with(kb)["chunk_size"], kb.stale) == (300, [])


async def test_a_run_that_did_not_end_leaves_the_index_older_than_its_settings(folder: Path, database: Path) -> None:
    async with PhaseFlow(database) as flow:
        await _run(flow, folder)
        with fail_soon(20):
            await (await flow.start("kb", settings={"chunk_size": 300}, hold=["embedding"])).wait_until_idle()
            await flow.cancel("kb")
        kb = await flow.kb("kb")
        assert (_made_with(kb)["chunk_size"], _stale(kb)) == (1000, {"chunk_size": CUT_AGAIN})


async def test_components_of_a_program_are_shown_in_place_of_settings_that_had_no_say(
    folder: Path, database: Path
) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder(), chunker=OwnChunker()) as flow:
        await _run(flow, folder)
        kb = await flow.kb("kb")
        assert kb.stale == []
        assert _made_with(kb) == {
            "chunk_size": None,
            "chunk_overlap": None,
            "chunker": {"type": "custom", "fingerprint": "own-chunker"},
            "embedder": {"type": "custom", "fingerprint": "counting"},
            "index": {"type": "embedded"},
            "rules": recipe.rules(own_chunker=True),
        }
        assert await flow.search("kb", "word1x7")
    async with Reader(database) as reader:
        assert (await reader.kb("kb")).stale == [], "a reader does not know what the program gives"
    async with PhaseFlow(database) as flow:
        kb = await flow.kb("kb")
        assert set(_stale(kb)) == {"chunker", "chunk_size", "chunk_overlap", "embedder"}
        assert (await flow.search("kb", "word1x7")).degraded
        await _run(flow)
        kb = await flow.kb("kb")
        assert (_made_with(kb)["embedder"], kb.stale) == ({"type": "static"}, [])
        assert not (await flow.search("kb", "word1x7")).degraded


async def _start_held(flow: PhaseFlow) -> None:
    await flow.start("kb", hold=["loading"])


async def _start(flow: PhaseFlow) -> None:
    await flow.start("kb")


async def _push(flow: PhaseFlow) -> None:
    await flow.add("kb", [{"uri": "new.md", "text": "new"}])


@pytest.mark.parametrize("begin", [_push, *first_of_each([_start_held, _start])])
async def test_a_job_that_waits_says_what_it_will_make_again_before_anything_of_it_has_begun(
    begin: Callable[[PhaseFlow], Awaitable[None]], folder: Path, database: Path
) -> None:
    async with PhaseFlow(database) as flow:
        await _run(flow, folder)
    async with PhaseFlow(database, slots=0) as flow:
        await begin(flow)
        assert "again" not in (await flow.status("kb")).message, "nothing is older"
        await flow.cancel("kb")
        await flow.put_kb("kb", None, {"chunk_size": 50, "chunk_overlap": 0})
        await begin(flow)
        waits = await flow.status("kb")
    assert waits.phase_details[0].status == "not_started"
    assert "; kb was indexed with another chunk_size and chunk_overlap: every document is cut again" in waits.message
    async with Reader(database) as reader:
        assert "every document is cut again" in (await reader.status("kb")).message


async def test_a_job_says_from_its_first_moment_what_it_makes_again_and_how_much(folder: Path, database: Path) -> None:
    async with PhaseFlow(database) as flow:
        await _run(flow, folder)
        kb = await flow.kb("kb")
    embedder = CountingEmbedder()
    async with PhaseFlow(database, embedder=embedder) as flow:
        with fail_soon(20):
            job = await flow.start("kb", hold=["embedding"])
            held = await job.wait_until_idle()
            size = f"({counted(kb.chunks, 'passage')} of {counted(kb.documents, 'document')})"
            assert f"kb was indexed with another embedder: every passage is embedded again {size}" in held.message
            assert embedder.calls == 0
            await flow.resume("kb")
            done = await job.wait()
        assert "again" not in done.message
        with fail_soon(20):
            last = await (await flow.start("kb", full=True, hold=["loading"])).wait_until_idle()
        assert "again" not in last.message


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The rules of an older phaseflow, until they are undone."""
    with monkeypatch.context() as patch:
        patch.setattr(context, "RULES", context.RULES - 1)
        yield patch


async def test_what_another_version_of_phaseflow_has_made_is_told_until_a_run_has_read_all_of_it(
    folder: Path, database: Path, older: pytest.MonkeyPatch
) -> None:
    sources = {"default": FolderSource(str(folder)), "other": FolderSource(str(folder), exclude=("none",))}
    async with PhaseFlow(database) as flow:
        await _run(flow, sources=sources)
        assert (await flow.kb("kb")).stale == []
    older.undo()
    async with PhaseFlow(database) as flow:
        told = {"phaseflow_version": READ_AGAIN}
        assert _stale(await flow.kb("kb")) == told
        await _push(flow)
        with fail_soon(20):
            pushed = await (await flow.job("kb")).wait()
        assert (pushed.status, pushed.metrics.documents_found) == (JobStatus.COMPLETED, 1)
        assert _stale(await flow.kb("kb")) == told, "a push reads what was pushed"
        with fail_soon(20):
            some = await (await Starting(flow._engine).start_in_step("kb", {"other"})).wait()
        assert some.metrics.documents_unchanged == 1  # what was pushed
        assert _stale(await flow.kb("kb")) == told, "half of it was read"
        with fail_soon(20):
            held = await (await flow.start("kb", hold=["embedding"])).wait_until_idle()
            assert f"kb was indexed with another version of phaseflow: {READ_AGAIN}" in held.message
            await flow.resume("kb")
            final = await (await flow.job("kb")).wait()
        kb = await flow.kb("kb")
        assert (final.metrics.documents_unchanged, kb.stale) == (kb.documents // 2 + 1, [])


async def _upgraded(flow: PhaseFlow, older: pytest.MonkeyPatch) -> None:
    older.undo()


async def _cut_otherwise(flow: PhaseFlow, older: pytest.MonkeyPatch) -> None:
    older.undo()
    await _run(flow)
    await flow.put_kb("kb", None, {"chunk_size": 300})


@pytest.mark.parametrize(("change", "name"), [(_upgraded, PHASEFLOW), (_cut_otherwise, "chunk_size")])
async def test_documents_that_could_not_be_read_are_told_to_be_older_until_they_are_read(
    tmp_path: Path, database: Path, older: pytest.MonkeyPatch, change: Any, name: str
) -> None:
    sources = {each: FolderSource(str(write_folder(tmp_path / each, 3))) for each in ("default", "wiki")}
    async with PhaseFlow(database) as flow:
        await _run(flow, sources=sources)
        await change(flow, older)
        (tmp_path / "wiki").rename(tmp_path / "away")
        for _ in range(2):  # it is still away when the next job comes
            await _run(flow)
            assert _stale(await flow.kb("kb")) == {name: SOME_AGAIN}
        assert "again" not in (await flow.status("kb")).message
        await _push(flow)
        with fail_soon(20):
            pushed = await (await flow.job("kb")).wait()
        assert pushed.metrics.documents_found == 1, "it does not list the sources once more"
        assert _stale(await flow.kb("kb")) == {name: SOME_AGAIN}
        async with Reader(database) as reader:
            assert _stale(await reader.kb("kb")) == {name: SOME_AGAIN}
        (tmp_path / "away").rename(tmp_path / "wiki")
        await _run(flow)
        assert (await flow.status("kb")).metrics.documents_loaded == 3
        assert (await flow.kb("kb")).stale == []


async def test_a_document_that_fails_is_told_to_be_older_and_one_that_stays_by_a_new_embedder_is_not(
    folder: Path, database: Path, older: pytest.MonkeyPatch
) -> None:
    async with PhaseFlow(database) as flow:
        await _run(flow, folder)
    (folder / "doc000.md").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(100))
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await _run(flow)
        kb = await flow.kb("kb")
        assert (kb.counts.failed, kb.documents, kb.stale) == (1, 12, []), "it has vectors of the new one"
    older.undo()
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await _run(flow)
        assert _stale(await flow.kb("kb")) == {PHASEFLOW: SOME_AGAIN}
        (folder / "doc000.md").unlink()
        await _run(flow)
        assert (await flow.kb("kb")).stale == []


async def test_an_index_that_is_made_as_before_is_not_looked_through(
    folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PhaseFlow(database) as flow:
        await _run(flow, folder)
        monkeypatch.delattr(SearchablePassages, "any_not_made_by")
        await _run(flow)
        assert (await flow.kb("kb")).stale == []


async def test_how_phaseflow_cuts_is_none_of_the_rules_where_a_program_cuts(
    folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PhaseFlow(database, chunker=OwnChunker()) as flow:
        await _run(flow, folder)
    monkeypatch.setattr(recipe, "cutting_rules", lambda: "others")
    async with PhaseFlow(database, chunker=OwnChunker()) as flow:
        assert (await flow.kb("kb")).stale == []
        await _run(flow)
        status = await flow.status("kb")
        assert status.metrics.documents_unchanged == status.metrics.documents_found


async def _begin(flow: PhaseFlow, folder: Path) -> None:
    """A job that has loaded all its documents, and indexed none."""
    with fail_soon(20):
        await (await flow.start("kb", folder, hold=["embedding"])).wait_until_idle()


async def _go_on(flow: PhaseFlow) -> None:
    await flow.resume("kb")
    with fail_soon(20):
        assert (await (await flow.job("kb")).wait()).status is JobStatus.COMPLETED


async def _run_again(flow: PhaseFlow) -> None:
    """All is as old as it is said to be, and is made again."""
    told = _stale(await flow.kb("kb"))
    await _run(flow)
    metrics = (await flow.status("kb")).metrics
    assert metrics.documents_loaded + metrics.documents_unchanged == metrics.documents_found > 0
    assert (metrics.documents_unchanged == 0) == bool(told)
    assert (await flow.kb("kb")).stale == []


async def test_a_job_that_another_version_of_phaseflow_goes_on_with_says_that_its_documents_are_older(
    folder: Path, database: Path, older: pytest.MonkeyPatch
) -> None:
    async with PhaseFlow(database) as flow:
        await _begin(flow, folder)
    older.undo()
    async with PhaseFlow(database) as flow:
        await _go_on(flow)
        assert _stale(await flow.kb("kb")) == {"phaseflow_version": READ_AGAIN}
        await _run_again(flow)


async def test_a_job_that_the_older_version_ends_after_another_says_so_too(
    folder: Path, database: Path, older: pytest.MonkeyPatch
) -> None:
    async with PhaseFlow(database) as flow:
        await _begin(flow, folder)
    with older.context() as newer:
        newer.setattr(context, "RULES", context.RULES + 1)
        async with PhaseFlow(database) as flow:
            with fail_soon(20):
                await flow.resume("kb", JobPhase.EMBEDDING)
                await flow.pause("kb")
                await (await flow.job("kb")).wait_until_idle()
    async with PhaseFlow(database) as flow:
        if (await flow.status("kb")).status is not JobStatus.COMPLETED:
            await _go_on(flow)
        assert _stale(await flow.kb("kb")) == {"phaseflow_version": READ_AGAIN}


async def test_a_job_of_which_nothing_was_loaded_is_made_by_the_version_that_loads_it(
    folder: Path, database: Path, older: pytest.MonkeyPatch
) -> None:
    async with PhaseFlow(database) as flow:
        with fail_soon(20):
            await (await flow.start("kb", folder, hold=["loading"])).wait_until_idle()
    older.undo()
    async with PhaseFlow(database) as flow:
        await _go_on(flow)
        assert (await flow.kb("kb")).stale == []


async def test_a_job_that_another_chunker_goes_on_with_says_so(folder: Path, database: Path) -> None:
    async with PhaseFlow(database) as flow:
        await _begin(flow, folder)
    async with PhaseFlow(database, chunker=OwnChunker()) as flow:
        await _go_on(flow)
        kb = await flow.kb("kb")
        assert _made_with(kb)["chunker"] == {"type": "custom", "fingerprint": "built-in and own-chunker"}
        assert _stale(kb) == {"chunker": CUT_AGAIN}
        await _run_again(flow)
