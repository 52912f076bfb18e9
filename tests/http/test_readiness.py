"""What /readyz says of the workers and the index servers, when they are elsewhere."""

from pathlib import Path

import pytest

from phaseflow import PhaseFlow
from phaseflow.http import create_app
from tests.engine.test_workers_elsewhere import GoneWorkers
from tests.http.service import Service, documents, foreign_server, http_client, serving, until
from tests.ports import free_port


async def test_workers_that_cannot_be_reached_are_named_until_they_can(tmp_path: Path) -> None:
    workers = GoneWorkers()
    app = create_app(PhaseFlow(tmp_path / "kb.db", workers=workers))
    async with foreign_server(app) as url, http_client(url) as http:
        answer = await http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["detail"] == "no worker can be reached: the cluster is gone"
        assert (await http.get("/healthz")).status_code == 200
        workers.down = None
        assert (await http.get("/readyz")).status_code == 200


async def test_all_index_servers_that_are_needed_and_down_are_named(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="needs the development group: psycopg")
    nobody = {name: f"postgresql://u:p@127.0.0.1:{free_port()}/x" for name in ("one", "two", "unused")}
    docs = str(documents(tmp_path / "docs", 1))
    async with serving(PhaseFlow(tmp_path / "kb.db", index_servers=nobody)) as service:
        for server in ("one", "two"):
            body = {
                "source": {"type": "folder", "path": docs},
                "settings": {"index": {"type": "postgres", "server": server}},
            }
            path = f"/api/ingestion/kb/{server}"
            assert (await service.http.put(path, json=body)).status_code == 200
            assert (await service.http.get("/readyz")).status_code == 200 or server == "two"
            assert (await service.http.post(f"{path}/start")).status_code == 202

        async def names_both() -> bool:
            detail = (await service.http.get("/readyz")).json().get("detail", "")
            assert "unused" not in detail
            return "the index server 'one'" in detail and "the index server 'two'" in detail

        await until(names_both)
        for server in ("one", "two"):
            assert (await service.http.post(f"/api/ingestion/kb/{server}/cancel")).status_code == 202
        await until(lambda: _is_ready(service))  # nothing of them was ever searchable: nobody needs the servers


async def _is_ready(service: Service) -> bool:
    return (await service.http.get("/readyz")).status_code == 200
