"""When nothing but rate limits has come for so long that embedding pauses."""

from collections.abc import Callable, Collection, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from phaseflow import GuardPolicy, Policies, RateLimited
from phaseflow.actors.embedding_calls import EmbeddingCalls, Spent
from phaseflow.actors.gate import Gate
from phaseflow.actors.single_flight import SingleFlight
from phaseflow.components.embedders.adapter import EmbedderAdapter
from phaseflow.components.embedders.throttle import Throttle
from tests.stopwatch import fail_soon

MOST_S = 60.0
CALL_S = 10.0
"""What a call takes, by a clock that moves with calls only."""


class Server:
    """Limits those calls of which ``is_limited`` says so, by their number, and answers the others."""

    fingerprint = "a server"

    def __init__(self, is_limited: Callable[[int], bool]) -> None:
        self.is_limited = is_limited
        self.now = 1000.0
        self.calls = 0
        self.throttle = Throttle(lambda: self.now)

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls += 1
        self.now += CALL_S
        assert self.calls < 100, "it would go on for ever"
        if self.is_limited(self.calls):
            raise RateLimited("slow down")
        return [[1.0] for _ in texts]


class Phase:
    """The calls of an embedding phase with one text, and a store that forgets it once it was answered. The first holds,
    so many as ``resumed``, are ended at once; after the next one nothing more is asked."""

    dimension = None

    def __init__(self, server: Server, resumed: int = 0) -> None:
        self.held: list[int] = []
        self._resumed = resumed
        self._server = server
        self._is_answered = False
        embedder = EmbedderAdapter(server)
        embedder.throttle = server.throttle
        plan: Any = SimpleNamespace(
            components=SimpleNamespace(embedder=embedder), characters_sent=0, model="a model",
            policies=Policies(guard=GuardPolicy(rate_limited_s=MOST_S)),
        )  # fmt: skip
        context: Any = SimpleNamespace(plan=plan, single_flight=SingleFlight())
        gate, release = Gate(lambda: None), self
        gate.open()
        self.calls = EmbeddingCalls(context, gate, release, self._hold)  # type: ignore[arg-type]  # all it asks for

    async def ask(self) -> None:
        """Ask until there is an answer, or nothing more is asked."""
        self._is_answered = False
        chunk: Any = SimpleNamespace(text_hash=b"1", text="Words.")
        with fail_soon(10):
            await self.calls.attempt([chunk], Spent())

    def _hold(self, reason: str) -> None:
        self.held.append(self._server.calls)
        if len(self.held) > self._resumed:
            self.calls.stop()

    def still_wanted(self, chunks: Sequence[Any]) -> Sequence[Any]:
        return () if self._is_answered else chunks

    def waited_for(self, hashes: Collection[bytes]) -> set[bytes]:
        return set(hashes)

    async def known(self, hashes: Sequence[bytes]) -> set[bytes]:
        return set()

    async def look_up_dimension(self) -> None: ...

    async def drop_taken_out(self) -> None: ...

    async def store_vectors(self, result: object) -> None:
        self._is_answered = True


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Throttle, "wait_s", lambda throttle: 0.0)


async def test_embedding_pauses_after_so_long_and_once_it_is_resumed_after_as_long_again() -> None:
    phase = Phase(Server(lambda call: True), resumed=1)
    await phase.ask()
    assert phase.held == [7, 14], "60 s after the first limit, and after the first that followed"


async def test_what_others_are_answered_meanwhile_says_that_the_server_has_room() -> None:
    def limits(call: int) -> bool:
        if call % 5 == 0:
            server.throttle.passed()  # a query, or another job
        if call == 40:
            phase.calls.stop()
        return True

    server = Server(limits)
    phase = Phase(server)
    await phase.ask()
    assert (server.calls, phase.held) == (40, [])


async def test_a_time_in_which_nothing_was_asked_says_nothing_about_the_server() -> None:
    server = Server(lambda call: call % 2 == 1)
    phase = Phase(server)
    await phase.ask()
    server.now += 10 * MOST_S
    await phase.ask()
    assert (server.calls, phase.held) == (4, [])
