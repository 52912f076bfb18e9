"""What a document says of itself stays, whatever becomes of its versions; and it goes when no source holds it."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from phaseflow import FolderSource, HeldBySource, PhaseFlow, UploadSource
from phaseflow.domain.documents import DocumentInfo
from phaseflow.domain.errors import DocumentError
from tests.engine.components import CountingEmbedder, write_folder
from tests.stopwatch import fail_soon
from tests.store.probes import select

IS_A_PAGE = {"type": "eq", "key": "media_type", "value": "text/html"}
FRONT_MATTER = "---\ntitle: Pausing\nauthor: Ada\n---\nHow to pause it.\n"


def refuse_poison(texts: Sequence[str]) -> None:
    if any("poison" in text for text in texts):
        raise DocumentError("told to fail", code="embed_error")


@pytest.fixture
async def flow(database: Path) -> AsyncIterator[PhaseFlow]:
    async with PhaseFlow(database, embedder=CountingEmbedder(refuse_poison)) as flow:
        yield flow


async def over(flow: PhaseFlow) -> None:
    with fail_soon(20):
        await (await flow.job("kb")).wait()


async def push_another(flow: PhaseFlow) -> None:
    """A job that lists no source, in which only this document appears."""
    await flow.add("kb", [{"uri": "another", "text": "Another letter."}])
    await over(flow)


def details(document: DocumentInfo) -> tuple[Any, ...]:
    return document.title, document.media_type, document.size, document.metadata


async def test_a_skipped_document_keeps_its_title_type_size_and_metadata(tmp_path: Path, flow: PhaseFlow) -> None:
    folder = write_folder(tmp_path / "docs", 1)
    (folder / "pause.md").write_text(FRONT_MATTER)
    await (await flow.start("kb", FolderSource(str(folder)))).wait()
    await flow.set_metadata("kb", "doc000.md", {"reviewed": True})
    before = {one.uri: details(one) for one in (await flow.documents("kb")).items}
    assert before["pause.md"] == ("Pausing", "text/markdown", len(FRONT_MATTER), {"author": "Ada"})
    for uri in before:
        await flow.skip_document("kb", uri)
        await flow.skip_document("kb", uri)
    await push_another(flow)
    assert {uri: details(await flow.document("kb", uri)) for uri in before} == before
    await (await flow.start("kb")).wait()
    assert {one.uri: details(one) for one in (await flow.documents("kb", status="skipped")).items} == before
    (folder / "pause.md").write_text("# Resuming\n")
    await flow.retry_document("kb", "pause.md")
    await over(flow)
    assert details(await flow.document("kb", "pause.md")) == ("Resuming", "text/markdown", 11, {})


async def test_a_failed_document_keeps_what_the_phases_before_have_found(tmp_path: Path, flow: PhaseFlow) -> None:
    folder = write_folder(tmp_path / "docs", 1)
    (folder / "bad.pdf").write_bytes(b"%PDF-1.4 not one")
    (folder / "pause.md").write_text(FRONT_MATTER + "poison\n")
    await (await flow.start("kb", FolderSource(str(folder)))).wait()
    await push_another(flow)
    unread, read = (await flow.documents("kb", status="failed")).items
    assert (unread.phase, *details(unread)) == ("loading", "bad.pdf", None, 16, {})
    size = len(FRONT_MATTER) + 7
    assert (read.phase, *details(read)) == ("embedding", "Pausing", "text/markdown", size, {"author": "Ada"})


async def test_the_media_type_is_that_which_a_document_was_read_as(flow: PhaseFlow) -> None:
    await flow.start("kb", UploadSource(), hold=["loading"])
    await flow.add("kb", [{"uri": "a.md", "text": "# Title", "media_type": "text/x-own"}])
    assert (await flow.document("kb", "a.md")).media_type == "text/x-own"
    await flow.resume("kb")
    await over(flow)
    assert (await flow.document("kb", "a.md")).media_type == "text/markdown"
    await flow.skip_document("kb", "a.md")
    assert (await flow.document("kb", "a.md")).media_type == "text/markdown"


async def test_a_page_is_a_page_though_its_text_is_markdown(tmp_path: Path, flow: PhaseFlow, database: Path) -> None:
    folder = write_folder(tmp_path / "docs", 0)
    (folder / "a.html").write_text("<h1>One</h1><p>First.</p><h1>Two</h1><p>Second.</p>")
    (folder / "b.tsv").write_text("name\tcity\nAda\tLondon\n")
    (folder / "c.py").write_text("print()\n")
    (folder / "d.docx").write_text("<html><body>An export that is called otherwise.")
    await (await flow.start("kb", FolderSource(str(folder)))).wait()
    assert [one.media_type for one in (await flow.documents("kb")).items] == [
        "text/html", "text/tab-separated-values", "text/plain", "text/html",
    ]  # fmt: skip
    assert select(database, "SELECT text_type FROM documents ORDER BY uri") == [
        ("text/markdown",), ("text/csv",), (None,), ("text/markdown",),
    ]  # fmt: skip
    assert [hit.uri for hit in await flow.search("kb", "First", filter=IS_A_PAGE)][:1] == ["a.html"]


async def test_a_document_whose_source_is_gone_can_be_deleted_or_replaced(tmp_path: Path, flow: PhaseFlow) -> None:
    docs, wiki = (FolderSource(str(write_folder(tmp_path / name, 2))) for name in ("docs", "wiki"))
    await (await flow.start("kb", sources={"default": docs, "wiki": wiki})).wait()
    with pytest.raises(HeldBySource):
        await flow.delete_document("kb", "wiki/doc000.md")
    job = await flow.start("kb", hold=["chunking"], full=True)
    await job.wait_until_idle()
    await flow.put_kb("kb", sources={"default": docs})
    with pytest.raises(HeldBySource):
        await flow.delete_document("kb", "wiki/doc000.md")  # the open job may still bring it back
    await flow.cancel("kb")
    await flow.delete_document("kb", "wiki/doc000.md")
    await flow.add("kb", [{"uri": "wiki/doc001.md", "text": "What was pushed."}])
    await over(flow)
    assert {one.uri: one.source for one in (await flow.documents("kb")).items} == {
        "doc000.md": "default", "doc001.md": "default", "wiki/doc001.md": "push",
    }  # fmt: skip
    assert await flow.document_text("kb", "wiki/doc001.md") == "What was pushed."
    await flow.put_kb("kb", UploadSource())
    await flow.delete_document("kb", "doc000.md")
    assert [one.uri for one in (await flow.documents("kb")).items] == ["doc001.md", "wiki/doc001.md"]
