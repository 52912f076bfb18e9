"""Uploads over HTTP: forms on a real socket, also broken, endless, hostile ones."""

import json
import os
import re
import shlex
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from phaseflow.components.uploads import UploadLimits
from phaseflow.domain.errors import KnowledgeBaseNotFound
from phaseflow.flow import PhaseFlow
from phaseflow.http import Limits
from tests.http.processes import PLAIN_UVICORN, SERVE, process
from tests.http.service import Service, documents, serving
from tests.matrices import first_of_each
from tests.ports import free_port
from tests.stopwatch import fail_soon

DOCS = Path(__file__).parents[2] / "docs" / "INGESTION_API.md"
KB = "/api/ingestion/kb"
TO = f"{KB}/waf/documents"
FILE = ("files", ("a.md", b"# Alpha\n\nThe first of the letters.\n"))
HALF = b"x" * 70_000
"""Of a document that is kept in a file."""
LIMITS = Limits(upload_bytes=200_000, uploads=1, upload_idle_s=0.3)
UPLOADS = UploadLimits(file_bytes=100_000, files=5, kb_bytes=150_000)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    flow = PhaseFlow(tmp_path / "kb.db", uploads=UPLOADS)
    async with serving(flow, limits=LIMITS) as service:
        yield service


async def _over(service: Service) -> str:
    with fail_soon(20):
        return (await (await service.flow.job("waf")).wait()).status


def _uris(answer: Any) -> list[str]:
    return [document["uri"] for document in answer["documents"]]


def _left(service: Service) -> list[str]:
    """Every file there is, on its way or not. Folders may go while this looks."""
    root = service.flow.path.with_name(f"{service.flow.path.name}.uploads")
    return sorted(name for _, _, names in os.walk(root) for name in names)


def _form(*parts: tuple[str, bytes], end: bytes = b"--x--\r\n") -> bytes:
    form = b"".join(
        b"--x\r\nContent-Disposition: form-data; " + given.encode() + b"\r\n\r\n" + data + b"\r\n"
        for given, data in parts
    )
    return form + end


async def _post(service: Service, body: bytes, kind: str = "multipart/form-data; boundary=x") -> tuple[int, Any]:
    answer = await service.http.post(TO, content=body, headers={"Content-Type": kind})
    assert answer.is_success or answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()


async def test_files_create_the_knowledge_base_and_start_a_job(service: Service) -> None:
    answer = await service.http.post(TO, files=[FILE, ("files", ("b c.md", b"The second of the letters."))])
    assert answer.status_code == 202
    assert _uris(answer.json()) == ["a.md", "b c.md"]
    assert answer.json()["job"]["kb_id"] == "waf"
    assert await _over(service) == "completed"
    found = await service.http.get(f"{KB}/waf/search", params={"q": "letters"})
    assert {hit["uri"] for hit in found.json()["hits"]} == {"a.md", "b c.md"}


async def test_a_knowledge_base_of_uploads_is_put_like_any_other(service: Service) -> None:
    put = await service.http.put(f"{KB}/waf", json={"source": {"type": "upload"}})
    assert (put.status_code, put.json()["source"]) == (200, {"type": "upload"})
    wrong = await service.http.put(f"{KB}/waf", json={"source": {"type": "upload", "path": "/etc"}})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "source.path")


async def test_a_document_is_taken_out_by_its_uri(service: Service) -> None:
    (await service.http.post(TO, files=[("files", ("über 100%25.md", b"letters"))])).raise_for_status()
    await _over(service)
    gone = await service.http.delete(TO, params={"uri": "über 100%2525.md"})
    assert (gone.status_code, gone.json()["documents"]) == (202, [])
    assert (await _over(service), _left(service)) == ("completed", [])
    again = await service.http.delete(TO, params={"uri": "über 100%2525.md"})
    assert (again.status_code, again.json()["code"]) == (404, "document_not_found")


async def test_nothing_but_an_uploaded_document_can_be_deleted(service: Service) -> None:
    (await service.http.post(TO, files=[FILE])).raise_for_status()
    await _over(service)
    for uri in ("../kb.db", "..", "/etc/passwd", "a.md/../../kb.db", "%00"):
        answer = await service.http.delete(TO, params={"uri": uri})
        assert (answer.status_code, answer.json()["code"]) == (404, "document_not_found"), uri
        assert service.flow.path.exists()


