"""Who may ask what: hosts, origins, the token, the folders, the length of a body."""

from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from phaseflow.client import Client
from phaseflow.domain.errors import InvalidRequest
from phaseflow.flow import PhaseFlow
from phaseflow.http import AllowedRoots, Limits, create_app, serve
from tests.http.service import Service, documents, serving
from tests.stopwatch import fail_soon

KB = "/api/ingestion/kb"
TOKEN = "a token of some length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def open_to_all(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db"), limits=Limits(body_bytes=1000)) as service:
        yield service


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db"), token=TOKEN) as service:
        yield service


OTHER_HOSTS = (
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "",
    "[::1",
    "10.0.0.1",
    "evil.example@127.0.0.1",
    "localhost/x",
)


async def test_a_request_meant_for_another_host_is_refused(open_to_all: Service) -> None:
    for host in OTHER_HOSTS:
        answer = await open_to_all.http.get("/healthz", headers={"Host": host})
        assert (answer.status_code, answer.json()["code"]) == (421, "unknown_host"), host


async def test_the_names_of_this_machine_are_known(open_to_all: Service) -> None:
    for host in ("localhost", "LOCALHOST:9", "127.0.0.1", "[::1]:8000"):
        assert (await open_to_all.http.get("/healthz", headers={"Host": host})).status_code == 200, host


