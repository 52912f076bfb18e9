"""What the writer does first, and how much of what waits it takes into one transaction."""

from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from phaseflow.store import database as databases
from phaseflow.store import failpoints
from phaseflow.store.database import Database
from phaseflow.store.write_request import WriteRequest, in_turn
from tests.stopwatch import fail_soon
from tests.store.probes import names, put


def request(name: str, *, durable: bool = False) -> WriteRequest[str]:
    return WriteRequest(partial(put, name=name), durable, None)


async def test_verbs_and_transitions_come_first_and_the_rest_as_it_came() -> None:
    a, b, c, d = request("a"), request("b", durable=True), request("c"), request("d", durable=True)
    assert in_turn([a, b, c, d]) == [b, d, a, c]


@pytest.mark.parametrize(
    ("tick", "sizes"),
    [
        (0.0, [5]),
        (databases._SHARED_S, [1, 1, 1, 1, 1]),  # the first always goes
        (databases._SHARED_S * 0.51, [2, 2, 1]),
        (databases._SHARED_S * 0.34, [3, 2]),
    ],
)
async def test_requests_share_a_transaction_for_so_long(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch, tick: float, sizes: list[int]
) -> None:
    stored: list[int] = []
    failpoints.install("store.after_commit", lambda: stored.append(len(names(path)) - sum(stored)))
    times = count()
    monkeypatch.setattr(databases, "time", SimpleNamespace(monotonic=lambda: 1000.0 + tick * next(times)))
    waiting = group = [request(name) for name in "abcde"]
    with fail_soon(10):
        while waiting:
            waiting = await database._carry_out(waiting)
        for each in group:
            await each.done
    assert stored == sizes
    assert [each.value for each in group] == names(path) == list("abcde")
