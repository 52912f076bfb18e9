"""The list of what search sees."""

import pytest

from phaseflow.store import passages
from phaseflow.store.database import Database
from phaseflow.store.transaction import Row, Transaction
from tests.store.stock import Stock, stock

LONG = "alpha beta gamma delta epsilon zeta eta theta"


async def uris(made: Stock, limit: int = 10, after: str | None = None, part: str = "") -> list[str]:
    page = await made.database.read(lambda tx: passages.page(tx, made.scope, limit, after, part))
    return [document.uri for document in page]


async def test_a_document_is_listed_with_what_it_is(database: Database) -> None:
    made = await stock(database)
    await made.publish(("a", LONG))
    (document,) = await database.read(lambda tx: passages.page(tx, made.scope, 10, None, ""))
    assert document.model_dump() == {"uri": "a", "title": "A", "media_type": "text/plain", "chunks": 3}


async def test_documents_are_listed_by_uri_page_by_page(database: Database) -> None:
    made = await stock(database)
    await made.publish(*((uri, LONG) for uri in ("c", "é", "a", "b", "B")))
    assert await uris(made, 3) == ["B", "a", "b"]
    assert await uris(made, 3, "b") == ["c", "é"]
    assert await uris(made, 3, "bb") == ["c", "é"]


async def test_only_what_search_sees_is_listed(database: Database) -> None:
    made, other = await stock(database), await stock(database, "other", "other")
    rebuild = Stock(database, "kb", "job", made.seq, index_version=2)
    await made.publish(("a", LONG))
    await made.load(("loaded", LONG))
    await other.publish(("theirs", LONG))
    await rebuild.publish(("next", LONG))
    assert await uris(made) == ["a"]
    assert await uris(rebuild) == ["next"]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("guide", ["Guide.md", "deep/GUIDE.md"]),
        ("ÜBER", ["über.md"]),
        (".MD", ["Guide.md", "deep/GUIDE.md", "über.md"]),
        ("%", ["100%.txt"]),
        ("_", []),
        ("", ["100%.txt", "Guide.md", "deep/GUIDE.md", "über.md"]),
    ],
)
async def test_a_part_of_the_uri_is_found_in_any_case_and_as_it_stands(
    database: Database, part: str, expected: list[str]
) -> None:
    made = await stock(database)
    await made.publish(*((uri, LONG) for uri in ("über.md", "deep/GUIDE.md", "Guide.md", "100%.txt")))
    assert await uris(made, part=part) == expected


class Explained(Transaction):
    """Says how SQLite would carry out a statement, in place of its rows."""

    def __init__(self, tx: Transaction) -> None:
        super().__init__(tx._connection)
        self.plan = ""

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        self.plan = "; ".join(row[3] for row in super().rows(f"EXPLAIN QUERY PLAN {sql}", *parameters))
        return []


@pytest.mark.parametrize("part", ["", "guide"])
async def test_a_page_begins_at_its_place_in_an_index_and_sorts_nothing(database: Database, part: str) -> None:
    made = await stock(database)

    def plan(tx: Transaction) -> str:
        explained = Explained(tx)
        passages.page(explained, made.scope, 100, "behind", part)
        return explained.plan

    found = await database.read(plan)
    assert found == "SEARCH documents USING INDEX documents_live (kb_id=? AND index_version=? AND uri>?)"
