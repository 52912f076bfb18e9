"""Webhooks, delivered to a real receiver: signed, in order, at least once, also over a kill."""

import signal
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow.client import Client
from phaseflow.domain import webhooks as rules
from phaseflow.domain.errors import InvalidRequest, SourceNotAllowed, WebhookNotFound
from phaseflow.flow import PhaseFlow, deliveries
from phaseflow.store import clock, webhooks
from phaseflow.store.transaction import Transaction
from tests.http.processes import ServiceProcess
from tests.http.receiver import Receiver, receiving
from tests.http.service import Service, documents, pass_through, serving, until
from tests.ports import free_port
from tests.stopwatch import fail_soon
from tests.test_running_time import WallClock

WEBHOOKS = "/api/ingestion/webhooks"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "FIRST_WAIT_S", 0.05)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db")) as service:
        yield service


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with Client(service.url) as client:
        yield client


async def _put(client: Client, receiver: Receiver, **options: Any) -> None:
    made = await client.put_webhook("mine", receiver.url, **options)
    assert made.secret is not None
    receiver.secret = made.secret


async def test_the_end_of_a_job_is_delivered_signed(service: Service, client: Client, receiver: Receiver) -> None:
    await _put(client, receiver)
    await pass_through(service.flow.tracker, "one", "own")
    await receiver.has_taken(1)
    (told,) = receiver.taken
    assert (told["type"], told["data"]["job_id"], told["data"]["to"]) == ("job.completed", "one", "completed")
    assert told["timestamp"] == told["data"]["at"]

    async def is_noted() -> bool:
        return (await client.webhook("mine")).pending == 0

    await until(is_noted)
    shown = await client.webhook("mine")
    assert shown.last_delivery is not None
    assert (shown.last_delivery.event, shown.last_delivery.http_status, shown.last_error) == (
        "job.completed",
        204,
        None,
    )


async def test_the_secret_is_told_once_and_kept_over_a_change(service: Service, receiver: Receiver) -> None:
    first = await service.http.put(f"{WEBHOOKS}/mine", json={"url": receiver.url})
    again = await service.http.put(f"{WEBHOOKS}/mine", json={"url": receiver.url, "events": ["job.failed"]})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["secret"].startswith("whsec_")
    for shown in (again.json(), (await service.http.get(f"{WEBHOOKS}/mine")).json()):
        assert "secret" not in shown
    listed = (await service.http.get(WEBHOOKS)).json()["items"]
    assert [(one["name"], one["events"]) for one in listed] == [("mine", ["job.failed"])]


async def test_only_what_is_wanted_is_delivered(service: Service, client: Client, receiver: Receiver) -> None:
    await _put(client, receiver, events=["job.paused", "job.cancelled"], kbs=["own"])
    await pass_through(service.flow.tracker, "one", "own")
    for job, kb in (("two", "other"), ("three", "own")):
        await service.flow.tracker.initialize_phases(job, kb)
        await service.flow.tracker.start_phase(job, "loading")
        await service.flow.tracker.pause_phase(job, "loading")
        await service.flow.cancel(kb)
    await receiver.has_taken(2)
    assert receiver.types == [("own", "job.paused"), ("own", "job.cancelled")]


async def test_documents_that_fail_are_told_before_the_end_of_their_job(
    client: Client, receiver: Receiver, tmp_path: Path
) -> None:
    await _put(client, receiver)
    (documents(tmp_path / "docs") / "broken.md").write_bytes(b"\x00\x01\x02" * 50)
    await client.start("waf", str(tmp_path / "docs"))
    await receiver.has_taken(2)
    assert receiver.types == [("waf", "document.failed"), ("waf", "job.completed")]
    assert receiver.taken[0]["data"]["uri"] == "broken.md"
    await client.start("waf", full=True)
    await receiver.has_taken(4)
    assert receiver.taken[2]["data"]["attempts"] == 2


async def test_a_failed_attempt_is_made_again_with_the_same_id_and_holds_up_its_knowledge_base_alone(
    service: Service, client: Client, receiver: Receiver
) -> None:
    await _put(client, receiver)
    receiver.answers = [500, 302, 404]
    await pass_through(service.flow.tracker, "one", "own")

    async def has_failed() -> bool:
        return (await client.webhook("mine")).last_error is not None

    await until(has_failed)
    await pass_through(service.flow.tracker, "two", "own")
    await pass_through(service.flow.tracker, "three", "other")
    await receiver.has_taken(3)
    own = [one["data"]["job_id"] for one in receiver.taken if one["data"]["kb_id"] == "own"]
    assert own == ["one", "two"]
    assert len(set(receiver.ids)) == 3
    error = (await client.webhook("mine")).last_error
    assert error is not None
    assert not error.given_up


