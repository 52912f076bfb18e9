"""Plain calls in threads: reuse, and what is left of them."""

import os
import subprocess
import sys
import threading
from contextvars import ContextVar
from types import SimpleNamespace

import anyio
import pytest

from phaseflow.components.abandonable_thread import begin_beside, call_in_abandonable_thread

AFTER_A_FORK = """
import asyncio, os
from phaseflow.components.abandonable_thread import call_in_abandonable_thread
asyncio.run(call_in_abandonable_thread(int))
child = os.fork()
if child == 0:
    os._exit(asyncio.run(call_in_abandonable_thread(lambda: 7)))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


async def test_one_thread_serves_call_after_call_and_ends_when_none_comes() -> None:
    served = {await call_in_abandonable_thread(threading.current_thread) for _ in range(20)}
    assert len(served) < 20
    for thread in served:
        await anyio.to_thread.run_sync(thread.join)


async def test_calls_at_the_same_time_have_a_thread_each() -> None:
    meet = threading.Barrier(3, timeout=60)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(call_in_abandonable_thread, meet.wait)


async def test_a_call_may_begin_a_loop_of_its_own_where_sniffio_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = ContextVar[str | None]("mark", default=None)
    mark.set("asyncio")
    monkeypatch.setitem(sys.modules, "sniffio", SimpleNamespace(current_async_library_cvar=mark))
    assert await call_in_abandonable_thread(mark.get) is None
    assert mark.get() == "asyncio"


async def test_a_call_after_a_moment_without_any_is_served() -> None:
    first = await call_in_abandonable_thread(threading.current_thread)
    await anyio.to_thread.run_sync(first.join)
    assert await call_in_abandonable_thread(lambda: 7) == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    words = [sys.executable, "-c", AFTER_A_FORK]
    assert subprocess.run(words, capture_output=True, text=True, timeout=100, check=True).stdout == "7\n"


def test_what_is_begun_beside_runs_meanwhile_and_its_result_or_error_is_had_in_the_end() -> None:
    meet = threading.Barrier(2, timeout=60)
    result = begin_beside(lambda: (meet.wait(), threading.current_thread()))
    meet.wait()
    assert result()[1] is not threading.current_thread()

    def fails() -> None:
        raise KeyboardInterrupt

    result_of_none = begin_beside(fails)
    with pytest.raises(KeyboardInterrupt):
        result_of_none()
