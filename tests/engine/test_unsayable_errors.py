"""Components that raise what cannot say what it is: that is the document's failure, or the phase's, as any other."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from phaseflow import PhaseFlow
from phaseflow.components.protocols import Document, Entry, Span
from phaseflow.domain.errors import DocumentError
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


async def ended(flow: PhaseFlow, kb_id: str = "kb") -> Any:
    with fail_soon(20):
        return await (await flow.start(kb_id)).wait()


def opened(path: Path, component: Component) -> PhaseFlow:
    return PhaseFlow(path / "kb.db", loader=component, chunker=component, embedder=component)


RAISED: dict[str, Exception] = {
    "Evil": Evil(),
    "EvilDocument": EvilDocument("", code="evil"),
    "ValueError: boom second line": ValueError("boom\nsecond line"),
}


@pytest.mark.parametrize("place", ["load", "spans", "embed"])
async def test_it_is_the_failure_of_its_document_alone(tmp_path: Path, place: str) -> None:
    component = Component(place, Evil())
    async with opened(tmp_path, component) as flow:
        for number, (said, error) in enumerate(RAISED.items()):
            kb_id, component.error = f"kb-{number}", error
            final = await ended(flow, kb_id)
            assert (final.status, final.error) == ("completed", None)
            assert [(one.uri, one.error) for one in (await flow.failures(kb_id)).items] == [("b", said)]
            assert [hit.uri for hit in await flow.search(kb_id, "a")] == ["a"]


OF_THE_PHASE: list[tuple[str, Exception, str]] = [
    ("list", Evil(), "Evil"),
    ("list", KeyError("k"), "KeyError: 'k'"),
    ("list", ValueError("boom\nsecond line"), "boom second line"),
    ("load", EvilImport(), "the loader cannot work: EvilImport; install what is missing"),
    ("embed", EvilImport(), "the embedder cannot work: EvilImport; install what is missing"),
    ("embed", EvilLimit(), "the embedder failed: EvilLimit"),
]


async def test_where_it_is_the_phase_that_fails_its_error_names_what_was_raised(tmp_path: Path) -> None:
    component = Component("", Evil())
    async with opened(tmp_path, component) as flow:
        for number, (place, error, said) in enumerate(OF_THE_PHASE):
            component.place, component.error = place, error
            final = await ended(flow, f"kb-{number}")
            assert (final.status, final.error) == ("failed", said)


async def test_a_search_says_it_and_goes_on_with_words_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, Component("query", Evil())) as flow:
        assert (await ended(flow)).status == "completed"
        found = await flow.search("kb", "b")
    assert [hit.uri for hit in found] == ["b"]
    assert "the embedder failed: Evil" in str(found.degraded)
