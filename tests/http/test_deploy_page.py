"""The programs of the page on deployment, run as they stand: what they serve is asked for."""

import re
import sys
from pathlib import Path

import httpx2
import pytest

from tests.http.processes import process
from tests.http.service import documents, http_client, until
from tests.ports import free_port

TEXT = (Path(__file__).parents[2] / "docs" / "DEPLOY.md").read_text(encoding="utf-8")
FASTAPI, STARLETTE = re.findall(
    r"^```python\n(.*?)^```$",
    TEXT.split("\n## Inside your application\n")[1].split("\n## ")[0],
    flags=re.MULTILINE | re.DOTALL,
)
HOST = (sys.executable, "-m", "uvicorn", "host:app")
PREFIX = "/ingestion"


async def _status_of(http: httpx2.AsyncClient, kb_id: str) -> str:
    answer = await http.get(f"{PREFIX}/api/ingestion/kb/{kb_id}/status")
    return str(answer.json()["status"]) if answer.is_success else ""


@pytest.mark.thorough
async def test_the_fastapi_host_ingests_and_answers(tmp_path: Path) -> None:
    documents(tmp_path / "docs")
    (tmp_path / "host.py").write_text(FASTAPI)

    async def is_completed() -> bool:
        return await _status_of(http, "docs") == "completed"

    with process(tmp_path, free_port(), HOST) as service:
        await service.ready(PREFIX)
        async with http_client(service.url) as http:
            source = {"type": "folder", "path": "docs"}
            assert (await http.post(f"{PREFIX}/api/ingestion/kb/docs/start", json={"source": source})).is_success
            await until(is_completed, 20)
            assert "part 2" in (await http.get("/ask", params={"q": "part 2 of the manual"})).json()[0]


@pytest.mark.thorough
async def test_the_jobs_of_a_pipeline_of_ones_own_are_shown(tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text(STARLETTE)

    async def is_completed() -> bool:
        return await _status_of(http, "archive") == "completed"

    with process(tmp_path, free_port(), HOST) as service:
        await service.ready(PREFIX)
        async with http_client(service.url) as http:
            await until(is_completed)
            jobs = (await http.get(f"{PREFIX}/api/ingestion/kb/archive/jobs")).json()["items"]
    assert [job["job_id"] for job in jobs] == ["night-run"]


def test_a_pipeline_of_ones_own_takes_few_lines() -> None:
    assert len(STARLETTE.strip().splitlines()) <= 30
