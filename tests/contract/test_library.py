"""The library as its quick example shows it: start, watch, wait, search, transitions, and leaving the block."""

import os
from pathlib import Path
from typing import Any

import pytest

from phaseflow import (
    FolderSource,
    InvalidRequest,
    JobConflict,
    JobNotFound,
    KnowledgeBaseNotFound,
    PhaseFlow,
    Transition,
)
from tests.contract.outsiders import Complete, Coroutine, Lines, Plain, Turnstile
from tests.contract.watching import statuses, until, write_notes
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon


async def test_the_example_of_the_contract_runs(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 3)
    seen = []
    with fail_soon(20):
        async with PhaseFlow(str(tmp_path / "kb.db")) as flow:
            job = await flow.start("waf", FolderSource(str(tmp_path / "docs")))
            async for status in job.watch():
                seen.append((status.phase, status.progress))
            final = await job.wait()
            hits = await flow.search("waf", "which note is about topic 7?")
    assert final.status == "completed"
    assert seen[-1] == ("indexing", 100.0)
    assert hits
    assert {hit.uri for hit in hits} <= {"note000.txt", "note001.txt", "note002.txt"}


@pytest.mark.parametrize("embedder", first_of_each([Plain, Complete, Coroutine]))
async def test_an_embedder_of_few_lines_is_taken_as_it_is(tmp_path: Path, embedder: Any) -> None:
    write_notes(tmp_path / "docs", 3)
    mine = embedder()
    async with PhaseFlow(tmp_path / "kb.db", embedder=mine) as flow:
        with fail_soon(10):
            final = await (await flow.start("waf", FolderSource(str(tmp_path / "docs")))).wait()
            asked = sum(mine.texts.values())
            hits = await flow.search("waf", "topic 7", limit=2)
    assert final.status == "completed"
    assert asked == 3
    assert len(hits) == 2


async def test_a_splitter_of_few_lines_is_taken_as_it_is_with_exact_offsets(tmp_path: Path) -> None:
    text = "same line\nother ünïcode 🙂 line\nsame line\n"
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text(text, encoding="utf-8")
    async with PhaseFlow(tmp_path / "kb.db", chunker=Lines(), embedder=Complete()) as flow:
        with fail_soon(10):
            await (await flow.start("waf", FolderSource(str(tmp_path / "docs")))).wait()
            hits = await flow.search("waf", "line", limit=100)
    assert sorted([hit.start for hit in hits] + [also.start for hit in hits for also in hit.also_in]) == [0, 10, 31]
    assert all(text[hit.start : hit.end] == hit.text for hit in hits)


async def test_offsets_of_the_built_in_chunker_are_exact(tmp_path: Path) -> None:
    text = "# Titel\n\n" + "\n\n".join(f"## Part {n} 🙂\n\n{'Wörter ' * 40}end {n}." for n in range(20))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text(text, encoding="utf-8")
    shape = {"chunk_size": 200, "chunk_overlap": 20, "embedder": {"type": "static"}}
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete(), settings=shape) as flow:
        with fail_soon(10):
            await (await flow.start("waf", FolderSource(str(tmp_path / "docs")))).wait()
            hits = await flow.search("waf", "Wörter part end", limit=100)
    assert len(hits) > 10
    assert all(text[hit.start : hit.end] == hit.text and len(hit.text) <= 200 for hit in hits)


async def test_hits_come_best_first_with_the_fields_of_the_json(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 5)
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            await (await flow.start("waf", FolderSource(str(tmp_path / "docs")))).wait()
            hits = await flow.search("waf", "note 3", limit=100)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert set(hits[0].model_dump(mode="json")) >= {"uri", "title", "text", "score", "start", "end"}


async def test_a_folder_may_be_named_by_a_path(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 1)
    named: Any = tmp_path / "docs"
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            assert (await (await flow.start("waf", FolderSource(named))).wait()).status == "completed"


