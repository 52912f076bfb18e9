"""Which addresses of other machines a client of the service may have read."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from phaseflow import FsspecSource, PhaseFlow
from phaseflow.components.operator_file import CONNECTIONS as VARIABLE
from phaseflow.components.protocols import Document, Entry
from phaseflow.components.sources.remote import FsspecLoader
from phaseflow.components.sources.remote.client_rules import check_rules
from phaseflow.components.sources.remote.connections import Connections
from phaseflow.components.sources.web.ssrf import AddressPolicy
from phaseflow.domain.errors import DocumentError
from phaseflow.http import AllowedRoots
from tests.components.remote_servers import BUCKET, KEYS, Pages, page_server, s3_server
from tests.http.service import Service, serving
from tests.matrices import together

KB = "/api/ingestion/kb"
CONNECTIONS = {
    "store": {"protocol": "s3", "options": {"anon": True}, "url": "s3://ours/public"},
    "files": {"protocol": "sftp", "options": {"host": "files.example.org", "username": "us", "password": "hidden-pw"}},
    "site": {"protocol": "https", "options": {"headers": {"Authorization": "Bearer hidden-pw"}}},
    "disk": {"protocol": "file"},
}


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    named = tmp_path / "connections.json"
    named.write_text(json.dumps(CONNECTIONS))
    monkeypatch.setenv(VARIABLE, str(named))
    (tmp_path / "docs").mkdir()
    flow = PhaseFlow(tmp_path / "kb.db", check_source=AllowedRoots([tmp_path / "docs"]))
    async with serving(flow) as found:
        yield found


async def put(service: Service, url: str, **more: Any) -> tuple[int, str, str]:
    answer = await service.http.put(f"{KB}/kb", json={"source": {"type": "fsspec", "url": url, **more}})
    body = answer.json()
    return answer.status_code, body.get("code", ""), json.dumps(body)


REFUSED = (
    "file:///etc",
    "FILE:///etc",
    "local:///etc",
    "memory://x",
    "dir::file:///etc",
    "zip://x::file:///etc/x.zip",
    "s3://bucket/a::file:///etc",
    "simplecache::s3://bucket/a",
    "s3://bucket/a%3A%3Afile:///etc",
    "reference://x",
    "data:///x",
    "git:///srv/repository",
    "tar://x",
    "sftp://files.example.org/",
    "ftp://127.0.0.1/",
    "smb://host/share",
    "http://127.0.0.1:9/",
    "http://[::1]:9/",
    "http://169.254.169.254/latest/",
    "http://localhost/",
    "http://0x7f000001/",
    "https://me@example.org/",
    "abfs://container@elsewhere.example.org/x",
    "s3://key@bucket/x",
)
"""This machine, or what the operator has not named."""


async def test_what_leads_to_this_machine_or_to_what_the_operator_has_not_named_is_refused(service: Service) -> None:
    for url in REFUSED:
        status, code, _ = await put(service, url)
        assert (status, code) == (403, "source_not_allowed"), url


NOT_ITS_OWN = (
    ("s3://ours/private", "store"),
    ("s3://ours/publicity", "store"),
    ("s3://ours/public/../private", "store"),
    ("s3://ours/public/%2e%2e/private", "store"),
    ("sftp://elsewhere.example.org/x", "files"),
    ("sftp://root@files.example.org/x", "files"),
    ("sftp://files.example.org:2222/x", "files"),
    ("https://elsewhere.example.org/", "site"),
    ("gs://ours/public", "store"),
    ("file:///etc", "disk"),
)


async def test_a_connection_is_for_its_own_server(service: Service) -> None:
    for url, connection in NOT_ITS_OWN:
        status, code, body = await put(service, url, connection=connection)
        assert (status, code) == (403, "source_not_allowed"), url
        assert "hidden-pw" not in body


@pytest.mark.parametrize(
    ("url", "connection"),
    [("s3://ours/public", "store"), ("s3://ours/public/docs", "store"), ("sftp:///docs", "files")],
)
async def test_a_connection_is_named_and_shown_without_what_it_holds(
    service: Service, url: str, connection: str
) -> None:
    status, _, body = await put(service, url, connection=connection)
    assert status == 200, body
    assert "hidden-pw" not in body
    assert json.loads(body)["source"]["connection"] == connection


NOT_PUBLIC: tuple[tuple[str, dict[str, str]], ...] = (
    ("file:///etc", {}),
    ("/etc", {}),
    ("http://127.0.0.1:9/x.git", {}),
    ("http://[::1]:9/x.git", {}),
    ("git://example.org/x.git", {}),
    ("ssh://git@example.org/x.git", {}),
    ("https://me@example.org/x.git", {}),
    ("https://example.org/x.git", {"connection": "site"}),
    ("https://example.org/x.git", {"connection": "store"}),
)


async def test_repositories_are_public_or_below_the_allowed_roots(service: Service) -> None:
    for url, more in NOT_PUBLIC:
        answer = await service.http.put(f"{KB}/kb", json={"source": {"type": "git", "url": url, **more}})
        assert (answer.status_code, answer.json()["code"]) == (403, "source_not_allowed"), (url, more)


async def test_a_repository_below_an_allowed_root_is_taken(service: Service, tmp_path: Path) -> None:
    for url in (f"file://{tmp_path}/docs", f"{tmp_path}/docs"):
        answer = await service.http.put(f"{KB}/kb", json={"source": {"type": "git", "url": url}})
        assert answer.status_code == 200


async def test_a_password_in_an_address_is_refused_and_not_repeated(service: Service) -> None:
    for url in ("sftp://me:open-sesame@files.example.org/", "https://me:open-sesame@example.org/"):
        status, code, body = await put(service, url)
        assert (status, code) == (422, "invalid_request")
        assert "open-sesame" not in body


async def test_unknown_fields_such_as_keys_are_refused(service: Service) -> None:
    status, code, _ = await put(service, "s3://bucket/x", key="mine", secret="mine")
    assert (status, code) == (422, "invalid_request")


async def test_a_source_of_the_command_line_is_refused_to_the_service(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        await flow.put_kb("kb", f"file://{tmp_path}/docs")
    async with serving(PhaseFlow(tmp_path / "kb.db", check_source=AllowedRoots([tmp_path]))) as service:
        answer = await service.http.post(f"{KB}/kb/start")
    assert (answer.status_code, answer.json()["code"]) == (403, "source_not_allowed")


@together("url", ["s3://bucket/docs", "gs://bucket/docs", "az://container/docs"])
def test_a_store_is_read_without_a_connection(url: str) -> None:
    assert check_rules(FsspecSource(url=url), Connections({})) is None


@pytest.mark.thorough
async def test_a_client_reads_a_store_with_the_keys_of_the_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server() as s3:
        s3.put("docs/a.md", "# A\n\nText.")
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3.url}.items():
            monkeypatch.setenv(name, value)
        async with serving(PhaseFlow(tmp_path / "kb.db", check_source=AllowedRoots([tmp_path]))) as service:
            given = {"source": {"type": "fsspec", "url": f"s3://{BUCKET}/docs"}}
            answer = await service.http.post(f"{KB}/kb/start", json=given)
            assert answer.status_code == 202
            final = await (await service.flow.job("kb")).wait()
            assert (final.status, final.metrics.documents_loaded) == ("completed", 1)


async def test_no_redirect_leads_to_a_private_address(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Secret")
    with page_server(tmp_path) as (inner, asked):

        def redirecting(kind: type[Pages]) -> type[Pages]:
            class Redirecting(kind):  # type: ignore[misc, valid-type]  # a base that is given
                def do_GET(self) -> None:  # noqa: N802  # the name that http.server wants
                    self.send_response(302)
                    self.send_header("Location", f"{inner}{self.path}")
                    self.end_headers()

                do_HEAD = do_GET  # noqa: N815  # the name that http.server wants

            return Redirecting

        with page_server(tmp_path, redirecting) as (outer, _):
            for names, kind in (((outer,), DocumentError), ((outer, inner), Document)):
                policy = AddressPolicy([name.removeprefix("http://") for name in names])
                loader = FsspecLoader(FsspecSource(f"{outer}/"), policy=policy)
                if kind is Document:
                    assert isinstance(await loader.load(Entry("a.md"), None), Document)
                else:
                    with pytest.raises(DocumentError, match="not public") as caught:
                        await loader.load(Entry("a.md"), None)
                    assert caught.value.code == "source_not_allowed"
                    assert not asked.seen
                await loader.aclose()


async def test_a_redirect_takes_no_header_of_a_connection_along_and_leads_to_nothing_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may name a page of the operator's server may name one that redirects."""
    (tmp_path / "a.md").write_text("# A\n\nText.")
    headers = list[dict[str, str]]()

    def noting(kind: type[Pages]) -> type[Pages]:
        class Noting(kind):  # type: ignore[misc, valid-type]  # a base that is given
            def do_GET(self) -> None:  # noqa: N802  # the name that http.server wants
                headers.append({name.lower(): value for name, value in self.headers.items()})
                super().do_GET()

        return Noting

    with (
        page_server(tmp_path, noting) as (elsewhere, asked),
        page_server(tmp_path, lambda kind: _redirecting(kind, elsewhere)) as (operators, _),
    ):
        named = {"protocol": "http", "url": operators, "options": {"headers": {"X-Api-Key": "the key"}}}
        (tmp_path / "connections.json").write_text(json.dumps({"ours": named}))
        (tmp_path / "connections.json").chmod(0o600)
        monkeypatch.setenv(VARIABLE, str(tmp_path / "connections.json"))
        source = {"source": {"type": "fsspec", "url": f"{operators}/a.md", "connection": "ours"}}
        for number, allowed in enumerate(([], [elsewhere.removeprefix("http://")])):
            flow = PhaseFlow(tmp_path / f"{number}.db", check_source=AllowedRoots([tmp_path]), allow_private=allowed)
            async with serving(flow) as service:
                assert (await service.http.post(f"{KB}/kb/start", json=source)).status_code == 202
                final = await (await service.flow.job("kb")).wait()
            assert (final.status == "completed", bool(asked.seen)) == (bool(allowed), bool(allowed)), final.error
    assert headers
    assert not [each for each in headers if "x-api-key" in each]


def _redirecting(kind: type[Pages], to: str) -> type[Pages]:
    class Redirecting(kind):  # type: ignore[misc, valid-type]  # a base that is given
        def do_GET(self) -> None:  # noqa: N802  # the name that http.server wants
            assert self.headers["X-Api-Key"] == "the key"
            self.send_response(302)
            self.send_header("Location", f"{to}{self.path}")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815  # the name that http.server wants

    return Redirecting
