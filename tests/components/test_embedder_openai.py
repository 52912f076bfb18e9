import codecs
import gzip
import json
import logging
import socket
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import anyio
import httpx2
import numpy as np
import pytest
from pydantic import HttpUrl

from phaseflow.components.embedders import OpenAIEmbedder, embedding_api_key, make_embedder
from phaseflow.components.embedders.answer import Bounds
from phaseflow.components.embedders.retry_after import retry_after_s
from phaseflow.domain.errors import (
    BatchTooLarge,
    ComponentError,
    ComponentUnavailable,
    DocumentError,
    RateLimited,
    TransientError,
)
from phaseflow.domain.identifiers import is_loopback
from phaseflow.domain.settings import OpenAIEmbedderSettings
from tests.components.fake_embedding_server import FakeEmbeddingServer, Flaw, Refusal
from tests.matrices import first_of_each, together
from tests.stopwatch import fail_soon

KEY = "sk-secret-of-the-test"


@pytest.fixture
async def server() -> AsyncIterator[FakeEmbeddingServer]:
    async with FakeEmbeddingServer() as running:
        yield running


@pytest.fixture
async def embedder(server: FakeEmbeddingServer) -> AsyncIterator[OpenAIEmbedder]:
    async with OpenAIEmbedder(server.base_url, "fake", KEY, timeout_s=10) as made:
        yield made


async def test_the_vectors_come_in_the_order_of_the_texts(
    server: FakeEmbeddingServer, embedder: OpenAIEmbedder
) -> None:
    texts = ["one", "two", "three", "one"]
    vectors = await embedder.embed_documents(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, server.dimension)
    assert np.allclose(vectors, [server.vector(text) for text in texts])
    assert np.allclose(await embedder.embed_query("two"), server.vector("two"))


async def test_a_job_makes_it_ready_before_its_first_call(
    server: FakeEmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, plain = list[None](), OpenAIEmbedder._new_client

    def new_client(self: OpenAIEmbedder) -> httpx2.AsyncClient:
        made.append(None)
        return plain(self)

    monkeypatch.setattr(OpenAIEmbedder, "_new_client", new_client)
    async with make_embedder(OpenAIEmbedderSettings(base_url=HttpUrl(server.base_url), model="fake")) as embedder:
        await embedder.prepare()
        assert (len(made), server.calls) == (1, [])
        await embedder.embed(["one"])
    assert len(made) == 1
    await embedder.prepare()  # closed: its first call would say so


async def test_the_texts_are_sent_exactly_as_given(server: FakeEmbeddingServer, embedder: OpenAIEmbedder) -> None:
    texts = [" a\r\n\tb ", "", "\x00", "漢字 e\u0301 👩‍👩‍👧 \u2028", '"\\']
    await embedder.embed_documents(texts)
    (call,) = server.calls
    assert call.texts == texts
    assert call.body == {"model": "fake", "input": texts, "encoding_format": "float"}
    assert call.headers["authorization"] == f"Bearer {KEY}"


async def test_without_a_key_no_authorization_is_sent(server: FakeEmbeddingServer) -> None:
    async with OpenAIEmbedder(server.base_url, "fake") as embedder:
        await embedder.embed_query("a")
    assert "authorization" not in server.calls[0].headers


async def test_no_texts_are_no_call(server: FakeEmbeddingServer, embedder: OpenAIEmbedder) -> None:
    assert (await embedder.embed_documents([])).shape[0] == 0
    assert server.calls == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (302, ComponentUnavailable),
        (400, DocumentError),
        (401, ComponentUnavailable),
        (402, ComponentUnavailable),
        (403, ComponentUnavailable),
        (404, ComponentUnavailable),
        (408, TransientError),
        (409, TransientError),
        (413, BatchTooLarge),
        (422, DocumentError),
        (429, RateLimited),
        (500, TransientError),
        (503, TransientError),
        (529, TransientError),
    ],
)
async def test_each_status_has_its_error(
    server: FakeEmbeddingServer, embedder: OpenAIEmbedder, status: int, expected: type[ComponentError]
) -> None:
    server.faults.append(Refusal(status, {"location": "/elsewhere"}))
    with pytest.raises(ComponentError, match=f"{status}: refused with {status}") as caught:
        await embedder.embed_documents(["a"])
    assert type(caught.value) is expected
    assert len(server.calls) == 1


