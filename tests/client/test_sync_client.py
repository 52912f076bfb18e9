"""The client without an event loop: the same calls, from the same description, against a service in a process."""

import inspect
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from phaseflow.client import Client, ServiceUnreachable, SyncClient
from phaseflow.domain.errors import JobConflict, JobNotFound, KnowledgeBaseNotFound
from tests.http.processes import ServiceProcess
from tests.http.service import documents
from tests.ports import free_port


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    process = ServiceProcess(folder, free_port())
    try:
        anyio.run(process.ready)
        yield process.url
    finally:
        process.close()


@pytest.fixture
def client(url: str) -> Iterator[SyncClient]:
    with SyncClient(url) as client:
        yield client


def test_a_job_is_started_watched_and_searched(client: SyncClient, folder: Path) -> None:
    started = client.start("waf", str(documents(folder / "docs")))
    seen = list(client.watch("waf"))
    assert {status.job_id for status in seen} == {started.job_id}
    assert seen[-1].status == "completed"
    assert client.search("waf", "part 1 of the manual", limit=1)[0].uri == "1.md"
    assert [kb.kb_id for kb in client.kbs().items if kb.kb_id == "waf"] == ["waf"]


def test_the_feed_is_iterated_and_left_again(client: SyncClient) -> None:
    client.tracker.initialize_phases("feed", "feed")
    client.tracker.start_phase("feed", "loading")
    seen = []
    for transition in client.transitions(after=0, kb_id="feed"):
        seen.append((transition.phase, transition.to_status))
        if transition.phase is None:
            break
    assert seen == [("loading", "running"), (None, "running")]


def test_errors_are_those_of_the_library(client: SyncClient) -> None:
    with pytest.raises(KnowledgeBaseNotFound, match="nobody"):
        client.status("nobody")
    with pytest.raises(JobNotFound):
        client.job_status("nobody")
    client.tracker.initialize_phases("conflict", "conflict")
    with pytest.raises(JobConflict) as conflict:
        client.tracker.initialize_phases("other", "conflict")
    assert (conflict.value.status, conflict.value.allowed_actions) == ("pending", ["pause", "cancel"])


def test_nobody_at_the_address_is_an_error_that_says_so() -> None:
    with SyncClient("http://127.0.0.1:9") as client:
        with pytest.raises(ServiceUnreachable):
            client.kbs()
        with pytest.raises(ServiceUnreachable):
            next(client.transitions(after=0))


def test_several_threads_share_one(client: SyncClient) -> None:
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            client.kbs()
        except BaseException as error:  # noqa: BLE001  # told below, in the thread of the test
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_it_ends_with_its_block_and_leaves_no_thread(url: str) -> None:
    with SyncClient(url) as client:
        client.tracker.initialize_phases("left", "left")
        client.tracker.start_phase("left", "loading")
        feed = client.transitions(after=0)
        assert next(feed).seq
    assert [thread.name for thread in threading.enumerate() if "phaseflow" in thread.name] == []
    with pytest.raises(RuntimeError, match="with"):
        client.kbs()


def test_both_clients_have_the_calls_of_one_description(client: SyncClient) -> None:
    for one, other in ((Client, SyncClient), (type(Client(client.url).tracker), type(client.tracker))):
        names = [name for name in dir(one) if not name.startswith("_")]
        assert names == [name for name in dir(other) if not name.startswith("_")]
        assert all(inspect.signature(getattr(one, n)) == inspect.signature(getattr(other, n)) for n in names)
