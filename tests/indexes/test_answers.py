"""Whatever an index of a program answers, the engine stays up, and a search says what is wrong or is right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from phaseflow.components.indexes import Candidate, registry
from phaseflow.components.indexes.answers import WHOLE, as_candidates, as_count, as_passages
from phaseflow.components.indexes.postgres import PostgresIndex
from phaseflow.components.indexes.servers import IndexServers
from phaseflow.domain.errors import IndexUnavailable
from phaseflow.store.index_spaces import OWN
from phaseflow.supervisor import index_keeper
from tests.engine.components import CountingEmbedder
from tests.indexes.file_index import FileIndex
from tests.indexes.test_engine import Place, run
from tests.matrices import first_of_each, together
from tests.stopwatch import fail_soon

NONSENSE: list[Any] = [None, 5, [None], ["a"], [(1, 2, 3)], [(float("nan"), 0)], [(1.5, 0)], [(2**70, 1)], [(-5, 0)]]


@together("answer", [*NONSENSE, [(1, -1)], [(1, 2**40)]], ids=str)
def test_what_is_no_list_of_candidates_is_refused(answer: Any) -> None:
    with pytest.raises(IndexUnavailable, match="its search answered with something else"):
        as_candidates(answer, 10)


@together("answer", [*NONSENSE, [3, 3], [5, 4], [1, 2], [(3, "x")], [3, 4, 5, 6]], ids=str)
def test_what_is_no_page_of_documents_is_refused(answer: Any) -> None:
    with pytest.raises(IndexUnavailable, match="its document_ids or passages answered with something else"):
        as_passages(answer, 2, 3)


def test_what_fits_is_taken_also_as_numbers_of_numpy() -> None:
    assert as_passages(np.array([3, 9]), 2, 3) == [(3, WHOLE), (9, WHOLE)]
    assert as_passages([[3, np.int64(2)]], 2, 3) == [(3, 2)]
    assert as_candidates(np.array([[1, 2], [3, 4]]), 1) == [Candidate(1, 2)]
    assert as_count(7) == 7
    for answer in (None, "5", -1, 1.0):
        with pytest.raises(IndexUnavailable, match="its count answered"):
            as_count(answer)


@pytest.mark.parametrize(
    ("call", "answer"),
    first_of_each([("document_ids", None), ("document_ids", [1] * 1000), ("count", "many")], lambda case: case[0]),
)
async def test_an_engine_outlives_what_its_index_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, answer: Any
) -> None:
    monkeypatch.setattr(index_keeper, "LOOK_S", 0.01)
    monkeypatch.setattr(index_keeper, "LONGEST_WAIT_S", 0.05)
    asked = anyio.Event()

    async def answered(*given: Any) -> Any:
        asked.set()
        return answer

    calls: dict[str, Callable[..., Any]] = {call: lambda self, *given: answered(*given)}
    if call == "count":
        calls["passages"] = FileIndex.document_ids
    odd = type("Odd", (FileIndex,), calls)
    place = Place("file", tmp_path, {"index": odd(tmp_path / "index.db")}, {}, CountingEmbedder())
    place.write(*"abc")
    async with place.flow() as flow:
        await run(flow, place)
        with fail_soon(10):
            await asked.wait()
        await run(flow, place, full=True)
        assert len(await flow.search("kb", "all about", mode="vectors")) == 3


class Shut(FileIndex):
    """Never done with opening."""

    async def open(self) -> None:
        await anyio.sleep_forever()


async def test_an_index_that_hangs_where_it_is_opened_is_named_in_time_and_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseflow.flow.searching.SEARCH_S", 0.2)
    monkeypatch.setattr(registry, "_PING_S", 0.1)
    place = Place("file", tmp_path, {"index": FileIndex(tmp_path / "index.db")}, {}, CountingEmbedder())
    place.write("a")
    async with place.flow() as flow:
        await run(flow, place)
    async with place.flow(index=Shut(tmp_path / "index.db")) as flow:
        with fail_soon(4):
            with pytest.raises(IndexUnavailable, match="the index of this program"):
                await flow.search("kb", "all about", mode="vectors")
            assert "the index of this program" in (await flow.why_index_down() or "")
            assert len(await flow.search("kb", "all about", mode="words")) == 1
    servers = IndexServers({"main": "postgresql://nobody.invalid/x"})
    indexes = registry.Indexes(servers, Shut(tmp_path / "index.db"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(indexes.get, OWN)
        await anyio.wait_all_tasks_blocked()
        with fail_soon(4):
            assert isinstance(await indexes.get("main"), PostgresIndex)
        tasks.cancel_scope.cancel()
