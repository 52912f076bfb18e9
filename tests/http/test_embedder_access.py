"""An embedder that a client of the service names: it gets no key of the operator, and reaches nothing inside."""

from collections.abc import AsyncIterator, Iterator
from itertools import product
from pathlib import Path
from typing import Any, get_args, get_type_hints

import anyio
import anyio.abc
import pytest
from pydantic import BaseModel

from phaseflow.components.embedders import EmbedderAccess, OpenAIEmbedder
from phaseflow.components.sources.web import AddressPolicy
from phaseflow.domain.errors import ComponentUnavailable, InvalidRequest, SourceNotAllowed
from phaseflow.domain.settings import OpenAIEmbedderSettings, Settings
from phaseflow.flow import PhaseFlow
from phaseflow.http import AllowedRoots
from phaseflow.http.app import ENDPOINTS
from tests.components.fake_embedding_server import FakeEmbeddingServer, Refusal
from tests.components.web_site import Names
from tests.http.service import Service, documents, serving, until
from tests.matrices import together

KB = "/api/ingestion/kb/docs"
TOKEN = "a token of some length"
SECRET = "sk-of-the-operator"
INSIDE = "the word that opens the vault"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASEFLOW_EMBEDDING_API_KEY", SECRET)
    monkeypatch.delenv("PHASEFLOW_EMBEDDING_URL", raising=False)


@pytest.fixture
async def server() -> AsyncIterator[FakeEmbeddingServer]:
    async with FakeEmbeddingServer() as running:
        yield running


def _chosen(base_url: str, *, by_client: bool = True) -> OpenAIEmbedderSettings:
    settings = Settings.model_validate({"embedder": {"type": "openai", "base_url": base_url, "model": "m"}})
    embedder = settings.marked(chosen_by_client=by_client).embedder
    assert isinstance(embedder, OpenAIEmbedderSettings)
    return embedder


def _body(folder: Path, base_url: str) -> dict[str, Any]:
    embedder = {"type": "openai", "base_url": base_url, "model": "m"}
    return {"source": {"type": "folder", "path": str(folder)}, "settings": {"embedder": embedder}}


def _flow(folder: Path, **options: Any) -> PhaseFlow:
    documents(folder / "docs", 2)
    return PhaseFlow(folder / "kb.db", check_source=AllowedRoots([folder]), **options)


async def _ended(service: Service) -> str:
    async def is_terminal() -> bool:
        return (await service.http.get(f"{KB}/status")).json()["status"] in {"completed", "failed"}

    await until(is_terminal)
    return str((await service.http.get(f"{KB}/status")).json())


def _authorizations(server: FakeEmbeddingServer) -> set[str | None]:
    return {call.headers.get("authorization") for call in server.calls}


def _bodies() -> Iterator[tuple[type[BaseModel], str]]:
    for endpoint in ENDPOINTS:
        for model in {endpoint.body, *get_args(endpoint.body)}:
            if isinstance(model, type) and issubclass(model, BaseModel):
                for name, hint in get_type_hints(model).items():
                    if Settings in {hint, *get_args(hint)}:
                        yield model, name


def test_every_body_that_takes_settings_marks_their_address_as_a_clients() -> None:
    bodies = dict(_bodies())
    assert len(bodies) >= 2
    for model, field in bodies.items():
        given = {
            "embedder": {"type": "openai", "base_url": "https://a.test/v1", "model": "m", "chosen_by_client": False}
        }
        assert getattr(model.model_validate({field: given}), field).embedder.chosen_by_client, model


async def test_the_key_does_not_follow_an_address_that_a_client_names(
    tmp_path: Path, server: FakeEmbeddingServer
) -> None:
    async with serving(_flow(tmp_path)) as service:
        await service.http.post(f"{KB}/start", json=_body(tmp_path / "docs", server.base_url))
        assert "'completed'" in await _ended(service)
        await service.http.get(f"{KB}/search", params={"q": "the manual"})
        shown = (await service.http.get(KB)).json()["settings"]["embedder"]
    assert (len(server.calls) >= 2, _authorizations(server)) == (True, {None})
    assert shown == {"type": "openai", "base_url": server.base_url, "model": "m"}


async def test_the_key_goes_to_the_address_that_the_operator_named(tmp_path: Path, server: FakeEmbeddingServer) -> None:
    same = server.base_url.replace("http", "Http", 1) + "/"
    async with serving(_flow(tmp_path, embedding_url=server.base_url), token=TOKEN) as service:
        service.http.headers["Authorization"] = f"Bearer {TOKEN}"
        await service.http.post(f"{KB}/start", json=_body(tmp_path / "docs", same))
        assert "'completed'" in await _ended(service)
    assert _authorizations(server) == {f"Bearer {SECRET}"}


