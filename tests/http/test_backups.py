"""A copy of the database through the service."""

import stat
from pathlib import Path

import anyio
import pytest

from phaseflow import Reader
from phaseflow.client import Client, ServiceError, ServiceUnreachable
from phaseflow.domain.errors import BackupFailed, Busy
from phaseflow.flow import PhaseFlow
from phaseflow.http import backups
from phaseflow.store import failpoints
from tests.engine.components import CountingEmbedder
from tests.http.service import Service, serving
from tests.stopwatch import fail_soon

TOKEN = "a long secret"
LARGE = "A large letter. " * 10_000


async def _fill(service: Service) -> None:
    await service.flow.add("kb", [{"uri": "large.md", "text": LARGE}, {"uri": "small.md", "text": "A small letter."}])
    with fail_soon(20):
        await (await service.flow.job("kb")).wait()


async def test_a_client_gets_it_whole_under_a_token(tmp_path: Path) -> None:
    copy = tmp_path / "mine" / "copy.db"
    copy.parent.mkdir()
    async with serving(PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()), token=TOKEN) as service:
        await _fill(service)
        async with Client(service.url, token=TOKEN) as client:
            assert await client.backup(copy) == copy.stat().st_size
            with pytest.raises(BackupFailed, match="exists already"):
                await client.backup(copy)
        async with Client(service.url, token="another secret") as stranger:
            with pytest.raises(ServiceError, match="token"):
                await stranger.backup(tmp_path / "mine" / "stolen.db")
        kept = [each.name for each in (tmp_path / "kb.db.uploads").iterdir()]
        assert kept == ["kb"]  # no copy is left there
    assert (stat.S_IMODE(copy.stat().st_mode), [each.name for each in copy.parent.iterdir()]) == (0o600, ["copy.db"])
    async with Reader(copy) as reader:
        assert (await reader.document_text("kb", "large.md")) == LARGE


async def test_of_a_damaged_file_a_client_gets_none_unless_it_wants_one(tmp_path: Path) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder(), slots=0)) as service:
        await service.flow.add("kb", [{"uri": "a.md", "text": "A letter."}])
        copy = tmp_path / "copy.db"
        failpoints.install("backup.copied", lambda: _lose_a_page(next(tmp_path.glob("kb.db.uploads/**/*.partial"))))
        try:
            async with Client(service.url) as client:
                with pytest.raises(ServiceError, match="damaged") as refused:
                    await client.backup(copy)
                assert (refused.value.code, copy.exists()) == ("not_a_database", False)
                assert await client.backup(copy, check=False) == copy.stat().st_size
        finally:
            failpoints.clear()


def _lose_a_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096 * 7)
        file.write(bytes(4096))


async def test_one_is_made_at_a_time_and_one_that_nobody_takes_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder())) as service:
        await _fill(service)
        async with service.flow.copied(), Client(service.url) as client:
            with pytest.raises(Busy):
                await client.backup(tmp_path / "copy.db")
        monkeypatch.setattr(backups, "_PIECE", 4096)
        async with service.http.stream("POST", "/api/ingestion/backup") as answer:
            assert answer.headers["content-type"] == "application/vnd.sqlite3"
            await anext(answer.aiter_raw())
        with fail_soon(10):
            while service.flow._upkeep._is_copying:  # noqa: ASYNC110  # it has seen that the client left
                await anyio.sleep(0.01)
    assert [each.name for each in tmp_path.glob("copy*")] == []


async def test_one_that_is_broken_off_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder())) as service:
        await _fill(service)
        copied = service.flow.copied

        class Broken:
            def __init__(self, *, check: bool) -> None:
                self.inside = copied(check=check)

            async def __aenter__(self) -> object:
                file, size = await self.inside.__aenter__()
                file.seek(0, 2)  # the connection ends before all that was promised has come
                return file, size

            async def __aexit__(self, *why: object) -> None:
                await self.inside.__aexit__(None, None, None)

        monkeypatch.setattr(service.flow, "copied", Broken)
        async with Client(service.url) as client:
            with pytest.raises(ServiceUnreachable):
                await client.backup(tmp_path / "copy.db")
    assert [each.name for each in tmp_path.glob("copy*")] == []
