"""The event loop that something belongs to."""

import asyncio

from phaseflow.domain.errors import WrongEventLoop


class OwnLoop:
    """Remembers the running loop: what was made in one loop never wakes a caller in another."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def check(self) -> None:
        """Raise WrongEventLoop unless the caller runs in that loop."""
        if asyncio.get_running_loop() is not self._loop:
            raise WrongEventLoop
