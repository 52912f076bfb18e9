"""Phases work side by side: what one does while its rows are stored, and how soon the next has something to do."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from phaseflow import JobStatus, PhaseFlow
from phaseflow.actors import release
from phaseflow.actors.chunking import ChunkingActor
from phaseflow.actors.handoff import READ_DOCUMENTS
from phaseflow.actors.loading import LoadingActor
from phaseflow.actors.reading_window import BATCH
from phaseflow.store import failpoints
from phaseflow.store.transaction import Transaction
from tests.engine.components import CountingEmbedder, write_folder
from tests.stopwatch import fail_soon


@pytest.fixture(autouse=True)
def no_failpoint_is_left() -> Iterator[None]:
    yield
    failpoints.clear()


async def test_documents_are_cut_while_those_before_them_are_stored(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, is_cut, stored, was_ahead = list[str](), threading.Condition(), list[int](), list[bool]()
    plain = ChunkingActor._store_part

    class Chunker:
        fingerprint = "whole"

        def spans(self, text: str, media_type: str) -> Sequence[tuple[int, int]]:
            with is_cut:
                cut.append(text)
                is_cut.notify_all()
            return [(0, len(text))]

    async def store(self: ChunkingActor, part: Sequence[Any], first: int) -> None:
        stored.append(len(part))
        await plain(self, part, first)

    def writing() -> None:
        if not was_ahead:
            with is_cut:
                was_ahead.append(is_cut.wait_for(lambda: len(cut) > stored[0], 60))

    monkeypatch.setattr(ChunkingActor, "_store_part", store)
    write_folder(tmp_path / "many", 2 * READ_DOCUMENTS + 1)
    failpoints.install("chunking.writing", writing)
    async with PhaseFlow(database, embedder=CountingEmbedder(), chunker=Chunker()) as flow:
        with fail_soon(20):
            job = await flow.start("kb", tmp_path / "many", hold=["chunking"])
            await job.wait_until_idle()
            await flow.resume("kb")
            assert (await job.wait()).status is JobStatus.COMPLETED
    assert was_ahead == [True]


async def test_the_first_documents_are_handed_over_before_there_is_a_whole_batch(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, plain = list[int](), LoadingActor.store

    async def store(self: LoadingActor, reader: Any, done: list[Any]) -> None:
        sizes.append(len(done))
        await plain(self, reader, done)

    monkeypatch.setattr(LoadingActor, "store", store)
    write_folder(tmp_path / "many", 3 * BATCH)
    async with PhaseFlow(database, embedder=CountingEmbedder()) as flow:
        with fail_soon(20):
            assert (await (await flow.start("kb", tmp_path / "many")).wait()).status is JobStatus.COMPLETED
    assert sizes[0] < BATCH
    assert len(sizes) < 12, "the others come in whole batches"


async def test_what_is_in_hand_is_looked_up_once_where_nothing_is_taken_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, plain = list[int](), release._in_hand

    def in_hand(ids: Sequence[int], tx: Transaction) -> set[int]:
        looks.append(len(ids))
        return plain(ids, tx)

    monkeypatch.setattr(release, "_in_hand", in_hand)
    write_folder(tmp_path / "many", 4 * BATCH)
    async with PhaseFlow(tmp_path / "kb.db", embedder=CountingEmbedder()) as flow:
        with fail_soon(20):
            assert (await (await flow.start("kb", tmp_path / "many")).wait()).status is JobStatus.COMPLETED
    assert len(looks) <= 2