async def test_a_receiver_without_room_is_left_alone_for_as_long_as_it_asks(
    service: Service, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the messages of other knowledge bases, too."""
    monkeypatch.setattr("phaseflow.flow.deliveries._LONGEST_LOOK_S", 0.1)
    await _put(client, receiver)
    receiver.answers, receiver.retry_after = [429], "1"
    asked_at = anyio.current_time()
    await pass_through(service.flow.tracker, "one", "own")

    async def has_failed() -> bool:
        return (await client.webhook("mine")).last_error is not None

    await until(has_failed)
    await pass_through(service.flow.tracker, "two", "other")
    await receiver.has_taken(1)
    assert anyio.current_time() - asked_at >= 1


async def test_a_clock_that_is_set_back_holds_up_no_message_and_signs_with_the_time_it_has(
    service: Service, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "datetime", WallClock)
    monkeypatch.setattr(WallClock, "ahead", timedelta(minutes=50))  # less than a message may be put off for
    await _put(client, receiver)
    receiver.answers = [500]
    await pass_through(service.flow.tracker, "one", "own")
    with fail_soon(20):
        while receiver.answers:  # noqa: ASYNC110  # nobody tells when
            await anyio.sleep(0.01)
    WallClock.ahead = timedelta()
    await receiver.has_taken(1)


async def test_a_receiver_that_hangs_holds_up_no_other(
    service: Service, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "AT_ONCE", 6)
    receiver.hold = anyio.Event()
    try:
        await _put(client, receiver)
        async with receiving() as other:
            made = await client.put_webhook("other", other.url, kbs=["last"])
            other.secret = made.secret or ""
            for number in range(6):
                await pass_through(service.flow.tracker, f"job-{number}", f"kb-{number}")
            await pass_through(service.flow.tracker, "last", "last")
            await other.has_taken(1)
            assert receiver.asked == 4
    finally:
        receiver.hold.set()


async def test_a_redirect_is_not_followed(service: Service, client: Client, receiver: Receiver) -> None:
    await _put(client, receiver)
    receiver.answers = [307]
    await pass_through(service.flow.tracker, "one", "own")
    await receiver.has_taken(1)
    error = (await client.webhook("mine")).last_error
    assert error is not None
    assert error.error == "answered 307; redirects are not followed"


async def test_a_message_is_given_up_after_a_day_with_what_waits_behind_it(
    service: Service, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseflow.flow.deliveries.GIVE_UP_S", 0.0)
    monkeypatch.setattr("phaseflow.flow.deliveries.LEAST_ATTEMPTS", 2)
    await _put(client, receiver)
    receiver.answers = [500, 500]
    await pass_through(service.flow.tracker, "one", "own")

    async def is_given_up() -> bool:
        shown = await client.webhook("mine")
        return shown.pending == 0 and shown.last_error is not None and shown.last_error.given_up

    await until(is_given_up)
    await pass_through(service.flow.tracker, "two", "own")
    await receiver.has_taken(1)
    assert receiver.taken[0]["data"]["job_id"] == "two"


async def test_whatever_is_older_than_a_day_goes_with_the_message_that_is_given_up(
    service: Service, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the queue of an address that is gone holds a day's messages, however many there are."""
    monkeypatch.setattr(webhooks, "GIVEN_UP", 2)
    monkeypatch.setattr("phaseflow.flow.deliveries.LEAST_ATTEMPTS", 2)
    receiver.hold, receiver.answers = anyio.Event(), [500, 500]
    await _put(client, receiver)
    for job in "12345":
        await pass_through(service.flow.tracker, job, "own")

    def age(tx: Transaction) -> None:
        tx.run(
            "UPDATE webhook_queue SET at = format('2020-01-01T00:00:%02d.000000Z', seq) WHERE seq <"
            " (SELECT max(seq) FROM webhook_queue)"
        )

    await service.flow._engine.hub.database.write(age)
    receiver.hold.set()
    await receiver.has_taken(1)
    assert [one["data"]["job_id"] for one in receiver.taken] == ["5"]
    assert receiver.asked == 3


async def test_a_message_is_small_whatever_a_program_reports(
    service: Service, client: Client, receiver: Receiver
) -> None:
    await _put(client, receiver)
    await service.flow.tracker.initialize_phases("one", "own")
    await service.flow.tracker.start_phase("one", "loading")
    await service.flow.tracker.fail_phase("one", "loading", "ä" * 1_000_000)
    await receiver.has_taken(1)
    error = receiver.taken[0]["data"]["error"]
    assert (len(error), error[-1]) == (webhooks.LONGEST_ERROR + 1, "…")


async def test_a_webhook_that_is_deleted_is_told_nothing_more(service: Service, client: Client) -> None:
    await client.put_webhook("mine", "http://127.0.0.1:9/hook")
    await pass_through(service.flow.tracker, "one", "own")
    await client.delete_webhook("mine")
    with pytest.raises(WebhookNotFound):
        await client.webhook("mine")
    with pytest.raises(WebhookNotFound):
        await client.delete_webhook("mine")


async def test_private_addresses_are_refused_unless_they_are_allowed(tmp_path: Path) -> None:
    async with (
        serving(PhaseFlow(tmp_path / "kb.db", allow_private=["10.1.2.3:80"]), token="a long secret") as service,
        Client(service.url, token="a long secret") as client,
    ):
        for url in ("http://127.0.0.1:1/", "http://192.168.0.1/", "http://[::1]/", "http://169.254.169.254/latest"):
            with pytest.raises(SourceNotAllowed):
                await client.put_webhook("mine", url)
        with pytest.raises(InvalidRequest):
            await client.put_webhook("mine", "http://user:pass@example.com/")
        with pytest.raises(InvalidRequest):
            await client.put_webhook("mine", "ftp://example.com/")
        assert (await client.put_webhook("mine", "http://10.1.2.3/hook")).pending == 0


async def test_an_address_that_turns_private_is_not_connected_to(tmp_path: Path, receiver: Receiver) -> None:
    flow = PhaseFlow(tmp_path / "kb.db")
    async with serving(flow) as service, Client(service.url) as client:
        await _put(client, receiver)
        flow.embedder_access.takes_loopback = False  # as after a restart with a token
        await pass_through(flow.tracker, "one", "own")

        async def has_failed() -> bool:
            return (await client.webhook("mine")).last_error is not None

        await until(has_failed)
    assert receiver.asked == 0


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def process(tmp_path: Path, port: int) -> Iterator[ServiceProcess]:
    process = ServiceProcess(tmp_path, port)
    yield process
    process.close()


async def test_a_killed_service_loses_no_message(
    process: ServiceProcess, tmp_path: Path, port: int, receiver: Receiver
) -> None:
    receiver.hold = anyio.Event()
    await process.ready()
    async with Client(process.url) as client:
        await _put(client, receiver)
        for phase in ("loading", "chunking", "embedding", "indexing"):
            if phase == "loading":
                await client.tracker.initialize_phases("one", "own")
            await client.tracker.start_phase("one", phase)
            await client.tracker.complete_phase("one", phase)

    async def was_asked() -> bool:
        return receiver.asked == 1

    await until(was_asked)
    await process.stop(signal.SIGKILL)
    receiver.hold.set()
    receiver.hold = None
    receiver.taken.clear()
    successor = ServiceProcess(tmp_path, port)
    try:
        await successor.ready()
        await receiver.has_taken(1)
    finally:
        successor.close()
    assert receiver.types[-1] == ("own", "job.completed")
    assert len(set(receiver.ids)) == 1


async def test_a_receiver_that_hangs_holds_up_no_stop(process: ServiceProcess, receiver: Receiver) -> None:
    receiver.hold = anyio.Event()
    await process.ready()
    async with Client(process.url) as client:
        await _put(client, receiver, events=["job.cancelled"])
        await client.tracker.initialize_phases("one", "own")
        await client.cancel("own")

    async def was_asked() -> bool:
        return receiver.asked == 1

    await until(was_asked)
    stopped = await process.stop()
    receiver.hold.set()
    assert stopped.within(5)  # an attempt may take 15
    assert process.ended_in_order
