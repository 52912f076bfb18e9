"""What was pushed and is kept, beside a knowledge base to which the same was pushed."""

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest

from phaseflow.store import pushed
from phaseflow.store.database import Database
from phaseflow.store.pushed import Push, PushedDocuments, PushesOfJob
from tests.store.probes import select
from tests.store.stock import NOW, Stock, stock

T = TypeVar("T")


def push(uri: str, size: int = 1, **more: Any) -> Push:
    return Push(uri, size, f"digest of {size}", **more)


async def run(made: Stock, step: Callable[[PushedDocuments], T]) -> T:
    return await made.database.write(lambda tx: step(PushedDocuments(tx, made.key)))


async def put(made: Stock, *pushes: Push) -> None:
    def step(documents: PushedDocuments) -> None:
        for each in pushes:
            documents.put(each, documents.of([each.uri]).get(each.uri), NOW)

    await run(made, step)


@pytest.fixture
async def made(database: Database) -> AsyncIterator[Stock]:
    other, found = await stock(database, "other", "other"), await stock(database)
    await put(other, *(push(uri, 7, file=f"file of {uri}", origin="there") for uri in "abc"))

    def theirs() -> list[list[tuple[Any, ...]]]:
        return [
            select(database.path, f"SELECT * FROM pushed WHERE kb_id = '{other.key}'"),
            select(database.path, f"SELECT pushed_bytes FROM knowledge_bases WHERE id = '{other.key}'"),
        ]

    before = theirs()
    yield found
    assert theirs() == before
    assert before[1] == [(21,)]


async def test_a_document_is_kept_in_place_of_the_one_before_and_its_bytes_are_counted(made: Stock) -> None:
    await put(made, push("a", 3, content=b"abc", title="A", media_type="text/plain"), push("b", 5, file="file of b"))
    assert await run(made, lambda documents: documents.kept_bytes()) == 8
    before = (await run(made, lambda documents: documents.of(["a", "x"])))["a"]
    await put(made, push("a", 4, content=b"abcd", origin="here"))
    after = await run(made, lambda documents: documents.of(["a", "b", "c"]))
    assert list(after) == ["a", "b"]
    assert (after["a"].id, after["a"].size, after["a"].title, after["a"].origin) == (before.id, 4, None, "here")
    assert await run(made, lambda documents: documents.kept_bytes()) == 9
    removed = await run(made, lambda documents: documents.remove("a"))
    assert removed is not None
    assert (removed.uri, await run(made, lambda documents: documents.remove("a"))) == ("a", None)
    assert await run(made, lambda documents: documents.kept_bytes()) == 5


async def test_documents_are_told_by_uri_and_by_where_they_came_from(made: Stock) -> None:
    await put(made, push("c"), push("a", origin="here"), push("b", origin="there"), push("d", origin="here"))

    async def uris(origin: str | None, limit: int = 9, after: str = "") -> list[str]:
        return [each.uri for each in await run(made, lambda documents: documents.by_uri(origin, limit, after))]

    assert [await uris(None), await uris(None, 2), await uris(None, 2, "b")] == [list("abcd"), ["a", "b"], ["c", "d"]]
    assert [await uris("here"), await uris("here", 9, "a"), await uris("there")] == [["a", "d"], ["d"], ["b"]]
    await run(made, lambda documents: documents.set_origin(["a", "c"], "there"))
    assert [await uris("here"), await uris("there")] == [["d"], ["a", "b", "c"]]
    await run(made, lambda documents: documents.set_origin([], "nowhere"))


async def test_a_job_reads_what_was_pushed_to_its_own_knowledge_base(made: Stock) -> None:
    await put(made, push("b", content=b"b"), push("a", file="file of a"), push("z"))

    async def of_job(step: Callable[[PushesOfJob], T]) -> T:
        return await made.database.read(lambda tx: step(PushesOfJob(tx, made.seq)))

    first = await of_job(lambda job: job.page(0, 2))
    assert [each.uri for each in first] == ["b", "a"]
    assert [each.uri for each in await of_job(lambda job: job.page(first[1].id, 2))] == ["z"]
    found = await of_job(lambda job: [job.with_content(uri) for uri in ("b", "a", "c")])
    assert [each and (each[0].uri, each[1]) for each in found] == [("b", b"b"), ("a", None), None]
    names = ["file of a", "file of b", "file of c"]
    assert await made.database.read(lambda tx: pushed.files(tx, "kb", names)) == {"file of a"}
    assert await made.database.read(lambda tx: pushed.files(tx, "other", names[1:])) == set(names[1:])


async def test_it_is_known_whether_all_documents_were_pushed(made: Stock) -> None:
    async def is_all() -> bool:
        return await run(made, lambda documents: documents.is_all())

    assert not await is_all()
    await put(made, push("a"))
    assert await is_all()
    await made.note("b")
    assert not await is_all()
    await made.database.write(lambda tx: tx.run("UPDATE catalogue SET source = 'push'"))
    assert await is_all()
