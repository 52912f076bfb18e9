"""The client of the library against a real service."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow.client import Client, HistoryLost, ServiceError, ServiceUnreachable
from phaseflow.domain.errors import (
    DocumentNotFound,
    InvalidRequest,
    JobConflict,
    JobNotFound,
    KnowledgeBaseNotFound,
    SourceNotAllowed,
)
from phaseflow.domain.identifiers import document_id
from phaseflow.domain.settings import FolderSource, Settings
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.flow import PhaseFlow
from phaseflow.http import AllowedRoots, create_app
from tests.engine.components import CountingEmbedder
from tests.http.service import (
    TRANSITIONS_OF_A_PASSAGE,
    Service,
    documents,
    http_client,
    listening_for,
    pass_through,
    serving,
    until,
)
from tests.ports import free_port
from tests.stopwatch import fail_soon

WITHIN_S = 20


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    roots = AllowedRoots([tmp_path])
    async with serving(PhaseFlow(tmp_path / "kb.db", check_source=roots)) as service:
        yield service


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with Client(service.url) as client:
        yield client


async def _watched(client: Client, kb_id: str) -> list[JobStatusResponse]:
    with fail_soon(WITHIN_S):
        return [status async for status in client.watch(kb_id)]


async def test_a_job_is_started_watched_and_searched(client: Client, tmp_path: Path) -> None:
    started = await client.start("waf", FolderSource(str(documents(tmp_path / "docs"))))
    seen = await _watched(client, "waf")
    assert {status.job_id for status in seen} == {started.job_id}
    assert seen[-1].status == "completed"
    found = await client.search("waf", "part 1 of the manual", limit=1)
    assert (found[0].uri, found.mode, found.degraded) == ("1.md", "hybrid", None)


async def test_a_failed_job_is_watched_while_its_retry_waits_for_a_slot(tmp_path: Path) -> None:
    embedder, docs = CountingEmbedder(), documents(tmp_path / "docs")
    async with serving(PhaseFlow(tmp_path / "kb.db", embedder=embedder, slots=1)) as service:
        await service.flow.start("waf", str(docs), hold=["loading"])
        docs.rename(tmp_path / "elsewhere")
        await service.flow.resume("waf")
        with fail_soon(WITHIN_S):
            assert (await (await service.flow.job("waf")).wait()).status == "failed"
        (tmp_path / "elsewhere").rename(docs)
        embedder.close()
        await service.flow.start("other", str(docs))
        with fail_soon(WITHIN_S):
            await embedder.until_called()
        async with Client(service.url) as client:
            assert (await client.retry("waf")).waiting_on == "queue"
            with fail_soon(WITHIN_S):
                seen = []
                async for status in client.watch("waf"):
                    seen.append(status.status)
                    embedder.gate.set()
        assert (seen[0], seen[-1]) == ("failed", "completed")


async def test_the_verbs_answer_with_the_status(client: Client, tmp_path: Path) -> None:
    await client.start("waf", documents(tmp_path / "docs"), hold=[JobPhase.EMBEDDING])
    assert (await client.pause("waf", JobPhase.INDEXING)).phase_details[3].waiting_on == "pause"
    assert (await client.resume("waf", "indexing")).kb_id == "waf"
    assert (await client.pause("waf")).job_id
    assert (await client.resume("waf")).job_id
    assert (await client.cancel("waf")).status == "cancelled"
    with pytest.raises(JobConflict):
        await client.retry("waf")


async def test_the_lists_are_the_ones_of_the_library(service: Service, client: Client, tmp_path: Path) -> None:
    folder = {"type": "folder", "path": str(documents(tmp_path / "docs"))}
    as_json = await client.put_kb("waf", folder, {"chunk_size": 400})
    assert (as_json.source, as_json.settings) == (FolderSource(folder["path"]), Settings(chunk_size=400))
    put = await client.put_kb("waf", documents(tmp_path / "docs"), Settings(chunk_size=500))
    assert (await client.kb("waf"), (await client.kbs(limit=1)).items) == (put, [put])
    await pass_through(service.flow.tracker, "mine", "own")
    assert (await client.jobs("own")).items == [await client.job_status("mine")] == [await client.status("own")]
    assert len((await client.transitions_of("mine", limit=1000)).items) == TRANSITIONS_OF_A_PASSAGE
    assert (await client.failures("own")).items == []
    await client.delete_kb("own")
    assert [kb.kb_id for kb in (await client.kbs()).items] == ["waf"]


async def test_the_documents_are_the_ones_that_search_sees(service: Service, client: Client, tmp_path: Path) -> None:
    await client.start("waf", documents(tmp_path / "docs"))
    await _watched(client, "waf")
    first = await client.documents("waf", limit=1)
    rest = await client.documents("waf", cursor=first.next_cursor)
    assert [one.uri for one in [*first.items, *rest.items]] == ["0.md", "1.md", "2.md"]
    assert await client.documents("waf", q="2.MD") == await service.flow.documents("waf", q="2.md")


async def test_errors_are_those_of_the_library_with_what_they_carry(client: Client, tmp_path: Path) -> None:
    with pytest.raises(KnowledgeBaseNotFound, match="'nobody'"):
        await client.start("nobody")
    await client.put_kb("waf", documents(tmp_path / "docs"))
    with pytest.raises(JobNotFound):
        await client.status("waf")
    with pytest.raises(SourceNotAllowed):
        await client.put_kb("waf", "/")
    with pytest.raises(InvalidRequest) as invalid:
        await client.kbs(limit=0)
    assert invalid.value.field == "limit"
    await client.start("waf", hold=["loading"])
    with pytest.raises(JobConflict) as conflict:
        await client.start("waf")
    assert (conflict.value.status, conflict.value.allowed_actions) == ("paused", ["resume", "cancel"])


HALF, NAN = "half \ud800", float("nan")
UNUSABLE: dict[str, Callable[[Any], Awaitable[object]]] = {
    "a text": lambda face: face.add("kb", [{"uri": "a", "text": HALF}]),
    "metadata": lambda face: face.set_metadata("kb", "a", {"n": NAN}),
    "a query": lambda face: face.search("kb", HALF),
    "a score": lambda face: face.search("kb", "a", min_score=NAN),
    "a part of names": lambda face: face.documents("kb", q=HALF),
    "a document": lambda face: face.document("kb", HALF),
    "a knowledge base": lambda face: face.status(HALF),
    "no name": lambda face: face.status(""),
    "a path": lambda face: face.delete_kb("no/../x"),
    "a name to make": lambda face: face.start(""),
    "a name to push to": lambda face: face.add("no/../x", [{"uri": "a", "text": "a"}]),
    "a phase to hold": lambda face: face.start("kb", hold=["bogus"]),
}


async def test_what_no_request_can_carry_is_refused_as_the_library_does(service: Service, client: Client) -> None:
    await service.flow.put_kb("kb", {"type": "upload"})
    for what, call in UNUSABLE.items():
        with pytest.raises((InvalidRequest, KnowledgeBaseNotFound)) as here:
            await call(client)
        with pytest.raises(type(here.value)) as there:
            await call(service.flow)
        assert (what, getattr(here.value, "field", None)) == (what, getattr(there.value, "field", None))
    with pytest.raises(InvalidRequest) as of_files:
        await client.upload("kb", [("a", b"")], metadata={"n": NAN})
    assert of_files.value.field == "metadata.n"


async def test_a_document_is_deleted_by_its_uri_and_by_its_id(service: Service, client: Client) -> None:
    await client.add("kb", [{"uri": "a/b", "text": "a"}, {"uri": "c", "text": "c"}])
    await client.delete_document("kb", "a/b")
    await client.delete_document("kb", document_id("kb", "c"))
    assert (await service.flow.documents("kb")).items == []
    with pytest.raises(DocumentNotFound, match="'a/b'"):
        await client.delete_document("kb", "a/b")


async def test_a_service_that_asks_for_a_token_is_told_it(tmp_path: Path) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db"), token="a long secret") as service:
        async with Client(service.url, token="a long secret") as client:
            assert (await client.kbs()).items == []
        async with Client(service.url) as client:
            with pytest.raises(ServiceError) as refusal:
                await client.kbs()
            assert (refusal.value.code, refusal.value.http_status) == ("unauthorized", 401)
            with pytest.raises(ServiceError):
                await anext(client.transitions())


async def test_nobody_at_the_address_is_an_error_that_says_so() -> None:
    async with Client("http://127.0.0.1:9") as client:
        with pytest.raises(ServiceUnreachable, match="phaseflow serve"):
            await client.kbs()
        with pytest.raises(ServiceUnreachable):
            await anext(client.transitions(after=0))


async def test_transitions_are_replayed_and_go_on_live(service: Service, client: Client) -> None:
    tracker = service.flow.tracker
    await pass_through(tracker, "one", "own")
    seen: list[int] = []
    with fail_soon(WITHIN_S):
        async for transition in client.transitions(after=3, kb_id="own"):
            seen.append(transition.seq)
            if transition.seq == TRANSITIONS_OF_A_PASSAGE:
                await pass_through(tracker, "two", "own")
            if transition.seq == 2 * TRANSITIONS_OF_A_PASSAGE:
                break
    assert seen == list(range(4, 2 * TRANSITIONS_OF_A_PASSAGE + 1))


async def test_lost_history_is_an_error_and_not_a_gap(service: Service, client: Client) -> None:
    await pass_through(service.flow.tracker, "gone", "old")
    await pass_through(service.flow.tracker, "one", "own")
    await client.delete_kb("old")
    with pytest.raises(HistoryLost) as lost:
        await anext(client.transitions(after=2))
    assert lost.value.oldest == TRANSITIONS_OF_A_PASSAGE + 1


async def test_a_feed_goes_on_over_a_restart_of_the_service_for_who_has_been_told_nothing_yet(tmp_path: Path) -> None:
    seen: list[int] = []

    async def listen() -> None:
        async with Client(url) as client:
            async for transition in client.transitions():
                seen.append(transition.seq)
                if transition.seq == TRANSITIONS_OF_A_PASSAGE:
                    heard_all.set()

    heard_all = anyio.Event()
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        with fail_soon(WITHIN_S):
            async with anyio.create_task_group() as tasks:
                port = free_port()
                async with listening_for(create_app(flow), port) as url:
                    tasks.start_soon(listen)
                    await _until_listening(url)
                await pass_through(flow.tracker, "one", "own")
                async with listening_for(create_app(flow), port):
                    await heard_all.wait()
                    tasks.cancel_scope.cancel()
    assert seen == list(range(1, TRANSITIONS_OF_A_PASSAGE + 1))


async def _until_listening(url: str) -> None:
    async def is_listening() -> bool:
        return "\nphaseflow_feed_clients 1" in (await http.get("/metrics")).text

    async with http_client(url) as http:
        await until(is_listening)
