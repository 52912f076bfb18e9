"""The service behind a real nginx with the deployment's configuration, on a port that is neither 80 nor 443."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from phaseflow.flow import PhaseFlow
from tests.dashboard.nginx import Nginx, absence
from tests.http.service import http_client, serving

pytestmark = pytest.mark.skipif(bool(absence()), reason=str(absence()))
STORES = "/v1/vector_stores"


@pytest.fixture
async def proxied(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(PhaseFlow(tmp_path / "kb.db")) as service:
        with Nginx(tmp_path, int(service.url.rpartition(":")[2])) as nginx:
            async with http_client(nginx.url) as http:
                yield http


async def test_its_own_pages_may_change_something_on_any_port(proxied: httpx2.AsyncClient) -> None:
    created = await proxied.post(STORES, json={}, headers={"Origin": str(proxied.base_url).rstrip("/")})
    assert created.status_code == 200, created.text


async def test_pages_of_other_ports_and_names_may_not(proxied: httpx2.AsyncClient) -> None:
    for origin in ("http://127.0.0.1", "http://127.0.0.1:1", "https://elsewhere.example", "null"):
        refused = await proxied.post(STORES, json={}, headers={"Origin": origin})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cross_origin"), origin


async def test_a_name_that_the_service_does_not_go_by_is_refused(proxied: httpx2.AsyncClient) -> None:
    refused = await proxied.get(STORES, headers={"Host": "elsewhere.example"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (421, "unknown_host")
