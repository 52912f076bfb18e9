"""What /readyz says of the workers, when they are elsewhere."""

from pathlib import Path

import httpx2

from phaseflow import PhaseFlow
from phaseflow.http import create_app
from tests.engine.test_workers_elsewhere import GoneWorkers
from tests.http.service import foreign_server


async def test_workers_that_cannot_be_reached_are_named_until_they_can(tmp_path: Path) -> None:
    workers = GoneWorkers()
    app = create_app(PhaseFlow(tmp_path / "kb.db", workers=workers))
    async with foreign_server(app) as url, httpx2.AsyncClient(base_url=url) as http:
        answer = await http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["detail"] == "no worker can be reached: the cluster is gone"
        assert (await http.get("/healthz")).status_code == 200
        workers.down = None
        assert (await http.get("/readyz")).status_code == 200
