"""The JSON endpoints, as clients see them."""

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import anyio
import pytest

from phaseflow.domain.documents import DocumentInfo
from phaseflow.flow import PhaseFlow
from phaseflow.http import Limits, stream_hub
from phaseflow.http.app import ENDPOINTS
from phaseflow.store.session import READERS
from phaseflow.store.transaction import Transaction
from tests.http.service import Service, documents, pass_through, serving, until
from tests.stopwatch import NEVER_S, fail_soon

KB = "/api/ingestion/kb"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db")) as service:
        yield service


@pytest.fixture
def source(tmp_path: Path) -> dict[str, Any]:
    return {"type": "folder", "path": str(documents(tmp_path / "docs"))}


async def _completed(service: Service, kb_id: str, source: dict[str, Any]) -> dict[str, Any]:
    started = await service.http.post(f"{KB}/{kb_id}/start", json={"source": source})
    assert started.status_code == 202
    with fail_soon(20):
        return (await (await service.flow.job(kb_id)).wait()).model_dump(mode="json")


async def _parked(service: Service, source: dict[str, Any]) -> None:
    """A job that is paused before it embeds."""
    started = await service.http.post(f"{KB}/waf/start", json={"source": source, "hold": ["embedding"]})
    assert started.status_code == 202
    with fail_soon(20):
        await (await service.flow.job("waf")).wait_until_idle()


async def test_a_start_with_a_source_creates_the_knowledge_base(service: Service, source: dict[str, Any]) -> None:
    await _completed(service, "waf", source)
    found = (await service.http.get(f"{KB}/waf")).json()
    assert (found["documents"], found["job"]["status"]) == (3, "completed")


async def test_a_start_without_a_source_on_an_unknown_knowledge_base_is_not_found(service: Service) -> None:
    answer = await service.http.post(f"{KB}/waf/start")
    assert (answer.status_code, answer.json()["code"]) == (404, "kb_not_found")


async def test_a_put_without_a_source_on_an_unknown_knowledge_base_is_not_found(service: Service) -> None:
    answer = await service.http.put(f"{KB}/waf", json={"settings": {}})
    assert (answer.status_code, answer.json()["code"]) == (404, "kb_not_found")


async def test_the_status_is_the_one_of_the_library(service: Service, source: dict[str, Any]) -> None:
    final = await _completed(service, "waf", source)
    assert (await service.http.get(f"{KB}/waf/status")).json() == final
    assert (await service.http.get(f"/api/ingestion/jobs/{final['job_id']}")).json() == final


async def test_a_status_that_is_asked_for_again_makes_no_trip_to_the_database(
    service: Service, source: dict[str, Any]
) -> None:
    final = await _completed(service, "waf", source)
    assert (await service.http.get(f"{KB}/waf/status")).json() == final
    held, go_on = threading.Barrier(READERS + 1, timeout=60), threading.Event()

    def hold(tx: Transaction) -> None:
        held.wait()
        assert go_on.wait(60)

    async with anyio.create_task_group() as tasks:
        for _ in range(READERS):
            tasks.start_soon(service.flow._engine.hub.database.read, hold)
        await anyio.to_thread.run_sync(held.wait)
        with fail_soon(5):
            for _ in range(3):
                assert (await service.http.get(f"{KB}/waf/status")).json() == final
        go_on.set()


async def test_whoever_has_changed_a_status_sees_the_change_at_once(service: Service) -> None:
    tracker = service.flow.tracker
    await tracker.initialize_phases("job", "own")
    await tracker.start_phase("job", "loading")
    for done in range(1, 30):
        await tracker.update_progress("job", "loading", done, 30)
        (loading, *_) = (await service.http.get(f"{KB}/own/status")).json()["phase_details"]
        assert loading["items_processed"] == done
    await tracker.pause_phase("job", "loading")
    assert (await service.http.get(f"{KB}/own/status")).json()["status"] == "paused"


