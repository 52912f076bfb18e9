"""Threads of a command share the heaps of the C library."""

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import ctypes, sys, threading
from phaseflow.cli.heaps import share_heaps

share_heaps()
together = threading.Barrier(7)

def work():
    kept = bytes(50_000)
    together.wait()

threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads:
    thread.start()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info(0, ctypes.c_void_p(libc.fdopen(1, b"w")))
libc.fflush(None)
together.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc has a heap for each thread")
@pytest.mark.parametrize(("given", "are_few"), [({}, True), ({"MALLOC_ARENA_MAX": "5"}, False)])
def test_threads_allocate_from_two_heaps_unless_the_operator_says_otherwise(
    given: dict[str, str], are_few: bool
) -> None:
    env = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"} | given
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60, env=env)
    assert (done.stdout.count("<heap ") <= 2) == are_few