async def test_a_service_started_for_another_address_gives_what_is_stored_no_key(
    tmp_path: Path, server: FakeEmbeddingServer
) -> None:
    given = _body(tmp_path / "docs", server.base_url)
    async with serving(_flow(tmp_path, settings=given["settings"], embedding_url=server.base_url)) as service:
        await service.http.put(KB, json={"source": given["source"]})
    async with serving(_flow(tmp_path, embedding_url="https://new.example/v1")) as service:
        await service.http.post(f"{KB}/start")
        assert "'completed'" in await _ended(service)
    assert _authorizations(server) == {None}


async def test_what_a_client_chose_gets_no_key_on_the_command_line_either(
    tmp_path: Path, server: FakeEmbeddingServer
) -> None:
    async with serving(_flow(tmp_path)) as service:
        await service.http.put(KB, json=_body(tmp_path / "docs", server.base_url))
    async with _flow(tmp_path) as flow:
        shown = (await flow.kb("docs")).settings
        changed = shown.model_copy(update={"chunk_size": 500})  # as ``ingest --chunk-size 500`` does
        assert (await (await flow.start("docs", settings=changed)).wait()).status == "completed"
    assert _authorizations(server) == {None}


async def test_what_a_program_gives_is_not_restricted(tmp_path: Path, server: FakeEmbeddingServer) -> None:
    given = _body(tmp_path / "docs", server.base_url)
    async with serving(_flow(tmp_path), token=TOKEN) as service:
        job = await service.flow.start("docs", given["source"], settings=given["settings"])
        assert (await job.wait()).status == "completed"
    assert _authorizations(server) == {f"Bearer {SECRET}"}


async def test_a_client_that_repeats_what_the_operator_gave_takes_nothing_away(
    tmp_path: Path, server: FakeEmbeddingServer
) -> None:
    given = _body(tmp_path / "docs", server.base_url)
    async with serving(_flow(tmp_path, settings=given["settings"])) as service:
        await service.http.put(KB, json={"source": given["source"]})
        shown = (await service.http.get(KB)).json()["settings"]
        assert (await service.http.put(KB, json={"settings": shown | {"chunk_size": 500}})).status_code == 200
        await service.http.post(f"{KB}/start")
        assert "'completed'" in await _ended(service)
    assert _authorizations(server) == {f"Bearer {SECRET}"}


_LOOPBACK = [
    "http://127.0.0.1:9/v1", "http://localhost:9/v1", "http://localhost.:9/v1", "http://[::1]:9/v1",
    "http://[::ffff:127.0.0.1]:9/v1", "http://2130706433:9/v1", "http://0x7f.1:9/v1", "HTTP://LocalHost:9/v1",
]  # fmt: skip
_PRIVATE = [
    "http://169.254.169.254/latest", "http://10.0.0.1/v1", "http://[fd12::1]/v1", "http://0.0.0.0:9/v1",
    "http://167772161/v1", "http://inside.test/v1", "http://INSIDE.test./v1", "http://rebound.test/v1",
]  # fmt: skip
_NAMES = {
    "inside.test": ["10.0.0.1"], "rebound.test": ["127.0.0.1"], "localhost": ["127.0.0.1"],
}  # fmt: skip


@pytest.mark.parametrize("address", [*_LOOPBACK, *_PRIVATE])
async def test_no_private_address_is_taken_from_the_clients_of_a_service_with_a_token(address: str) -> None:
    access = EmbedderAccess(resolver=Names(dict(_NAMES)))
    access.takes_loopback = False
    with pytest.raises(SourceNotAllowed, match="not public"):
        await access.check(_chosen(address))
    await access.check(_chosen(address, by_client=False))


@pytest.mark.parametrize("address", _LOOPBACK)
async def test_a_service_for_this_machine_alone_takes_its_own_servers(address: str) -> None:
    await EmbedderAccess(resolver=Names(dict(_NAMES))).check(_chosen(address))


@pytest.mark.parametrize("address", _PRIVATE)
async def test_a_service_for_this_machine_alone_takes_no_other_private_address(address: str) -> None:
    with pytest.raises(SourceNotAllowed, match="not public"):
        await EmbedderAccess(resolver=Names(dict(_NAMES))).check(_chosen(address))


async def test_a_private_address_that_the_operator_opened_is_taken() -> None:
    await EmbedderAccess(allow_private=["10.0.0.1:80"], resolver=Names(dict(_NAMES))).check(
        _chosen("http://inside.test/v1")
    )


async def test_a_user_name_in_an_address_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="without a user name") as refusal:
        await EmbedderAccess().check(_chosen("http://me:pa55@a.test/v1"))
    assert "pa55" not in str(refusal.value)