async def test_refused_texts_are_a_bad_document_with_its_own_code(
    server: FakeEmbeddingServer, embedder: OpenAIEmbedder
) -> None:
    server.poison.add("bad")
    with pytest.raises(DocumentError) as caught:
        await embedder.embed_documents(["bad"])
    assert caught.value.code == "embedding_refused"


@pytest.mark.parametrize("status", [429, 503])
async def test_the_wait_that_the_server_asks_for_is_handed_on(
    server: FakeEmbeddingServer, embedder: OpenAIEmbedder, status: int
) -> None:
    server.faults.append(Refusal(status, {"Retry-After": "7"}))
    with pytest.raises(TransientError) as caught:
        await embedder.embed_documents(["a"])
    assert caught.value.retry_after_s == 7


async def test_an_answer_that_begins_with_a_byte_order_mark_is_read(
    server: FakeEmbeddingServer, embedder: OpenAIEmbedder
) -> None:
    row = {"index": 0, "embedding": [0.5] * server.dimension}
    server.faults.append(Refusal(200, body=codecs.BOM_UTF8 + json.dumps({"data": [row]}).encode()))
    assert (await embedder.embed_documents(["a"])).shape == (1, server.dimension)


@pytest.mark.parametrize("flaw", [flaw for flaw in Flaw if flaw not in {Flaw.HANG, Flaw.OTHER_DIMENSION, Flaw.CUT_OFF}])
async def test_a_malformed_answer_may_pass(server: FakeEmbeddingServer, embedder: OpenAIEmbedder, flaw: Flaw) -> None:
    server.faults.append(flaw)
    with pytest.raises(TransientError, match="malformed answer"):
        await embedder.embed_documents(["a", "b", "c"])
    assert (await embedder.embed_documents(["a"])).shape == (1, server.dimension)


async def test_an_answer_of_another_dimension_does_not_change_what_the_next_one_may_be(
    server: FakeEmbeddingServer, embedder: OpenAIEmbedder
) -> None:
    server.faults.append(Flaw.OTHER_DIMENSION)
    assert (await embedder.embed_documents(["a"])).shape == (1, 17)
    assert (await embedder.embed_documents(["b"])).shape == (1, 16)


async def test_a_connection_that_breaks_may_pass(server: FakeEmbeddingServer, embedder: OpenAIEmbedder) -> None:
    server.faults.append(Flaw.CUT_OFF)
    with fail_soon(10), pytest.raises(TransientError, match="cannot be reached"):
        await embedder.embed_documents(["a"])


async def test_a_server_that_is_not_there_may_come_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with OpenAIEmbedder(f"http://127.0.0.1:{port}/v1", "fake") as embedder:
        with pytest.raises(TransientError, match=f"127.0.0.1:{port}"):
            await embedder.embed_documents(["a"])


async def test_a_server_that_hangs_is_a_timeout(server: FakeEmbeddingServer) -> None:
    server.always = Flaw.HANG
    async with OpenAIEmbedder(server.base_url, "fake", timeout_s=0.1) as embedder:
        with fail_soon(10), pytest.raises(TransientError, match=r"within 0\.1 s"):
            await embedder.embed_documents(["a"])


