"""Which knowledge bases there are, and which may have changed, in one cheap answer."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from phaseflow import PhaseFlow
from tests.http.service import Service, serving, until


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
