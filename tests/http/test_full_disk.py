"""A service on a filesystem that is really full says so, and goes on by itself when there is room."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.engine.components import write_folder
from tests.http.processes import FORKED_SERVE, process
from tests.http.service import http_client, until
from tests.ports import free_port

KB = "/api/ingestion/kb/a"


@pytest.mark.thorough
async def test_a_full_disk_is_said_and_the_job_goes_on_by_itself_once_there_is_room(
    tmp_path: Path, small_disk: Path
) -> None:
    source = {"type": "folder", "path": str(write_folder(tmp_path / "docs", 400, words=1200))}
    words = (*FORKED_SERVE, "--allow-root", str(tmp_path))
    with process(small_disk, free_port(), words) as service:
        await service.ready()
        async with http_client(service.url) as http:

            async def status() -> Any:
                return (await http.get(f"{KB}/status")).json()

            async def is_said() -> bool:
                return "the disk is full" in str((await status())["message"])

            async def is_unready() -> bool:
                answer = await http.get("/readyz")
                return answer.status_code == 503 and "the disk is full" in answer.json()["detail"]

            async def is_done() -> bool:
                return bool((await status())["status"] == "completed")

            assert (await http.post(f"{KB}/start", json={"source": source})).status_code == 202
            await until(is_said, 30)
            await until(is_unready, 10)
            seen = await status()
            assert seen["status"] == "running"
            assert all(phase["status"] != "failed" for phase in seen["phase_details"])
            await anyio.run_process(["mount", "-o", "remount,size=200m", str(small_disk)])
            await until(is_done, 60)
            assert (await http.get("/readyz")).status_code == 200


async def test_a_service_whose_file_is_gone_is_not_ready(tmp_path: Path) -> None:
    with process(tmp_path, free_port()) as service:
        await service.ready()
        away = (tmp_path / "kb.db").rename(tmp_path / "away.db")
        async with http_client(service.url) as http:
            answer = await http.get("/readyz")
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert "was deleted or replaced" in answer.json()["detail"]
            assert str(tmp_path) not in answer.text
            away.rename(tmp_path / "kb.db")
            assert (await http.get("/readyz")).status_code == 200


@pytest.mark.parametrize("fate", ["cut off", "overwritten"])
async def test_a_service_whose_file_was_changed_in_place_is_not_ready(tmp_path: Path, fate: str) -> None:
    with process(tmp_path, free_port()) as service:
        await service.ready()
        with (tmp_path / "kb.db").open("r+b") as file:
            if fate == "cut off":
                file.truncate(0)
            else:
                file.write(b"something else altogether " * 1000)
        async with http_client(service.url) as http:
            answer = await http.get("/readyz")
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert "cut off or overwritten" in answer.json()["detail"]
            assert (await http.put(KB, json={"source": {"type": "upload"}})).status_code == 503


async def test_an_upload_to_a_full_disk_says_so(tmp_path: Path, small_disk: Path) -> None:
    with process(small_disk, free_port(), (*FORKED_SERVE, "--allow-root", str(tmp_path))) as service:
        await service.ready()
        async with http_client(service.url) as http:
            answer = await http.post(f"{KB}/documents", files={"files": ("a.md", b"x" * (8 << 20))})
            assert answer.status_code == 503
            assert "the disk is full" in answer.json()["detail"]
            assert str(small_disk) not in answer.text
