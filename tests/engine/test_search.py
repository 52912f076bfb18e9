"""Search when the query cannot be embedded: the words answer, and the answer says so."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from phaseflow import EmbedderDown, PhaseFlow, Reader, SearchMode
from phaseflow.components.index import EmbeddedIndex
from phaseflow.domain.errors import Busy, KnowledgeBaseNotFound
from phaseflow.flow import searching
from phaseflow.flow.searching import Searching
from phaseflow.store.index_spaces import Space, Spaces
from tests.engine.components import CountingEmbedder
from tests.engine.test_control import finished
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon
from tests.store.test_stopping import LONG


class Asked(CountingEmbedder):
    """Its queries do what they are told to."""

    def __init__(self, ask: Callable[[str], Any] | None = None) -> None:
        super().__init__()
        self.ask = ask

    async def embed_query(self, text: str) -> list[float]:
        return await super().embed_query(text) if self.ask is None else await self.ask(text)


def raising(error: Exception) -> Callable[[str], Any]:
    async def ask(_: str) -> list[float]:
        raise error

    return ask


async def wider(_: str) -> list[float]:
    return [1.0] * 16


async def nonsense(_: str) -> str:
    return "no vector"


async def filled(folder: Path, database: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", folder))
        found = await flow.search("kb", "word3x4")
        assert (found.mode, found.degraded) == (SearchMode.HYBRID, None)


@pytest.mark.parametrize(
    ("ask", "why"),
    first_of_each(
        [
            (raising(EmbedderDown("http://127.0.0.1:9 cannot be reached")), "cannot be reached"),
            (raising(ImportError("No module named 'torch'")), "No module named 'torch'"),
            (raising(ValueError("text too short")), "ValueError: text too short"),
            (raising(ExceptionGroup("many", [KeyError("x")])), "ExceptionGroup"),
            (raising(TimeoutError()), "TimeoutError"),
            (nonsense, "malformed"),
            (wider, "vectors of 16 numbers, and those stored have 8"),
        ]
    ),
)
@pytest.mark.parametrize("mode", [SearchMode.HYBRID, SearchMode.VECTORS])
async def test_whatever_the_embedder_does_the_words_answer_and_the_answer_says_so(
    folder: Path, database: Path, ask: Callable[[str], Any], why: str, mode: SearchMode
) -> None:
    await filled(folder, database)
    async with PhaseFlow(database, embedder=Asked(ask)) as flow:
        found = await flow.search("kb", "word3x4", mode=mode)
    assert found[0].uri == "doc003.md"
    assert found.mode is SearchMode.WORDS
    assert found.degraded is not None
    assert found.degraded.startswith("searched by words alone: ")
    assert why in found.degraded


async def test_a_query_is_not_waited_for_without_end(
    folder: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(folder, database)
    monkeypatch.setattr(searching, "EMBEDDING_S", 0.1)

    async def hang(_: str) -> None:
        await anyio.sleep_forever()

    async with PhaseFlow(database, embedder=Asked(hang)) as flow:
        with fail_soon(10):
            found = await flow.search("kb", "word3x4")
    assert found[0].uri == "doc003.md"
    assert "did not answer within" in str(found.degraded)


async def test_a_program_without_the_embedder_says_so(folder: Path, database: Path) -> None:
    await filled(folder, database)
    async with Reader(database) as reader:
        found = await reader.search("kb", "word3x4")
    assert found[0].uri == "doc003.md"
    assert "are those of counting, and this process has no such embedder" in str(found.degraded)


async def test_a_knowledge_base_without_vectors_is_not_degraded(folder: Path, database: Path) -> None:
    async with PhaseFlow(database, embedder=Asked(raising(EmbedderDown("gone")))) as flow:
        await flow.put_kb("kb", folder)
        found = await flow.search("kb", "word3x4")
    assert (found, found.degraded) == ([], None)


async def test_a_search_that_takes_too_long_ends_busy_and_delays_no_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("One text.")
    async with PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", folder))
        with monkeypatch.context() as patch:
            patch.setattr(searching, "DEADLINE_S", 0.3)
            patch.setattr(EmbeddedIndex, "search", lambda _, tx, *__: tx.run(LONG))
            async with anyio.create_task_group() as tasks:
                for _ in range(8):
                    tasks.start_soon(_busy, flow)
                with fail_soon(5):
                    assert (await flow.status("kb")).kb_id == "kb"
        with fail_soon(5):
            assert [hit.uri for hit in await flow.search("kb", "text")] == ["a.txt"]


async def test_what_searches_look_up_first_delays_no_status(
    database: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    find = Spaces.find

    def held_up(self: Spaces, kb_key: str, index_version: int) -> Space | None:
        assert go_on.wait(60)
        return find(self, kb_key, index_version)

    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", folder))
        monkeypatch.setattr(Spaces, "find", held_up)
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(flow.search, "kb", "text")
            await anyio.wait_all_tasks_blocked()
            try:
                with fail_soon(3):
                    assert (await flow.status("kb")).kb_id == "kb"
            finally:
                go_on.set()


async def _busy(flow: PhaseFlow) -> None:
    with pytest.raises(Busy, match="try again"):
        await flow.search("kb", "text")


async def test_a_word_that_nothing_had_is_found_as_soon_as_a_document_has_it(database: Path, folder: Path) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await (await flow.start("kb", folder)).wait()
        assert await flow.search("kb", "zebra", mode="words") == []
        (folder / "doc000.md").write_text("# Crossing\n\nA zebra crosses.\n", encoding="utf-8")
        await (await flow.start("kb", folder)).wait()
        assert [hit.uri for hit in await flow.search("kb", "zebra", mode="words")] == ["doc000.md"]


ODD = (
    *"´¨˜¯¸˘΄",
    "\u0301",
    "\u0308",
    "\u0327",
    "\u20dd",
    "\u064b",
    "\u1c90\u0301",
    "_\u0301",
    "\0",
    "\U000e0041",
    "\uffff",
)
"""Accents that stand alone, marks, a letter that SQLite does not know, and what is no letter at all."""


@pytest.mark.thorough
@pytest.mark.parametrize("mode", first_of_each(SearchMode))
async def test_any_sign_of_a_query_is_answered(folder: Path, database: Path, mode: SearchMode) -> None:
    (folder / "odd.md").write_text("word3x4 ´n´ 5 ˜ 10 mm Cafe´")
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", folder))
        for query in (
            template.replace("+", odd) for odd in ODD for template in ("+", "word3x4+", "+n+ 5 + 10", '"+n+ 5"')
        ):
            await flow.search("kb", query, mode=mode)
        if mode is not SearchMode.VECTORS:
            assert (await flow.search("kb", "´n´ 5 ˜ 10", mode=mode))[0].uri == "odd.md"


async def test_what_a_search_looks_up_first_is_remembered_while_it_is_the_same(
    database: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, look = list[str](), Searching._look

    async def noted(self: Searching, kb_id: str) -> Any:
        looked.append(kb_id)
        return await look(self, kb_id)

    monkeypatch.setattr(Searching, "_look", noted)
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", folder))
        before = await flow.search("kb", "word3x4")
        assert await flow.search("kb", "word3x4") == before
        assert (await flow.search("kb", "word3x4", mode="words")).degraded is None
        assert looked == ["kb"]
        await flow.delete_kb("kb")
        with pytest.raises(KnowledgeBaseNotFound):
            await flow.search("kb", "word3x4")
        await finished(await flow.start("kb", folder))
        looked.clear()
        again = await flow.search("kb", "word3x4")
        assert (again, again.degraded) == (before, None)
        assert looked == ["kb"]


@pytest.mark.parametrize("change", ["another length", "another embedder", "another version"])
async def test_a_query_is_embedded_anew_where_what_is_remembered_holds_no_longer(
    database: Path, folder: Path, change: str
) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", folder))
        before = await flow.search("kb", "word3x4")
        searched = flow._searching
        looked = searched._looked["kb"]
        assert not looked.embeds_like(looked._replace(space=cast("Any", "elsewhere")))
        if change == "another length":
            searched._looked["kb"] = looked._replace(dimension=5)
        elif change == "another embedder":
            searched._looked["kb"] = looked._replace(kb=looked.kb._replace(model="another", live_settings=None))
        else:
            searched._looked["kb"] = looked._replace(kb=looked.kb._replace(index_version=0))
        found = await flow.search("kb", "word3x4")
        assert (found, found.mode, found.degraded) == (before, SearchMode.HYBRID, None)
        assert searched._looked["kb"].embeds_like(looked)


async def test_a_search_between_whose_look_and_answer_the_embedder_has_changed_is_made_again(
    database: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", folder))
        before = await flow.search("kb", "word3x4")
        searched, looks = flow._searching, list[str]()
        look = searched._look
        searched._looked.clear()

        async def look_before_the_change(kb_id: str) -> Any:
            looks.append(kb_id)
            found = await look(kb_id)
            return found if looks[1:] else found._replace(kb=found.kb._replace(model="another", live_settings=None))

        monkeypatch.setattr(searched, "_look", look_before_the_change)
        found = await flow.search("kb", "word3x4")
        assert (looks, found, found.degraded) == (["kb", "kb"], before, None)
