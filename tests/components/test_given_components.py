"""A program's own component that cannot work is refused by name when it is given, before there is a database."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from phaseflow import PhaseFlow
from phaseflow.components.protocols import Document, Entry, Known
from tests.indexes.file_index import FileIndex


class Nothing:
    """Has none of the methods."""


class ListsOnly:
    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        yield []


class LoadsTooLittle(ListsOnly):
    async def load(self, entry: Entry) -> None:
        """Takes no ``known``."""


class SearchesTooLittle(FileIndex):
    async def search(self, query: str) -> list[Any]:  # type: ignore[override]  # wider on purpose
        return []


@pytest.mark.parametrize(
    ("components", "told"),
    [
        ({"loader": Nothing()}, "Nothing is not a loader: give it `list()` and `load(entry, known)`"),
        ({"loader": ListsOnly()}, "ListsOnly is not a loader: give it `load(entry, known)`"),
        ({"loader": LoadsTooLittle()}, "LoadsTooLittle.load does not fit: a loader is called as `load(entry, known)`"),
        ({"loader": LoadsTooLittle}, "LoadsTooLittle is a class; pass an instance of it as the loader"),
        (
            {"index": Nothing()},
            "Nothing is not an index: give it `open()` and `aclose()` and `ping()` and `create(space)`",
        ),
        (
            {"index": SearchesTooLittle(Path("x"))},
            "SearchesTooLittle.search does not fit: an index is called as `search(",
        ),
        ({"index": SearchesTooLittle}, "SearchesTooLittle is a class; pass an instance of it as the index"),
        ({"chunker": Nothing()}, "Nothing is not a chunker: give it"),
        ({"embedder": Nothing()}, "Nothing is not an embedder: give it"),
    ],
)
def test_what_cannot_work_is_refused_by_name(tmp_path: Path, components: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError) as refused:
        PhaseFlow(tmp_path / "kb.db", **components)
    assert str(refused.value).startswith(told)
    assert list(tmp_path.iterdir()) == []


def test_a_function_that_makes_loaders_is_taken_as_one(tmp_path: Path) -> None:
    PhaseFlow(tmp_path / "kb.db", loader=lambda source: ListsOnly())  # type: ignore[arg-type,return-value]  # the mistake under test


class ListsAList:
    def list(self) -> list[Entry]:
        return [Entry("a")]

    async def load(self, entry: Entry, known: Known | None) -> Any:
        return {"text": "x"}


class ListsEntries(ListsAList):
    async def list(self) -> AsyncIterator[Any]:  # type: ignore[override]  # the mistake
        yield Entry("a")


class ListsNumbers(ListsAList):
    async def list(self) -> AsyncIterator[Any]:  # type: ignore[override]  # the mistake
        yield [Entry(5)]  # type: ignore[arg-type]  # the mistake


class LoadsDicts(ListsAList):
    async def list(self) -> AsyncIterator[Any]:  # type: ignore[override]  # the mistake
        yield [Entry("a")]


class LoadsBytes(LoadsDicts):
    async def load(self, entry: Entry, known: Known | None) -> Any:
        return Document(entry, b"x", "t", "text/plain", b"1")  # type: ignore[arg-type]  # the mistake


@pytest.mark.parametrize(
    ("loader", "told"),
    [
        (ListsAList(), "ListsAList.list() returned a list: write it as an asynchronous generator"),
        (ListsEntries(), "ListsEntries.list() yielded an Entry: yield lists of Entry"),
        (ListsNumbers(), "ListsNumbers.list() yielded an Entry whose uri is an int, not str"),
        (LoadsDicts(), "LoadsDicts.load() returned a dict: return a Document, Unchanged or Skipped"),
        (LoadsBytes(), "TypeError: LoadsBytes.load() returned a Document whose text is a bytes, not str"),
    ],
)
async def test_what_a_loader_answers_wrongly_is_told_in_words(tmp_path: Path, loader: Any, told: str) -> None:
    async with PhaseFlow(tmp_path / "kb.db", loader=loader) as flow:
        final = await (await flow.start("kb")).wait()
        failures = await flow.failures("kb")

    assert (final.error or failures.items[0].error).startswith(told)
