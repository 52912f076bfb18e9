"""What a client can choose from: folders below the roots, named embedding servers, and whether an embedder answers."""

import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow.components.sources import subfolders
from phaseflow.flow import PhaseFlow, choices
from phaseflow.http import AllowedRoots
from tests.components.fake_embedding_server import FakeEmbeddingServer, Flaw, Refusal
from tests.http.service import Service, serving
from tests.stopwatch import fail_soon

FOLDERS = "/api/ingestion/folders"
TRY = "/api/ingestion/embedders/try"
SECRET = "sk-of-the-operator"


@pytest.fixture
async def server() -> AsyncIterator[FakeEmbeddingServer]:
    async with FakeEmbeddingServer() as running:
        yield running


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """Reads below ``inside`` and ``far``, and works in ``inside``."""
    monkeypatch.setenv("PHASEFLOW_EMBEDDING_API_KEY", SECRET)
    monkeypatch.delenv("PHASEFLOW_EMBEDDING_URL", raising=False)
    inside, far = tmp_path / "inside", tmp_path / "far"
    for folder in (inside / "guides" / "old", inside / ".hidden", far / "library", tmp_path / "outside" / "vault"):
        folder.mkdir(parents=True)
    (inside / "guides" / "one.md").write_text("# One")
    (inside / "guides" / ".secret.md").write_text("# Two")
    (inside / "way-out").symlink_to(tmp_path / "outside")
    monkeypatch.chdir(inside)
    async with serving(PhaseFlow(inside / "kb.db", check_source=AllowedRoots([inside, far]))) as running:
        await running.http.post("/api/ingestion/kb/sent/documents", files={"files": ("a.md", b"# A" * 40_000)})
        yield running


async def folders(service: Service, path: str | None = None) -> Any:
    answer = await service.http.get(FOLDERS, params={} if path is None else {"path": path})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def tried(service: Service, embedder: dict[str, Any], **others: Any) -> Any:
    return await service.http.post(TRY, json={"settings": {"embedder": embedder}, **others})


def openai(base_url: str) -> dict[str, Any]:
    return {"type": "openai", "base_url": base_url, "model": "m"}


async def test_the_roots_are_where_to_begin_and_each_folder_leads_further(service: Service, tmp_path: Path) -> None:
    far = str(tmp_path / "far")
    assert [one["path"] for one in (await folders(service))["folders"]] == [".", far]
    here = await folders(service, ".")
    assert (here["path"], here["parent"]) == (".", None)
    assert "guides" in [one["path"] for one in here["folders"]]
    below = await folders(service, "guides")
    assert below == {
        "path": "guides", "parent": ".", "files": 1, "is_complete": True,
        "folders": [{"name": "old", "path": "guides/old"}],
    }  # fmt: skip
    assert (await folders(service, far))["folders"] == [{"name": "library", "path": f"{far}/library"}]


async def test_hidden_folders_links_and_what_phaseflow_keeps_are_not_offered(service: Service, tmp_path: Path) -> None:
    assert (tmp_path / "inside" / "kb.db.uploads").is_dir()
    assert [one["name"] for one in (await folders(service, "."))["folders"]] == ["guides"]


async def test_nothing_outside_is_shown_and_no_answer_says_whether_it_is_there(service: Service) -> None:
    other = await service.http.get(FOLDERS, params={"path": "../neither"})
    for path in ("../outside", "../outside/vault", "../nothing", "/", "/etc", "way-out", "way-out/vault"):
        answer = await service.http.get(FOLDERS, params={"path": path})
        assert (answer.status_code, answer.json()["code"]) == (403, "source_not_allowed"), path
        assert answer.json()["detail"].replace(path, "") == other.json()["detail"].replace("../neither", "")


async def test_what_is_no_folder_is_refused_in_words(service: Service) -> None:
    for path in ("nothing", "guides/one.md", "guides/\0", "x" * 4000, "kb.db.uploads"):
        answer = await service.http.get(FOLDERS, params={"path": path})
        assert answer.status_code in {403, 422}, (path, answer.text)
        assert len(answer.json()["detail"]) > 20, path


