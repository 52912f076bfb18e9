"""Filters: applied before the ranking, over built-in fields and metadata, with as many hits as there are."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from phaseflow import FolderSource, PhaseFlow
from phaseflow.components.protocols import Document, Entry, Known
from phaseflow.domain.filters import COMPARISONS, as_filter
from phaseflow.store import fields
from phaseflow.store.documents import text_hash
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.passages import Scope
from tests.engine.test_control import finished
from tests.stopwatch import fail_soon


class Shelf:
    """60 documents with metadata, one without, and a text file."""

    def __init__(self) -> None:
        self.documents: dict[str, tuple[str, str, dict[str, Any]]] = {
            f"{'guide' if n % 2 else 'notes'}/{n:02}.md": (
                f"Part {n}",
                f"# Part {n}\n\nThe engine pauses and resumes, part {n}.",
                {"author": "Ada" if n % 3 else "Bob", "year": 2000 + n, "tags": [f"t{n % 5}", "all"]},
            )
            for n in range(60)
        }
        self.documents["plain.md"] = ("Plain", "# Plain\n\nThe engine pauses.", {})
        self.documents["text.txt"] = ("text.txt", "The engine pauses, in a text.", {})

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        yield [Entry(uri, len(text)) for uri, (_, text, _) in self.documents.items()]

    async def load(self, entry: Entry, known: Known | None) -> Document:
        title, text, metadata = self.documents[entry.uri]
        media_type = "text/markdown" if entry.uri.endswith(".md") else "text/plain"
        return Document(entry, text, title, media_type, text_hash(text), metadata=metadata)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the module, since the engine below belongs to it."""
    return "asyncio"


@asynccontextmanager
async def filled(folder: Path) -> AsyncIterator[PhaseFlow]:
    async with PhaseFlow(folder / "kb.db", loader=Shelf()) as engine:
        await finished(await engine.start("kb", FolderSource(".")))
        yield engine


@pytest.fixture(scope="module")
async def shared(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PhaseFlow]:
    """One for all tests that only read."""
    async with filled(tmp_path_factory.mktemp("shared")) as engine:
        yield engine


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncIterator[PhaseFlow]:
    async with filled(tmp_path) as engine:
        yield engine


def compared(kind: str, key: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "key": key, "value": value}


async def found(flow: PhaseFlow, wanted: dict[str, Any], query: str = "engine pauses") -> list[str]:
    return sorted(hit.uri for hit in await flow.search("kb", query, limit=100, filter=wanted))


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (compared("eq", "author", "Bob"), 20),
        (compared("ne", "author", "Bob"), 42),
        (compared("eq", "year", 2007), 1),
        (compared("in", "year", [2007, 2008, 1900]), 2),
        (compared("nin", "year", [2007, 2008]), 60),
        (compared("in", "year", []), 0),
        (compared("gte", "year", 2050), 10),
        (compared("lt", "year", 2000.5), 1),
        (compared("eq", "tags", "t4"), 12),
        (compared("glob", "tags", "a*"), 60),
        (compared("eq", "uri", "guide/07.md"), 1),
        (compared("glob", "uri", "guide/0?.md"), 5),
        (compared("glob", "uri", "*.txt"), 1),
        (compared("eq", "media_type", "text/plain"), 1),
        (compared("glob", "title", "Part *"), 60),
        (compared("gt", "size", 0), 62),
        (compared("gt", "size", 1_000_000), 0),
        (compared("gte", "indexed_at", "2020-01-01"), 62),
        (compared("lt", "indexed_at", "2020-01-01"), 0),
        (compared("lt", "indexed_at", datetime(2020, 1, 1, tzinfo=UTC)), 0),
        (compared("gt", "indexed_at", datetime(2020, 1, 1, tzinfo=UTC)), 62),
        (compared("eq", "nobody has this", "x"), 0),
        (compared("eq", "author", True), 0),
        ({"type": "and", "filters": [compared("eq", "author", "Bob"), compared("lt", "year", 2010)]}, 4),
        ({"type": "or", "filters": [compared("eq", "year", 2001), compared("eq", "uri", "text.txt")]}, 2),
    ],
)
async def test_a_filter_lets_through_what_fits(shared: PhaseFlow, wanted: dict[str, Any], count: int) -> None:
    assert len(await found(shared, wanted)) == count


async def test_the_filter_comes_before_the_ranking(shared: PhaseFlow) -> None:
    hits = await shared.search("kb", "part 7", limit=12, filter=compared("eq", "tags", "t3"))
    assert len(hits) == 12
    assert all(int(hit.uri.split("/")[1][:2]) % 5 == 3 for hit in hits)
    assert hits[0].metadata["tags"] == ["t3", "all"]


async def test_a_filter_follows_the_metadata_that_holds(flow: PhaseFlow) -> None:
    database = flow._engine.hub.database
    change = "UPDATE documents SET metadata = ?1 WHERE uri = 'guide/07.md' AND state = 4"
    await database.write(lambda tx: tx.run(change, '{"author":"Eve","draft":true}'))
    assert await found(flow, compared("eq", "author", "Eve")) == ["guide/07.md"]
    assert await found(flow, compared("eq", "draft", True)) == ["guide/07.md"]
    assert await found(flow, compared("eq", "draft", "true")) == []
    for no_text in ("glob", "*"), ("glob", "[!a-z]*"), ("lt", "zzz"), ("lte", "\x02"), ("gte", ""):
        assert await found(flow, compared(no_text[0], "draft", no_text[1])) == []
    await database.write(lambda tx: tx.run(change, "{}"))
    assert await found(flow, compared("eq", "author", "Eve")) == []


async def test_documents_that_are_gone_leave_no_fields(flow: PhaseFlow) -> None:
    await flow.delete_kb("kb")
    database = flow._engine.hub.database
    rows = "SELECT count(*) FROM document_fields AS f JOIN documents AS d ON d.id = f.document_id"
    with fail_soon(20):
        while await database.read(lambda tx: tx.value("SELECT count(*) FROM documents")):
            await flow.vacuum()
    assert await database.read(lambda tx: tx.value(rows)) == 0
    assert await database.read(lambda tx: tx.value("SELECT count(*) FROM document_fields")) == 0


@pytest.mark.parametrize("kind", COMPARISONS)
async def test_a_comparison_of_metadata_uses_an_index(shared: PhaseFlow, kind: str) -> None:
    def plan(tx: Any) -> str:
        kb = KnowledgeBases(tx).get("kb")
        wanted = as_filter(compared(kind, "author", ["Bob"] if kind in ("in", "nin") else "Bob"))
        assert wanted is not None
        sql, values = fields._statement(Scope(kb.key, kb.index_version), wanted)
        return "\n".join(row[3] for row in tx.rows(f"EXPLAIN QUERY PLAN {sql}", *values))

    assert "document_fields_by_text (kb_id=? AND key=?" in await shared._engine.hub.database.read(plan)
