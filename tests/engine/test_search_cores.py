"""Where a second core is free, a search uses it, and finds the same."""

from pathlib import Path
from threading import Barrier, current_thread
from typing import Any

import pytest

from phaseflow import PhaseFlow
from phaseflow.components import common_words, index, resident, vector_reading
from phaseflow.components.common_words import CommonWords
from phaseflow.components.nearness import Nearness
from phaseflow.store.passage_vectors import PackedVectors, PassageVectors
from tests.engine.components import CountingEmbedder
from tests.engine.test_control import finished
from tests.engine.test_search_memory import write


async def test_the_first_search_finds_the_same_by_two_connections_as_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "DOCUMENTS", 3)
    monkeypatch.setattr(vector_reading, "BATCH", 7)
    first_two, by, since = [1, 2], set[str](), PassageVectors.since
    at_once = Barrier(2)

    def noted(self: PassageVectors, *span: int) -> PackedVectors:
        by.add(current_thread().name)
        if first_two:
            first_two.pop()
            at_once.wait(60)
        return since(self, *span)

    write(tmp_path / "docs", range(50), 1)
    async with PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", tmp_path / "docs"))
        alone = await flow.search("kb", "its version v1x33", limit=50)
    monkeypatch.setattr(PassageVectors, "since", noted)
    monkeypatch.setattr(index, "LEAST", 50)
    monkeypatch.setattr(common_words, "LEAST", 50)
    async with PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()) as flow:
        both = await flow.search("kb", "its version v1x33", limit=50)
    assert [(hit.uri, hit.score) for hit in both] == [(hit.uri, hit.score) for hit in alone]
    assert (len(both), both[0].uri) == (50, "33.md")
    assert by == {"phaseflow-sqlite", "phaseflow-read-beside"}


async def test_a_search_alone_compares_vectors_in_a_second_thread_and_one_of_several_in_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, by = Nearness.measured, list[str]()

    def noted(*given: Any) -> Nearness | None:
        by.append(current_thread().name)
        return measured(*given)

    monkeypatch.setattr(Nearness, "measured", noted)
    monkeypatch.setattr(index, "_LEAST_BESIDE", 20)
    monkeypatch.setattr(index, "_HAS_CORES", True)
    write(tmp_path / "docs", range(20), 1)
    async with PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", tmp_path / "docs"))
        alone = await flow.search("kb", "v1x7")
        searched = flow._engine.index
        searched._at_once += 1
        assert await flow.search("kb", "v1x7") == alone
        searched._at_once -= 1
        assert await flow.search("kb", "v1x7") == alone  # another was there a moment ago
        assert by == ["phaseflow call", "phaseflow-sqlite", "phaseflow-sqlite"]
        monkeypatch.setattr(index, "_ALONE_S", 0.0)
        assert await flow.search("kb", "v1x7") == alone
        monkeypatch.setattr(index, "_LEAST_BESIDE", 21)
        assert await flow.search("kb", "v1x7") == alone
        assert by[3:] == ["phaseflow call", "phaseflow-sqlite"]
        assert searched._at_once == 0


async def test_the_common_words_are_read_once_however_many_searches_are_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, looked = CommonWords.task, list[str]()

    def noted(self: CommonWords, give: Any) -> Any:
        looked.append(self.scope.kb_key)
        return look(self, give)

    monkeypatch.setattr(CommonWords, "task", noted)
    monkeypatch.setattr(index, "LEAST", 20)
    write(tmp_path / "docs", range(20), 1)
    async with PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", tmp_path / "docs"))
        first = await flow.search("kb", "v1x7")
        [kb_key] = looked
        flow._engine.index._passages.forget(kb_key)  # as where a second search begins before these are known
        assert await flow.search("kb", "v1x7") == first
        assert looked == [kb_key]
        flow._engine.index.forget(kb_key)
        await flow.search("kb", "v1x7")
        assert looked == [kb_key] * 2
