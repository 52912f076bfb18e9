"""The live feed over HTTP: snapshot, transitions, statuses, replay, and how a stream ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest

from phaseflow.domain.settings import FolderSource, UploadSource
from phaseflow.flow import PhaseFlow
from phaseflow.http import Limits
from phaseflow.http.stream_hub import progress_s
from tests.http.listening import ALL, frozen_client, stream
from tests.http.service import (
    TRANSITIONS_OF_A_PASSAGE,
    Service,
    documents,
    fail_with_a_long_error,
    pass_through,
    serving,
    until,
)
from tests.stopwatch import NEVER_S, fail_soon

OWN = "/api/ingestion/kb/own/events"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db"), limits=Limits(heartbeat_s=0.2)) as service:
        yield service


async def test_a_stream_begins_with_the_status_of_each_knowledge_base_in_view(service: Service) -> None:
    await pass_through(service.flow.tracker, "one", "own")
    await pass_through(service.flow.tracker, "two", "other")
    async with stream(service.http) as all_of_them, stream(service.http, OWN) as own:
        first, second = await all_of_them.next(), await all_of_them.next()
        assert {first.data["kb_id"], second.data["kb_id"]} == {"own", "other"}
        alone = await own.next()
        assert (alone.name, alone.id) == ("status", 2 * TRANSITIONS_OF_A_PASSAGE)
        assert alone.data == (await service.http.get("/api/ingestion/kb/own/status")).json()


async def test_the_headers_keep_proxies_from_holding_events_back(service: Service) -> None:
    async with stream(service.http) as opened:
        headers = opened.response.headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")


async def test_transitions_come_live_in_order_and_each_is_followed_by_a_status(service: Service) -> None:
    async with stream(service.http) as opened:
        await opened.block()
        await pass_through(service.flow.tracker, "one", "own")
        transitions = await opened.transitions(TRANSITIONS_OF_A_PASSAGE)
        last = await opened.next()
    assert [event.seq for event in transitions] == list(range(1, TRANSITIONS_OF_A_PASSAGE + 1))
    assert [event.id for event in transitions] == [event.seq for event in transitions]
    assert (last.name, last.data["status"], last.id) == ("status", "completed", TRANSITIONS_OF_A_PASSAGE)


async def test_a_transition_has_the_fields_of_the_contract(service: Service) -> None:
    await pass_through(service.flow.tracker, "one", "own")
    async with stream(service.http, last_event_id=0) as opened:
        (first,) = await opened.transitions(1)
    assert list(first.data) == ["seq", "kb_id", "job_id", "phase", "from", "to", "reason", "error", "at"]


@pytest.mark.parametrize("seen", [0, 4, TRANSITIONS_OF_A_PASSAGE])
async def test_an_id_is_answered_with_what_was_missed_and_then_the_status(service: Service, seen: int) -> None:
    await pass_through(service.flow.tracker, "one", "own")
    async with stream(service.http, OWN, last_event_id=seen) as opened:
        missed = await opened.transitions(TRANSITIONS_OF_A_PASSAGE - seen)
        assert [event.seq for event in missed] == list(range(seen + 1, TRANSITIONS_OF_A_PASSAGE + 1))
        assert (await opened.next()).name == "status"


async def test_the_id_may_stand_in_the_query_and_the_header_goes_before_it(service: Service) -> None:
    await pass_through(service.flow.tracker, "one", "own")
    async with (
        stream(service.http, f"{ALL}?last_event_id=7") as asked,
        stream(service.http, f"{ALL}?last_event_id=2", last_event_id=8) as both,
    ):
        assert (await asked.next()).id == 8
        assert (await both.next()).id == 9
    misplaced = await service.http.get(f"{ALL}?Last-Event-ID=2")
    assert (misplaced.status_code, misplaced.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("blank", [" ", "\t", " \t "])
async def test_white_space_round_a_header_is_no_part_of_the_id(service: Service, blank: str) -> None:
    await pass_through(service.flow.tracker, "one", "own")
    head = f"GET {OWN} HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {blank}8{blank}\r\n\r\n"
    async with await anyio.connect_tcp("127.0.0.1", urlsplit(service.url).port or 0) as raw:
        await raw.send(head.encode())
        received = b""
        with fail_soon(10):
            while b"\ndata:" not in received:
                received += await raw.receive()
    assert b"id: 9\nevent: transition\n" in received


async def test_an_id_too_long_to_be_any_is_answered_with_reset(service: Service) -> None:
    await pass_through(service.flow.tracker, "one", "own")
    async with stream(service.http, f"{ALL}?last_event_id={'9' * 5000}") as opened:
        assert (await opened.next()).name == "reset"


async def test_an_id_that_is_no_number_counts_as_none(service: Service) -> None:
    await pass_through(service.flow.tracker, "one", "own")
    async with stream(service.http, last_event_id="soon") as opened:
        assert (await opened.next()).name == "status"


async def test_an_id_older_than_the_log_is_told_where_the_log_begins(service: Service) -> None:
    await pass_through(service.flow.tracker, "gone", "old")
    await pass_through(service.flow.tracker, "one", "own")
    await service.flow.delete_kb("old")
    async with stream(service.http, last_event_id=3) as opened:
        reset, status = await opened.next(), await opened.next()
    assert (reset.name, reset.data) == ("reset", {"oldest": 11})
    assert (status.name, status.data["kb_id"]) == ("status", "own")


async def test_an_id_beyond_the_log_is_answered_with_reset(service: Service) -> None:
    await pass_through(service.flow.tracker, "one", "own")
    async with stream(service.http, last_event_id=10**30) as opened:
        assert (await opened.next()).name == "reset"


async def test_an_id_from_another_database_is_told_so_though_its_number_is_in_the_log(
    service: Service, tmp_path: Path
) -> None:
    await pass_through(service.flow.tracker, "one", "own")
    async with serving(PhaseFlow(tmp_path / "other.db")) as other:
        await pass_through(other.flow.tracker, "one", "own")
        async with stream(other.http, f"{ALL}?log_ids=true") as opened:
            foreign = (await opened.next()).raw_id
    for last_event_id in (foreign, f"3-{foreign.partition('-')[2]}", "0-abc"):
        async with stream(service.http, last_event_id=last_event_id) as opened:
            reset, status = await opened.next(), await opened.next()
        assert (reset.name, reset.data, status.name) == ("reset", {"oldest": 1}, "status")
    async with stream(service.http, f"{ALL}?log_ids=true") as opened:
        own = (await opened.next()).raw_id
    async with stream(service.http, last_event_id=f"3-{own.partition('-')[2]}") as opened:
        assert (await opened.next()).seq == 4


async def test_the_identity_of_the_log_outlives_the_engine(tmp_path: Path) -> None:
    seen = []
    for _ in range(2):
        async with PhaseFlow(tmp_path / "kb.db") as flow:
            seen.append(flow.tracker.feed.log_id)
    assert seen[0] == seen[1]
    assert int(seen[0], 16) > 0


async def test_a_knowledge_base_that_never_ran_opens_with_a_comment_and_waits(service: Service, tmp_path: Path) -> None:
    await service.flow.put_kb("own", tmp_path)
    async with stream(service.http, OWN) as opened:
        assert (await opened.block())[0].startswith(":")
        await pass_through(service.flow.tracker, "one", "own")
        assert (await opened.transitions(1))[0].seq == 1


async def test_the_stream_of_an_unknown_knowledge_base_is_not_found(service: Service) -> None:
    answer = await service.http.get(OWN)
    assert (answer.status_code, answer.json()["code"]) == (404, "kb_not_found")


async def test_a_stream_of_one_knowledge_base_tells_of_no_other(service: Service) -> None:
    await pass_through(service.flow.tracker, "one", "own")
    await pass_through(service.flow.tracker, "two", "other")
    async with stream(service.http, OWN, last_event_id=0) as opened:
        transitions = await opened.transitions(TRANSITIONS_OF_A_PASSAGE)
        status = await opened.next()
    assert {event.data["kb_id"] for event in transitions} == {"own"}
    assert status.id == 2 * TRANSITIONS_OF_A_PASSAGE


async def test_a_stream_ends_when_its_knowledge_base_is_deleted(service: Service) -> None:
    await pass_through(service.flow.tracker, "one", "own")
    async with stream(service.http, OWN) as opened:
        await opened.next()
        await service.flow.delete_kb("own")
        await opened.end()


async def test_a_comment_comes_at_each_heartbeat(service: Service) -> None:
    async with stream(service.http) as opened:
        await opened.block()
        assert await opened.block() == [":"]
        assert await opened.block() == [":"]


async def test_head_is_answered_with_the_headers_alone(service: Service) -> None:
    answer = await service.http.head(ALL)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (await service.http.get("/healthz")).status_code == 200


async def test_progress_is_told_at_most_ten_times_a_second(service: Service) -> None:
    tracker = service.flow.tracker
    await tracker.initialize_phases("one", "own")
    await tracker.start_phase("one", "loading")
    async with stream(service.http, OWN) as opened:
        await opened.next()
        started = anyio.current_time()
        for count in range(50):
            await tracker.update_progress("one", "loading", count, 50)
        spent = anyio.current_time() - started
        await tracker.fail_phase("one", "loading", "over")
        statuses = 0
        while (event := await opened.next()).name == "status":
            statuses += 1
    assert event.data["to"] == "failed"
    assert statuses <= spent * 10 + 1


async def test_a_client_that_leaves_leaves_nothing_behind(service: Service) -> None:
    async with stream(service.http) as opened:
        await opened.block()
        assert await _clients_of(service) == 1
    await _until_clients(service, 0)


async def _clients_of(service: Service) -> int:
    metrics = (await service.http.get("/metrics")).text
    return int(float(metrics.split("\nphaseflow_feed_clients ")[1].split()[0]))


async def _until_clients(service: Service, count: int) -> None:
    async def holds() -> bool:
        return await _clients_of(service) == count

    await until(holds)


async def test_a_frozen_client_is_dropped_and_holds_up_nobody(tmp_path: Path) -> None:
    heard: list[int] = []

    async def listen() -> None:
        async with stream(running.http) as opened:
            await opened.block()
            while True:
                heard.append((await opened.transitions(1))[0].seq)

    async def heard_all() -> bool:
        return bool(heard) and heard[-1] == feed.last_seq

    async with serving(PhaseFlow(tmp_path / "kb.db"), limits=Limits(send_s=0.5)) as running:
        feed = running.flow.tracker.feed
        with frozen_client(running.url), fail_soon(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listen)
                await _until_clients(running, 2)
                while await _clients_of(running) == 2:
                    await fail_with_a_long_error(running.flow.tracker, f"job-{feed.last_seq}", "own")
                await until(heard_all)
                assert await _clients_of(running) == 1
                tasks.cancel_scope.cancel()
    assert heard == list(range(1, feed.last_seq + 1))


async def test_each_address_has_its_share_of_the_streams(tmp_path: Path) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db"), limits=Limits(streams=1)) as service:
        async with stream(service.http) as opened:
            await opened.block()
            second = await service.http.get(ALL)
        assert (second.status_code, second.json()["code"]) == (429, "limit_reached")
        assert "retry-after" in second.headers


@pytest.mark.thorough
async def test_a_hundred_clients_hear_the_same(service: Service) -> None:
    heard: list[list[int]] = []

    async def listen() -> None:
        async with stream(service.http) as opened:
            await opened.block()
            ready.release()
            heard.append([event.seq for event in await opened.transitions(3 * TRANSITIONS_OF_A_PASSAGE)])

    ready = anyio.Semaphore(0)
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(listen)
        for _ in range(100):
            await ready.acquire()
        for number in range(3):
            await pass_through(service.flow.tracker, f"job-{number}", "own")
    assert heard == [list(range(1, 3 * TRANSITIONS_OF_A_PASSAGE + 1))] * 100


def test_the_more_listen_the_less_often_they_hear_of_progress() -> None:
    assert [progress_s(clients) for clients in (1, 50, 100, 10_000)] == [0.1, 0.1, 0.2, 1.0]


async def test_a_stream_that_is_sent_too_much_ends(tmp_path: Path) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    async with serving(PhaseFlow(tmp_path / "kb.db"), limits=Limits(body_bytes=1000)) as service:
        with fail_soon(10), pytest.raises(httpx2.TransportError):
            await service.http.request("GET", ALL, content=parts())
        await _until_clients(service, 0)
        assert 'status="500"' not in (await service.http.get("/metrics")).text


async def test_a_stream_takes_no_task_beside_that_of_the_server(service: Service) -> None:
    """What 1,000 streams take is mostly tasks: each is some 4 kB with what it waits in."""

    def others() -> int:
        return sum("run_asgi" not in repr(task.get_coro()) for task in asyncio.all_tasks())

    async def as_few_as_before() -> bool:
        """But for those of the engine, which come and go and are soon fewer than there are streams."""
        return others() - before < 4

    async with AsyncExitStack() as stack:
        for number in range(8):
            opened = await stack.enter_async_context(stream(service.http))
            await opened.block()
            if number == 0:
                before = others()
        await until(as_few_as_before)
    await _until_clients(service, 0)


async def test_documents_that_change_are_told_where_it_is_asked_for_the_latest_of_each(
    service: Service, tmp_path: Path
) -> None:
    docs = documents(tmp_path / "docs", 3)
    await service.flow.put_kb("own", FolderSource(str(docs)))
    async with stream(service.http, f"{OWN}?documents=true") as told, stream(service.http, OWN) as untold:
        await told.block()
        await service.flow.start("own")
        latest: dict[str, str] = {}
        while sorted(latest.values()) != ["indexed"] * 3:
            event = await told.next()
            if event.name == "document":
                assert event.id is None  # the last id stays that of the log
                latest[event.data["uri"]] = event.data["status"]
        assert event.data == (await service.http.get(f"/api/ingestion/kb/own/documents/{event.data['id']}")).json()
        names = set()
        while (one := await untold.next()).data.get("status") != "completed":
            names.add(one.name)
        assert "document" not in names


async def test_the_feed_of_all_tells_of_the_documents_of_one_beside_the_runs_of_all(
    service: Service, tmp_path: Path
) -> None:
    docs = documents(tmp_path / "docs", 3)
    with fail_soon(10):
        refused = await service.http.get(f"{ALL}?documents_of=own")
    assert (refused.status_code, refused.json()["code"]) == (404, "kb_not_found")
    for name in ("own", "other"):
        await service.flow.put_kb(name, FolderSource(str(docs)))
    async with stream(service.http, f"{ALL}?documents_of=own") as told:
        await told.block()
        for name in ("own", "other"):
            await service.flow.start(name)
        latest: dict[str, str] = {}
        seen, last = set[str](), 0
        with fail_soon(20):
            while sorted(latest.values()) != ["indexed"] * 3 or len(seen) < 2:
                event = await told.next()
                if event.name == "document":
                    assert event.id is None
                    latest[event.data["id"]] = event.data["status"]
                elif event.name == "transition" and event.data["to"] == "completed" and event.data["phase"] is None:
                    seen.add(event.data["kb_id"])
                last = event.id or last
    assert latest.keys() == {one.id for one in (await service.flow.documents("own")).items}
    assert seen == {"own", "other"}
    await service.flow.skip_document("own", "0.md")
    async with stream(service.http, f"{ALL}?documents_of=own&last_event_id={last}") as told:
        with fail_soon(20):
            while (event := await told.next()).name != "document" or event.data["status"] != "skipped":
                assert event.name != "transition"  # it has them all


@pytest.mark.thorough
async def test_the_feed_of_all_goes_on_when_those_whose_documents_it_tells_are_deleted_and_made_anew(
    service: Service,
) -> None:
    refused = await service.http.get(f"{ALL}?documents_of=own")
    assert (refused.status_code, refused.json()["code"]) == (404, "kb_not_found")
    await service.flow.put_kb("own", UploadSource())
    async with stream(service.http, f"{ALL}?documents_of=own") as told:
        await told.block()
        for text in ("# One", "# Two"):
            await service.flow.add("own", [{"uri": "note", "text": text}])
            with fail_soon(20):
                while (event := await told.next()).name != "document" or event.data["status"] != "indexed":
                    await anyio.lowlevel.checkpoint()
            await (await service.flow.job("own")).wait()
            await service.flow.delete_kb("own")
            await service.flow.put_kb("own", UploadSource())


async def test_at_most_so_many_documents_a_second_are_told(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseflow.http.document_feed.PER_S", 40)
    docs = documents(tmp_path / "docs", 30)
    await service.flow.put_kb("own", FolderSource(str(docs)))
    async with stream(service.http, f"{OWN}?documents=true") as told:
        await told.block()
        began = anyio.current_time()
        await service.flow.start("own")
        latest: dict[str, str] = {}
        events = 0
        while sorted(latest.values()) != ["indexed"] * 30:
            event = await told.next()
            if event.name == "document":
                events += 1
                latest[event.data["uri"]] = event.data["status"]
    assert events <= 40 * (anyio.current_time() - began) + 10


async def test_a_client_that_comes_back_hears_of_the_documents_that_changed_meanwhile(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = documents(tmp_path / "docs", 6)
    await (await service.flow.start("own", FolderSource(str(docs)))).wait()
    last = (await service.flow.transitions_of((await service.flow.status("own")).job_id)).items[-1].seq
    first, second, third, *_ = (one.uri for one in (await service.flow.documents("own")).items)
    await anyio.sleep(0.002)  # times have milliseconds
    await service.flow.skip_document("own", first)
    await service.flow.set_metadata("own", second, {"k": 1})
    await service.flow.retry_document("own", third)
    await (await service.flow.job("own")).wait()

    async def told_again() -> dict[str, object]:
        found: dict[str, object] = {}
        async with stream(service.http, f"{OWN}?documents=true&last_event_id={last}") as told:
            with fail_soon(10):
                while len(found) < 3:
                    event = await told.next()
                    if event.name == "reset":
                        return {"reset": event.data}
                    if event.name == "document":
                        found[event.data["uri"]] = event.data["status"]
        return found

    monkeypatch.setattr("phaseflow.http.document_feed.OVERLAP_S", 0.0)
    assert await told_again() == {first: "skipped", second: "indexed", third: "indexed"}
    monkeypatch.setattr("phaseflow.http.document_feed.MOST_MISSED", 2)
    newest = (await service.flow.transitions_of((await service.flow.status("own")).job_id)).items[-1].seq
    assert await told_again() == {"reset": {"oldest": newest + 1}}


@pytest.mark.thorough
async def test_a_client_whose_stream_ends_before_all_documents_are_told_hears_of_the_others_when_it_comes_back(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseflow.http.document_feed.PER_S", 100)
    docs = documents(tmp_path / "docs", 40)
    await service.flow.put_kb("own", FolderSource(str(docs)))
    latest: dict[str, str] = {}
    last: int | str = "0"
    replaying = 0
    for enough in (5, 10, 40):  # the first two end with documents untold
        async with stream(service.http, f"{OWN}?documents=true&last_event_id={last}") as told:
            if last == "0":
                await told.block()
                await service.flow.start("own")
            with fail_soon(20):
                while list(latest.values()).count("indexed") < enough:
                    event = await told.next()
                    last = event.id or last
                    replaying += event.name != "document" and event.id is None
                    if event.name == "document":
                        latest[event.data["uri"]] = event.data["status"]
        await (await service.flow.job("own")).wait()  # what is told next was told of before, or never
    assert sorted(latest.values()) == ["indexed"] * 40
    assert replaying  # with an id a client would go on behind what it has not heard


async def test_a_stream_that_is_too_far_behind_asks_to_list_the_documents_again(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseflow.http.document_feed.MOST_BEHIND_S", 0.1)
    docs = documents(tmp_path / "docs", 30)
    await service.flow.put_kb("own", FolderSource(str(docs)))
    async with stream(service.http, f"{OWN}?documents=true") as told:
        await told.block()
        await service.flow.start("own")
        with fail_soon(20):
            while (await told.next()).name != "reset":
                await anyio.lowlevel.checkpoint()
            listed = await service.flow.documents("own")
        first = listed.items[0].uri
        await (await service.flow.job("own")).wait()
        monkeypatch.setattr("phaseflow.http.document_feed.MOST_BEHIND_S", NEVER_S)
        await service.flow.set_metadata("own", first, {"k": 1})
        with fail_soon(20):  # it goes on behind what was listed
            while (event := await told.next()).name != "document" or event.data["metadata"] != {"k": 1}:
                await anyio.lowlevel.checkpoint()
