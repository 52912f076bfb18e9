"""How the web source has its pages turned into text."""

from functools import partial
from typing import Protocol

import anyio
import anyio.to_thread

from phaseflow.components.extraction import Extracted, extract


class Extract(Protocol):
    """The shape of ``extraction.extract``, awaited. Raises what that raises; a cancel ends or abandons the work."""

    async def __call__(
        self, data: bytes, name: str, *, declared_charset: str | None = None, declared_type: str | None = None
    ) -> Extracted: ...


async def extract_in_thread(
    data: bytes, name: str, *, declared_charset: str | None = None, declared_type: str | None = None
) -> Extracted:
    """Extract in a worker thread, which a cancel abandons."""
    work = partial(extract, data, name, declared_charset=declared_charset, declared_type=declared_type)
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
