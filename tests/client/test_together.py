"""Several change the same thing at once: nobody's change is lost to another one's."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from phaseflow import PhaseFlow, PreconditionFailed, UploadSource
from phaseflow.client import Client
from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.settings import Settings
from phaseflow.flow.on_newest import TRIES, on_newest
from tests.cli.commands import Shell, ended
from tests.http.service import Service, serving


class Meddled(PhaseFlow):
    """Somebody else is faster, before each of the first ``times`` changes."""

    times = 0

    async def put_kb(self, *given: Any, **named: Any) -> Any:
        if self._is_overtaken():
            await super().put_kb("docs", settings={"chunk_overlap": 50 + self.times})
        return await super().put_kb(*given, **named)

    async def set_metadata(self, *given: Any, **named: Any) -> str:
        if self._is_overtaken():
            await super().set_metadata("docs", "note", {"year": 1952})
        return await super().set_metadata(*given, **named)

    def _is_overtaken(self) -> bool:
        self.times -= 1
        return self.times >= 0


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(Meddled(tmp_path / "kb.db", slots=0)) as service:
        await service.flow.put_kb("docs", UploadSource())
        await service.flow.add("docs", [{"uri": "note", "text": "# Note"}])
        yield service


def overtake(service: Service, times: int) -> None:
    assert isinstance(service.flow, Meddled)
    service.flow.times = times


async def command(service: Service, *words: str) -> tuple[int, str]:
    with Shell(Path.cwd()).running(*words, "--server", service.url) as process:
        done = await anyio.to_thread.run_sync(ended, process)
    return done.returncode, done.stderr


async def test_a_change_of_one_setting_on_the_command_line_keeps_those_of_others(service: Service) -> None:
    overtake(service, 1)
    code, said = await command(service, "settings", "docs", "chunk_size=800")
    assert (code, "chunk_overlap = 50" in said) == (0, True), said
    settings = (await service.flow.kb("docs")).settings
    assert (settings.chunk_size, settings.chunk_overlap) == (800, 50)


async def test_a_change_of_one_name_on_the_command_line_keeps_those_of_others(service: Service) -> None:
    overtake(service, 1)
    code, said = await command(service, "metadata", "docs", "note", "author=Ada")
    assert (code, "year = 1952" in said) == (0, True), said
    assert (await service.flow.document("docs", "note")).metadata == {"author": "Ada", "year": 1952}


async def test_who_is_always_overtaken_is_told_so(service: Service) -> None:
    overtake(service, TRIES)

    async def write(kb: Any) -> None:
        await service.flow.put_kb("docs", settings={"chunk_size": 800}, if_match=kb.etag)

    with pytest.raises(PreconditionFailed, match="changed meanwhile"):
        await on_newest(lambda: service.flow.kb("docs"), write)
    assert (await service.flow.kb("docs")).settings.chunk_size == 1000


async def test_the_client_binds_its_changes_as_the_library_does(service: Service) -> None:
    async with Client(service.url) as client:
        for face in (client, service.flow):
            kb, document = await face.kb("docs"), await face.document("docs", "note")
            changed = Settings(chunk_size=kb.settings.chunk_size + 1)
            with pytest.raises(PreconditionFailed, match="'docs' was changed meanwhile"):
                await face.put_kb("docs", settings=Settings(), if_match="00")
            with pytest.raises(PreconditionFailed, match="'docs' is there already"):
                await face.put_kb("docs", UploadSource(), if_none_match="*")
            with pytest.raises(PreconditionFailed, match="'other' is not there"):
                await face.put_kb("other", UploadSource(), if_match="*")
            with pytest.raises(PreconditionFailed, match="'note' was changed meanwhile"):
                await face.set_metadata("docs", "note", {"author": "Ada"}, if_match=["00", "01"])
            with pytest.raises(InvalidRequest, match="if_match"):
                await face.put_kb("docs", settings=changed, if_match=7)  # type: ignore[arg-type]  # of a program without types
            assert (await face.kb("docs"), await face.document("docs", "note")) == (kb, document)
            assert (await face.put_kb("docs", settings=changed, if_match=kb.etag)).etag != kb.etag
            named = {"author": str(changed.chunk_size)}
            await face.set_metadata("docs", "note", named, if_match=["00", document.etag])
            assert (await face.document("docs", "note")).metadata == named
        with pytest.raises(InvalidRequest, match="if_match"):
            await client.put_kb("docs", settings=changed, if_match='a"\r\nX: b')
        await client.put_kb("new", UploadSource(), if_none_match="*")