@together(
    ("address", "by_client"),
    product(
        [
            "https://api.example/v1x",
            "https://api.example/",
            "https://api.example/v1/../v2",
            "http://api.example/v1",
            "https://api.example:444/v1",
            "https://api.example.evil.test/v1",
            "https://x@api.example/v1",
            "https://api.example@evil.test/v1",
            "https://api.example/v1?a",
            "https://evil.test/#https://api.example/v1",
            "https://evil.test\\@api.example/v1",
        ],
        [True, False],
    ),
)
def test_the_key_belongs_to_one_address(address: str, by_client: bool) -> None:
    access = EmbedderAccess("https://api.example/v1")
    assert access.key_for(_chosen(address, by_client=by_client)) is None


@together("address", ["https://api.example/v1/", "HTTPS://API.example.:443/v1", "https://api.example/./v1"])
def test_its_spelling_does_not_matter(address: str) -> None:
    assert EmbedderAccess("https://api.example/v1").key_for(_chosen(address)) == SECRET


def test_an_address_of_the_operator_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="embedding_url"):
        EmbedderAccess("nonsense")


async def test_a_refused_address_changes_nothing(tmp_path: Path, server: FakeEmbeddingServer) -> None:
    body = _body(tmp_path / "docs", server.base_url)
    async with serving(_flow(tmp_path), token=TOKEN) as service:
        service.http.headers["Authorization"] = f"Bearer {TOKEN}"
        for method, path in [("PUT", KB), ("POST", f"{KB}/start")]:
            answer = await service.http.request(method, path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "source_not_allowed")
        assert (await service.http.get(KB)).status_code == 404
    assert server.calls == []


async def test_what_was_stored_by_a_service_for_this_machine_is_refused_by_one_for_others(
    tmp_path: Path, server: FakeEmbeddingServer
) -> None:
    async with serving(_flow(tmp_path)) as service:
        await service.http.put(KB, json=_body(tmp_path / "docs", server.base_url))
    async with serving(_flow(tmp_path), token=TOKEN) as service:
        answer = await service.http.post(f"{KB}/start", headers={"Authorization": f"Bearer {TOKEN}"})
        assert (answer.status_code, answer.json()["code"]) == (403, "source_not_allowed")
    assert server.calls == []


async def test_the_connection_goes_to_an_address_that_was_checked(server: FakeEmbeddingServer) -> None:
    port = server.base_url.rpartition(":")[2].partition("/")[0]
    names = Names({"turns.test": ["93.184.216.34", "127.0.0.1"]})
    access = EmbedderAccess(resolver=names)
    chosen = _chosen(f"http://turns.test:{port}/v1")
    await access.check(chosen)
    async with OpenAIEmbedder(str(chosen.base_url), "m", guard=access.guard_for(chosen)) as embedder:
        with pytest.raises(ComponentUnavailable, match="not public"):
            await embedder.embed_query("a")
    assert server.calls == []


async def test_no_proxy_is_used_for_an_address_that_a_client_chose(
    server: FakeEmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    port = server.base_url.rpartition(":")[2].partition("/")[0]
    guard = AddressPolicy([f"embeds.test:{port}"], resolver=Names({"embeds.test": ["127.0.0.1"]}))
    async with OpenAIEmbedder(f"http://embeds.test:{port}/v1", "m", guard=guard) as embedder:
        await embedder.embed_query("a")
    assert len(server.calls) == 1


@pytest.mark.parametrize("status", [302, 400, 401, 404, 413, 429, 500])
async def test_nothing_that_the_server_says_is_repeated(
    tmp_path: Path, server: FakeEmbeddingServer, status: int
) -> None:
    location = {"Location": f"http://127.0.0.1:9/{INSIDE.replace(' ', '-')}"} if status == 302 else {}
    server.always = Refusal(status, location, INSIDE.encode())
    guard = EmbedderAccess().guard_for(_chosen(server.base_url))
    async with OpenAIEmbedder(server.base_url, "m", guard=guard) as embedder:
        with pytest.raises(Exception, match=str(status)) as refusal:
            await embedder.embed_query("a")
    assert INSIDE not in str(refusal.value)
    assert len(server.calls) == 1, "a redirect was followed"


async def test_nor_what_a_server_of_another_protocol_says() -> None:
    async def greet(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(INSIDE.encode() + b"\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, greet)
        base_url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}/v1"  # noqa: S610  # no SQL
        async with OpenAIEmbedder(base_url, "m", guard=EmbedderAccess().guard_for(_chosen(base_url))) as embedder:
            with pytest.raises(Exception, match="cannot be reached") as refusal:
                await embedder.embed_query("a")
        tasks.cancel_scope.cancel()
    assert "vault" not in str(refusal.value)