async def test_files_are_taken_whatever_the_job_does(service: Service) -> None:
    (await service.http.post(TO, files=[FILE])).raise_for_status()
    await _over(service)
    (await service.http.post(f"{KB}/waf/start", json={"hold": ["loading"]})).raise_for_status()
    (await service.http.post(f"{KB}/waf/pause")).raise_for_status()
    answer = await service.http.post(TO, files=[("files", ("b.md", b"The second of the letters."))])
    assert (answer.status_code, answer.json()["job"]["status"]) == (202, "paused")
    assert (await service.http.delete(TO, params={"uri": "a.md"})).status_code == 202
    (await service.http.post(f"{KB}/waf/resume")).raise_for_status()
    assert await _over(service) == "completed"
    found = await service.http.get(f"{KB}/waf/search", params={"q": "letters"})
    assert {hit["uri"] for hit in found.json()["hits"]} == {"b.md"}


async def test_a_document_of_a_folder_is_held_by_its_source(service: Service, tmp_path: Path) -> None:
    source = {"type": "folder", "path": str(documents(tmp_path / "docs"))}
    (await service.http.post(f"{KB}/waf/start", json={"source": source})).raise_for_status()
    assert await _over(service) == "completed"
    held = sorted(path.name for path in (tmp_path / "docs").iterdir())[0]
    status, problem = await _post(service, _form((f'name="files"; filename="{held}"', b"")))
    assert (status, problem["code"]) == (409, "held_by_source")
    answer = await service.http.delete(TO, params={"uri": held})
    assert (answer.status_code, answer.json()["code"]) == (409, "held_by_source")


@pytest.mark.parametrize("kind", ["", "application/x-www-form-urlencoded", "text/plain; boundary=x"])
async def test_a_body_of_another_kind_is_refused(service: Service, kind: str) -> None:
    status, problem = await _post(service, b"{}", kind)
    assert (status, problem["code"]) == (415, "unsupported_media_type")


HARMFUL = (
    "../a.md",
    "/etc/cron.d/a",
    "a/../b.md",
    "a//b.md",
    "a/",
    "a/.git/b",
    "a\\\\b.md",
    ".htaccess",
    "",
    "..",
    "a%0Ab.md",
    "a\x01b.md",
    "é" * 128,
)


async def test_a_name_that_could_do_harm_is_refused_and_nothing_is_kept(service: Service) -> None:
    for name in HARMFUL:
        good, bad = 'name="files"; filename="a.md"', f'name="files"; filename="{name}"'
        status, problem = await _post(service, _form((good, b"letters"), (bad, b"letters")))
        assert (status, problem["code"], problem["field"]) == (422, "invalid_request", "files"), name
        assert _left(service) == [], name


async def test_of_a_whole_windows_path_the_last_part_is_the_name(service: Service) -> None:
    for name in (
        r"C:\\notes\\a.md", r"C:\notes\a.md", r"\\\\server\\notes\\a.md", r"\\server\notes\a.md", r"C:\..\a.md",
    ):  # fmt: skip
        status, taken = await _post(service, _form((f'name="files"; filename="{name}"', b"letters")))
        assert (status, _uris(taken)) == (202, ["a.md"]), name
    await _over(service)


async def test_a_windows_path_without_a_good_name_at_its_end_is_refused(service: Service) -> None:
    for name in (r"C:\..", r"C:\.hidden", "C:\\", r"C:\a/..", r"notes\a.md"):
        status, problem = await _post(service, _form((f'name="files"; filename="{name}"', b"letters")))
        assert (status, problem["field"]) == (422, "files"), name
        assert _left(service) == [], name


async def test_quotes_in_a_name_come_as_browsers_send_them(service: Service) -> None:
    status, taken = await _post(service, _form(('name="files"; filename="say %22hi%22.md"', b"letters")))
    assert (status, _uris(taken)) == (202, ['say "hi".md'])
    await _over(service)


NO_FORMS = (
    b"",
    b"nothing of the kind",
    _form(),
    _form(('name="files"', b"no file")),
    _form(('name="other"; filename="a.md"', b"letters")),
    _form(('name="files"; filename="a.md"', b"letters"), end=b""),
    _form(('name="files"; filename="a.md"', b"letters"), end=b"--x"),
    b"--x\r\n\r\nno header\r\n--x--\r\n",
    b"--x\r\n" + b"a: b\r\n" * 100 + b"\r\n\r\n--x--\r\n",
    b"--x\r\na: " + b"b" * 100_000,
)


