"""Which knowledge bases there are, and which may have changed, in one cheap answer."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from phaseflow import FolderSource, PhaseFlow
from phaseflow.components.sources.watching import watch_folder
from phaseflow.domain.status import SyncState
from tests.http.service import Service, documents, serving, until


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db")) as running:
        yield running


async def revisions(service: Service) -> dict[str, int]:
    answer = await service.http.get("/api/ingestion/revisions")
    assert answer.status_code == 200, answer.text
    found: dict[str, int] = answer.json()["revisions"]
    return found


async def test_a_revision_grows_with_whatever_a_knowledge_base_shows(service: Service) -> None:
    assert await revisions(service) == {}
    kb, upload = "/api/ingestion/kb/sent", {"source": {"type": "upload"}}
    for name in ("sent", "beside"):
        await service.http.put(f"/api/ingestion/kb/{name}", json=upload)
    before = await revisions(service)
    assert set(before) == {"sent", "beside"}

    async def grown(answer: Any) -> None:
        nonlocal before
        assert answer.is_success, answer.text
        now = await revisions(service)
        assert now["sent"] > before["sent"]
        assert now["beside"] == before["beside"]
        before = now

    await grown(await service.http.put(kb, json=upload | {"settings": {"chunk_size": 300}}))
    await grown(await service.http.post(f"{kb}/documents", json={"documents": [{"uri": "a", "text": "# A"}]}))

    async def is_over() -> bool:
        return bool((await service.http.get(f"{kb}/status")).json()["status"] == "completed")

    await until(is_over)
    before = await revisions(service)
    [document] = (await service.http.get(f"{kb}/documents")).json()["items"]
    await grown(await service.http.post(f"{kb}/documents/{document['id']}/skip"))
    await grown(await service.http.delete(f"{kb}/documents", params={"uri": "a"}))
    await service.http.delete("/api/ingestion/kb/beside")
    assert set(await revisions(service)) == {"sent"}


async def test_a_revision_grows_when_a_folder_is_watched_and_when_it_cannot_be_any_more(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("watchfiles")
    tries: list[object] = []

    def watch(*given: Any) -> None:
        tries.append(given)
        watch_folder(*given)

    monkeypatch.setattr("phaseflow.flow.source_sync.watch_folder", watch)
    folder = documents(tmp_path / "docs", 1)
    # A job that waits, so that no other moves it.
    await service.flow.start("docs", FolderSource(str(folder)), hold=["loading"])
    await service.flow.put_kb("docs", settings={"sync": {"watch": True}})
    before = await revisions(service)

    async def sync() -> SyncState:
        found = (await service.flow.kb("docs")).sync
        assert found is not None
        return found

    async def has_grown() -> bool:
        return (await revisions(service))["docs"] > before["docs"]

    async def is_watched() -> bool:
        return (await sync()).watching == ["default"]

    async def is_gone() -> bool:
        return (await sync()).error is not None

    async def is_tried_again() -> bool:
        return len(tries) > 1

    await until(is_watched)
    await until(has_grown)
    before = await revisions(service)
    folder.rename(tmp_path / "elsewhere")
    await until(is_gone)
    await until(has_grown)
    before = await revisions(service)
    tries.clear()
    await until(is_tried_again)
    assert await revisions(service) == before  # nothing is told of what is as it was, however often it is looked