async def test_a_large_folder_is_cut_and_says_so(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        (tmp_path / "far" / f"{number:02}").mkdir()
    monkeypatch.setattr(subfolders, "MOST_FOLDERS", 20)
    found = await folders(service, str(tmp_path / "far"))
    assert ([one["name"] for one in found["folders"]][:2], len(found["folders"])) == (["00", "01"], 20)
    assert found["is_complete"] is False
    monkeypatch.setattr(subfolders, "MOST_ENTRIES", 10)
    assert len((await folders(service, str(tmp_path / "far")))["folders"]) == 10


async def test_a_folder_that_hangs_does_not_hang_its_caller(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(choices, "LISTING_S", 0.2)
    monkeypatch.setattr(choices, "folders_in", lambda *_: released.wait())
    with fail_soon(5):
        answer = await service.http.get(FOLDERS, params={"path": "."})
    released.set()
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")


async def test_a_program_without_roots_offers_none(tmp_path: Path) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db")) as service:
        assert (await folders(service))["folders"] == []
        assert (await folders(service, str(tmp_path)))["folders"] == []


async def test_all_of_it_asks_for_the_token(tmp_path: Path) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db"), token="a token of some length") as service:
        for method, path in (("GET", FOLDERS), ("GET", "/api/ingestion/embedders"), ("POST", TRY)):
            assert (await service.http.request(method, path, json={})).status_code == 401


async def test_the_embedder_in_the_package_answers_with_its_dimension(service: Service) -> None:
    answer = (await tried(service, {"type": "static"})).json()
    assert (answer["dimension"], answer["error"]) == (256, None)
    assert answer["seconds"] > 0


async def test_an_embedding_server_is_asked_for_one_text_without_the_key(
    service: Service, server: FakeEmbeddingServer
) -> None:
    answer = (await tried(service, openai(server.base_url))).json()
    assert (answer["dimension"], answer["error"]) == (server.dimension, None)
    assert [(len(call.texts), call.headers.get("authorization")) for call in server.calls] == [(1, None)]
    assert (await service.http.get("/api/ingestion/kb")).json()["items"][0]["kb_id"] == "sent", "nothing is stored"


async def test_an_address_of_the_operator_keeps_its_key_in_a_trial_for_that_knowledge_base(
    tmp_path: Path, server: FakeEmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHASEFLOW_EMBEDDING_API_KEY", SECRET)
    monkeypatch.delenv("PHASEFLOW_EMBEDDING_URL", raising=False)
    given = openai(server.base_url)
    async with serving(PhaseFlow(tmp_path / "kb.db", settings={"embedder": given})) as service:
        await service.flow.put_kb("docs", {"type": "upload"})
        assert (await tried(service, given, kb_id="docs")).json()["error"] is None
        assert (await tried(service, given)).json()["error"] is None
    assert [call.headers.get("authorization") for call in server.calls] == [f"Bearer {SECRET}", None]


async def test_what_goes_wrong_is_an_answer_in_words(service: Service, server: FakeEmbeddingServer) -> None:
    for fault in (Refusal(401), Refusal(404), Refusal(500), Flaw.NOT_JSON, Flaw.CUT_OFF):
        server.always = fault
        answer = await tried(service, openai(server.base_url))
        assert answer.status_code == 200, fault
        assert answer.json()["dimension"] is None
        assert len(answer.json()["error"]) > 20
        assert SECRET not in answer.text


async def test_a_server_that_hangs_is_given_up_in_words(
    service: Service, server: FakeEmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "ANSWER_S", 0.3)
    server.always = Flaw.HANG
    with fail_soon(5):
        answer = (await tried(service, openai(server.base_url))).json()
    assert "no answer within 0.3 s" in answer["error"]


async def test_no_more_than_a_few_are_tried_out_at_once(service: Service, server: FakeEmbeddingServer) -> None:
    server.always = Flaw.HANG
    async with anyio.create_task_group() as tasks:
        for _ in range(choices.AT_ONCE):
            tasks.start_soon(tried, service, openai(server.base_url))
        while server.in_flight < choices.AT_ONCE:
            await server.changed.wait()
        answer = await tried(service, openai(server.base_url))
        tasks.cancel_scope.cancel()
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")


async def test_an_address_that_clients_may_not_choose_is_refused_as_at_a_start(service: Service) -> None:
    for address in ("http://10.0.0.1/v1", "http://169.254.169.254/latest", "http://[fd00::1]/v1"):
        answer = await tried(service, openai(address))
        body = {"source": {"type": "upload"}, "settings": {"embedder": openai(address)}}
        put = await service.http.put("/api/ingestion/kb/docs", json=body)
        assert (answer.status_code, answer.json()["code"]) == (put.status_code, put.json()["code"])
        assert answer.status_code == 403, address


async def test_named_servers_are_offered_without_addresses_and_keys(
    tmp_path: Path, server: FakeEmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {
        "large": {"base_url": server.base_url, "model": "big", "dimensions": 16, "api_key_env": "LARGE_KEY"},
        "local": {"base_url": server.base_url, "model": "small"},
    }
    (tmp_path / "servers.json").write_text(json.dumps(named))
    monkeypatch.setenv("PHASEFLOW_EMBEDDERS", str(tmp_path / "servers.json"))
    monkeypatch.setenv("LARGE_KEY", SECRET)
    monkeypatch.delenv("PHASEFLOW_EMBEDDING_URL", raising=False)
    async with serving(PhaseFlow(tmp_path / "kb.db")) as service:
        offered = await service.http.get("/api/ingestion/embedders")
        answer = (await tried(service, {"type": "openai", "server": "large"})).json()
    assert offered.json() == {
        "servers": [
            {"name": "large", "model": "big", "dimensions": 16, "key_variable": "LARGE_KEY", "has_key": True},
            {"name": "local", "model": "small", "dimensions": None, "key_variable": None, "has_key": False},
        ],
        "key_variable": "PHASEFLOW_EMBEDDING_API_KEY",
        "url_variable": "PHASEFLOW_EMBEDDING_URL",
        "has_key": False,
    }
    assert answer["dimension"] == 16
    assert server.calls[0].headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in offered.text
    assert server.base_url not in offered.text
