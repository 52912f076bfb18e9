"""What engine tests share: a folder of documents, a database path, and a look at what is left afterwards."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from phaseflow.flow import control
from tests.engine.components import write_folder
from tests.run_writes import watched
from tests.short_waits import wait_shortly
from tests.stopwatch import NEVER_S


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "docs", 12)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "kb.db"


@pytest.fixture
def effect_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb answers once it has taken effect, however long that takes on a busy machine."""
    monkeypatch.setattr(control, "VERB_RESPONSE_S", NEVER_S)


@pytest.fixture(autouse=True)
def writes_are_watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every run works inside its gates, and asks in each write whether it still may."""
    with watched(monkeypatch):
        yield


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried again at once, and a site asked without a pause, unless a test says how long it waits."""
    wait_shortly(monkeypatch.setattr)


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    """No task, thread or open connection survives an engine test."""
    tasks = asyncio.all_tasks()
    threads = set(threading.enumerate())
    yield
    await asyncio.sleep(0)
    new_tasks = [task for task in asyncio.all_tasks() - tasks if not task.done()]
    left = [task for task in new_tasks if "TestRunner" not in repr(task)]
    assert not left, left
    of_the_loop = ("AnyIO", "asyncio_")  # kept for the next call, and ended with the loop
    new = [t for t in threading.enumerate() if t not in threads and not t.name.startswith(of_the_loop)]
    for thread in new:
        thread.join(60)  # it has been told to end; the last step is its own
    assert not any(thread.is_alive() for thread in new), new


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """A connection that nobody closed warns when it is collected: here, not in a later test.

    What has survived is not looked at again: all modules and tests that are loaded would take 100 ms each time.
    """
    yield
    gc.collect()
    gc.freeze()
