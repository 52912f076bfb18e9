"""Index servers by name: what the operator sets up, and what clients may choose."""

import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from phaseflow.components.indexes.registry import Indexes
from phaseflow.components.indexes.servers import IndexServers
from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.settings import PostgresIndexSettings, Settings
from phaseflow.flow import PhaseFlow
from phaseflow.store.index_spaces import OWN
from tests.cli.commands import Shell
from tests.http.service import documents, serving
from tests.indexes.file_index import FileIndex

KB = "/api/ingestion/kb/docs"
SECRET = "s3cret"
ADDRESS = f"postgresql://user:{SECRET}@db.test/x"


async def test_a_client_chooses_a_server_by_its_name_alone(tmp_path: Path) -> None:
    source = {"type": "folder", "path": str(documents(tmp_path / "docs", 1))}
    async with serving(PhaseFlow(tmp_path / "kb.db", index_servers={"main": ADDRESS})) as service:

        async def put(index: object) -> tuple[int, str, dict[str, object]]:
            answer = await service.http.put(KB, json={"source": source, "settings": {"index": index}})
            return answer.status_code, answer.text, answer.json()

        for index in ({"type": "embedded"}, {"type": "postgres", "server": "main"}):
            code, _, kb = await put(index)
            assert (code, kb["settings"]) == (200, Settings.model_validate({"index": index}).model_dump(mode="json"))
        code, text, _ = await put({"type": "postgres", "server": "other"})
        assert code == 422
        assert "there is no index server 'other'; known: main" in text
        for index in (
            {"type": "postgres", "server": ADDRESS},
            {"type": "postgres", "server": "main", "url": ADDRESS},
            {"type": "postgres", "server": "embedded"},
            {"type": "postgres"},
            {"type": "other"},
        ):
            code, text, answer = await put(index)
            assert (code, answer["code"]) == (422, "invalid_request")
            assert "settings.index" in str(answer["detail"])
            assert SECRET not in text or index.get("server") == ADDRESS or "url" in index
        started = await service.http.post(
            f"{KB}/start", json={"source": source, "settings": {"index": {"type": "postgres", "server": "other"}}}
        )
        assert started.status_code == 422


async def test_settings_of_new_knowledge_bases_name_a_server_that_there_is(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidRequest, match=r"settings\.index\.server: there is no index server 'none'; the operator has named none; "
    ):
        PhaseFlow(tmp_path / "kb.db", settings={"index": {"type": "postgres", "server": "none"}})


def test_the_environment_names_servers_as_json_or_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = json.dumps({"main": ADDRESS, "second": "postgres://db.test/y"})
    monkeypatch.setenv("PHASEFLOW_INDEX_SERVERS", told)
    servers = IndexServers({"main": "postgresql://other.test/z"})
    assert list(servers) == ["main", "second"]
    assert servers.address("main") == "postgresql://other.test/z"
    (tmp_path / "servers.json").write_text(told)
    monkeypatch.setenv("PHASEFLOW_INDEX_SERVERS", str(tmp_path / "servers.json"))
    servers = IndexServers()
    servers.check(PostgresIndexSettings(server="second"))
    assert servers.address("main") == ADDRESS
    assert SECRET not in f"{servers!r} {servers}"


@pytest.mark.parametrize(
    "told",
    [
        f'{{"main": "{ADDRESS}"',
        f'{{"main": ["{ADDRESS}"]}}',
        f'{{"a b": "{ADDRESS}"}}',
        f'{{"embedded": "{ADDRESS}"}}',
        f'{{"main": "mysql://u:{SECRET}@db.test/x"}}',
        f'{{"main": "{ADDRESS}", "second": "{ADDRESS}"}}',
        ADDRESS,
        "/nowhere/servers.json",
    ],
)
def test_what_cannot_be_used_is_refused_without_being_shown(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASEFLOW_INDEX_SERVERS", told)
    with pytest.raises(InvalidRequest) as raised:
        IndexServers()
    assert raised.value.field == "PHASEFLOW_INDEX_SERVERS"
    shown, error = str(raised.value), raised.value.__cause__
    assert SECRET not in shown
    assert error is None


@pytest.mark.parametrize(
    "given", ["postgresql://u:s3cret@db.test/x", "main=mysql://u:s3cret@db.test", "a b=postgres://s3cret"]
)
def test_a_mistake_on_the_command_line_does_not_show_the_address(given: str, tmp_path: Path) -> None:
    ended = Shell(tmp_path)("status", "--index-server", given)
    assert ended.returncode == 2
    assert "index-server" in ended.stderr
    assert SECRET not in ended.stderr + ended.stdout


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (f"postgresql://u:{SECRET}@db.test:99999/x", "a port that is not a number from 1 to 65535"),
        (f"postgresql://u:{SECRET}@db.test:0/x", "a port"),
        (f"postgresql://u:{SECRET}@db.test:abc/x", "a port"),
        (f"postgresql://u:{SECRET}@db.test/x?port=-1", "a port"),
        (f"postgresql://u:{SECRET}@one.test:5432,two.test:70000/x", "a port"),
        (f"postgresql://u:{SECRET}@[::1/x", "a host that cannot be one"),
        (f"postgresql://u:{SECRET}%zz@db.test/x", "a % that is not followed"),
        (f"postgresql://u:{SECRET}@db.test/x?sslmod=require", "cannot be understood; check its parts"),
    ],
)
async def test_an_address_that_cannot_be_one_ends_the_start(address: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=told) as raised:
        PhaseFlow(tmp_path / "kb.db", index_servers={"main": address})
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None
    assert not (tmp_path / "kb.db").exists()


def test_addresses_of_all_forms_are_taken() -> None:
    forms = [
        "postgresql://", "postgres:///x", "postgresql://db.test", "postgresql://u:p%40%3A@db.test:5432/x?sslmode=require",
        "postgresql://u@[::1]:5432/x", "postgresql://one.test:1,two.test/x", "postgresql://%2Frun%2Fpostgresql/x",
        "postgresql:///x?host=/run/postgresql&port=5433",
    ]  # fmt: skip
    IndexServers({f"s{number}": form for number, form in enumerate(forms)}).check_with_driver()


def test_the_service_does_not_start_with_a_port_that_cannot_be_one(tmp_path: Path) -> None:
    ended = subprocess.run(
        [
            sys.executable, "-m", "phaseflow", "serve", "--db", str(tmp_path / "x.db"), "--port", "0",
            "--index-server", "main=postgresql://db.test:99999/x",
        ],
        capture_output=True, text=True, timeout=100, check=False, env=os.environ,
    )  # fmt: skip
    assert (ended.returncode, "main has a port" in ended.stderr) == (2, True), ended.stderr


async def test_an_index_that_hangs_keeps_nobody_longer_than_he_waits(tmp_path: Path) -> None:
    class Hanging(FileIndex):
        async def aclose(self) -> None:
            await anyio.sleep_forever()

    indexes = Indexes(IndexServers({}), Hanging(tmp_path / "index.db"))
    await indexes.get(OWN)
    with anyio.move_on_after(0.05) as waiting:
        await indexes.aclose()
    assert waiting.cancelled_caught
    await indexes.aclose()  # it was given up