async def test_a_page_of_another_site_changes_nothing(open_to_all: Service) -> None:
    others = ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"})
    for method, headers in product(("POST", "PUT", "DELETE"), others):
        answer = await open_to_all.http.request(method, f"{KB}/waf", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin"), (method, headers)


async def test_a_page_of_another_site_asks_for_no_data(open_to_all: Service) -> None:
    others = {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}
    paths = KB, f"{KB}/waf/search?q=x", f"{KB}/waf/events", "/metrics", "/openapi.json"
    for method, path, headers in product(("GET", "HEAD"), paths, others):
        answer = await open_to_all.http.request(method, path, headers=headers)
        assert answer.status_code == 403, (method, path, headers)


async def test_links_of_other_sites_lead_to_the_page(open_to_all: Service) -> None:
    for path in ("/", "/static/app.js", "/healthz"):
        answer = await open_to_all.http.get(path, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 200
    own = [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": open_to_all.url}]
    assert {(await open_to_all.http.get(KB, headers=headers)).status_code for headers in own} == {200}


@pytest.mark.parametrize("hosts", [["localhost", "evil.example"], ["localhost", "localhost"]])
async def test_a_request_with_two_hosts_is_refused(open_to_all: Service, hosts: list[str]) -> None:
    port = int(open_to_all.url.rpartition(":")[2])
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    with fail_soon(10):
        async with await anyio.connect_tcp("127.0.0.1", port) as connection:
            await connection.send(f"GET /healthz HTTP/1.1\r\n{lines}\r\n".encode())
            answer = await connection.receive()
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_page_of_the_service_may_change_things(open_to_all: Service) -> None:
    answer = await open_to_all.http.post("/logout", headers={"Origin": open_to_all.url})
    assert answer.status_code == 204


async def test_no_other_site_may_read_unless_it_was_named(tmp_path: Path, open_to_all: Service) -> None:
    there = {"Origin": "https://app.example"}
    assert "access-control-allow-origin" not in (await open_to_all.http.get(KB, headers=there)).headers
    async with serving(PhaseFlow(tmp_path / "other.db"), allowed_origins=["https://app.example"]) as named:
        answer = await named.http.get(KB, headers=there)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert (await named.http.post("/logout", headers=there)).status_code == 204


async def test_a_page_that_was_named_reads_problems_too(tmp_path: Path) -> None:
    there = {"Origin": "https://app.example"}
    async with serving(PhaseFlow(tmp_path / "kb.db"), token=TOKEN, allowed_origins=[there["Origin"]]) as service:
        refused = [
            await service.http.get(KB, headers=there),
            await service.http.get(f"{KB}/none/status", headers=there | BEARER),
            await service.http.post(f"{KB}/none/start", json={"full": 1}, headers=there | BEARER),
        ]
    assert [answer.status_code for answer in refused] == [401, 404, 422]
    assert {answer.headers["access-control-allow-origin"] for answer in refused} == {there["Origin"]}


async def test_everything_that_holds_data_asks_for_the_token(guarded: Service) -> None:
    for path in (KB, f"{KB}/waf/events", "/api/ingestion/events", "/metrics", "/openapi.json", "/nothing"):
        answer = await guarded.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), path
        assert answer.headers["www-authenticate"].startswith("Bearer"), path


async def test_health_checks_and_the_page_ask_for_none(guarded: Service) -> None:
    for path in ("/healthz", "/readyz", "/"):
        assert (await guarded.http.get(path)).status_code == 200, path


async def test_a_wrong_token_is_refused(guarded: Service) -> None:
    for given in (f"Bearer {TOKEN}x", "Bearer", f"Basic {TOKEN}", "Bearer ünïcode", TOKEN):
        assert (await guarded.http.get(KB, headers={b"Authorization": given.encode()})).status_code == 401, given


async def test_the_token_opens_the_service(guarded: Service) -> None:
    assert (await guarded.http.get(KB, headers=BEARER)).status_code == 200


@pytest.mark.parametrize("form", [False, True])
async def test_a_page_exchanges_the_token_for_a_cookie_that_scripts_cannot_read(guarded: Service, form: bool) -> None:
    given = {"token": TOKEN}
    answer = await (guarded.http.post("/login", data=given) if form else guarded.http.post("/login", json=given))
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert TOKEN not in cookie
    assert (await guarded.http.get(KB)).status_code == 200
    await guarded.http.post("/logout")
    assert (await guarded.http.get(KB)).status_code == 401


async def test_a_wrong_token_gets_no_cookie(guarded: Service) -> None:
    answer = await guarded.http.post("/login", json={"token": "guess"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


async def test_no_route_reads_more_than_the_limit(open_to_all: Service) -> None:
    for path in (f"{KB}/waf/start", f"{KB}/waf/pause", "/login", "/nothing"):
        answer = await open_to_all.http.post(path, content=b" " * 1001, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large"), path


async def test_a_body_of_unknown_length_is_read_up_to_the_limit(open_to_all: Service) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 100

    answer = await open_to_all.http.post(
        f"{KB}/waf/start", content=parts(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413


async def test_a_body_that_is_no_json_is_refused(open_to_all: Service) -> None:
    answer = await open_to_all.http.post(f"{KB}/waf/start", data={"full": "true"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_folders_lie_under_the_allowed_roots_after_resolving_links(tmp_path: Path) -> None:
    inside, outside = documents(tmp_path / "inside"), documents(tmp_path / "outside")
    (inside / "way-out").symlink_to(outside)
    flow = PhaseFlow(tmp_path / "kb.db", check_source=AllowedRoots([inside]))
    refused = []
    async with serving(flow) as service:
        for path in (outside, inside / "way-out", inside / ".." / "outside", tmp_path / "there-is-none", "/\0"):
            answer = await service.http.put(f"{KB}/waf", json={"source": {"type": "folder", "path": str(path)}})
            refused.append((answer.status_code, answer.json()["code"]))
        allowed = await service.http.put(f"{KB}/waf", json={"source": {"type": "folder", "path": str(inside)}})
    assert refused == [(403, "source_not_allowed")] * 5
    assert allowed.status_code == 200


async def test_a_source_is_checked_again_when_a_job_starts(tmp_path: Path) -> None:
    folder = documents(tmp_path / "docs")
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        await flow.put_kb("waf", folder)
    flow = PhaseFlow(tmp_path / "kb.db", check_source=AllowedRoots([tmp_path / "elsewhere"]))
    async with serving(flow) as service:
        answer = await service.http.post(f"{KB}/waf/start")
    assert (answer.status_code, answer.json()["code"]) == (403, "source_not_allowed")


@pytest.mark.parametrize(
    ("client", "options", "status"),
    [
        ("192.0.2.7", {}, 403),
        ("::ffff:192.0.2.7", {}, 403),
        ("127.0.0.9", {}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("192.0.2.7", {"token": TOKEN}, 200),
        ("192.0.2.7", {"allowed_hosts": ["*"]}, 200),
        ("192.0.2.7", {"allowed_hosts": ["localhost", "kb.example"]}, 200),
    ],
)
async def test_a_client_of_another_machine_is_answered_only_where_that_was_set_up(
    tmp_path: Path, client: str, options: dict[str, Any], status: int
) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        transport = httpx2.ASGITransport(create_app(flow, **options), client=(client, 50_000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            answer = await http.get("/healthz")
    assert answer.status_code == status
    assert status == 200 or answer.json()["code"] == "local_only"


async def test_a_token_that_no_header_can_carry_is_refused(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        for token in (" ", "a ", "\tb", "tök", "a\nb"):
            with pytest.raises(InvalidRequest, match="ASCII"):
                create_app(flow, token=token)
            with pytest.raises(InvalidRequest, match="ASCII"):
                Client("http://localhost", token=token)


@pytest.mark.parametrize("name", ["[::1]", "kb.example:8000", "KB.example"])
async def test_a_host_may_be_named_as_it_stands_in_a_request(tmp_path: Path, name: str) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db"), allowed_hosts=[name]) as service:
        assert (await service.http.get("/healthz", headers={"Host": name})).status_code == 200


async def test_other_machines_are_served_only_with_a_token(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="set a token"):
        await serve(PhaseFlow(tmp_path / "kb.db"), host="0.0.0.0", port=0)  # noqa: S104  # it must not get so far


async def test_all_answers_carry_the_headers_that_browsers_heed(open_to_all: Service) -> None:
    for path in ("/", KB, "/nothing"):
        headers = (await open_to_all.http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["x-request-id"]


async def test_the_page_and_its_files_are_cached_but_checked(open_to_all: Service) -> None:
    answer = await open_to_all.http.get("/")
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("text/html; charset=utf-8", "no-cache")
    assert (await open_to_all.http.get("/static/index.html")).headers["cache-control"] == "no-cache"
    assert (await open_to_all.http.get("/static/..%2Fapp.py")).status_code == 404


async def test_what_stands_in_a_path_or_a_query_is_only_ever_a_value(open_to_all: Service) -> None:
    await open_to_all.flow.add("waf", [{"uri": "a", "text": "A letter OR 1=1."}])
    with fail_soon(20):
        await (await open_to_all.flow.job("waf")).wait()
    for text in (
        "' OR 1=1 --",
        "%00",
        '"; DROP TABLE ingestion_jobs; --',
        "* NEAR(",
        "text:(letter",
        "\N{GRINNING FACE}",
    ):
        found = await open_to_all.http.get(f"/api/ingestion/jobs/{text}")
        assert found.status_code in {404, 422}
        for mode in ("words", "hybrid"):
            asked = await open_to_all.http.get(f"{KB}/waf/search", params={"q": text, "mode": mode})
            assert asked.status_code == 200, (text, asked.text)
        for parameters in ({"q": text}, {"source": text}, {"cursor": text}, {"status": text}):
            listed = await open_to_all.http.get(f"{KB}/waf/documents", params=parameters)
            assert listed.status_code == 422 or listed.json()["items"] == [], (parameters, listed.text)
    (kept,) = (await open_to_all.http.get(f"{KB}/waf/documents")).json()["items"]
    assert (kept["uri"], kept["status"]) == ("a", "indexed")