async def test_nothing_is_read_any_more_when_nobody_asks(
    service: Service, source: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reading() -> bool:
        return any("StreamHub" in repr(task) for task in asyncio.all_tasks())

    monkeypatch.setattr(stream_hub, "POLLING_MEMORY_S", NEVER_S)
    await _completed(service, "waf", source)
    await service.http.get(f"{KB}/waf/status")
    assert reading()
    monkeypatch.setattr(stream_hub, "POLLING_MEMORY_S", 0.0)
    await service.http.get(f"{KB}/waf/status")
    with fail_soon(5):
        while reading():  # noqa: ASYNC110  # it tells nobody
            await anyio.sleep(0.01)
    assert (await service.http.get(f"{KB}/waf/status")).json()["status"] == "completed"


@pytest.mark.thorough
async def test_the_counts_of_a_running_job_come_through(service: Service, tmp_path: Path) -> None:
    source = {"type": "folder", "path": str(documents(tmp_path / "many", 300))}
    assert (await service.http.post(f"{KB}/waf/start", json={"source": source})).status_code == 202
    progress: list[float] = [0.0]
    status: dict[str, Any] = {"status": "pending"}
    with fail_soon(30):
        while status["status"] in {"pending", "running"}:
            status = (await service.http.get(f"{KB}/waf/status")).json()
            progress.append(status["progress"])
    assert progress == sorted(progress)
    assert status == (await service.http.get(f"/api/ingestion/jobs/{status['job_id']}")).json()
    assert status["phase_details"][0]["items_processed"] == 300


async def test_a_knowledge_base_that_never_ran_has_no_status(service: Service, source: dict[str, Any]) -> None:
    put = await service.http.put(f"{KB}/waf", json={"source": source})
    assert (put.status_code, put.json()["job"]) == (200, None)
    answer = await service.http.get(f"{KB}/waf/status")
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")


async def test_a_verb_that_changes_nothing_answers_200_and_one_that_does_202(
    service: Service, source: dict[str, Any]
) -> None:
    await _parked(service, source)
    assert (await service.http.post(f"{KB}/waf/pause")).status_code == 200
    assert (await service.http.post(f"{KB}/waf/cancel")).status_code == 202
    assert (await service.http.post(f"{KB}/waf/cancel")).status_code == 200


async def test_a_phase_that_is_held_goes_on_when_it_is_resumed(service: Service, source: dict[str, Any]) -> None:
    await _parked(service, source)
    resumed = await service.http.post(f"{KB}/waf/phases/embedding/resume")
    assert resumed.status_code == 202
    with fail_soon(20):
        assert (await (await service.flow.job("waf")).wait()).status == "completed"


async def test_a_verb_that_cannot_apply_names_the_status_and_the_allowed_actions(
    service: Service, source: dict[str, Any]
) -> None:
    await _completed(service, "waf", source)
    answer = await service.http.post(f"{KB}/waf/pause")
    body = answer.json()
    assert (answer.status_code, body["code"], body["job_status"]) == (409, "job_conflict", "completed")
    assert body["status"] == 409
    assert body["allowed_actions"] == ["start"]
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_knowledge_base_with_an_active_job_is_not_deleted(service: Service, source: dict[str, Any]) -> None:
    await _parked(service, source)
    assert (await service.http.delete(f"{KB}/waf")).status_code == 409
    await service.http.post(f"{KB}/waf/cancel")
    assert (await service.http.delete(f"{KB}/waf")).status_code == 204
    assert (await service.http.get(f"{KB}/waf")).status_code == 404


async def test_lists_come_in_pages(service: Service) -> None:
    for number in range(3):
        await pass_through(service.flow.tracker, f"job-{number}", "mine")
    first = (await service.http.get(f"{KB}/mine/jobs", params={"limit": 2})).json()
    rest = (await service.http.get(f"{KB}/mine/jobs", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [job["job_id"] for job in first["items"] + rest["items"]] == ["job-2", "job-1", "job-0"]
    assert rest["next_cursor"] is None


async def test_the_log_of_a_job_tells_its_transitions_in_order(service: Service) -> None:
    await pass_through(service.flow.tracker, "mine", "own")
    items = (await service.http.get("/api/ingestion/jobs/mine/transitions")).json()["items"]
    assert items[0]["from"] == "not_started"
    assert [item["seq"] for item in items] == list(range(1, 11))


async def test_a_search_finds_passages_with_their_place(service: Service, source: dict[str, Any]) -> None:
    await _completed(service, "waf", source)
    found = (await service.http.get(f"{KB}/waf/search", params={"q": "part 2 of the manual"})).json()
    hits = found.pop("hits")
    assert found == {"mode": "hybrid", "degraded": None}
    assert hits[0]["uri"] == "2.md"
    assert hits[0].keys() == {"document_id", "uri", "title", "text", "score", "start", "end", "metadata"}


async def test_documents_are_listed_page_by_page_or_by_a_part_of_their_uri(
    service: Service, source: dict[str, Any]
) -> None:
    await _completed(service, "waf", source)
    first = (await service.http.get(f"{KB}/waf/documents", params={"limit": 2})).json()
    assert first["items"][0].keys() == DocumentInfo.model_fields.keys()
    assert ([one["uri"] for one in first["items"]], first["next_cursor"]) == (["0.md", "1.md"], "after:1.md")
    second = (await service.http.get(f"{KB}/waf/documents", params={"cursor": first["next_cursor"]})).json()
    assert ([one["uri"] for one in second["items"]], second["next_cursor"]) == (["2.md"], None)
    found = (await service.http.get(f"{KB}/waf/documents", params={"q": "2.MD"})).json()
    assert [one["uri"] for one in found["items"]] == ["2.md"]


async def test_a_document_has_an_object_a_text_and_passages_of_its_own(
    service: Service, source: dict[str, Any]
) -> None:
    await _completed(service, "waf", source)
    tail = f"{KB}/waf/documents"
    one = (await service.http.get(tail, params={"q": "1.md", "status": "indexed"})).json()["items"][0]
    assert (one["status"], one["searchable"], one["source"], one["attempts"]) == ("indexed", True, "default", 1)
    assert (await service.http.get(f"{tail}/{one['id']}")).json() == one
    text = await service.http.get(f"{tail}/{one['id']}/text")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert len(text.content) == one["size"]
    (chunk,) = (await service.http.get(f"{tail}/{one['id']}/chunks")).json()["items"]
    assert chunk == {"position": 0, "start": 0, "end": len(text.text.rstrip()), "text": text.text.rstrip()}
    assert (await service.http.get(tail, params={"status": "failed"})).json() == {"items": [], "next_cursor": None}
    assert (await service.http.get(f"{KB}/waf")).json()["counts"]["indexed"] == 3


async def test_a_document_that_nobody_knows_is_not_found(service: Service, source: dict[str, Any]) -> None:
    await _completed(service, "waf", source)
    for tail in ("", "/text", "/chunks"):
        answer = await service.http.get(f"{KB}/waf/documents/doc_{'0' * 24}{tail}")
        assert (answer.status_code, answer.json()["code"]) == (404, "document_not_found"), tail
        assert (await service.http.get(f"{KB}/waf/documents/doc_1{tail}")).status_code == 422, tail


@pytest.mark.parametrize(
    ("asked", "field"), [({"status": "lost"}, "status"), ({"limit": 1001}, "limit"), ({"q": "x" * 201}, "q")]
)
async def test_a_list_of_documents_has_limits(service: Service, asked: dict[str, Any], field: str) -> None:
    answer = await service.http.get(f"{KB}/waf/documents", params=asked)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_the_documents_of_nobody_are_not_found(service: Service) -> None:
    answer = await service.http.get(f"{KB}/nobody/documents")
    assert (answer.status_code, answer.json()["code"]) == (404, "kb_not_found")


async def test_failures_are_listed_with_their_cause(service: Service, source: dict[str, Any]) -> None:
    (Path(source["path"]) / "broken.md").write_bytes(b"\x00\x01\x02" * 50)
    await _completed(service, "waf", source)
    (failure,) = (await service.http.get(f"{KB}/waf/failures")).json()["items"]
    assert (failure["uri"], failure["attempts"]) == ("broken.md", 1)


async def test_a_value_that_cannot_be_used_is_named(service: Service) -> None:
    for body, field in (
        ({"source": {"type": "folder"}}, "source.path"),
        ({"source": {"type": "disk", "path": "x"}}, "source"),
        ({"hold": ["sleeping"]}, "hold.0"),
        ({"full": "yes"}, "full"),
        ({"settings": {"chunk_size": 10, "chunk_overlap": 10}}, "settings"),
        ({"sauce": 1}, "sauce"),
    ):
        answer = await service.http.post(f"{KB}/waf/start", json=body)
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_request", field)


async def test_an_address_with_a_user_name_is_refused_and_shown_to_nobody(service: Service) -> None:
    body = {"source": {"type": "web", "urls": ["http://user:secret@10.0.0.1/"]}}
    for answer in (
        await service.http.put(f"{KB}/waf", json=body),
        await service.http.post(f"{KB}/waf/start", json=body),
    ):
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["field"]) == (422, "invalid_request", "source.urls")
        assert "secret" not in answer.text
    assert (await service.http.get(f"{KB}/waf")).status_code == 404


async def test_names_and_limits_are_checked_before_anything_is_asked(service: Service) -> None:
    for path in (f"{KB}/Waf", f"{KB}/-waf/status", f"{KB}/{'a' * 64}/jobs", f"{KB}?limit=1001"):
        assert (await service.http.get(path)).status_code == 422, path


async def test_a_method_that_a_path_does_not_take_is_answered_with_those_it_takes(service: Service) -> None:
    answer = await service.http.patch(f"{KB}/waf")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, PUT")
    assert answer.json()["code"] == "method_not_allowed"


async def test_a_path_that_leads_nowhere_is_a_problem_too(service: Service) -> None:
    answer = await service.http.get("/api/ingestion/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_an_error_of_the_engine_gives_nothing_of_the_server_away(tmp_path: Path) -> None:
    path = tmp_path / "kb.db"
    async with serving(PhaseFlow(path)) as service:
        path.rename(tmp_path / "elsewhere.db")
        answer = await service.http.put(f"{KB}/waf", json={"source": {"type": "folder", "path": str(tmp_path)}})
        (tmp_path / "elsewhere.db").rename(path)
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert "kb.db" not in answer.text


async def test_there_is_a_limit_to_open_jobs_and_one_to_knowledge_bases(tmp_path: Path, source: dict[str, Any]) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db"), limits=Limits(kbs=1, open_jobs=1)) as service:
        assert (await service.http.put(f"{KB}/one", json={"source": source})).status_code == 200
        second = await service.http.put(f"{KB}/two", json={"source": source})
        assert (second.status_code, second.json()["code"]) == (429, "limit_reached")
        await _parked_in(service, "one")
        assert (await service.http.post(f"{KB}/one/start")).status_code == 429


async def _parked_in(service: Service, kb_id: str) -> None:
    await service.http.post(f"{KB}/{kb_id}/start", json={"hold": ["loading"]})


async def test_jobs_of_another_pipeline_show_in_the_same_endpoints(service: Service) -> None:
    await service.flow.tracker.initialize_phases("mine", "own")
    await service.flow.tracker.start_phase("mine", "loading")
    await service.flow.tracker.update_progress("mine", "loading", 5, 10)
    status = (await service.http.get(f"{KB}/own/status")).json()
    assert (status["job_id"], status["phase_details"][0]["progress"]) == ("mine", 50)
    assert (await service.http.post(f"{KB}/own/pause")).status_code == 409


async def test_every_id_that_a_job_can_have_can_be_asked_for(service: Service) -> None:
    ids = ("a" * 200, "a", "a..", "%", "a?b#c", " a\n", "\N{GRINNING FACE}", "2026-01-01T00:00Z")
    for number, job_id in enumerate(ids):
        await service.flow.tracker.initialize_phases(job_id, f"mine-{number}")
        answer = await service.http.get(f"/api/ingestion/jobs/{quote(job_id, safe='')}")
        assert (answer.status_code, answer.json()["job_id"]) == (200, job_id)


@pytest.mark.parametrize("job_id", ["a" * 201, ".a"])
async def test_an_id_that_no_job_can_have_is_refused(service: Service, job_id: str) -> None:
    for path in (f"/api/ingestion/jobs/{job_id}", f"/api/ingestion/jobs/{job_id}/transitions"):
        answer = await service.http.get(path)
        assert (answer.status_code, answer.json()["field"]) == (422, "job_id")


async def test_the_metrics_tell_how_the_engine_stands(service: Service, source: dict[str, Any]) -> None:
    await _completed(service, "waf", source)
    text = (await service.http.get("/metrics")).text
    assert 'phaseflow_jobs{status="completed"} 1.0' in text
    assert 'phaseflow_items_total{phase="loading",result="processed"} 3.0' in text
    for name in ("phase_seconds_total", "feed_clients", "writer_queue", "embedding_calls_total", "embedding_errors"):
        assert f"phaseflow_{name}" in text
    characters = re.search(r"^phaseflow_embedded_characters_total (\S+)$", text, flags=re.MULTILINE)
    assert characters is not None
    assert float(characters[1]) > 100, "three documents of some words"
    assert 'route="/api/ingestion/kb/{kb_id}/start"' in text


async def test_a_request_is_one_line_in_the_log_with_its_job(
    service: Service, source: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="phaseflow")
    final = await _completed(service, "waf", source)
    await service.http.get(f"{KB}/waf/status", headers={"X-Request-ID": "abc-1"})
    lines = [record for record in caplog.records if record.message == "request"]
    assert vars(lines[-1])["job"] == final["job_id"]
    assert vars(lines[-1])["request_id"] == "abc-1"
    assert vars(lines[-1])["status"] == 200


async def test_a_service_is_alive_and_ready_while_its_engine_runs(service: Service) -> None:
    assert (await service.http.get("/healthz")).json() == {"status": "alive"}
    assert (await service.http.get("/readyz")).json() == {"status": "ready", "interrupted": 0}


async def test_nobody_is_shown_a_status_older_than_the_one_told_before(service: Service, tmp_path: Path) -> None:
    source = {"type": "folder", "path": str(documents(tmp_path / "many", 100))}
    assert (await service.http.post(f"{KB}/waf/start", json={"source": source})).status_code == 202
    told, asked, over = 0.0, ("status", "", "resume", "jobs"), False
    with fail_soon(30):
        while not over:
            for path in asked:
                if path == "resume":
                    status = (await service.http.post(f"{KB}/waf/resume")).json()
                else:
                    answer = (await service.http.get(f"{KB}/waf/{path}".rstrip("/"))).json()
                    status = answer["items"][0] if path == "jobs" else answer.get("job", answer)
                if status.get("code") != "job_conflict":
                    assert status["progress"] >= told, path
                    told, over = status["progress"], status["status"] == "completed"


def _half_a_body(service: Service) -> socket.socket:
    target = urlsplit(service.url)
    client = socket.create_connection((target.hostname, target.port or 80))
    head = f"POST {KB}/waf/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    client.sendall(f'{head}Content-Length: 50\r\n\r\n{{"full":'.encode())
    return client


async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db"), limits=Limits(body_s=0.1)) as service:
        with _half_a_body(service) as client:
            client.settimeout(10)
            answer = b""
            while b"body_interrupted" not in answer:
                answer += await anyio.to_thread.run_sync(client.recv, 65536)
    assert answer.startswith(b"HTTP/1.1 408")


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_fault_of_the_service(service: Service) -> None:
    _half_a_body(service).close()

    async def noted() -> bool:
        metrics = (await service.http.get("/metrics")).text
        assert 'status="500"' not in metrics
        return 'status="408"' in metrics

    await until(noted)


async def test_a_parameter_that_nobody_reads_is_refused(service: Service) -> None:
    """A filter that is misspelt would let everything through."""
    for path, given, field in (
        (
            "/kb/waf/search?q=x&filtre={}",
            "is not a parameter here; this address takes q, limit, filter, mode",
            "filtre",
        ),
        ("/kb/waf/search?q=x&q=y", "is given more than once", "q"),
        ("/kb/waf/documents?state=failed", "takes limit, cursor, q, status, source", "state"),
        ("/kb?kb_id=waf", "takes limit, cursor", "kb_id"),
        ("/kb/waf?limit=1", "takes no parameters", "limit"),
        ("/events?documents=true", "takes log_ids, last_event_id, documents_of", "documents"),
    ):
        answer = await service.http.get(f"/api/ingestion{path}")
        assert (answer.status_code, answer.json()["field"]) == (422, field)
        assert given in answer.json()["detail"]
    assert (await service.http.post(f"{KB}/waf/start?full=true")).status_code == 422
    assert (await service.http.get("/healthz?probe=1")).status_code == 200


async def test_no_endpoint_ignores_a_parameter(service: Service) -> None:
    for endpoint in [each for each in ENDPOINTS if each.path.startswith("/api/")]:
        path = re.sub(r"{\w+}", "x", endpoint.path)
        answer = await service.http.request(endpoint.method, f"{path}?nonsense=1", json={})
        assert (answer.status_code, answer.json()["field"]) == (422, "nonsense"), (endpoint.method, endpoint.path)
