"""Documents as resources, asked by the official client."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from phaseflow.flow import PhaseFlow
from phaseflow.mcp import resources
from phaseflow.mcp.resources import TEMPLATE
from phaseflow.mcp.tools import DATA_NOTE, LONGEST_EXTRACT
from tests.http.service import Service, serving
from tests.mcp.test_tools import agent, completed, stdio

if TYPE_CHECKING:
    from mcp import ClientSession


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db")) as service:
        yield service


async def fill(service: Service, kb_id: str, count: int, text: str = "Whales sing.") -> None:
    await service.flow.add(kb_id, [{"uri": f"{n:03}.md", "text": f"# {n}\n\n{text}"} for n in range(count)])
    await (await service.flow.job(kb_id)).wait()


async def pages(session: "ClientSession") -> AsyncIterator[list[Any]]:
    from mcp.types import PaginatedRequestParams

    cursor = None
    while True:
        page = await session.list_resources(params=PaginatedRequestParams(cursor=cursor))
        yield page.resources
        cursor = page.next_cursor
        if cursor is None:
            return


async def read(session: "ClientSession", uri: str) -> dict[str, Any]:
    contents = (await session.read_resource(uri)).contents
    assert (len(contents), contents[0].uri, contents[0].mime_type) == (1, uri, "application/json")
    return dict(json.loads(contents[0].text))  # type: ignore[union-attr]  # text, as its type says


async def refusal(session: "ClientSession", uri: str) -> str:
    from mcp.shared.exceptions import MCPError

    with pytest.raises(MCPError) as caught:
        await session.read_resource(uri)
    return str(caught.value)


async def test_the_template_says_how_a_document_is_read(service: Service) -> None:
    async with agent(service.url) as session:
        (template,) = (await session.list_resource_templates()).resource_templates
    assert (template.uri_template, template.mime_type) == (TEMPLATE, "application/json")
    assert DATA_NOTE in (template.description or "")


async def test_documents_of_all_knowledge_bases_are_listed_once_page_by_page(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "PAGE", 3)
    for kb_id, count in (("a", 4), ("b", 1), ("c", 3)):
        await fill(service, kb_id, count)
    async with agent(service.url) as session:
        found = [page async for page in pages(session)]
    assert [len(page) for page in found] == [3, 3, 2]
    listed = [one for page in found for one in page]
    assert [one.name for one in listed] == [
        "000.md",
        "001.md",
        "002.md",
        "003.md",
        "000.md",
        "000.md",
        "001.md",
        "002.md",
    ]
    assert len({one.uri for one in listed}) == 8
    assert listed[0].annotations.audience == ["assistant"]
    assert listed[0].annotations.last_modified


@pytest.mark.thorough
async def test_a_page_looks_at_a_bounded_number_of_knowledge_bases(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "MOST_KBS", 2)
    for n in range(3):
        assert (await service.http.post("/v1/vector_stores", json={"name": f"empty {n}"})).status_code == 200
    await fill(service, "zz", 1)
    async with agent(service.url) as session:
        found = [[one.name for one in page] async for page in pages(session)]
    assert [one for page in found for one in page] == ["000.md"]
    assert len(found) > 1


@pytest.mark.thorough
async def test_a_knowledge_base_that_is_gone_ends_no_listing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from mcp.types import PaginatedRequestParams

    monkeypatch.setattr(resources, "PAGE", 2)
    await fill(service, "a", 3)
    await fill(service, "b", 3)
    async with agent(service.url) as session:
        first = await session.list_resources()
        await service.flow.delete_kb("a")
        rest = await session.list_resources(params=PaginatedRequestParams(cursor=first.next_cursor))
    assert [one.name for one in rest.resources] == ["000.md", "001.md"]


async def test_a_document_is_read_in_parts_that_meet(service: Service) -> None:
    await fill(service, "long", 1, "Whales sing. " * 3000)
    async with agent(service.url) as session:
        uri = (await session.list_resources()).resources[0].uri
        first = await read(session, uri)
        assert (first["note"], first["start"], first["end"]) == (DATA_NOTE, 0, LONGEST_EXTRACT)
        second = await read(session, f"{uri}?start={first['end']}")
        short = await read(session, f"{uri}?start=5&limit=2")
    assert second["end"] == second["characters"] == len(first["text"]) + len(second["text"])
    assert (short["start"], short["end"], short["text"]) == (5, 7, first["text"][5:7])


async def test_what_cannot_be_read_is_said_in_words(service: Service) -> None:
    from mcp.shared.exceptions import MCPError
    from mcp.types import PaginatedRequestParams

    await fill(service, "a", 1)
    async with agent(service.url) as session:
        uri = (await session.list_resources()).resources[0].uri
        assert "kb_not_found" in await refusal(session, "phaseflow://kb/nobody/documents/1")
        assert "document_not_found" in await refusal(session, "phaseflow://kb/a/documents/nobody")
        assert "Unknown resource" in await refusal(session, "file:///etc/passwd")
        for start in ("-1", "x", "9" * 400, "%00", "1.5"):
            assert "start" in await refusal(session, f"{uri}?start={start}")
        for limit in ("0", "-1", "20001", "x", ""):
            assert "limit: must be" in await refusal(session, f"{uri}?limit={limit}")
        assert "lim: is not known here" in await refusal(session, f"{uri}?start=0&lim=2")
        assert "start: is given more than once" in await refusal(session, f"{uri}?start=0&start=1")
        for cursor in ("x", "Zm9v", "é", "WyJcdWQ4MDAiLG51bGwsbnVsbF0=", "W" * 100_000):
            with pytest.raises(MCPError, match="cursor"):
                await session.list_resources(params=PaginatedRequestParams(cursor=cursor))


async def test_a_fault_of_the_server_is_told_without_its_inside(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret inside")

    await fill(service, "a", 1)
    monkeypatch.setattr("phaseflow.mcp.tools.DocumentText", broken)
    async with agent(service.url) as session:
        uri = (await session.list_resources()).resources[0].uri
        told = await refusal(session, uri)
        result = await session.call_tool("get_document", {"kb_id": "a", "id": "000.md"})
    for text in (told, str(result.content)):
        assert "Error" in text
        assert not any(word in text for word in ("secret", "Traceback", "RuntimeError", ".py"))


@pytest.mark.thorough
async def test_through_stdin_and_stdout_the_documents_of_a_service_are_listed_and_read(
    service: Service, tmp_path: Path
) -> None:
    await fill(service, "a", 2)
    async with stdio(tmp_path, "--server", service.url) as session:
        listed = (await session.list_resources()).resources
        assert [one.name for one in listed] == ["000.md", "001.md"]
        assert "Whales" in (await read(session, listed[1].uri))["text"]
        await completed(session, "a")


class Shelf:
    """Knowledge bases of documents by their names. ``asked``: of which documents were looked at, and from where."""

    def __init__(self, **kbs: str) -> None:
        self.kbs_of, self.asked = dict(kbs), list[tuple[str, str | None]]()

    async def kbs(self, limit: int, cursor: str | None) -> Any:
        names = [name for name in sorted(self.kbs_of) if name > (cursor or "")]
        items = [SimpleNamespace(kb_id=name) for name in names[:limit]]
        return SimpleNamespace(items=items, next_cursor=names[0] if len(names) > limit else None)

    async def documents(self, kb_id: str, limit: int, cursor: str | None) -> Any:
        self.asked.append((kb_id, cursor))
        first = int(cursor or 0)
        items = [SimpleNamespace(id=name, searchable=True) for name in self.kbs_of[kb_id][first : first + limit]]
        is_last = first + limit >= len(self.kbs_of[kb_id])
        return SimpleNamespace(items=items, next_cursor=None if is_last else str(first + limit))


async def listed(shelf: Shelf, cursor: str | None) -> tuple[list[str], str | None]:
    found, following = await resources.Resources(cast("Any", shelf), cast("Any", None)).page(cursor)
    return [document.id for _, document in found], following


async def test_a_page_ends_after_so_many_knowledge_bases_without_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "MOST_KBS", 2)
    shelf = Shelf(a="", b="", c="", d="x")
    names, cursor = await listed(shelf, None)
    assert (names, len(shelf.asked), cursor is None) == ([], 2, False)
    assert await listed(shelf, cursor) == (["x"], None)


async def test_the_next_knowledge_base_is_listed_from_its_beginning_where_one_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resources, "PAGE", 2)
    shelf = Shelf(a="123", b="456")
    names, cursor = await listed(shelf, None)
    assert names == ["1", "2"]
    del shelf.kbs_of["a"]
    assert (await listed(shelf, cursor))[0] == ["4", "5"]
    assert shelf.asked[-1] == ("b", None)
