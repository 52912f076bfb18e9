"""What becomes of documents that were read when the reading of another one raises."""

from collections.abc import Collection

import anyio
import pytest

from phaseflow.actors.byte_budget import ByteBudget
from phaseflow.actors.document_reading import LeftOut, Loaded, Outcome
from phaseflow.actors.gate import Gate
from phaseflow.actors.reading_window import ReadingWindow
from phaseflow.domain.errors import SourceDown
from phaseflow.store.crawl_frontier import ListedEntry
from tests.stopwatch import fail_soon


async def test_what_was_read_while_others_were_stored_is_stored_too_before_a_failure_is_raised() -> None:
    stored: list[int] = []
    storing, last_read = anyio.Event(), anyio.Event()

    async def read(entry: ListedEntry) -> Outcome | None:
        if entry.id > 4:
            await storing.wait()  # the first four are a batch
        if entry.id == 6:
            last_read.set()
            raise SourceDown("gone")
        return LeftOut()

    async def keep(done: list[Loaded], reads_on: bool, slow: ListedEntry | None) -> None:
        storing.set()
        await last_read.wait()
        stored.extend(entry.id for entry, _ in done)

    async def open_more(in_hand: Collection[int], late: Collection[int]) -> list[ListedEntry]:
        return []

    gate = Gate(lambda: None)
    gate.open()
    window = ReadingWindow(
        gate, ByteBudget(), in_flight=lambda: 6, open_more=open_more, read=read, keep=keep, late_s=60, may_drop=False
    )
    with fail_soon(10), pytest.raises(SourceDown):
        await window.run([ListedEntry(number, f"{number}.txt", None, None, 0) for number in range(1, 7)])
    assert stored == [1, 2, 3, 4, 5]
