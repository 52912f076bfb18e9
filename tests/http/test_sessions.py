"""The sessions of browsers, and the pace at which the token may be guessed."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from phaseflow.domain.errors import InvalidRequest
from phaseflow.flow import PhaseFlow
from phaseflow.http import create_app, serve
from phaseflow.http.guesses import OF_ALL, OF_ONE, PEERS, Guesses
from phaseflow.http.problems import LimitReached
from phaseflow.http.sessions import LONGEST_S, Sessions
from tests.http.listening import ALL, stream
from tests.http.service import Service, http_client, serving
from tests.stopwatch import fail_soon

KB = "/api/ingestion/kb"
TOKEN = "a token of some length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class _Guessed:
    """What wrong tokens were answered, each a status and when to try again."""

    def __init__(self, most: int) -> None:
        self.answers: list[tuple[int, str | None]] = []
        self._most = most
        self._all = anyio.Event()

    def was_answered(self, answer: httpx2.Response) -> None:
        self.answers.append((answer.status_code, answer.headers.get("retry-after")))
        if len(self.answers) == self._most:
            self._all.set()

    async def all_but_those_that_wait(self) -> None:
        await self._all.wait()


@asynccontextmanager
async def _guessing(service: Service, number: int) -> AsyncIterator[_Guessed]:
    """So many wrong tokens at once, half of them in a header and half at the login; the block ends those that wait."""

    async def guess(http: httpx2.AsyncClient, which: int) -> None:
        if which % 2:
            guessed.was_answered(await http.post("/login", json={"token": f"guess {which}"}))
        else:
            guessed.was_answered(await http.get(KB, headers={"Authorization": f"Bearer {which}"}))

    guessed = _Guessed(number - int(OF_ONE.waiting))
    async with http_client(service.url) as http, anyio.create_task_group() as tasks:
        for which in range(number):
            tasks.start_soon(guess, http, which)
        yield guessed
        tasks.cancel_scope.cancel()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db"), token=TOKEN) as service:
        yield service


async def _log_in(http: httpx2.AsyncClient, **headers: str) -> str:
    answer = await http.post("/login", json={"token": TOKEN}, headers=headers)
    assert answer.status_code == 204
    return str(answer.headers["set-cookie"]).partition(";")[0]


async def _status_with(service: Service, cookie: str) -> int:
    async with http_client(service.url) as http:
        return (await http.get(KB, headers={"Cookie": cookie})).status_code


async def test_every_login_is_a_session_of_its_own_that_ends_on_the_server_at_logout(guarded: Service) -> None:
    async with http_client(guarded.url) as other:
        one, two = await _log_in(guarded.http), await _log_in(other)
    assert one != two
    assert [await _status_with(guarded, cookie) for cookie in (one, two)] == [200, 200]
    await guarded.http.post("/logout")
    assert [await _status_with(guarded, cookie) for cookie in (one, two)] == [401, 200]


async def test_another_login_in_the_same_browser_ends_the_session_before(guarded: Service) -> None:
    before, after = await _log_in(guarded.http), await _log_in(guarded.http)
    assert [await _status_with(guarded, cookie) for cookie in (before, after)] == [401, 200]


async def test_the_stream_of_a_session_ends_with_it(guarded: Service) -> None:
    await _log_in(guarded.http)
    async with stream(guarded.http, ALL) as feed:
        await feed.block()
        await guarded.http.post("/logout")
        with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
            await feed.end()


async def test_services_on_two_ports_of_a_host_do_not_log_each_other_out(tmp_path: Path, guarded: Service) -> None:
    async with serving(PhaseFlow(tmp_path / "other.db"), token=TOKEN) as other:
        for service in (guarded, other):
            name = (await _log_in(service.http)).partition("=")[0]
            assert name == f"phaseflow_session_{service.url.rpartition(':')[2]}"
        cookie = await _log_in(guarded.http)
        assert await _status_with(other, cookie.replace(guarded.url[-5:], other.url[-5:])) == 401
        await other.http.post("/logout")
        assert await _status_with(guarded, cookie) == 200


async def test_the_port_is_the_one_that_the_browser_sees(guarded: Service) -> None:
    names = [(await _log_in(guarded.http, Host=host)).partition("=")[0] for host in ("localhost:9001", "localhost")]
    assert names == ["phaseflow_session_9001", f"phaseflow_session_{guarded.url.rpartition(':')[2]}"]


async def test_a_restart_ends_all_sessions(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        cookie = ""
        for status in (200, 401):
            transport = httpx2.ASGITransport(create_app(flow, token=TOKEN))
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
                cookie = cookie or await _log_in(http)
                http.cookies.clear()
                assert (await http.get(KB, headers={"Cookie": cookie})).status_code == status


async def test_the_cookie_goes_over_https_only_where_the_page_came_over_it(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        for scheme in ("http", "https"):
            transport = httpx2.ASGITransport(create_app(flow, token=TOKEN))
            async with httpx2.AsyncClient(transport=transport, base_url=f"{scheme}://localhost") as http:
                answer = await http.post("/login", json={"token": TOKEN})
            assert ("Secure" in answer.headers["set-cookie"]) is (scheme == "https")


def test_sessions_are_bounded_in_age_and_number() -> None:
    clock = Clock()
    sessions = Sessions(clock, most=2)
    first, second = sessions.open(), sessions.open()
    assert sessions.find(first) is not None
    third = sessions.open()
    assert [sessions.find(secret) is not None for secret in (first, second, third)] == [True, False, True]
    clock.now = LONGEST_S
    assert sessions.find(first) is None
    assert len(sessions) == 0


def _at_once(answer: Coroutine[Any, Any, None]) -> bool:
    """Whether it comes without any waiting."""
    try:
        answer.send(None)
    except StopIteration:
        return True
    answer.close()
    return False


def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has to wait for a turn gets none, however slow the machine is."""
    monkeypatch.setattr("phaseflow.http.guesses.OF_ONE", replace(OF_ONE, per_s=1e-6))


