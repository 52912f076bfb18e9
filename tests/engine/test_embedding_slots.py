"""Calls at once: a slot is free with the answer, and no text is paid for twice by jobs that run side by side."""

import threading
from pathlib import Path

import anyio

from phaseflow import JobStatus, PhaseFlow
from phaseflow.store import failpoints
from tests.engine.components import CountingEmbedder, write_folder
from tests.engine.test_control import finished


async def test_the_next_call_begins_while_an_answer_is_being_stored(tmp_path: Path, database: Path) -> None:
    is_answered, is_called_again = threading.Event(), threading.Event()
    waited: list[bool] = []

    class OneAtATime(CountingEmbedder):
        in_flight = 1
        batch_size = 1

        async def embed_documents(self, texts: list[str]) -> list[list[float]]:
            if is_answered.is_set():
                is_called_again.set()
            vectors = await super().embed_documents(texts)
            is_answered.set()
            return vectors

    def keep_the_writer() -> None:
        if is_answered.is_set() and not waited:
            waited.append(is_called_again.wait(60))

    folder = write_folder(tmp_path / "docs", 4)
    async with PhaseFlow(database, embedder=OneAtATime()) as flow:
        # A model's first answer says how long its vectors are, which is stored before there is another call.
        await finished(await flow.start("first", write_folder(tmp_path / "first", 1, words=5)))
        is_answered.clear()
        is_called_again.clear()
        failpoints.install("store.before_commit", keep_the_writer)
        assert (await finished(await flow.start("kb", folder))).status is JobStatus.COMPLETED
    assert waited == [True]


async def test_what_another_job_has_stored_meanwhile_is_not_paid_for_again(tmp_path: Path, database: Path) -> None:
    held = anyio.Event()

    class Held(CountingEmbedder):
        in_flight = 1
        batch_size = 1

        async def embed_documents(self, texts: list[str]) -> list[list[float]]:
            if "first of its folder" in texts[0]:
                self._arrived.set()
                await held.wait()
            return await super().embed_documents(texts)

    for name in ("one", "two"):
        write_folder(tmp_path / name, 3, words=20)
    (tmp_path / "one" / "doc.md").write_text("first of its folder")
    embedder = Held()
    embedder.close()
    embedder.gate.set()
    async with PhaseFlow(database, embedder=embedder) as flow:
        slow = await flow.start("one", tmp_path / "one")
        await embedder.until_called()  # its documents came together: all have been looked up
        assert (await finished(await flow.start("two", tmp_path / "two"))).status is JobStatus.COMPLETED
        held.set()
        assert (await finished(slow)).status is JobStatus.COMPLETED
    assert max(embedder.paid.values()) == 1
