"""The known documents of the shared test data, read as a folder source reads them."""

from pathlib import Path

from tests.components.formats_table import rows
from tests.stopwatch import fail_soon


async def test_every_known_document_gives_what_is_known_of_it(corpora: Path) -> None:
    with fail_soon(60):
        table = await rows(corpora / "formats")
    assert [row for row in table if row.faults] == []
