"""How documents come to an index outside the database: in which calls, and after which waits."""

import random
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pytest

from phaseflow.actors import index_delivery, indexing
from phaseflow.components.indexes import IndexDocument
from phaseflow.domain.errors import IndexUnavailable, RateLimited
from phaseflow.supervisor import index_keeper
from tests.engine.components import CountingEmbedder, note_waits
from tests.indexes.file_index import FileIndex
from tests.indexes.test_engine import Place, all_found, run
from tests.stopwatch import NEVER_S


@pytest.fixture(autouse=True)
def calls_of_the_job_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper looks once, at the start, and makes no call beside the job."""
    monkeypatch.setattr(index_keeper, "LOOK_S", NEVER_S)


async def test_what_waits_for_an_index_waits_longer_each_time_and_as_long_as_it_is_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: deque[Exception] = deque([IndexUnavailable("it is down") for _ in range(7)])
    errors += [RateLimited("later", retry_after_s=30.0), RateLimited("later", retry_after_s=0.5)]

    async def fail(call: str, documents: Sequence[IndexDocument]) -> None:
        if errors:
            raise errors.popleft()

    waits = note_waits(monkeypatch)
    monkeypatch.setattr(random, "random", lambda: 0.5)
    place = Place("file", tmp_path, {"index": FileIndex(tmp_path / "index.db", fail)}, {}, CountingEmbedder())
    place.write("a")
    async with place.flow() as flow:
        await run(flow, place)
    spread, first_s, most_s = 1.125, indexing.FIRST_WAIT_S, indexing.LONGEST_WAIT_S
    assert waits == [spread * s for s in (first_s, 0.5, 1.0, 2.0, 4.0, most_s, most_s)] + [30.0, spread * most_s]


async def test_short_documents_go_out_together_and_long_ones_alone_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts: list[list[tuple[str, int, int]]] = []

    async def note(call: str, documents: Sequence[IndexDocument]) -> None:
        if call == "put":
            puts.append([(d.uri[0], d.first, len(d.texts)) for d in documents])

    monkeypatch.setattr(index_delivery, "_PART", 4)
    monkeypatch.setattr(indexing, "BATCH_WAIT_S", NEVER_S)  # all of them in one batch, however slowly they come
    place = Place("file", tmp_path, {"index": FileIndex(tmp_path / "index.db", note)}, {}, CountingEmbedder())
    place.docs.mkdir()
    passages = {"a": 5, "b": 3, "c": 4, "d": 1, "e": 8, "f": 9}
    for name, count in passages.items():
        text = "\n\n".join(f"# {name} {n}\n\n" + "word " * 30 for n in range(count))
        place.docs.joinpath(f"{name}.md").write_text(text)
    async with place.flow() as flow:
        done = await run(flow, place, settings={"chunk_size": 200, "chunk_overlap": 0})
    assert puts == [
        [("b", 0, 3), ("c", 0, 4), ("d", 0, 1)],
        [("a", 0, 4), ("a", 4, 1)],
        [("e", 0, 4), ("e", 4, 4)],
        [("f", 0, 4)],
        [("f", 4, 4)],
        [("f", 8, 1)],
    ]
    assert done.metrics.chunks_indexed == sum(passages.values())


@pytest.mark.parametrize("moves", [True, False], ids=["a move", "another embedder"])
async def test_a_new_place_of_the_vectors_waits_for_an_index_that_breaks_off_wherever_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: bool
) -> None:
    """Each call is refused once: no document fails, search has what it had, and nothing is paid twice."""
    breaks, met = False, list[str]()

    async def once(call: str, documents: Sequence[IndexDocument]) -> None:
        if breaks and call not in met:
            met.append(call)
            raise IndexUnavailable("it breaks off")

    note_waits(monkeypatch)
    index = FileIndex(tmp_path / "index.db", once)
    place = Place("embedded" if moves else "file", tmp_path, {} if moves else {"index": index}, {}, CountingEmbedder())
    place.write(*"abc")
    async with place.flow() as flow:
        await run(flow, place)
    place.options = {"index": index}
    if not moves:
        place.embedder = CountingEmbedder()
        place.embedder.fingerprint = "another"
    async with place.flow() as flow:
        job = await flow.start("kb", hold=["loading"])
        await job.wait_until_idle()  # from here on the keeper leaves the knowledge base alone
        breaks = True
        await flow.resume("kb")
        done = await job.wait()
        breaks = False
        assert await all_found(flow) == {"a.md", "b.md", "c.md"}
    assert done.status == "completed", done.message
    assert done.metrics.documents_failed == 0
    assert {"create", "put", "ready", *(["document_ids"] if moves else [])} <= {*met}
    assert set(place.embedder.paid.values()) == {1}
