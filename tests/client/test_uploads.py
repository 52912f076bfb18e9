"""The client sends files of its machine, and takes them out again."""

from pathlib import Path

import pytest

from phaseflow.client import Client
from phaseflow.components.uploads import UploadLimits
from phaseflow.domain.errors import DocumentNotFound, HeldBySource, InvalidRequest, UploadTooLarge
from phaseflow.flow import PhaseFlow
from tests.http.service import serving
from tests.stopwatch import fail_soon


async def test_files_are_sent_and_taken_out(tmp_path: Path) -> None:
    (tmp_path / 'say "hi".md').write_text("Of letters.")
    async with serving(PhaseFlow(tmp_path / "kb.db")) as service, Client(service.url) as client:
        taken = await client.upload("waf", [tmp_path / 'say "hi".md'])
        assert [one.uri for one in taken.documents] == ['say "hi".md']
        with fail_soon(20):
            await (await service.flow.job("waf")).wait()
        assert [hit.uri for hit in await client.search("waf", "letters")] == ['say "hi".md']
        gone = await client.delete_document("waf", 'say "hi".md')
        assert gone.documents == []
        assert await client.search("waf", "letters") == []


async def test_refusals_come_back_as_the_errors_of_the_library(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Of letters.")
    (tmp_path / "long.md").write_text("Of letters. " * 10)
    flow = PhaseFlow(tmp_path / "kb.db", uploads=UploadLimits(file_bytes=20))
    async with serving(flow) as service, Client(service.url) as client:
        with pytest.raises(UploadTooLarge):
            await client.upload("waf", [tmp_path / "long.md"])
        with pytest.raises(InvalidRequest, match="is not a file"):
            await client.upload("waf", [tmp_path / "missing.md"])
        await client.upload("waf", [tmp_path / "a.md"])
        with fail_soon(20):
            await (await service.flow.job("waf")).wait()
        with pytest.raises(DocumentNotFound):
            await client.delete_document("waf", "b.md")
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "c.md").write_text("Of letters.")
        await client.start("waf", tmp_path / "docs")
        with fail_soon(20):
            await (await service.flow.job("waf")).wait()
        with pytest.raises(HeldBySource):
            await client.upload("waf", [tmp_path / "docs" / "c.md"])