async def test_what_is_no_form_of_files_is_refused_and_nothing_is_kept(service: Service) -> None:
    for body in NO_FORMS:
        status, problem = await _post(service, body)
        assert (status, problem["code"]) == (422, "invalid_request"), body[:100]
        assert _left(service) == [], body[:100]
    with pytest.raises(KnowledgeBaseNotFound):
        await service.flow.kb("waf")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=" + "x" * 300])
async def test_a_boundary_that_is_missing_or_too_long_is_refused(service: Service, kind: str) -> None:
    status, problem = await _post(service, _form(), kind)
    assert (status, problem["code"], problem["field"]) == (422, "invalid_request", "body")


async def test_a_file_too_many_is_refused(service: Service) -> None:
    parts = [(f'name="files"; filename="{number}.md"', b"") for number in range(UPLOADS.files + 1)]
    status, problem = await _post(service, _form(*parts))
    assert (status, problem["field"]) == (422, "files")


@pytest.mark.parametrize("sizes", [[100_001], [80_000, 80_000]])
async def test_a_file_or_a_knowledge_base_over_its_limit_is_refused(service: Service, sizes: list[int]) -> None:
    parts = [(f'name="files"; filename="{number}.md"', b"x" * size) for number, size in enumerate(sizes)]
    status, problem = await _post(service, _form(*parts))
    assert (status, problem["code"]) == (413, "upload_too_large")
    assert _left(service) == []


