"""A process is killed while documents are pushed, or while most of a source is about to go: what was answered is kept,
what was not may be pushed again, and nothing goes without consent.
"""

import multiprocessing
import shutil
import signal
from pathlib import Path

import anyio
import pytest

from phaseflow import JobStatus, PhaseFlow
from phaseflow.store.documents import text_hash
from tests.components.fake_embedding_server import FakeEmbeddingServer
from tests.engine.components import write_folder
from tests.matrices import first_of_each
from tests.proof import outcome, push_victim
from tests.proof.push_victim import ALL, Case, Errand, answered, settled
from tests.proof.test_kill_matrix import PRELOADED, ended, go_on, served
from tests.proof.victim import AT_RISK, RemoteEmbedder
from tests.stopwatch import fail_soon
from tests.store.probes import select, until_merged

PUSHES = [
    Case(Errand.PUSH, "store.before_commit", 1),
    Case(Errand.PUSH, "store.after_commit", 1),  # stored, but not answered
    Case(Errand.PUSH, "store.told", 1),
    Case(Errand.PUSH, "uploads.placed", 1),
    Case(Errand.PUSH, "loading.taking", 1),
    Case(Errand.PUSH, "loading.taken", 1),
    Case(Errand.PUSH_AFTER_FAILURE, "supervisor.failed", 1),
    Case(Errand.PUSH_AFTER_FAILURE, "run_start.given_back", 1),
    Case(Errand.PUSH_AFTER_FAILURE, "loading.taking", 2),
    Case(Errand.PUSH_AFTER_FAILURE, "loading.taken", 2),
    Case(Errand.DELETE, "uploads.put_away", 1),  # the files are away, and the transaction is not stored
]
REMOVALS = [
    Case(Errand.REMOVE, "indexing.guarded", 1),
    Case(Errand.REMOVE, "supervisor.paused", 1),
    Case(Errand.REMOVE, "run_start.resume", 1),
    Case(Errand.REMOVE, "indexing.withdrawn", 1),
    Case(Errand.REMOVE, "loading.listed", 1),
]
BEFORE, AFTER = 30, 10

Forks = multiprocessing.context.ForkServerContext


@pytest.fixture(scope="module")
def forks() -> Forks:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, "tests.proof.push_victim"])
    return context


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, outcome.Passages]:
    """What is searchable when nobody was killed."""
    database = tmp_path_factory.mktemp("whole") / "whole.db"

    async def push() -> None:
        async with served() as server:
            await push_all(database, server)

    anyio.run(push)
    found = outcome.searchable(database)
    assert found.keys() == {each.uri for each in ALL}
    return found


@pytest.fixture(scope="module")
def thinned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database, and beside it its source, which has lost most of what the database has of it."""
    root = tmp_path_factory.mktemp("thinned")
    folder = write_folder(root / "docs", BEFORE, words=40)

    async def index() -> None:
        async with served() as server:
            await go_on(root / "kb.db", folder, server, "a")

    anyio.run(index)
    for path in sorted(folder.iterdir())[AFTER:]:
        path.unlink()
    return root / "kb.db"


async def killed(forks: Forks, case: Case, database: Path, server: FakeEmbeddingServer) -> set[str]:
    """Let a process run to its end at a point; the texts whose vectors it has asked for and not stored."""
    code = await ended(forks.Process(target=push_victim.live_and_die, args=(case, database, server.base_url)))
    assert code == -signal.SIGKILL, "the point was not reached"
    while server.in_flight:
        await server.changed.wait()
    assert outcome.violations(database) == []
    stored = outcome.embedded(database)
    return {text for text in server.texts if text_hash(text) not in stored}


async def push_all(database: Path, server: FakeEmbeddingServer) -> None:
    """As a client does that was not answered: push everything again, and let it be indexed.

    What was answered is indexed without that, unless the newest job has failed, whose user decides.
    """
    embedder = RemoteEmbedder(server.base_url)
    with fail_soon(20):
        async with PhaseFlow(database, embedder=embedder) as flow:
            if before := answered(database):
                if "resume" in (await flow.status("kb")).allowed_actions:
                    await flow.resume("kb")
                if (await flow.status("kb")).status is not JobStatus.FAILED:
                    await settled(flow)
                    assert set(before) <= outcome.searchable(database).keys()
            await flow.add("kb", ALL)
            await settled(flow)
            await until_merged(flow._engine.hub.database)
    await embedder.aclose()


def check_whole(database: Path, server: FakeEmbeddingServer, lost: set[str]) -> None:
    assert outcome.violations(database) == []
    assert outcome.index_is_whole(database)
    assert outcome.leftovers(database) == 0
    assert len(lost) <= AT_RISK
    assert {text for text, times in server.texts.items() if times > 1} <= lost


@pytest.mark.parametrize("case", first_of_each(PUSHES), ids=str)
async def test_what_was_pushed_is_kept_once_and_paid_for_once(
    tmp_path: Path, forks: Forks, expected: dict[str, outcome.Passages], case: Case
) -> None:
    database = tmp_path / "kb.db"
    async with served() as server:
        lost = await killed(forks, case, database, server)
        assert {(uri,) for uri in answered(database)} <= set(select(database, "SELECT uri FROM pushed"))
        await push_all(database, server)
    check_whole(database, server, lost)
    assert outcome.searchable(database) == expected
    assert select(database, "SELECT count(*) FROM requests") == [(0,)]
    files = [each.name for each in Path(f"{database}.uploads").rglob("*") if each.is_file()]
    assert [(name,) for name in files] == select(database, "SELECT file FROM pushed WHERE file IS NOT NULL")


@pytest.mark.parametrize("case", first_of_each(REMOVALS, lambda case: case.errand), ids=str)
async def test_most_of_a_source_goes_with_consent_only_and_consent_is_kept(
    tmp_path: Path, forks: Forks, thinned: Path, case: Case
) -> None:
    database = Path(shutil.copy(thinned, tmp_path / "kb.db"))
    async with served() as server:
        lost = await killed(forks, case, database, server)
        ((consented,),) = select(
            database,
            "SELECT allow_deletes OR intent IS 'resume' FROM ingestion_jobs ORDER BY seq DESC LIMIT 1",
        )
        assert bool(consented) == (case.point in {"run_start.resume", "indexing.withdrawn"})
        embedder = RemoteEmbedder(server.base_url)
        with fail_soon(20):
            async with PhaseFlow(database, embedder=embedder) as flow:
                job = await flow.job("kb")
                if "resume" in (status := await job.status()).allowed_actions and consented:
                    await flow.resume("kb")
                elif not consented:
                    status = await job.wait_until_idle()
                    assert status.status is JobStatus.PAUSED
                    assert f"{BEFORE - AFTER} of {BEFORE} documents" in status.message
                    assert len(outcome.searchable(database)) == BEFORE
                    await flow.resume("kb")
                final = await job.wait()
                assert (final.status, final.metrics.documents_deleted) == (JobStatus.COMPLETED, BEFORE - AFTER)
                await until_merged(flow._engine.hub.database)
        await embedder.aclose()
    check_whole(database, server, lost)
    assert len(outcome.searchable(database)) == AFTER
    assert not server.texts
