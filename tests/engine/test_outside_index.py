"""A search of an index outside the database that does not answer as an index does."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow import FolderSource, PhaseFlow
from phaseflow.components.protocols import Hit
from phaseflow.domain.errors import ComponentUnavailable, IndexUnavailable, InvalidRequest
from phaseflow.flow import outside_index


class Outside:
    """An index in another program, whose search does what it is told."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer
        self.searched = 0

    async def replace(self, kb_id: str, documents: Sequence[Any]) -> None:
        pass

    async def delete(self, kb_id: str, uris: Sequence[str]) -> None:
        pass

    async def search(self, kb_id: str, query: str, vector: Sequence[float], limit: int) -> Any:
        self.searched += 1
        answer = self.answer()
        return await answer if hasattr(answer, "__await__") else answer


def raising(error: Exception) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (raising(ConnectionResetError("gone away")), "ConnectionResetError: gone away"),
        (raising(ImportError("no driver")), "ImportError: no driver"),
        (raising(ComponentUnavailable("wrong password")), "wrong password"),
        (lambda: None, "TypeError"),
        (lambda: ["not a hit"], "AttributeError"),
        (anyio.sleep_forever, "did not answer within 0.05 s"),
    ],
)
async def test_what_it_raises_is_one_error_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Callable[[], Any], told: str
) -> None:
    monkeypatch.setattr(outside_index, "SEARCH_S", 0.05)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nWords.\n")
    index = Outside(answer)
    async with PhaseFlow(tmp_path / "kb.db", index=index) as flow:
        job = await flow.start("waf", FolderSource(str(tmp_path / "docs")))
        assert (await job.wait()).status == "completed"
        with pytest.raises(IndexUnavailable, match="the index of 'waf' cannot be searched") as raised:
            await flow.search("waf", "words")
        assert told in str(raised.value)
        assert index.searched == 1
        index.answer = lambda: [Hit("a.md", "A", "Words.", 0.5, 5, 11)] * 3
        assert [hit.uri for hit in await flow.search("waf", "words", limit=2)] == ["a.md", "a.md"]
        assert await flow.search("waf", "words", min_score=0.6) == []
        with pytest.raises(InvalidRequest, match="takes none"):
            await flow.search("waf", "words", filter={"type": "eq", "key": "uri", "value": "b.md"})