async def test_a_cancelled_call_ends_at_once_and_the_next_one_works(
    server: FakeEmbeddingServer, embedder: OpenAIEmbedder
) -> None:
    server.faults.append(Flaw.HANG)
    with fail_soon(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(embedder.embed_documents, ["a"])
            await server.until_in_flight(1)
            tasks.cancel_scope.cancel()
        assert (await embedder.embed_documents(["b"])).shape == (1, server.dimension)


async def test_as_many_calls_as_allowed_are_in_flight_at_once(
    server: FakeEmbeddingServer, embedder: OpenAIEmbedder
) -> None:
    server.always = Flaw.HANG
    with fail_soon(10):
        async with anyio.create_task_group() as tasks:
            for number in range(embedder.in_flight):
                tasks.start_soon(embedder.embed_documents, [f"text {number}"])
            await server.until_in_flight(embedder.in_flight)
            tasks.cancel_scope.cancel()


async def test_a_closed_embedder_says_so(embedder: OpenAIEmbedder) -> None:
    await embedder.embed_query("a")
    await embedder.aclose()
    await embedder.aclose()
    with pytest.raises(ComponentUnavailable, match="closed"):
        await embedder.embed_query("a")


@pytest.mark.parametrize("body", [b"no %s" % KEY.encode(), b'{"error": {"message": "wrong: %s"}}' % KEY.encode()])
async def test_the_key_is_in_no_error_repr_or_log(
    server: FakeEmbeddingServer, embedder: OpenAIEmbedder, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.faults.append(Refusal(401, body=body))
    with pytest.raises(ComponentUnavailable) as caught:
        await embedder.embed_documents(["a"])
    shown = [str(caught.value), repr(embedder), embedder.fingerprint, caplog.text]
    assert all(KEY not in text for text in shown)
    assert "…" in str(caught.value)


async def test_a_long_message_of_the_server_is_shortened(server: FakeEmbeddingServer, embedder: OpenAIEmbedder) -> None:
    server.faults.append(Refusal(400, body=b"x" * 100_000))
    with pytest.raises(DocumentError) as caught:
        await embedder.embed_documents(["a"])
    assert len(str(caught.value)) < 300


def test_a_password_or_query_in_the_address_is_not_shown() -> None:
    embedder = OpenAIEmbedder("http://user:pass@host:9/v1/?key=hidden", "m")
    assert embedder.fingerprint == "openai:http://host:9/v1:m"
    assert "hidden" not in repr(embedder)


@pytest.mark.parametrize("key", ["sk\nnext", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ComponentUnavailable, match="PHASEFLOW_EMBEDDING_API_KEY") as caught:
        OpenAIEmbedder("http://host/v1", "m", key)
    assert key not in str(caught.value)


async def test_half_a_surrogate_pair_is_a_bad_document(server: FakeEmbeddingServer, embedder: OpenAIEmbedder) -> None:
    with pytest.raises(DocumentError):
        await embedder.embed_documents(["\ud800"])
    assert server.calls == []


async def test_an_address_of_another_kind_is_unavailable() -> None:
    async with OpenAIEmbedder("ftp://host/v1", "m") as embedder:
        with pytest.raises(ComponentUnavailable, match="base_url"):
            await embedder.embed_query("a")


async def test_a_proxy_is_not_asked_for_a_loopback_address(
    server: FakeEmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with OpenAIEmbedder(server.base_url, "fake") as embedder:
        assert (await embedder.embed_query("a")).shape == (server.dimension,)


async def test_the_settings_and_the_environment_make_the_embedder(
    server: FakeEmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHASEFLOW_EMBEDDING_API_KEY", f" {KEY}\n")
    server.api_key = KEY
    settings = OpenAIEmbedderSettings.model_validate({"type": "openai", "base_url": server.base_url, "model": "fake"})
    async with make_embedder(settings) as port:
        assert (port.batch_size, port.in_flight) == (64, 8)
        assert port.fingerprint == f"openai:{server.base_url}:fake"
        assert np.allclose(await port.embed(["a", "b"]), [server.vector("a"), server.vector("b")])
        assert (await port.embed_query("a")).shape == (server.dimension,)
        await port.aclose()
        with pytest.raises(ComponentUnavailable):
            await port.embed(["a"])


def test_an_empty_key_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASEFLOW_EMBEDDING_API_KEY", "  ")
    assert embedding_api_key() is None


NOW = datetime(2025, 12, 3, 10, 0, 0, tzinfo=UTC)


@together(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "Wed, 03 Dec 2025 10:00:30 GMT"}, 30),
        ({"retry-after": "Wed, 03 Dec 2025 10:00:30"}, 30),
        ({"retry-after": "Wednesday, 03-Dec-25 10:01:00 GMT"}, 60),
        ({"retry-after": "Wed, 03 Dec 2025 09:00:00 GMT"}, 0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e300"}, 86400),
        ({"retry-after-ms": "1e300"}, 86400),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Wed, 03 Dec 9999 10:00:30 GMT"}, 86400),
        ({"retry-after": "Wed, 03 Dec 2025 10:00:30 +99999999999999"}, None),
        ({"retry-after": "Wed, 03 Dec 2025 10:00:30 -2500"}, None),
        ({"retry-after": "Wed, 03 Dec 99999999 10:00:30 GMT"}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}, 86400),
        ({"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"}, 0),
        ({"retry-after": "Wed, 03 Dec 2025 25:61:61 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_s(headers, NOW) == expected


def test_the_fake_server_runs_as_a_program_and_prints_its_address() -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.components.fake_embedding_server", "--dimension", "3"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            base_url = program.stdout.readline().strip()
            answer = httpx2.post(f"{base_url}/embeddings", json={"input": ["a", "b", "a"]}, trust_env=False).json()
            counts = httpx2.get(base_url.removesuffix("/v1") + "/counts", trust_env=False).json()
        finally:
            program.terminate()
    assert [len(row["embedding"]) for row in answer["data"]] == [3, 3, 3]
    assert counts == {"calls": 1, "texts": 3, "repeated": 1, "most_in_flight": 1}


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "foo://x", "http://user:secret@host:port"])
async def test_a_proxy_that_cannot_work_is_said_at_once(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    async with OpenAIEmbedder("http://embeddings.example/v1", "m") as embedder:
        with pytest.raises(ComponentUnavailable, match=r"PROXY|socksio") as caught:
            await embedder.embed_documents(["a"])
    assert "secret" not in str(caught.value)


@together("host", ["127.0.0.1", "127.0.0.2", "LOCALHOST", "localhost.", "[::1]", "::1", "::ffff:127.0.0.1"])
def test_addresses_of_this_machine_are_loopback(host: str) -> None:
    assert is_loopback(host)


@together("host", ["", None, "128.0.0.1", "localhost.example", "::"])
def test_other_addresses_are_not(host: str | None) -> None:
    assert not is_loopback(host)


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(1 << 20)


async def _bomb(wbits: int) -> AsyncIterator[bytes]:
    """48 MiB, packed in the format that zlib has under this number."""
    packer = zlib.compressobj(wbits=wbits)
    yield b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(48)), packer.flush()])


@pytest.mark.parametrize(
    ("pieces", "encoding"),
    [
        *first_of_each([(_bomb(31), "gzip"), (_bomb(15), "deflate")]),
        (_endless(), ""),
        (_pieces(b"[" * 200_000), ""),
        (_pieces(b"1," * 2_000_000), ""),
        (_pieces(b"no gzip"), "gzip"),
        (_pieces(b"x"), "br"),
    ],
)
async def test_an_answer_is_read_within_what_its_texts_need(pieces: AsyncIterator[bytes], encoding: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TransientError, match="malformed answer"):
            await Bounds.of(3, None).read(pieces, encoding, is_error=False)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


async def test_of_an_error_the_beginning_is_read() -> None:
    assert len(await Bounds.of(3, None).read(_endless(), "", is_error=True)) == 65_536


@pytest.mark.thorough
async def test_of_an_error_that_unpacks_to_much_the_beginning_is_read() -> None:
    assert len(await Bounds.of(3, None).read(_bomb(31), "gzip", is_error=True)) == 65_536


async def test_what_is_compressed_is_unpacked(server: FakeEmbeddingServer) -> None:
    for encoding, packed in (("gzip", gzip.compress(b"abc")), ("deflate", zlib.compress(b"abc")), ("", b"abc")):
        assert await Bounds.of(1, 8).read(_pieces(packed[:2], packed[2:]), encoding, is_error=False) == b"abc"
