"""Embedders that change between jobs: their vectors never meet, and none is paid for again without need."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow import JobPhase, JobStatus, PhaseFlow, Policies, RetryPolicy
from phaseflow.domain.status import JobStatusResponse
from tests.engine.components import vector_of, write_folder
from tests.engine.test_control import finished, until
from tests.indexes.file_index import FileIndex
from tests.matrices import first_of_each
from tests.store.probes import select


class Sized:
    """Says its model, and the length of its vectors where it knows it."""

    def __init__(self, model_id: str | None = None, length: int = 8, dimension: int | None = None) -> None:
        self.model_id = model_id
        self.dimension = dimension
        self._max_length = length

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [(vector_of(text) * 2)[: self._max_length] for text in texts]


class Switching(Sized):
    """Its next ``odd`` answers have vectors of another length, as while a model or a proxy is still starting."""

    fingerprint = "titan"
    batch_size = 64
    odd = 0
    calls = 0

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls += 1
        self.odd -= 1
        return [(vector_of(text) * 2)[: 12 if self.odd >= 0 else 8] for text in texts]


QUICK = Policies(retry=RetryPolicy(tries=3, first_s=0.01, most_s=1))


async def ingested(database: Path, folder: Path, embedder: Any) -> JobStatusResponse:
    async with PhaseFlow(database, embedder=embedder) as flow:
        return await finished(await flow.start("kb", folder))


async def test_another_model_of_the_same_class_makes_vectors_of_its_own(
    folder: Path, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = await ingested(database, folder, Sized("titan"))
    await ingested(database, folder, Sized("titan"))
    assert "every passage is embedded again" not in caplog.text
    second = await ingested(database, folder, Sized("cohere"))
    assert "every passage is embedded again: the embedder has changed" in caplog.text
    assert second.status is JobStatus.COMPLETED
    assert second.metrics.documents_unchanged == 0
    assert second.metrics.embeddings_computed == first.metrics.embeddings_computed > 0


async def test_a_model_exchanged_under_its_name_is_named_and_mixed_with_nothing(folder: Path, database: Path) -> None:
    await ingested(database, folder, Sized("titan"))
    (folder / "new.md").write_text("# New\n\nIt came later.")
    async with PhaseFlow(database, embedder=Sized("titan", 16), policies=QUICK) as flow:
        job = await flow.start("kb", folder)
        final = await finished(job)
        found = await flow.search("kb", "word3x4")
    assert final.status is JobStatus.FAILED
    assert "vectors of 16 numbers, but those stored under its name have 8" in str(final.error)
    assert found[0].uri == "doc003.md"
    assert "16" in str(found.degraded)


async def test_an_odd_answer_that_a_process_gets_first_is_asked_for_again(folder: Path, database: Path) -> None:
    await ingested(database, folder, Switching())
    (folder / "new.md").write_text("# New\n\nIt came later.")
    embedder = Switching()
    embedder.odd = 2
    async with PhaseFlow(database, embedder=embedder, policies=QUICK) as flow:
        assert "vectors of 12 numbers" in str((await flow.search("kb", "word3x4")).degraded)
        final = await finished(await flow.start("kb", folder))
        assert (final.status, embedder.calls) == (JobStatus.COMPLETED, 3)
        assert (await flow.search("kb", "word3x4")).degraded is None


@pytest.mark.thorough
async def test_a_job_that_failed_at_odd_answers_goes_on_at_a_retry(folder: Path, database: Path) -> None:
    await ingested(database, folder, Switching())
    (folder / "new.md").write_text("# New\n\nIt came later.")
    embedder = Switching()
    embedder.odd = 3
    async with PhaseFlow(database, embedder=embedder, policies=QUICK) as flow:
        failed = await finished(await flow.start("kb", folder))
        assert "vectors of 12 numbers, but those stored under its name have 8" in str(failed.error)
        await flow.retry("kb")
        assert (await finished(await flow.job("kb"))).status is JobStatus.COMPLETED


async def test_vectors_of_two_lengths_are_never_stored_under_one_name(folder: Path, database: Path) -> None:
    embedder = Switching()
    embedder.batch_size, embedder.odd = 1, 1
    async with PhaseFlow(database, embedder=embedder, policies=QUICK) as flow:
        final = await finished(await flow.start("kb", folder))
    assert "vectors of 8 numbers, but those stored under its name have 12" in str(final.error)
    assert len({size for (size,) in select(database, "SELECT length(vector) FROM vectors")}) == 1


async def test_the_name_of_a_model_whose_first_answer_was_odd_can_be_used_once_that_is_gone(
    folder: Path, database: Path
) -> None:
    embedder = Switching()
    embedder.batch_size, embedder.odd = 1, 1
    async with PhaseFlow(database, embedder=embedder, policies=QUICK, keep_vectors=0) as flow:
        failed = await finished(await flow.start("kb", folder))
        assert "`phaseflow vacuum --keep-vectors 0`" in str(failed.error)
        await flow.delete_kb("kb")
        await flow.vacuum()
        assert (await finished(await flow.start("kb", folder))).status is JobStatus.COMPLETED
        assert (await flow.search("kb", "word3x4")).degraded is None


class Pair(Switching):
    """Two of its calls are under way before any answer: the first is answered with vectors of another length, and the
    second once a third has begun."""

    batch_size = 1
    in_flight = 2

    def __init__(self) -> None:
        super().__init__()
        self._begun = [anyio.Event() for _ in range(4)]

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls += 1
        number = min(self.calls, 3)
        self._begun[number].set()
        if number < 3:
            await self._begun[number + 1].wait()
        return [(vector_of(text) * 2)[: 12 if number == 1 else 8] for text in texts]


@pytest.mark.thorough
@pytest.mark.parametrize("kbs", [["kb"], ["kb", "other"]])
async def test_two_first_answers_of_different_lengths_are_never_both_stored(
    tmp_path: Path, database: Path, kbs: list[str]
) -> None:
    for kb in kbs:
        (tmp_path / kb).mkdir()
        for number in range(3):
            (tmp_path / kb / f"{number}.md").write_text(f"text {number} of {kb}")
    embedder = Pair()
    async with PhaseFlow(database, embedder=embedder, policies=QUICK) as flow:
        jobs = [await flow.start(kb, tmp_path / kb) for kb in kbs]
        finals = [await finished(job) for job in jobs]
    assert len({size for (size,) in select(database, "SELECT length(vector) FROM vectors")}) == 1
    assert {str(final.status) for final in finals} <= {"completed", "failed"}


async def test_a_length_that_goes_while_a_job_is_paused_does_not_hold_it(
    tmp_path: Path, folder: Path, database: Path
) -> None:
    embedder = Switching()
    policies = Policies(retry=RetryPolicy(tries=1000, first_s=0.01, most_s=60))
    async with PhaseFlow(database, embedder=embedder, policies=policies, keep_vectors=0) as flow:
        await finished(await flow.start("first", write_folder(tmp_path / "first", 1, words=5)))
        embedder.odd = 10**6
        job = await flow.start("kb", folder)
        await until(flow, lambda s: s.waiting_on == "retry")
        await flow.pause("kb", "embedding")
        await until(flow, lambda s: s.phase_details[2].status == "paused")
        await flow.delete_kb("first")
        await flow.vacuum()
        await flow.resume("kb", "embedding")
        assert (await finished(job)).status is JobStatus.COMPLETED
    assert {size for (size,) in select(database, "SELECT length(vector) FROM vectors")} == {4 * 12}


async def test_an_index_outside_gets_a_space_of_the_new_length(tmp_path: Path, database: Path) -> None:
    embedder, index = Switching(), FileIndex(tmp_path / "index.db")
    folder = write_folder(tmp_path / "docs", 2, words=5)
    async with PhaseFlow(database, embedder=embedder, index=index, policies=QUICK, keep_vectors=0) as flow:
        assert (await finished(await flow.start("kb", folder))).status is JobStatus.COMPLETED
        for path in folder.iterdir():
            path.unlink()
        assert (await finished(await flow.start("kb", folder))).status is JobStatus.COMPLETED
        await flow.vacuum()
        embedder.odd = 10**6
        write_folder(folder, 3, words=6)
        assert (await finished(await flow.start("kb", folder))).status is JobStatus.COMPLETED
        assert len(await flow.search("kb", "word", 10, mode="vectors")) == 3
        [(space,)] = select(database, "SELECT name FROM index_spaces")
        assert select(index.path, f"SELECT dimension FROM spaces WHERE name = '{space}'") == [(12,)]


async def test_vectors_kept_before_the_dimension_was_part_of_the_name_are_used_on(
    tmp_path: Path, database: Path
) -> None:
    folder = write_folder(tmp_path / "docs", 2, words=20)
    first = await ingested(database, folder, Sized())
    again = await ingested(database, folder, Sized(dimension=8))
    assert again.metrics.documents_unchanged == first.metrics.documents_found
    assert again.metrics.embeddings_computed == 0
    async with PhaseFlow(database, embedder=Sized(dimension=8)) as flow:
        assert (await flow.search("kb", "word1x4")).degraded is None
    other = await ingested(database, folder, Sized(length=16, dimension=16))
    assert (other.status, other.metrics.embeddings_computed) == (JobStatus.COMPLETED, first.metrics.embeddings_computed)


async def test_a_declared_dimension_is_compared_before_anything_is_sent(folder: Path, database: Path) -> None:
    class Named(Sized):
        fingerprint = "titan"
        calls = 0

        async def embed_documents(self, texts: list[str]) -> list[list[float]]:
            self.calls += 1
            return await super().embed_documents(texts)

    await ingested(database, folder, Named())
    (folder / "new.md").write_text("# New\n\nIt came later.")
    wider = Named(length=16, dimension=16)
    final = await ingested(database, folder, wider)
    assert final.status is JobStatus.FAILED
    assert "vectors of 16 numbers, but those stored under its name have 8" in str(final.error)
    assert wider.calls == 0


@pytest.mark.parametrize(("first", "second"), first_of_each([("a", "b"), ("b", "a")]))
async def test_a_job_goes_on_with_the_model_it_began_with_or_says_that_it_cannot(
    folder: Path, database: Path, first: str, second: str
) -> None:
    async with PhaseFlow(database, embedder=Sized(first)) as flow:
        await flow.start("kb", folder, hold=[JobPhase.EMBEDDING])
        await until(flow, lambda s: s.status is JobStatus.PAUSED)
    async with PhaseFlow(database, embedder=Sized(second)) as flow:
        await flow.resume("kb")
        final = await finished(await flow.job("kb"))
    assert final.status is JobStatus.FAILED
    assert "but this job began with" in str(final.error)
    assert final.metrics.embeddings_computed == 0
    async with PhaseFlow(database, embedder=Sized(first)) as flow:
        await flow.retry("kb")
        assert (await finished(await flow.job("kb"))).status is JobStatus.COMPLETED
