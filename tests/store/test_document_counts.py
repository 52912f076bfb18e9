"""How many documents there are, and how large: numbers of what search sees."""

import pytest

from phaseflow.store.catalogue import PUSH
from phaseflow.store.database import Database
from phaseflow.store.document_counts import bytes_of_sources, searchable
from phaseflow.store.documents import StagedDocuments
from tests.store.stock import stock


async def test_an_empty_knowledge_base_has_nothing(database: Database) -> None:
    made = await stock(database)
    assert await database.read(lambda tx: bytes_of_sources(tx, made.key, 1)) == 0
    assert await database.read(lambda tx: searchable(tx, made.key, 1)) == (0, 0)


@pytest.mark.parametrize("documents", [1, 3])
async def test_the_sizes_of_all_sources_are_added_up_but_not_of_what_was_pushed_or_is_gone(
    database: Database, documents: int
) -> None:
    made = await stock(database)
    names = [f"{n}.md" for n in range(documents)]
    staged = await made.publish(*((name, "alpha " * 10) for name in ("pushed", "gone", "unknown", *names)))
    await database.write(lambda tx: tx.run("UPDATE documents SET size = 100 WHERE uri <> 'unknown'"))
    await database.write(lambda tx: tx.run("UPDATE documents SET source = ? WHERE uri = 'pushed'", PUSH))
    await database.write(lambda tx: StagedDocuments(tx).withdraw([staged[1].id]))
    assert await database.read(lambda tx: bytes_of_sources(tx, made.key, 1)) == 100 * documents
    assert await database.read(lambda tx: bytes_of_sources(tx, made.key, 2)) == 0
    assert await database.read(lambda tx: searchable(tx, made.key, 1)) == (2 + documents, 3 * (2 + documents))