async def test_a_source_may_be_given_in_the_shape_of_the_json(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 2)
    (tmp_path / "docs" / "left.md").write_text("out", encoding="utf-8")
    source = {"type": "folder", "path": str(tmp_path / "docs"), "include": ["**/*.txt"], "exclude": ["note001*"]}
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            final = await (await flow.start("waf", source)).wait()
    assert final.metrics.documents_found == 1


async def test_a_name_outside_the_rule_is_refused(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        for name in ("", "Waf", "-waf", "_waf", "a b", "a/b", "ä", "a" * 64):
            with pytest.raises(InvalidRequest):
                await flow.start(name, FolderSource(str(tmp_path)))


async def test_a_name_inside_the_rule_is_taken(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 1)
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        for name in ("0", "a-_", "a" * 63):
            with fail_soon(10):
                assert (await (await flow.start(name, FolderSource(str(tmp_path / "docs")))).wait()).kb_id == name


async def test_a_start_without_a_source_needs_a_knowledge_base_that_is_there(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with pytest.raises(KnowledgeBaseNotFound):
            await flow.start("waf")
        for verb in (flow.pause, flow.resume, flow.cancel, flow.retry, flow.status):
            with pytest.raises((KnowledgeBaseNotFound, JobNotFound)):
                await verb("waf")


async def test_a_second_start_is_a_conflict_that_names_status_and_actions(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 1)
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
        with fail_soon(10):
            await flow.start("waf", FolderSource(str(tmp_path / "docs")))
            await gate.until_arrived(1)
            with pytest.raises(JobConflict) as refused:
                await flow.start("waf")
            gate.let(9)
    assert (refused.value.status, refused.value.allowed_actions) == ("running", ["pause", "cancel"])
    assert "running" in str(refused.value)
    assert "pause, cancel" in str(refused.value)


async def test_a_new_start_makes_a_new_job_and_a_finished_one_keeps_its_view(tmp_path: Path) -> None:
    write_notes(tmp_path / "docs", 2)
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            first = await (await flow.start("waf", FolderSource(str(tmp_path / "docs")))).wait()
            second = await (await flow.start("waf")).wait()
            page = await flow.jobs("waf")
    assert [job.job_id for job in page.items] == [second.job_id, first.job_id]
    assert page.items[1] == first
    assert (second.metrics.documents_unchanged, second.metrics.embeddings_computed) == (2, 0)


async def test_two_knowledge_bases_do_not_meet(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(f"about {name}", encoding="utf-8")
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            jobs = [await flow.start(name, FolderSource(str(tmp_path / name))) for name in ("one", "two")]
            assert [(await job.wait()).status for job in jobs] == ["completed"] * 2
            assert {hit.uri for hit in await flow.search("one", "about two")} == {"one.txt"}


async def test_a_renamed_document_is_not_embedded_again(tmp_path: Path) -> None:
    docs = write_notes(tmp_path / "docs", 3)
    mine = Complete()
    async with PhaseFlow(tmp_path / "kb.db", embedder=mine) as flow:
        with fail_soon(10):
            await (await flow.start("waf", FolderSource(str(docs)))).wait()
            (docs / "note001.txt").rename(docs / "moved.txt")
            final = await (await flow.start("waf")).wait()
            uris = {hit.uri for hit in await flow.search("waf", "note", limit=100)}
    assert set(mine.texts.values()) == {1}
    assert (final.metrics.embeddings_computed, final.metrics.documents_deleted) == (0, 1)
    assert uris == {"note000.txt", "moved.txt", "note002.txt"}


async def test_the_same_text_in_another_document_is_not_embedded_again(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in "abc":
        (tmp_path / "docs" / f"{name}.txt").write_text("all the same", encoding="utf-8")
    mine = Complete()
    async with PhaseFlow(tmp_path / "kb.db", embedder=mine) as flow:
        with fail_soon(10):
            final = await (await flow.start("waf", FolderSource(str(tmp_path / "docs")))).wait()
    assert mine.texts == {"all the same": 1}
    assert final.metrics.embeddings_computed + final.metrics.embeddings_reused == 3


async def test_changed_and_deleted_documents_are_replaced_and_taken_out(tmp_path: Path) -> None:
    docs = write_notes(tmp_path / "docs", 3)
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            await (await flow.start("waf", FolderSource(str(docs)))).wait()
            (docs / "note000.txt").write_text("quite another thing", encoding="utf-8")
            (docs / "note001.txt").unlink()
            final = await (await flow.start("waf")).wait()
            texts = {hit.text.strip() for hit in await flow.search("waf", "note thing", limit=100)}
    assert texts == {"quite another thing", "Note 2 line 0 about topic 14."}
    assert (final.metrics.documents_deleted, final.metrics.documents_unchanged) == (1, 1)


async def test_full_reads_what_size_and_time_call_unchanged(tmp_path: Path) -> None:
    docs = write_notes(tmp_path / "docs", 1)
    note = docs / "note000.txt"
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            stood = note.stat()
            os.utime(note, ns=(stood.st_atime_ns, stood.st_mtime_ns - 10**12))
            stood = note.stat()
            await (await flow.start("waf", FolderSource(str(docs)))).wait()
            note.write_text(note.read_text().replace("topic", "cipot"), encoding="utf-8")
            os.utime(note, ns=(stood.st_atime_ns, stood.st_mtime_ns))
            await (await flow.start("waf", full=True)).wait()
            assert "cipot" in (await flow.search("waf", "note"))[0].text


async def test_hidden_files_are_skipped_and_what_cannot_be_read_is_listed(tmp_path: Path) -> None:
    docs = write_notes(tmp_path / "docs", 1)
    (docs / ".hidden.txt").write_text("hidden", encoding="utf-8")
    (docs / ".git").mkdir()
    (docs / ".git" / "config.txt").write_text("hidden", encoding="utf-8")
    (docs / "README").write_text("judged by its content", encoding="utf-8")
    for number in range(12):
        (docs / f"picture{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            final = await (await flow.start("waf", FolderSource(str(docs)))).wait()
            failures = (await flow.failures("waf")).items
            uris = {hit.uri for hit in await flow.search("waf", "note content hidden")}
    assert final.status == "completed"
    assert uris == {"note000.txt", "README"}
    assert {failure.uri for failure in failures} == {f"picture{number}.png" for number in range(12)}
    for failure in failures:
        dumped = failure.model_dump(mode="json")
        assert {"uri", "phase", "error", "attempts", "at"} <= set(dumped)
        assert "unsupported_format" in (dumped.get("code"), dumped["error"])
        assert dumped["phase"] == "loading"


async def test_a_name_that_is_no_utf8_is_percent_encoded(tmp_path: Path) -> None:
    docs = write_notes(tmp_path / "docs", 0)
    Path(os.fsdecode(os.fsencode(docs) + b"/caf\xe9.txt")).write_bytes(b"a latin name")
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            await (await flow.start("waf", FolderSource(str(docs)))).wait()
            assert [hit.uri for hit in await flow.search("waf", "latin")] == ["caf%E9.txt"]


async def test_an_empty_folder_completes_with_nothing(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            final = await (await flow.start("waf", FolderSource(str(tmp_path / "docs")))).wait()
            assert await flow.search("waf", "anything") == []
    assert (final.status, statuses(final), final.progress) == ("completed", ["completed"] * 4, 100)


async def replayed(flow: PhaseFlow, after: int, until_to: str) -> list[Transition]:
    seen = []
    async for transition in flow.transitions(after=after, kb_id="waf"):
        seen.append(transition)
        if transition.phase is None and transition.to_status == until_to:
            return seen
    raise AssertionError("the transitions ended")


async def test_transitions_are_replayed_and_then_live_each_once_and_in_order(tmp_path: Path) -> None:
    docs = write_notes(tmp_path / "docs", 2)
    gate = Turnstile()
    async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
        with fail_soon(10):
            await flow.start("waf", FolderSource(str(docs)))
            await gate.until_arrived(1)
            gate.let(9)
            whole = await replayed(flow, 0, "completed")
            again = await replayed(flow, 0, "completed")
            rest = await replayed(flow, whole[2].seq, "completed")
    assert again == whole
    assert rest == whole[3:]
    assert [one.seq for one in whole] == list(range(whole[0].seq, whole[0].seq + len(whole)))


async def test_transitions_make_only_legal_moves_and_end_with_the_job(tmp_path: Path) -> None:
    docs = write_notes(tmp_path / "docs", 2)
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            await (await flow.start("waf", FolderSource(str(docs)))).wait()
            whole = await replayed(flow, 0, "completed")
    walks: dict[str | None, list[str]] = {}
    for one in whole:
        walk = walks.setdefault(one.phase, [one.from_status])
        assert walk[-1] == one.from_status
        walk.append(one.to_status)
    assert walks.pop(None) == ["pending", "running", "completed"]
    assert walks == {
        phase: ["not_started", "running", "completed"] for phase in ("loading", "chunking", "embedding", "indexing")
    }


async def test_a_transition_as_json_has_the_fields_of_the_contract(tmp_path: Path) -> None:
    docs = write_notes(tmp_path / "docs", 1)
    async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
        with fail_soon(10):
            await (await flow.start("waf", FolderSource(str(docs)))).wait()
            first = (await replayed(flow, 0, "completed"))[0].model_dump(mode="json")
    assert set(first) == {"seq", "kb_id", "job_id", "phase", "from", "to", "reason", "error", "at"}
    assert first["at"].endswith("Z")


async def test_leaving_the_block_stops_after_the_batch_and_the_next_goes_on(tmp_path: Path) -> None:
    docs = write_notes(tmp_path / "docs", 6)
    gate = Turnstile()
    with fail_soon(10):
        async with PhaseFlow(tmp_path / "kb.db", embedder=gate) as flow:
            job = await flow.start("waf", FolderSource(str(docs)))
            gate.let(2)
            await gate.until_arrived(3)
            gate.let(1)
        first = gate.done
        rest = Turnstile()
        rest.let(9)
        async with PhaseFlow(tmp_path / "kb.db", embedder=rest) as flow:
            final = await (await flow.job("waf")).wait()
    assert (final.job_id, final.status) == (job.job_id, "completed")
    assert first + rest.done == 6


async def test_leaving_the_block_with_an_error_lets_the_error_through_as_it_is(tmp_path: Path) -> None:
    docs = write_notes(tmp_path / "docs", 2)

    async def host() -> None:
        async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
            await flow.start("waf", FolderSource(str(docs)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), fail_soon(10):
        await host()


async def test_a_paused_job_stays_paused_over_a_restart(tmp_path: Path) -> None:
    docs = write_notes(tmp_path / "docs", 2)
    with fail_soon(10):
        async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
            job = await flow.start("waf", FolderSource(str(docs)), hold=["embedding"])
            await until(job, lambda now: now.status == "paused")
        async with PhaseFlow(tmp_path / "kb.db", embedder=Complete()) as flow:
            stood = await flow.status("waf")
            await flow.resume("waf")
            final = await (await flow.job("waf")).wait()
    assert (stood.status, stood.allowed_actions, final.status) == ("paused", ["resume", "cancel"], "completed")


async def test_two_engines_in_one_process_do_not_meet(tmp_path: Path) -> None:
    docs = write_notes(tmp_path / "docs", 1)
    with fail_soon(10):
        async with (
            PhaseFlow(tmp_path / "a.db", embedder=Complete()) as one,
            PhaseFlow(tmp_path / "b.db", embedder=Complete()) as two,
        ):
            await (await one.start("waf", FolderSource(str(docs)))).wait()
            with pytest.raises((KnowledgeBaseNotFound, JobNotFound)):
                await two.status("waf")
