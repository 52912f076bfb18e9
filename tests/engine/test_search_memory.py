"""What search keeps in memory follows what is searchable, in either form of the vectors."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pytest

from phaseflow import PhaseFlow, Reader
from phaseflow.components import common_words, index, vector_reading, word_places, word_ranking
from phaseflow.components.resident import Passages, Vectors
from phaseflow.components.stored_vectors import MOST_OFF, stored
from phaseflow.components.vectors import CompactRows
from phaseflow.components.word_places import Tokenizer, WordCounts
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.passage_vectors import PassageVectors
from phaseflow.store.passages import Scope, SearchablePassages
from phaseflow.store.read_pool import open_readers
from phaseflow.store.transaction import Transaction
from phaseflow.store.word_table import Table, WordTable
from tests.engine.components import CountingEmbedder
from tests.engine.test_control import finished
from tests.matrices import first_of_each

T = TypeVar("T")


def write(folder: Path, numbers: range, version: int) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / f"{number}.md").write_text(f"# Document {number}\n\nIts version is v{version}x{number}.\n", "utf-8")


async def read(folder: Path, look: Callable[[Transaction], T]) -> T:
    async with open_readers(folder / "kb.db") as readers:
        return await readers.read(look)


def as_stored(tx: Transaction, scope: Scope) -> dict[int, npt.NDArray[np.float32]]:
    rows = tx.rows(
        "SELECT c.id, v.vector FROM documents AS d JOIN chunks AS c ON c.document_id = d.id"
        " JOIN vectors AS v ON v.id = c.vector_id WHERE d.state = 4 AND d.kb_id = ?",
        scope.kb_key,
    )
    return {row[0]: np.frombuffer(row[1], np.float32) for row in rows}


@pytest.mark.parametrize("most_exact", [0, *first_of_each([30, 10**6])])
async def test_vectors_follow_what_is_searchable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_exact: int
) -> None:
    monkeypatch.setattr(vector_reading, "MOST_EXACT", most_exact)
    monkeypatch.setattr(vector_reading, "BATCH", 7)
    folder, kept = tmp_path / "docs", list[Vectors]()

    def look(tx: Transaction) -> None:
        kb = KnowledgeBases(tx).get("kb")
        scope = Scope(kb.key, kb.index_version)
        known = Passages.updated(tx, scope, None)
        with monkeypatch.context() as once:  # what is searchable was read for the passages
            once.setattr(SearchablePassages, "live_documents", None)
            once.setattr(SearchablePassages, "sizes_since", None)
            kept.append(Vectors.updated(tx, scope, kept[-1] if kept else None, known))
        stored = as_stored(tx, scope)
        assert kept[-1].ids.tolist() == sorted(stored)
        rows = kept[-1].rows.at(np.arange(len(stored)))
        expected = np.array([stored[each] for each in sorted(stored)])
        assert np.abs(rows - expected).max() <= (0.01 if isinstance(kept[-1].rows, CompactRows) else 0)
        assert isinstance(kept[-1].rows, CompactRows) == (most_exact == 0 or (most_exact == 30 and len(kept) > 1))

    async with PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()) as flow:
        write(tmp_path / "other", range(5), 9)
        for numbers, version in ((range(20), 1), (range(15, 40), 2), (range(3), 3)):
            write(folder, numbers, version)
            if version == 3:
                (folder / "7.md").unlink()
            await finished(await flow.start("kb", folder))
            await finished(await flow.start("other", tmp_path / "other"))
            await read(tmp_path, look)
        assert len(kept) == 3
        hits = await flow.search("kb", "v2x33", mode="hybrid")
    assert hits[0].uri == "33.md"


async def test_vectors_are_read_as_they_are_stored_whatever_bytes_they_have(tmp_path: Path) -> None:
    class Odd(CountingEmbedder):
        async def embed_documents(self, texts: list[str]) -> list[list[float]]:
            await super().embed_documents(texts)
            rows = np.zeros((len(texts), 8), np.float32)  # full of zero bytes, and of such as are not UTF-8
            rows[:, 0] = np.frombuffer(b"\xff\xfe\x7f\x3f" * len(texts), np.float32)
            rows[:, 7] = np.arange(len(texts))
            return [list(map(float, row)) for row in rows]

    write(tmp_path / "docs", range(20), 1)
    async with PhaseFlow(tmp_path / "kb.db", embedder=Odd()) as flow:
        await finished(await flow.start("kb", tmp_path / "docs"))

        def look(tx: Transaction) -> None:
            scope = Scope(KnowledgeBases(tx).get("kb").key, 1)
            stored = as_stored(tx, scope)
            found = PassageVectors(tx, scope)
            packed = found.since(-1, min(stored), max(stored)).packed
            ids = found.ids_since(-1, min(stored), max(stored)).split(",")
            assert packed == b"".join(stored[int(each)].tobytes() for each in ids)
            assert len(stored) == 20

        await read(tmp_path, look)


async def test_small_and_exact_vectors_of_a_model_are_read_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_reading, "BATCH", 7)
    write(tmp_path / "docs", range(20), 1)
    async with PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", tmp_path / "docs"))
    found = await read(tmp_path, lambda tx: as_stored(tx, Scope(KnowledgeBases(tx).get("kb").key, 1)))
    with closing(sqlite3.connect(tmp_path / "kb.db")) as connection:
        for chunk, row in list(found.items())[2:13]:
            [small] = stored(row[None], small=True)
            connection.execute(
                "UPDATE vectors SET vector = ? WHERE id = (SELECT vector_id FROM chunks WHERE id = ?)", (small, chunk)
            )
        connection.commit()

    def kept_of(tx: Transaction) -> Vectors:
        scope = Scope(KnowledgeBases(tx).get("kb").key, 1)
        return Vectors.updated(tx, scope, None, Passages.updated(tx, scope, None))

    kept = await read(tmp_path, kept_of)
    off = np.linalg.norm(kept.rows.at(np.arange(20)) - np.array([found[each] for each in sorted(found)]), axis=1)
    assert off.max() <= MOST_OFF
    assert (off == 0).sum() == 9


async def test_the_count_of_a_common_word_is_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_places, "MOST_COUNTED", 20)
    write(tmp_path / "docs", range(100), 1)
    async with PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", tmp_path / "docs"))

        def look(tx: Transaction) -> tuple[int, int]:
            kb = KnowledgeBases(tx).get("kb")
            known = Passages.updated(tx, Scope(kb.key, kb.index_version), None)
            counts = WordCounts(Tokenizer()).of(tx, Table(1), ["version", "v1x33"], known)
            return counts["version"], counts["v1x33"]

        common, rare = await read(tmp_path, look)
    assert 90 <= common <= 120
    assert rare == 1


async def test_a_common_word_is_read_once_while_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_words = list[str]()
    places = WordTable.places

    def noted(self: WordTable, first: str, last: str, limit: int) -> tuple[str, str]:
        read_words.append(first)
        return places(self, first, last, limit)

    monkeypatch.setattr(WordTable, "places", noted)
    monkeypatch.setattr(word_ranking, "LEAST_REMEMBERED", 20)
    write(tmp_path / "docs", range(50), 1)
    async with PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", tmp_path / "docs"))
        asked = ["version v1x33", "version v1x7", "v1x33 version"]
        first = [[hit.uri for hit in await flow.search("kb", each)] for each in asked]
        assert read_words.count("version") == 1
        again = [[hit.uri for hit in await flow.search("kb", each)] for each in asked]
        assert again == first
        assert [uris[0] for uris in first] == ["33.md", "7.md", "33.md"]
        write(tmp_path / "docs", range(50, 60), 1)
        await finished(await flow.start("kb", tmp_path / "docs"))
        assert {hit.uri for hit in await flow.search("kb", "version", limit=100)} == {f"{n}.md" for n in range(60)}
        assert read_words.count("version") == 2


async def test_what_there_is_no_room_for_is_not_read_to_find_that_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_words, counted = list[str](), list[str]()
    places, has_places = WordTable.places, WordTable.has_places

    def noted(self: WordTable, first: str, last: str, limit: int) -> tuple[str, str]:
        read_words.append(first)
        return places(self, first, last, limit)

    def counting(self: WordTable, word: str, count: int) -> bool:
        counted.append(word)
        return has_places(self, word, count)

    monkeypatch.setattr(WordTable, "places", noted)
    monkeypatch.setattr(WordTable, "has_places", counting)
    monkeypatch.setattr(word_ranking, "MOST_PLACES", 90)
    (tmp_path / "docs").mkdir()
    for number in range(50):  # fewer passages have it than there is room for, and more places
        (tmp_path / "docs" / f"{number}.md").write_text(f"v1x{number} often often often\n", "utf-8")
    async with PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", tmp_path / "docs"))
        for number in (33, 7, 21):
            hits = await flow.search("kb", f"often v1x{number}", mode="words", limit=1)
            assert hits[0].uri == f"{number}.md"
        assert "often" not in read_words
        assert counted.count("often") <= 2  # once for each room that there was
        alone = await flow.search("kb", "often", mode="words", limit=50)
        assert len(alone) >= 30  # it is looked at all the same


async def test_the_first_search_reads_the_common_words_for_the_next_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_words = list[str]()
    places = WordTable.places

    def noted(self: WordTable, first: str, last: str, limit: int) -> tuple[str, str]:
        read_words.append(first)
        return places(self, first, last, limit)

    monkeypatch.setattr(WordTable, "places", noted)
    monkeypatch.setattr(word_ranking, "LEAST_REMEMBERED", 20)
    monkeypatch.setattr(common_words, "LEAST", 80)
    monkeypatch.setattr(index, "LEAST", 80)
    write(tmp_path / "docs", range(100), 1)
    async with PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()) as flow:
        await finished(await flow.start("kb", tmp_path / "docs"))
        async with Reader(tmp_path / "kb.db") as reader:  # which mostly searches once
            await reader.search("kb", "v1x3", mode="words")
        assert read_words == ["v1x3"]
        await flow.search("kb", "v1x7", mode="words")
        assert read_words.count("version") == 1
        hits = await flow.search("kb", "its version v1x33", mode="words", limit=1)
        assert hits[0].uri == "33.md"
        assert read_words.count("version") == 1
