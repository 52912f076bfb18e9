"""Programs that report to a service through the client, and die, or are asked to stop."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from phaseflow.client import Client, ServiceUnreachable, connection
from phaseflow.domain.errors import InvalidTransition
from phaseflow.flow import PhaseFlow
from phaseflow.http import create_app
from tests.cli.forked import program
from tests.http.service import Service, lease_end, listening_for, serving, until
from tests.ports import free_port
from tests.stopwatch import fail_soon

WITHIN_S = 20


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db")) as service:
        yield service


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with Client(service.url) as client:
        yield client


async def test_a_program_reports_and_learns_what_its_user_asks_for(client: Client) -> None:
    tracker = client.tracker
    await tracker.initialize_phases("j", "mine")
    await tracker.start_phase("j", "loading")
    assert await tracker.wanted("j") is None
    await client.pause("mine")
    assert await tracker.wanted("j") == "pause"
    await tracker.pause_phase("j", "loading")
    assert await tracker.wanted("j") is None
    await client.resume("mine")
    assert await tracker.wanted("j") == "resume"
    await tracker.resume_phase("j", "loading")
    shown = await tracker.update_progress("j", "loading", 3, 4)
    assert (shown.requested, shown.phase_details[0].progress) == (None, 75)
    await client.cancel("mine")
    assert await tracker.wanted("j") == "cancel"
    with pytest.raises(InvalidTransition) as refused:
        await tracker.complete_phase("j", "loading")
    assert refused.value.job_status == "cancelled"


async def test_the_errors_of_a_phase_reach_its_user(client: Client) -> None:
    await client.tracker.initialize_phases("j", "mine", can_retry=True)
    await client.tracker.start_phase("j", "loading")
    failed = await client.tracker.fail_phase("j", "loading", OSError("disk full"))
    assert (failed.error, failed.allowed_actions) == ("disk full", ["retry", "start"])
    await client.retry("mine")
    assert await client.tracker.wanted("j") == "retry"
    assert (await client.tracker.retry_phase("j", "loading")).status == "running"


async def until_renewed(service: Service) -> None:
    """Wait until the program was heard of once more, though it reports nothing."""
    before = await lease_end(service.flow)

    async def is_renewed() -> bool:
        return await lease_end(service.flow) > before

    await until(is_renewed)


async def test_the_client_renews_the_lease_of_a_program_that_is_busy(service: Service, client: Client) -> None:
    await client.tracker.initialize_phases("j", "mine", lease_s=2.0)
    await client.tracker.start_phase("j", "loading")
    await until_renewed(service)
    assert (await client.job_status("j")).status == "running"
    assert len((await service.flow.transitions_of("j")).items) == 2


async def test_a_program_that_has_left_without_an_end_is_shown_as_interrupted(service: Service) -> None:
    async with Client(service.url) as client:
        await client.tracker.initialize_phases("j", "mine", lease_s=1.0)
        await client.tracker.start_phase("j", "loading")

    async def is_interrupted() -> bool:
        return (await service.flow.job_status("j")).waiting_on == "interrupted"

    await until(is_interrupted)


async def test_a_report_waits_for_a_service_that_restarts(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        port = free_port()
        async with listening_for(create_app(flow), port) as url, Client(url) as client:
            await client.tracker.initialize_phases("j", "mine")
            await client.tracker.start_phase("j", "loading")
        async with anyio.create_task_group() as tasks, Client(url) as client:
            with fail_soon(WITHIN_S):
                reported = anyio.Event()

                async def report() -> None:
                    await client.tracker.update_progress("j", "loading", 5, 10)
                    reported.set()

                tasks.start_soon(report)
                await anyio.sleep(0.3)  # nobody listens meanwhile
                assert not reported.is_set()
                async with listening_for(create_app(flow), port):
                    await reported.wait()
    assert reported.is_set()


async def test_a_service_that_does_not_come_back_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "RESTART_S", 0.3)
    async with Client("http://127.0.0.1:9") as client:
        with pytest.raises(ServiceUnreachable):
            await client.tracker.start_phase("j", "loading")


PROGRAM = """
import sys, time
from phaseflow.client import SyncClient
with SyncClient(sys.argv[1]) as client:
    client.tracker.initialize_phases("night", "mine", lease_s=2)
    client.tracker.start_phase("night", "loading")
    print("started", flush=True)
    time.sleep(60)
"""


async def test_a_killed_program_is_interrupted_and_its_successor_goes_on(service: Service, client: Client) -> None:
    running = program(PROGRAM, service.url)
    try:
        with fail_soon(WITHIN_S):
            said = await anyio.to_thread.run_sync(running.stdout.readline, abandon_on_cancel=True)
        assert said == "started\n"
        await until_renewed(service)
        assert (await client.job_status("night")).status == "running"
    finally:
        running.close()

    async def is_interrupted() -> bool:
        status = await client.job_status("night")
        return (status.status, status.waiting_on) == ("paused", "interrupted")

    await until(is_interrupted)
    assert (await client.tracker.resume_phase("night", "loading")).status == "running"
    assert (await client.tracker.complete_phase("night", "loading")).phase_details[0].progress == 100
