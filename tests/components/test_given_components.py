"""A program's own component that cannot work is refused by name when it is given, before there is a database."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from phaseflow import FolderSource, PhaseFlow
from phaseflow.components.loader_answers import checked_page
from phaseflow.components.protocols import Document, Entry, Known, Skipped, Span, Unchanged
from phaseflow.domain.errors import ComponentUnavailable
from phaseflow.flow.inputs import Source
from tests.indexes.file_index import FileIndex
from tests.matrices import together


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


class Named:
    """A chunker and an embedder with any fingerprint."""

    def __init__(self, fingerprint: object) -> None:
        self.fingerprint = fingerprint

    def spans(self, text: str, media_type: str) -> list[Span]:
        return [Span(0, len(text))]

    async def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        return [[1.0] for _ in texts]

    async def embed_query(self, text: str) -> list[float]:
        return [1.0]


NAMELESS = ["", " ", "half \ud800", "nul \0", "x" * 1_001]


# Of embedders, libraries have attributes of that name: one that is no string says nothing.
@pytest.mark.parametrize(("part", "given"), [("chunker", 7), *product(("chunker", "embedder"), NAMELESS)], ids=ascii)
def test_a_fingerprint_that_names_nothing_is_refused_when_it_is_given(tmp_path: Path, part: str, given: object) -> None:
    components: dict[str, Any] = {part: Named(given)}
    with pytest.raises(TypeError, match="the fingerprint of Named is "):
        PhaseFlow(tmp_path / "kb.db", **components)


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


async def test_what_a_loader_answers_wrongly_is_told_in_words(tmp_path: Path) -> None:
    loaders: dict[str, tuple[Any, str]] = {
        "lists-a-list": (ListsAList(), "ListsAList.list() returned a list: write it as an asynchronous generator"),
        "lists-entries": (ListsEntries(), "ListsEntries.list() yielded an Entry: yield lists of Entry"),
        "lists-numbers": (ListsNumbers(), "ListsNumbers.list() yielded an Entry whose uri is an int, not str"),
        "loads-dicts": (LoadsDicts(), "TypeError: LoadsDicts.load() returned a dict: return a Document, Unchanged or"),
        "loads-bytes": (LoadsBytes(), "TypeError: LoadsBytes.load() returned a Document whose text is a bytes, not"),
    }

    def loader(source: Source) -> Any:
        assert isinstance(source, FolderSource)
        return loaders[source.path][0]

    async with PhaseFlow(tmp_path / "kb.db", loader=loader) as flow:
        for name, (_, told) in loaders.items():
            final = await (await flow.start(name, FolderSource(name))).wait()
            failures = await flow.failures(name)
            assert (final.error or failures.items[0].error).startswith(told)


def made(entry: Entry, text: str = "good text", **fields: Any) -> Document:
    return Document(entry, text, "t", "text/plain", entry.uri.encode(), **fields)


def fails_at_a_name(entry: Entry) -> Document:
    raise RuntimeError("caf\udce9.md")


def fails_at_a_nul(entry: Entry) -> Document:
    raise ValueError("before\0after")


class Loads:
    """Has as many good documents as ``odd`` ones, each of which says how it is loaded."""

    def __init__(self, odd: Mapping[str, Callable[[Entry], Any]]) -> None:
        self._odd = odd

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        for uri in self._odd:
            yield [Entry(f"good {uri}"), Entry(uri)]

    async def load(self, entry: Entry, known: Known | None) -> Any:
        load: Callable[[Entry], Any] = self._odd.get(entry.uri, made)
        return load(entry)


async def test_a_document_that_a_loader_makes_wrongly_fails_alone(tmp_path: Path) -> None:
    odd: dict[str, tuple[Callable[[Entry], Any], str]] = {
        "link": (lambda e: made(e, links=("u2",)), "whose links hold a str: they must be Entry objects"),
        "named": (lambda e: made(e, links=(Entry(5),)), "whose links hold an Entry whose uri is an int, not str"),  # type: ignore[arg-type]  # the mistake
        "deep": (lambda e: made(e, links=(Entry("u", depth=-1),)), "whose links hold an Entry whose depth is -1"),
        "nan": (lambda e: made(e, metadata={"a": float("nan")}), "whose metadata.a must be a number of 64 bits"),
        "nested": (lambda e: made(e, metadata={"a": {"b": 1}}), "whose metadata.a must be a string, a number"),
        "half": (lambda e: made(e, metadata={"a": "\ud800"}), "whose metadata holds half a character"),
        "list": (lambda e: made(e, metadata=[1]), "whose metadata is a list, not a mapping"),
        "parts": (lambda e: made(e, parts=((99, "p. 1"),)), "whose parts hold (99, 'p. 1')"),
        "labels": (lambda e: made(e, parts=(("a", "p. 1"),)), "whose parts hold ('a', 'p. 1')"),
        "negative": (lambda e: made(e, size=-1), "whose size is -1, not a number of bytes"),
        "broken": (lambda e: made(e, size=7.5), "whose size is a float, not int"),
        "huge": (lambda e: made(e, size=2**63), "whose size is 9223372036854775808, not a number"),
        "unknown": (lambda e: Unchanged(e, b"2"), "returned Unchanged for a document that is not known"),
        "name": (fails_at_a_name, "caf\ufffd.md"),
        "nul": (fails_at_a_nul, "ValueError: before\ufffdafter"),
        "str": (lambda e: "all of it", "returned a str: return a Document, Unchanged or Skipped"),
        "none": (lambda e: None, "returned nothing: return a Document, Unchanged or Skipped"),
        "other": (lambda e: made(Entry("else")), "returned a Document of 'else' when it was asked for 'other'"),
        "left": (lambda e: Skipped(Entry("else"), "why"), "returned a Skipped of 'else' when it was asked for 'left'"),
    }
    async with PhaseFlow(tmp_path / "kb.db", loader=Loads({uri: each for uri, (each, _) in odd.items()})) as flow:
        final = await (await flow.start("kb")).wait()
        counts = (await flow.kb("kb")).counts
        failures = {each.uri: each.error for each in (await flow.failures("kb")).items}

    assert (final.status, final.metrics.documents_failed) == ("completed", len(odd))
    assert (counts.indexed, counts.failed, counts.queued) == (len(odd), len(odd), 0)
    assert failures.keys() == odd.keys()
    for uri, (_, told) in odd.items():
        assert told in failures[uri]


async def test_a_wrong_answer_about_a_named_source_is_told_in_the_names_of_the_loader(tmp_path: Path) -> None:
    odd: dict[str, Callable[[Entry], Any]] = {"str": lambda e: "all of it", "other": lambda e: made(Entry("else"))}
    (tmp_path / "docs").mkdir()
    async with PhaseFlow(tmp_path / "kb.db", loader=lambda source: Loads(odd)) as flow:
        final = await (await flow.start("kb", sources={"named": str(tmp_path / "docs")})).wait()
        failures = {each.uri: each.error for each in (await flow.failures("kb")).items}

    assert (final.status, final.metrics.documents_failed) == ("completed", 2)
    assert failures["named/str"].endswith("Loads.load() returned a str: return a Document, Unchanged or Skipped")
    assert "Loads.load() returned a Document of 'else' when it was asked for 'other'" in failures["named/other"]


@together(
    ("entry", "told"),
    [
        (Entry(""), "uri is ''"),
        (Entry("a\0b"), "uri is 'a\\x00b'"),
        (Entry("\ud800"), "uri '\\ud800' holds half a character"),
        (Entry("a", 10**30), "size is 10"),
        (Entry("a", -1), "size is -1"),
    ],
)
def test_an_entry_that_cannot_be_kept_is_told_in_words(entry: Entry, told: str) -> None:
    with pytest.raises(ComponentUnavailable) as refused:
        checked_page(LoadsDicts(), [Entry("good"), entry])
    assert str(refused.value).startswith(f"LoadsDicts.list() yielded an Entry whose {told}")


def test_of_entries_with_one_uri_the_later_counts() -> None:
    page = [Entry("a", 1), Entry("b", 2), Entry("a", 3)]
    assert checked_page(LoadsDicts(), page) == [Entry("a", 3), Entry("b", 2)]


def says_half_a_character() -> list[Any]:
    raise ValueError("\udce9")


class Cuts:
    fingerprint = "cuts"

    def __init__(self, odd: Mapping[str, Callable[[], Any]]) -> None:
        self._odd = odd

    def spans(self, text: str, media_type: str) -> Any:
        return self._odd[text]() if text in self._odd else [(0, len(text))]


async def test_ranges_that_are_none_of_the_text_fail_their_document_alone(tmp_path: Path) -> None:
    odd: dict[str, tuple[Callable[[], Any], str]] = {
        "before": (lambda: [(-5, 3)], "ValueError: Cuts.spans() returned (-5, 3) for a text of 6 characters"),
        "beyond": (lambda: [(0, 50)], "ValueError: Cuts.spans() returned (0, 50)"),
        "turned": (lambda: [(5, 2)], "ValueError: Cuts.spans() returned (5, 2)"),
        "empty": (lambda: [(0, 0)], "ValueError: Cuts.spans() returned (0, 0)"),
        "order": (lambda: [(3, 5), (0, 2)], "ValueError: Cuts.spans() returned (0, 2)"),
        "broken": (lambda: [(0.0, 5.0)], "TypeError: Cuts.spans() returned (0.0, 5.0) for a span"),
        "three": (lambda: [(0, 5, 7)], "TypeError: Cuts.spans() returned (0, 5, 7) for a span"),
        "number": (lambda: [5], "TypeError: Cuts.spans() returned 5 for a span"),
        "none": (lambda: None, "TypeError: Cuts.spans() returned nothing: return a list"),
        "half": (says_half_a_character, "ValueError: \ufffd"),
    }
    loader = Loads({uri: partial(made, text=uri) for uri in odd})
    chunker = Cuts({uri: spans for uri, (spans, _) in odd.items()})
    async with PhaseFlow(tmp_path / "kb.db", loader=loader, chunker=chunker) as flow:
        await (await flow.start("kb")).wait()
        counts = (await flow.kb("kb")).counts
        failures = {each.uri: each for each in (await flow.failures("kb")).items}
        hits = await flow.search("kb", "good text")

    assert (counts.indexed, counts.failed) == (len(odd), len(odd))
    for uri, (_, told) in odd.items():
        assert failures[uri].error.startswith(told)
        assert failures[uri].phase == "chunking"
    assert [hit.text for hit in hits] == ["good text"]