async def test_a_peer_that_guesses_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phaseflow.http.guesses.OF_ONE", replace(OF_ONE, per_s=20))
    guesses = Guesses(Clock())
    assert all(_at_once(guesses.was_wrong("192.0.2.1")) for _ in range(int(OF_ONE.at_once)))
    started = anyio.current_time()
    with fail_soon(5):
        await guesses.was_wrong("192.0.2.1")
    assert anyio.current_time() - started >= 0.9 / 20
    assert _at_once(guesses.was_wrong("192.0.2.2"))


async def test_wrong_tokens_that_wait_are_bounded_and_the_rest_is_refused_at_once() -> None:
    guesses, answered, refused = Guesses(Clock()), 0, 0

    async def guess() -> None:
        nonlocal answered, refused
        try:
            await guesses.was_wrong("192.0.2.1")
            answered += 1
        except LimitReached:
            refused += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(guess)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert answered == OF_ONE.at_once
    assert refused == 100 - OF_ONE.at_once - OF_ONE.waiting


async def test_guesses_from_many_addresses_wait_for_each_other() -> None:
    guesses = Guesses(Clock())
    for number in range(int(OF_ALL.at_once)):
        await guesses.was_wrong(f"2001:db8:0:{number:x}::1")
    with anyio.move_on_after(0.01) as waited:
        await guesses.was_wrong("2001:db8:1::1")
    assert waited.cancelled_caught


async def test_all_addresses_of_one_network_are_one_peer_and_peers_are_forgotten() -> None:
    guesses = Guesses(clock := Clock())
    for number in range(int(OF_ONE.at_once)):
        await guesses.was_wrong(f"2001:db8::{number:x}")
    with anyio.move_on_after(0.01) as waited:
        await guesses.was_wrong("2001:db8::ffff")
    assert waited.cancelled_caught
    for number in range(PEERS + 10):
        clock.now += 1
        await guesses.was_wrong(f"10.0.{number // 256}.{number % 256}")
    assert len(guesses._of_one) == PEERS


async def test_the_right_token_is_let_in_at_once_while_its_address_guesses(
    guarded: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    _patient(monkeypatch)
    with fail_soon(20):
        async with _guessing(guarded, 40) as guessed:
            await guessed.all_but_those_that_wait()
            for _ in range(10):
                assert (await guarded.http.get(KB, headers=BEARER)).status_code == 200
                assert (await guarded.http.post("/login", json={"token": TOKEN})).status_code == 204
            assert len(guessed.answers) == 40 - OF_ONE.waiting


async def test_wrong_tokens_that_wait_do_not_hold_up_the_end_of_the_service() -> None:
    guesses = Guesses(Clock())
    for _ in range(int(OF_ONE.at_once)):
        await guesses.was_wrong("192.0.2.1")
    with fail_soon(0.5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(guesses.was_wrong, "192.0.2.1")
            await anyio.wait_all_tasks_blocked()
            guesses.close()


async def test_guesses_in_the_header_and_at_login_are_counted_together(
    guarded: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    _patient(monkeypatch)
    with fail_soon(20):
        async with _guessing(guarded, 40) as guessed:
            await guessed.all_but_those_that_wait()
    assert guessed.answers.count((401, None)) == OF_ONE.at_once
    assert guessed.answers.count((429, "10")) == 40 - OF_ONE.at_once - OF_ONE.waiting


@pytest.mark.parametrize("token", ["", "a", "seven77"])
async def test_a_token_of_a_few_characters_is_refused_before_anything_is_made(tmp_path: Path, token: str) -> None:
    flow = PhaseFlow(tmp_path / "kb.db")
    with pytest.raises(InvalidRequest, match="token_urlsafe"):
        create_app(flow, token=token)
    with pytest.raises(InvalidRequest, match="soon guessed; at least 8 are required and 16 or more advised"):
        await serve(flow, port=0, token=token)
    assert list(tmp_path.iterdir()) == []


async def test_a_short_token_is_taken_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    create_app(PhaseFlow(tmp_path / "kb.db"), token="s3cret-t")
    assert "short token" in caplog.text
    caplog.clear()
    create_app(PhaseFlow(tmp_path / "kb.db"), token="s3cret-token-of-more")
    assert not caplog.text
