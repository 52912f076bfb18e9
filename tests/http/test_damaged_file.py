"""A file that is damaged under a running service: every question is refused with what is wrong, and none with a 500."""

import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from phaseflow.http.app import ENDPOINTS
from tests.http.processes import FORKED_SERVE, process
from tests.http.service import documents, http_client, until
from tests.matrices import first_of_each
from tests.ports import free_port

KB = "/api/ingestion/kb/kb"


def _cut_off(path: Path) -> None:
    os.truncate(path, 8192)


def _over_with_rubbish(path: Path) -> None:
    _write_over(path, os.urandom(path.stat().st_size))


def _over_with_another_database(path: Path) -> None:
    other = path.with_name("other.db")
    connection = sqlite3.connect(other)
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("CREATE TABLE t (x)")
    connection.executemany("INSERT INTO t VALUES (?)", [("y" * 500,)] * 2000)
    connection.commit()
    connection.close()
    _write_over(path, other.read_bytes())


def _in_its_texts(path: Path) -> None:
    content = path.read_bytes()
    for word in (b"loading", b"chunk_size", b"20", b"folder"):
        content = content.replace(word, b"\xff\xfe" + word[2:])
    _write_over(path, content)


def _write_over(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)
        file.truncate(len(content))


@pytest.mark.parametrize(
    "damage", first_of_each([_in_its_texts, _cut_off, _over_with_rubbish, _over_with_another_database])
)
async def test_no_route_answers_500_when_the_file_is_damaged_in_place(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    source = {"type": "folder", "path": str(documents(tmp_path / "docs", 4))}
    with process(tmp_path, free_port(), (*FORKED_SERVE, "--allow-root", str(tmp_path))) as service:
        await service.ready()
        async with http_client(service.url) as http:

            async def is_done() -> bool:
                return bool((await http.get(f"{KB}/status")).json().get("status") == "completed")

            assert (await http.post(f"{KB}/start", json={"source": source})).status_code == 202
            await until(is_done, 30)
            document = (await http.get(f"{KB}/documents")).json()["items"][0]["id"]
            await until(lambda: _is_in_the_file(tmp_path / "kb.db"), 10)
            damage(tmp_path / "kb.db")
            told = {}
            for path in sorted({endpoint.path for endpoint in ENDPOINTS if endpoint.method == "GET"}):
                if path.endswith("events"):
                    continue
                named = path.replace("{kb_id}", "kb").replace("{document_id}", document)
                query = {"q": "text"} if path.endswith("/search") else {}
                answer = await http.get(re.sub(r"{\w+(:\w+)?}", "none", named), params=query)
                is_problem = answer.headers.get("content-type") == "application/problem+json"
                told[path] = (answer.status_code, answer.json()["code"] if is_problem else None)
            assert [path for path, (status, _) in told.items() if status == 500] == []
            assert told["/api/ingestion/kb/{kb_id}/search"] == (503, "not_a_database")
            assert told["/api/ingestion/kb"] == (503, "not_a_database")


async def _is_in_the_file(path: Path) -> bool:
    """What was written is no longer in the WAL, which would hide the damage."""
    wal = path.with_name(path.name + "-wal")
    return not wal.exists() or wal.stat().st_size == 0
