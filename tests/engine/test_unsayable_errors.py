"""Components that raise what cannot say what it is: that is the document's failure, or the phase's, as any other."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from phaseflow import PhaseFlow
from phaseflow.components.protocols import Document, Entry, Span
from phaseflow.domain.errors import DocumentError
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon


class Evil(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


class EvilImport(ImportError):
    def __str__(self) -> str:
        raise ZeroDivisionError


class EvilDocument(DocumentError):
    def __str__(self) -> str:
        raise ZeroDivisionError


class EvilLimit(Exception):
    status_code = 401

    def __str__(self) -> str:
        raise ZeroDivisionError


class Component:
    """A loader, chunker and embedder that raises at one place, for the document ``b``."""

    fingerprint = "evil"
    batch_size = 1

    def __init__(self, place: str, error: Exception) -> None:
        self.place, self.error = place, error

    def at(self, place: str, text: str) -> None:
        if place == self.place and "b" in text:
            raise self.error

    async def list(self) -> AsyncIterator[list[Entry]]:
        self.at("list", "b")
        yield [Entry("a"), Entry("b")]

    async def load(self, entry: Entry, known: Any) -> Document:
        self.at("load", entry.uri)
        return Document(entry, entry.uri, entry.uri, "text/plain", entry.uri.encode().ljust(16, b"\0"))

    def spans(self, text: str, media_type: str) -> Sequence[Span]:
        self.at("spans", text)
        return [Span(0, len(text))]

    async def embed_documents(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        self.at("embed", "".join(texts))
        return [[1.0, 0.0] for _ in texts]

    async def embed_query(self, text: str) -> Sequence[float]:
        self.at("query", text)
        return [1.0, 0.0]


async def ended(flow: PhaseFlow) -> Any:
    with fail_soon(20):
        return await (await flow.start("kb")).wait()


def opened(path: Path, place: str, error: Exception) -> PhaseFlow:
    component = Component(place, error)
    return PhaseFlow(path / "kb.db", loader=component, chunker=component, embedder=component)


@pytest.mark.parametrize(
    ("place", "error", "said"),
    first_of_each(
        [
            ("load", Evil(), "Evil"),
            ("spans", ValueError("boom\nsecond line"), "ValueError: boom second line"),
            ("embed", EvilDocument("", code="evil"), "EvilDocument"),
            ("load", EvilDocument("", code="evil"), "EvilDocument"),
            ("load", ValueError("boom\nsecond line"), "ValueError: boom second line"),
            ("spans", Evil(), "Evil"),
            ("spans", EvilDocument("", code="evil"), "EvilDocument"),
            ("embed", Evil(), "Evil"),
            ("embed", ValueError("boom\nsecond line"), "ValueError: boom second line"),
        ],
        lambda case: case[0],
    ),
)
async def test_it_is_the_failure_of_its_document_alone(tmp_path: Path, place: str, error: Exception, said: str) -> None:
    async with opened(tmp_path, place, error) as flow:
        final = await ended(flow)
        failed = await flow.failures("kb")
        found = await flow.search("kb", "a")
    assert (final.status, final.error) == ("completed", None)
    assert [(one.uri, one.error) for one in failed.items] == [("b", said)]
    assert [hit.uri for hit in found] == ["a"]


@pytest.mark.parametrize(
    ("place", "error", "said"),
    first_of_each(
        [
            ("list", Evil(), "Evil"),
            ("list", KeyError("k"), "KeyError: 'k'"),
            ("list", ValueError("boom\nsecond line"), "boom second line"),
            ("load", EvilImport(), "the loader cannot work: EvilImport; install what is missing"),
            ("embed", EvilImport(), "the embedder cannot work: EvilImport; install what is missing"),
            ("embed", EvilLimit(), "the embedder failed: EvilLimit"),
        ],
        lambda case: case[0],
    ),
)
async def test_where_it_is_the_phase_that_fails_its_error_names_what_was_raised(
    tmp_path: Path, place: str, error: Exception, said: str
) -> None:
    async with opened(tmp_path, place, error) as flow:
        final = await ended(flow)
    assert (final.status, final.error) == ("failed", said)


async def test_a_search_says_it_and_goes_on_with_words_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, "query", Evil()) as flow:
        assert (await ended(flow)).status == "completed"
        found = await flow.search("kb", "b")
    assert [hit.uri for hit in found] == ["b"]
    assert "the embedder failed: Evil" in str(found.degraded)
