"""Memory that was freed goes back to the system."""

import platform
from pathlib import Path
from threading import Thread

import pytest

from phaseflow.store.upkeep import give_back_memory


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc keeps what is freed")
def test_what_another_thread_has_freed_between_what_it_keeps_is_given_back() -> None:
    kept = list[bytes]()

    def work() -> None:
        made = [bytes(4000) for _ in range(20_000)]
        kept.extend(made[::1000])
        made.clear()

    thread = Thread(target=work)
    thread.start()
    thread.join()
    before = _resident()
    give_back_memory()
    assert before - _resident() > 40_000_000
    assert len(kept) == 20
