"""What a service says of its index server, and what it does not say."""

import json
import subprocess
import sys
import traceback
from pathlib import Path

import httpx2
import pytest

from phaseflow.components.indexes.postgres import PostgresIndex
from phaseflow.domain.errors import ComponentError, ComponentUnavailable
from phaseflow.flow import PhaseFlow, Reader
from tests.http.service import documents, serving, until
from tests.indexes.postgres import PASSWORD, Postgres
from tests.stopwatch import Stopwatch, fail_soon

KB = "/api/ingestion/kb/docs"


@pytest.mark.thorough
async def test_a_server_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    with Postgres() as server:
        settings = {"index": {"type": "postgres", "server": "main"}}
        body = {"source": {"type": "folder", "path": str(documents(tmp_path / "docs", 3))}, "settings": settings}
        flow = PhaseFlow(tmp_path / "kb.db", index_servers={"main": server.url})
        async with serving(flow) as service:

            async def answered(path: str) -> httpx2.Response:
                answer = await service.http.get(path)
                assert PASSWORD not in answer.text
                assert "127.0.0.1" not in answer.text
                return answer

            assert (await service.http.post(f"{KB}/start", json=body)).status_code == 202
            await (await flow.job("docs")).wait()
            assert (await answered("/readyz")).status_code == 200
            assert len((await answered(f"{KB}/search?q=manual&mode=vectors")).json()["hits"]) == 3
            async with Reader(tmp_path / "kb.db", index_servers={"main": server.url}) as beside:
                assert len(await beside.search("docs", "manual", mode="vectors")) == 3
            server.kill()

            async def is_down() -> bool:  # its children need a moment to notice
                watch = Stopwatch()
                answer = await answered(f"{KB}/search?q=manual")
                assert watch.within(5)
                return answer.status_code == 503 and answer.json()["code"] == "index_unavailable"

            await until(is_down)
            assert len((await answered(f"{KB}/search?q=manual&mode=words")).json()["hits"]) == 3

            async def says_so() -> bool:
                ready = await answered("/readyz")
                return ready.status_code == 503 and "the index server 'main' cannot be reached" in ready.text

            await until(says_so)
            documents(tmp_path / "docs", 5)
            await service.http.post(f"{KB}/start")

            async def waits() -> bool:
                return bool((await answered(f"{KB}/status")).json()["waiting_on"] == "index")

            await until(waits)
            server.start()
            with fail_soon(20):
                assert (await (await flow.job("docs")).wait()).status == "completed"
            assert len((await answered(f"{KB}/search?q=manual&mode=vectors")).json()["hits"]) == 5

            async def is_ready() -> bool:
                return (await answered("/readyz")).status_code == 200

            await until(is_ready)
            server.stop()
            watch = Stopwatch()
            assert (await answered(f"{KB}/search?q=manual")).json()["code"] == "index_unavailable"
            assert watch.within(5)
            server.go_on()
            assert len((await answered(f"{KB}/search?q=manual&mode=vectors")).json()["hits"]) == 5


def _command(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "phaseflow", *arguments, "--db", str(folder / "kb.db"), "--index-server", f"main={url}"],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert PASSWORD not in done.stdout + done.stderr
    assert "wr0ng" not in done.stdout + done.stderr
    return done


@pytest.mark.longest(120)
@pytest.mark.thorough
def test_the_command_line_moves_a_knowledge_base_and_searches_it(tmp_path: Path, postgres: Postgres) -> None:
    docs = str(documents(tmp_path / "docs", 3))
    assert _command(tmp_path, postgres.url, "ingest", docs, "--kb", "docs", "--index", "main").returncode == 0
    assert len(postgres.rows("SELECT 1 FROM pg_tables WHERE schemaname = 'phaseflow'")) == 1
    found = _command(tmp_path, postgres.url, "search", "docs", "manual", "--mode", "vectors", "--json")
    assert len(json.loads(found.stdout)["hits"]) == 3, found.stderr
    wrong = postgres.url.replace(PASSWORD, "wr0ng")
    refused = _command(tmp_path, wrong, "search", "docs", "manual", "--mode", "vectors")
    assert refused.returncode == 1
    assert "the index server 'main' refuses the password" in refused.stderr
    back = _command(tmp_path, postgres.url, "settings", "docs", "index.type=embedded", "--json")
    assert json.loads(back.stdout)["index"] == {"type": "embedded"}
    assert _command(tmp_path, postgres.url, "ingest", docs, "--kb", "docs").returncode == 0
    assert postgres.rows("SELECT 1 FROM pg_tables WHERE schemaname = 'phaseflow'") == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((PASSWORD, "wr0ng"), "refuses the password"),
        (("phaseflow:", "nobody:"), "refuses the"),
        (("/postgres", "/nowhere"), "has no such database"),
        (("@127.0.0.1", "@nowhere.invalid"), "cannot be reached"),
        (("@127.0.0.1", "@127.0.0.1:1/x?port="), "cannot be reached"),
    ],
)
async def test_what_is_wrong_with_an_address_is_told_without_it(
    postgres: Postgres, change: tuple[str, str], told: str
) -> None:
    index = PostgresIndex("main", postgres.url.replace(*change, 1))
    with pytest.raises(ComponentError, match=told) as raised:
        await index.ping()
    shown = "".join(traceback.format_exception(raised.value))
    assert PASSWORD not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert PASSWORD not in shown


def test_an_address_that_cannot_be_understood_is_not_shown() -> None:
    with pytest.raises(ComponentUnavailable, match="cannot be understood") as raised:
        PostgresIndex("main", f"postgresql://u:{PASSWORD}@[::1/x")
    assert PASSWORD not in "".join(traceback.format_exception(raised.value))