async def test_a_body_over_its_limit_is_refused_announced_or_not(service: Service) -> None:
    body = _form(('name="files"; filename="a.md"', b"x" * LIMITS.upload_bytes))
    status, problem = await _post(service, body)
    assert (status, problem["code"]) == (413, "body_too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield _form((f'name="files"; filename="{number}.md"', b"x" * 90_000), end=b"")

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await service.http.post(TO, content=pieces(), headers=kind)
    assert answer.status_code == 413
    assert _left(service) == []


async def test_other_endpoints_keep_their_own_limit(service: Service) -> None:
    answer = await service.http.put(f"{KB}/waf", content=b"x" * (LIMITS.body_bytes + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    answer = await service.http.request("DELETE", TO, content=b"x" * (LIMITS.body_bytes + 1))
    assert answer.status_code == 413


async def test_a_client_that_stops_sending_is_not_waited_for(service: Service) -> None:
    begun = _form(('name="files"; filename="a.md"', HALF), end=b"")
    status, problem = await _raw(service, _head(100_000) + begun)
    assert (status, problem["code"]) == (408, "body_interrupted")
    assert _left(service) == []


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(service: Service) -> None:
    async with await anyio.connect_tcp("127.0.0.1", _port(service)) as connection:
        await connection.send(_head(100_000) + _form(('name="files"; filename="a.md"', HALF), end=b""))
        with fail_soon(5):
            while not _left(service):
                await anyio.lowlevel.checkpoint()
    with fail_soon(5):
        while _left(service):
            await anyio.lowlevel.checkpoint()
    with pytest.raises(KnowledgeBaseNotFound):
        await service.flow.kb("waf")


async def test_one_upload_too_many_at_once_is_asked_to_wait(service: Service) -> None:
    async with await anyio.connect_tcp("127.0.0.1", _port(service)) as connection:
        await connection.send(_head(100_000) + _form(('name="files"; filename="a.md"', HALF), end=b""))
        with fail_soon(5):
            while not _left(service):
                await anyio.lowlevel.checkpoint()
        answer = await service.http.post(TO, files=[FILE])
        assert (answer.status_code, answer.json()["code"]) == (429, "limit_reached")
    with fail_soon(5):
        while (await service.http.post(TO, files=[FILE])).status_code == 429:
            pass
    assert await _over(service) == "completed"


async def test_a_token_and_the_own_origin_are_asked_for(tmp_path: Path) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db"), token="a long secret") as service:
        assert (await service.http.post(TO, files=[FILE])).status_code == 401
        elsewhere = {"Authorization": "Bearer a long secret", "Origin": "https://elsewhere.example"}
        assert (await service.http.post(TO, files=[FILE], headers=elsewhere)).status_code == 403
        assert _left(service) == []


async def test_large_files_do_not_pass_through_memory(tmp_path: Path) -> None:
    import resource

    async with serving(PhaseFlow(tmp_path / "kb.db")) as service:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        async def pieces() -> AsyncIterator[bytes]:
            for number in range(4):
                yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="%d.bin"\r\n\r\n' % number
                for _ in range(320):
                    yield b"\0" * 65_536
                yield b"\r\n"
            yield b"--x--\r\n"

        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        (await service.http.put(f"{KB}/waf", json={"source": {"type": "upload"}})).raise_for_status()
        with fail_soon(30):
            answer = await service.http.post(TO, content=pieces(), headers=kind)
        assert (await service.http.post(f"{KB}/waf/cancel")).is_success
        assert answer.status_code == 202
        assert sum(path.stat().st_size for path in tmp_path.rglob("kb.db.uploads/waf/.*")) == 4 * 320 * 65_536
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 60 * 1024


async def test_the_description_tells_of_the_form(service: Service) -> None:
    paths = (await service.http.get("/openapi.json")).json()["paths"]
    told = paths[f"{KB}/{{kb_id}}/documents"]["post"]
    assert list(told["requestBody"]["content"]) == ["multipart/form-data", "application/json"]
    assert {"202", "408", "409", "413", "415", "422", "429"} <= set(told["responses"])


def _port(service: Service) -> int:
    return urlsplit(service.url).port or 0


def _head(length: int, more: str = "") -> bytes:
    return (
        f"POST {TO} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {length}\r\n{more}\r\n"
    ).encode()


async def _raw(service: Service, sent: bytes) -> tuple[int, Any]:
    """The status and the problem that come back for some bytes of a request."""
    async with await anyio.connect_tcp("127.0.0.1", _port(service)) as connection:
        await connection.send(sent)
        received = b""
        with fail_soon(5):
            while not received.endswith(b"}"):
                received += await connection.receive()
        head, _, body = received.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)


async def test_the_commands_of_the_docs_do_what_they_say(service: Service, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    for name in ("guide.md", "notes.md"):
        (tmp_path / name).write_text("Of letters.")
    uploads = DOCS.read_text(encoding="utf-8").split("\n## Uploads\n", 1)[1].split("\n## ", 1)[0]
    added, removed = re.findall(r"^```sh\n(curl .*?)```", uploads, flags=re.MULTILINE | re.DOTALL)
    assert await _run(service, added, tmp_path) == ["guide.md", "notes.md"]
    assert await _run(service, removed, tmp_path) == []


async def _run(service: Service, command: str, folder: Path) -> list[str]:
    words = shlex.split(command.replace("http://127.0.0.1:8000", service.url))
    with fail_soon(20):
        done = await anyio.run_process(words, cwd=folder)
        answer = json.loads(done.stdout)
        await (await service.flow.job("manuals")).wait()
    assert answer["job"]["kb_id"] == "manuals"
    return _uris(answer)


@pytest.mark.parametrize(("command", "limit_s"), first_of_each([(SERVE, 2.0), (PLAIN_UVICORN, 4.0)]))
async def test_a_stop_waits_for_no_upload_and_no_half_of_a_body(
    tmp_path: Path, command: Sequence[str], limit_s: float
) -> None:
    with process(tmp_path, free_port(), command) as service:
        await service.ready()
        target = urlsplit(service.url)
        begun = f"POST {KB}/waf/start HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        async with (
            await anyio.connect_tcp("127.0.0.1", target.port or 80) as half,
            await anyio.connect_tcp("127.0.0.1", target.port or 80) as connection,
        ):
            await half.send(f'{begun}Content-Length: 50\r\n\r\n{{"full":'.encode())
            await connection.send(_head(100_000) + _form(('name="files"; filename="a.md"', HALF), end=b""))
            with fail_soon(5):
                while not list(tmp_path.rglob("kb.db.uploads/.staging/*/.*")):
                    await anyio.lowlevel.checkpoint()
            assert (await service.stop(signal.SIGTERM)).within(limit_s)
            with fail_soon(5):
                answers = [await each.receive() for each in (connection, half)]
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 503"] * 2
    assert [path for path in tmp_path.rglob("kb.db.uploads/*/*") if path.is_file()] == []


async def test_a_service_killed_in_the_middle_of_an_upload_leaves_no_half_file(tmp_path: Path) -> None:
    port = free_port()
    with process(tmp_path, port) as service:
        await service.ready()
        async with await anyio.connect_tcp("127.0.0.1", port) as connection:
            await connection.send(_head(100_000) + _form(('name="files"; filename="a.md"', HALF), end=b""))
            with fail_soon(5):
                while not list(tmp_path.rglob("kb.db.uploads/.staging/*/.*")):
                    await anyio.lowlevel.checkpoint()
            await service.stop(signal.SIGKILL)
    with process(tmp_path, port) as service:
        await service.ready()
        assert list(tmp_path.rglob("kb.db.uploads/*")) == []
