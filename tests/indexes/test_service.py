"""What a service says of its index server, and what it does not say."""

from pathlib import Path

import anyio
import httpx2

from phaseflow.flow import PhaseFlow
from tests.http.service import documents, serving, until
from tests.indexes.postgres import PASSWORD, Postgres

KB = "/api/ingestion/kb/docs"


async def test_a_server_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    with Postgres() as server:
        settings = {"index": {"type": "postgres", "server": "main"}}
        body = {"source": {"type": "folder", "path": str(documents(tmp_path / "docs", 3))}, "settings": settings}
        flow = PhaseFlow(tmp_path / "kb.db", index_servers={"main": server.url})
        async with serving(flow) as service:

            async def answered(path: str) -> httpx2.Response:
                answer = await service.http.get(path)
                assert PASSWORD not in answer.text
                assert "127.0.0.1" not in answer.text
                return answer

            assert (await service.http.post(f"{KB}/start", json=body)).status_code == 202
            await (await flow.job("docs")).wait()
            assert (await answered("/readyz")).status_code == 200
            assert len((await answered(f"{KB}/search?q=manual&mode=vectors")).json()["hits"]) == 3
            server.kill()

            async def is_down() -> bool:  # its children need a moment to notice
                began = anyio.current_time()
                answer = await answered(f"{KB}/search?q=manual")
                assert anyio.current_time() - began < 5
                return answer.status_code == 503 and answer.json()["code"] == "index_unavailable"

            await until(is_down)
            assert len((await answered(f"{KB}/search?q=manual&mode=words")).json()["hits"]) == 3

            async def says_so() -> bool:
                ready = await answered("/readyz")
                return ready.status_code == 503 and "the index server 'main' cannot be reached" in ready.text

            await until(says_so)
            documents(tmp_path / "docs", 5)
            await service.http.post(f"{KB}/start")

            async def waits() -> bool:
                return bool((await answered(f"{KB}/status")).json()["waiting_on"] == "index")

            await until(waits)
            server.start()
            with anyio.fail_after(20):
                assert (await (await flow.job("docs")).wait()).status == "completed"
            assert len((await answered(f"{KB}/search?q=manual&mode=vectors")).json()["hits"]) == 5

            async def is_ready() -> bool:
                return (await answered("/readyz")).status_code == 200

            await until(is_ready)
            server.stop()
            began = anyio.current_time()
            assert (await answered(f"{KB}/search?q=manual")).json()["code"] == "index_unavailable"
            assert anyio.current_time() - began < 5
            server.go_on()
            assert len((await answered(f"{KB}/search?q=manual&mode=vectors")).json()["hits"]) == 5
