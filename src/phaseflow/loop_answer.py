"""What a call in another thread answers to the loop that waits for it, or has ended meanwhile."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from phaseflow.domain.errors import WrongEventLoop

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop:
    """The event loop of asyncio that runs here. Raises WrongEventLoop where none does, as in a program of trio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise WrongEventLoop(
            "phaseflow needs a running event loop of asyncio, and none runs here: call it from a coroutine that "
            "asyncio.run(…) runs, or in a program of another kind, such as trio, in a thread of its own"
        ) from None


class LoopAnswer(Generic[T]):
    """The answer to a call that another thread makes, for the loop it is made in, where ``future`` can be awaited.

    ``ended`` is called by the loop once the call has ended, also when nobody awaits the future any more.
    """

    __slots__ = ("_ended", "_loop", "future")

    def __init__(self, ended: Callable[[], object] = bool) -> None:
        self._loop = running_loop()
        self._ended = ended
        self.future: asyncio.Future[T] = self._loop.create_future()

    def of(self, call: Callable[[], T]) -> Callable[[], None]:
        """Make the call in this thread; what is returned then sends the answer. Neither raises anything.

        A loop that is closed gets no answer: nobody is left who could wait for it, and a thread that raised would print
        a traceback after the end of the program that it belonged to.
        """
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call()
        except (
            StopIteration,
            GeneratorExit,
        ) as stop:  # a future takes no StopIteration; GeneratorExit closes who awaits
            error = RuntimeError(f"the call raised {type(stop).__name__}")
            error.__cause__ = stop
        except BaseException as caught:  # noqa: BLE001  handed to the one who awaits, like a result
            error = caught

        def send() -> None:
            try:  # noqa: SIM105  thousands a second
                self._loop.call_soon_threadsafe(self._settle, result, error)
            except RuntimeError:
                pass  # the loop is closed

        return send

    def _settle(self, result: T | None, error: BaseException | None) -> None:
        if not self.future.done():
            if error is not None:
                self.future.set_exception(error)
            else:
                self.future.set_result(result)  # type: ignore[arg-type]  # None only where T is None
        self._ended()
