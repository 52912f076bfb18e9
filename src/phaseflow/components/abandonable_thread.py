"""Plain calls in threads that nobody has to wait for."""

import os
import sys
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import NoReturn, TypeVar

from phaseflow.loop_answer import LoopAnswer

T = TypeVar("T")

IDLE_S = 0.1
"""How long a thread waits for its next call before it ends: in a running job that one comes within milliseconds."""


async def call_in_abandonable_thread(call: Callable[[], T], ended: Callable[[], object] = bool) -> T:
    """Run a plain call in a thread that has no other and return its result or raise its exception.

    Cancelling abandons the thread: it goes on unseen and what it returns is dropped. It is a daemon, because the
    worker threads of anyio are not: one that hangs would keep the interpreter from ending. A thread serves one call
    after another, since whoever starts one waits until it runs: milliseconds of the event loop in a busy process.
    ``ended`` is called by the loop once the call has ended, also one that was abandoned.
    """
    answer = LoopAnswer[T](ended)
    context = _outside_the_loop()
    _taken().calls.put(lambda: answer.of(lambda: context.run(call)))
    return await answer.future


def begin_beside(call: Callable[[], T]) -> Callable[[], T]:
    """Begin a plain call in such a thread. What is returned waits for its end, and returns its result or raises its
    exception: for what computes outside the interpreter lock, while the caller does something else."""
    answer = SimpleQueue[Callable[[], T]]()

    def run() -> Callable[[], None]:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            raised = error
            return lambda: answer.put(lambda: _raise(raised))
        return lambda: answer.put(lambda: result)

    _taken().calls.put(run)

    def result() -> T:
        return answer.get()()

    return result


def _raise(error: BaseException) -> NoReturn:
    raise error


def _outside_the_loop() -> Context:
    """What the caller's context holds, without the mark of the loop: the thread runs none, and may begin one."""
    context = copy_context()
    if sniffio := sys.modules.get("sniffio"):  # anyio goes by its mark, but only where others have installed it
        context.run(sniffio.current_async_library_cvar.set, None)
    return context


class _Daemon(Thread):
    """Runs calls; what a call returns is called once the thread is free for the next."""

    def __init__(self) -> None:
        super().__init__(name="phaseflow call", daemon=True)
        self.calls: SimpleQueue[Callable[[], Callable[[], None]]] = SimpleQueue()

    def run(self) -> None:
        while True:
            try:
                call = self.calls.get(timeout=IDLE_S)
            except Empty:
                with _free_lock:
                    if self in _free:
                        _free.remove(self)
                        return
                continue  # taken at this very moment: its call is on the way
            send = call()
            with _free_lock:
                _free.append(self)
            send()
            del call, send  # and with them the documents that they hold


_free: list[_Daemon] = []
_free_lock = Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free.clear)  # a child has the list, but not the threads


def _taken() -> _Daemon:
    with _free_lock:
        if _free:
            return _free.pop()
    daemon = _Daemon()
    daemon.start()
    return daemon
