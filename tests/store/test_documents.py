"""Documents, chunks, vectors, passages: the hand-over, whole documents, nothing paid for twice, nothing left behind."""

import sqlite3
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phaseflow.domain.errors import DimensionMismatch
from phaseflow.domain.phase import LONGEST_ERROR
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store.crawl_frontier import Frontier, KnownVersions
from phaseflow.store.database import Database
from phaseflow.store.document_counts import searchable
from phaseflow.store.documents import StagedDocument, StagedDocuments, text_hash
from phaseflow.store.failures import FailedDocument, Failures
from phaseflow.store.jobs import Jobs
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.loaded_text import LoadedText
from phaseflow.store.passages import SearchablePassages
from phaseflow.store.pieces import piece_id
from phaseflow.store.session import open_session
from phaseflow.store.states import DocumentState, EntryState
from phaseflow.store.transaction import Transaction
from phaseflow.store.turns import Turns
from phaseflow.store.vectors import Model, ModelVectors
from tests.matrices import examples
from tests.store.full_text import check_consistent, containing, indexed_passages
from tests.store.probes import select
from tests.store.stock import NOW, Stock, clean, cut, embed, publish, stock

Found = tuple[str, int | None, str | None, int]
LONG = "alpha beta gamma delta epsilon zeta eta theta"


async def found(made: Stock, word: str) -> list[str]:
    """The uris of the passages with a word, as search sees them."""

    def read(tx: Transaction) -> list[str]:
        chunks = containing(tx, made.scope, f'"{word}"')
        return sorted(row.uri for row in SearchablePassages(tx, made.scope).fetch(chunks).values())

    return await made.database.read(read)


async def is_sound(database: Database) -> bool:
    """The full-text index is consistent, and has the chunks of searchable documents alone when the janitor is done."""
    await clean(database)
    await database.write(check_consistent)
    rows = indexed_passages(database.path)
    live = select(
        database.path,
        "SELECT c.id FROM chunks AS c JOIN documents AS d ON d.id = c.id >> 20 WHERE d.state = 4 ORDER BY 1",
    )
    return rows == live


async def test_ids_of_documents_ascend_in_the_order_given(database: Database) -> None:
    made = await stock(database)
    first = await made.load(("b", "1"), ("a", "2"), ("c", "3"))
    second = await made.load(("0", "4"))
    ids = [d.id for d in first + second]
    assert ids == sorted(ids)
    assert [d.uri for d in first] == ["b", "a", "c"]


async def test_the_id_of_a_chunk_follows_from_document_and_position(database: Database) -> None:
    made = await stock(database)
    (document,) = await made.publish(("a", LONG))
    assert select(database.path, "SELECT id FROM chunks ORDER BY id") == [(piece_id(document.id, n),) for n in range(3)]
    assert document.passages() == [LONG[0:20], LONG[20:40], LONG[40:]]


async def test_what_was_handed_over_comes_back_as_it_was(database: Database) -> None:
    made = await stock(database)
    loaded = await made.load(("a", LONG), ("b", "näïve 🎈 \n"), ("c", ""))
    assert (
        await database.read(lambda tx: StagedDocuments(tx).next_of(made.seq, DocumentState.LOADED, 0, 100, 10**6))
        == loaded
    )
    pieces = [cut(document) for document in loaded]
    await database.write(lambda tx: StagedDocuments(tx).cut(pieces, NOW))
    assert (
        await database.read(lambda tx: StagedDocuments(tx).next_of(made.seq, DocumentState.LOADED, 0, 100, 10**6)) == []
    )
    assert (
        await database.read(lambda tx: StagedDocuments(tx).next_of(made.seq, DocumentState.CHUNKED, 0, 100, 10**6))
        == pieces
    )


async def test_a_document_is_cut_as_what_its_text_is(database: Database) -> None:
    made = await stock(database)
    page = LoadedText(0, "a", "A", "application/pdf", text_hash("# A").hex(), None, "# A", text_type="text/markdown")
    plain = replace(page, uri="b", media_type="text/plain", text_type=None)
    await database.write(lambda tx: StagedDocuments(tx).add(made.target, [page, plain], NOW))
    read = await database.read(lambda tx: StagedDocuments(tx).next_of(made.seq, DocumentState.LOADED, 0, 9, 10**6))
    assert [d.media_type for d in read] == ["text/markdown", "text/plain"]


async def test_a_page_ends_at_so_many_documents_or_so_much_text(database: Database) -> None:
    made = await stock(database)
    loaded = await made.load(*[(str(n), "x" * 100) for n in range(10)])

    async def page(after: int, limit: int, characters: int) -> list[str]:
        return await database.read(
            lambda tx: [
                d.uri for d in StagedDocuments(tx).next_of(made.seq, DocumentState.LOADED, after, limit, characters)
            ]
        )

    assert await page(0, 3, 10**6) == ["0", "1", "2"]
    assert await page(loaded[2].id, 100, 250) == ["3", "4", "5"]
    assert await page(loaded[5].id, 100, 1) == ["6"]
    assert await page(loaded[-1].id, 100, 1000) == []


async def test_pages_one_after_the_other_are_all_of_it(database: Database) -> None:
    made = await stock(database)
    loaded = await made.load(*[(str(n), "x" * (n * 37 % 200)) for n in range(40)])
    seen: list[StagedDocument] = []
    while True:
        page = await database.read(
            lambda tx: StagedDocuments(tx).next_of(made.seq, DocumentState.LOADED, seen[-1].id if seen else 0, 7, 300)
        )
        if not page:
            break
        seen.extend(page)
    assert seen == loaded


async def test_a_new_version_takes_the_place_of_the_old_one_in_one_step(database: Database) -> None:
    made = await stock(database)
    await made.publish(("a", "the old whale"), ("b", "an old herring"))
    staged = [cut(document) for document in await made.load(("a", "the new shark"))]
    await database.write(lambda tx: StagedDocuments(tx).cut(staged, NOW))
    await database.write(lambda tx: embed(tx, staged))
    assert await found(made, "whale") == ["a"]
    assert await found(made, "shark") == []
    await database.write(lambda tx: publish(tx, made.scope, staged))
    assert await found(made, "whale") == []
    assert await found(made, "shark") == ["a"]
    assert await found(made, "herring") == ["b"]
    assert await is_sound(database)


async def test_a_document_that_was_withdrawn_leaves_no_row(database: Database) -> None:
    made = await stock(database)
    gone, kept = await made.publish(("a", LONG), ("b", "alpha whale"))
    await database.write(lambda tx: SearchablePassages(tx, made.scope).withdraw([gone.id]))
    assert await found(made, "alpha") == ["b"]
    assert await is_sound(database)
    for owners in ("SELECT DISTINCT id >> 20 FROM texts", "SELECT DISTINCT id >> 20 FROM chunks"):
        assert select(database.path, owners) == [(kept.id,)]


async def test_vectors_stay_when_their_document_goes(database: Database) -> None:
    made = await stock(database)
    (gone,) = await made.publish(("a", LONG))
    await database.write(lambda tx: SearchablePassages(tx, made.scope).withdraw([gone.id]))
    await clean(database)
    assert await database.read(lambda tx: ModelVectors(tx, 1).known(gone.hashes)) == set(gone.hashes)


async def test_a_crawl_takes_out_what_it_did_not_find_and_keeps_what_failed(database: Database) -> None:
    made = await stock(database)
    await made.publish(("found", "one"), ("failed", "two"), ("gone", "three"), ("gone too", "four"))
    await database.write(
        lambda tx: Frontier(tx, made.seq).add([("found", None, None, 0), ("failed", None, None, 0)], None, at=NOW)
    )
    await database.write(lambda tx: Frontier(tx, made.seq).settle([2], EntryState.FAILED))
    gone: list[str] = []
    after: str | None = ""
    while after is not None:
        page, after = await database.read(partial(_missing, made, after))
        gone.extend(uri for _, uri, _ in page)
        await database.write(partial(_withdraw, made, [key for key, _, _ in page]))
    assert gone == ["gone", "gone too"]
    assert await database.read(lambda tx: searchable(tx, made.scope.kb_key, made.scope.index_version)) == (2, 2)
    assert await is_sound(database)


def _missing(made: Stock, after: str, tx: Transaction) -> tuple[list[tuple[int, str, str]], str | None]:
    return SearchablePassages(tx, made.scope).missing(made.seq, [], after, 1)


def _withdraw(made: Stock, ids: list[int], tx: Transaction) -> None:
    SearchablePassages(tx, made.scope).withdraw(ids)


async def test_a_text_has_one_vector_a_model_however_often_it_stands_somewhere(database: Database) -> None:
    made = await stock(database)
    first, second = await made.publish(("a", LONG), ("b", LONG))
    assert select(database.path, "SELECT count(*) FROM vectors") == [(3,)]
    await database.write(lambda tx: embed(tx, [first, second], model="other"))
    assert select(database.path, "SELECT count(*) FROM vectors") == [(6,)]
    found = select(
        database.path,
        f"SELECT vector FROM vectors WHERE id IN (SELECT vector_id FROM chunks WHERE document_id = {second.id})"
        " ORDER BY id",
    )
    assert found == [(h[:8],) for h in second.hashes]


async def test_a_vector_that_is_there_already_stays(database: Database) -> None:
    key = text_hash("a")
    model = await database.write(lambda tx: Model(tx, "m").number())
    await database.write(lambda tx: ModelVectors(tx, model).add([key], [b"12345678"]))
    await database.write(lambda tx: ModelVectors(tx, model).add([text_hash("b"), key], [b"aaaaaaaa", b"bbbbbbbb"]))
    rows = select(database.path, "SELECT vector FROM vectors ORDER BY id")
    assert rows == [(b"12345678",), (b"aaaaaaaa",)]


async def test_a_model_that_changes_its_dimension_is_refused(database: Database) -> None:
    model = await database.write(lambda tx: Model(tx, "m").number())
    await database.write(lambda tx: ModelVectors(tx, model).check_dimension(256))
    await database.write(lambda tx: ModelVectors(tx, model).add([text_hash("a")], [bytes(4 * 256)]))
    await database.write(lambda tx: ModelVectors(tx, model).check_dimension(256))
    with pytest.raises(DimensionMismatch, match="vectors of 3 numbers, but those stored under its name have 256"):
        await database.write(lambda tx: ModelVectors(tx, model).check_dimension(3))


async def test_a_length_of_which_no_vector_is_stored_holds_nobody(database: Database) -> None:
    model = await database.write(lambda tx: Model(tx, "m").number())
    await database.write(lambda tx: ModelVectors(tx, model).check_dimension(256))  # then it crashed
    assert await database.read(lambda tx: Model(tx, "m").dimension()) is None
    await database.write(lambda tx: ModelVectors(tx, model).check_dimension(3))
    await database.write(lambda tx: ModelVectors(tx, model).add([text_hash("a")], [bytes(4 * 3)]))
    assert await database.read(lambda tx: Model(tx, "m").dimension()) == 3


async def test_search_sees_the_old_epoch_until_it_is_switched_in_one_step(database: Database) -> None:
    made = await stock(database)
    await made.publish(("a", "the old whale"))
    await database.write(partial(_target, model="m"))
    rebuilt = await stock(database, job_id="rebuild", index_version=await database.write(partial(_target, model="n")))
    assert rebuilt.index_version == 2
    await rebuilt.publish(("a", "the old whale"))
    assert await database.read(lambda tx: KnowledgeBases(tx).get("kb").index_version) == 1
    assert await found(made, "whale") == ["a"]
    await database.write(lambda tx: KnowledgeBases(tx).switch(made.key, 2, "n"))
    kb = await database.read(lambda tx: KnowledgeBases(tx).get("kb"))
    assert (kb.index_version, kb.model, kb.next_model) == (2, "n", None)
    assert await database.write(lambda tx: SearchablePassages(tx, rebuilt.scope).withdraw_other_versions(100)) == 1
    assert await found(rebuilt, "whale") == ["a"]
    assert await is_sound(database)


def _target(tx: Transaction, model: str) -> int:
    return KnowledgeBases(tx).target(KnowledgeBases(tx).get("kb"), model, "{}")


def _set_target(tx: Transaction, job_id: str, index_version: int, model: str) -> None:
    Jobs(tx).set_target(job_id, index_version, model)


async def test_two_rebuilds_with_different_vectors_do_not_share_an_epoch(database: Database) -> None:
    """Or a document that fails in the second would keep its vectors of the first."""
    await stock(database)
    await database.write(partial(_target, model="live"))
    index_versions = []
    for n, model in enumerate(["b", "c", "b", "live", "c", "d"]):
        await stock(database, job_id=f"job{n}")
        index_version = await database.write(partial(_target, model=model))
        await database.write(partial(_set_target, job_id=f"job{n}", index_version=index_version, model=model))
        index_versions.append(index_version)
    assert index_versions == [2, 3, 2, 1, 3, 4]


async def test_a_switch_back_to_an_older_epoch_changes_nothing(database: Database) -> None:
    made = await stock(database)
    await database.write(lambda tx: KnowledgeBases(tx).switch(made.key, 2, "n"))
    await database.write(lambda tx: KnowledgeBases(tx).switch(made.key, 1, "m"))
    assert await database.read(lambda tx: KnowledgeBases(tx).get(made.kb_id).index_version) == 2


async def test_what_an_older_job_left_on_its_way_is_removed_and_what_is_searchable_stays(database: Database) -> None:
    old = await stock(database)
    await old.publish(("done", "one"))
    await old.load(("half", "two"), ("other half", "three"))
    new = await stock(database, job_id="new")
    await new.load(("mine", "four"))
    removed = [await database.write(lambda tx: StagedDocuments(tx).purge_older(new.key, new.seq, 1)) for _ in range(3)]
    assert removed == [1, 1, 0]
    await clean(database)
    assert select(database.path, "SELECT uri FROM documents ORDER BY uri") == [("done",), ("mine",)]


async def test_a_knowledge_base_that_is_deleted_leaves_vectors_only(database: Database) -> None:
    made = await stock(database)
    await made.publish(("a", LONG))
    await made.load(("b", LONG))
    other = await stock(database, "other", "other")
    await other.publish(("a", LONG))
    await database.write(lambda tx: KnowledgeBases(tx).remove("kb"))
    await clean(database)
    assert select(database.path, "SELECT name FROM knowledge_bases") == [("other",)]
    assert select(database.path, "SELECT kb_id FROM documents") == [(other.key,)]
    assert select(database.path, "SELECT kb_id FROM ingestion_jobs") == [(other.key,)]
    assert select(database.path, "SELECT count(*) FROM vectors") == [(3,)]
    assert await found(other, "alpha") == ["a"]
    assert await is_sound(database)


async def test_a_crawl_knows_each_document_once(database: Database) -> None:
    made = await stock(database)
    page: list[Found] = [("a", 1, "s", 0), ("b", 2, None, 1)]
    assert await database.write(lambda tx: Frontier(tx, made.seq).add(page, None, at=NOW)) == (2, 0)
    assert await database.write(lambda tx: Frontier(tx, made.seq).add([*page, ("c", 3, "s", 0)], None, at=NOW)) == (
        1,
        0,
    )
    found_so_far = await database.read(
        lambda tx: Frontier(tx, made.seq).open_page("default", 10, (made.key, 1, "recipe", " ocr"))
    )
    assert await database.read(lambda tx: Frontier(tx, made.seq).count()) == 3
    assert [(e.uri, e.size, e.stamp, e.depth) for e in found_so_far] == [("a", 1, "s", 0), ("c", 3, "s", 0)]


async def test_what_is_found_by_a_shorter_way_is_read_in_its_turn(database: Database) -> None:
    made = await stock(database)

    async def found(*names: tuple[str, int]) -> list[tuple[str, int]]:
        rows: list[Found] = [(name, None, None, depth) for name, depth in names]
        await database.write(lambda tx: Frontier(tx, made.seq).add(rows, None, at=NOW))
        page = await database.read(
            lambda tx: Frontier(tx, made.seq).open_page("default", 10, (made.key, 1, "recipe", " ocr"))
        )
        return [(entry.uri, entry.depth) for entry in page]

    assert await found(("deep", 3), ("near", 2)) == [("near", 2)]
    assert await found(("near", 3), ("deep", 2)) == [("deep", 2), ("near", 2)]


async def test_a_crawl_has_room_for_new_documents_only(database: Database) -> None:
    made = await stock(database)
    page: list[Found] = [(name, None, None, 0) for name in "abcde"]
    assert await database.write(lambda tx: Frontier(tx, made.seq).add(page[:3], None, 4, at=NOW)) == (3, 0)
    assert await database.write(lambda tx: Frontier(tx, made.seq).add(page, None, 4, at=NOW)) == (1, 0)
    assert await database.write(lambda tx: Frontier(tx, made.seq).add(page, None, 4, at=NOW)) == (0, 0)
    assert select(database.path, "SELECT uri FROM job_entries") == [("a",), ("b",), ("c",), ("d",)]


async def test_a_stamp_is_trusted_only_for_the_same_recipe(database: Database) -> None:
    made = await stock(database)
    await made.publish(("a", "one"), ("b", "two"))
    await database.write(lambda tx: KnownVersions(tx, made.key, 1).refresh_stamps([("a", "1"), ("b", "1")]))
    page: list[Found] = [("a", None, "1", 0), ("b", None, "2", 0), ("c", None, "1", 0)]
    for n, (recipe, unchanged) in enumerate([("recipe", 1), ("another", 0)]):
        job = await stock(database, job_id=f"job{n}")
        trust = (made.key, 1, recipe, " ocr")
        frontier = partial(Frontier, job_seq=job.seq)
        added = await database.write(lambda tx, of=frontier, trust=trust: of(tx).add(page, trust, at=NOW))  # type: ignore[misc]  # bound in the loop
        assert added == (3, unchanged)


async def test_a_failure_counts_its_attempts_until_it_is_cleared(database: Database) -> None:
    made = await stock(database)
    await made.note("a", "b")
    for error in ("first", "second"):
        bad = [FailedDocument("a", "load_error", error), FailedDocument("b", "load_error", error)]
        fail = partial(Failures.add, job_seq=made.seq, phase=JobPhase.LOADING, failed=bad, at=NOW)
        await database.write(lambda tx, fail=fail: fail(Failures(tx, made.key)))  # type: ignore[misc]  # bound in the loop
    first = await database.read(lambda tx: Failures(tx, made.key).page(1, ""))
    second = await database.read(lambda tx: Failures(tx, made.key).page(1, first[-1].uri))
    assert await database.read(lambda tx: Failures(tx, made.key).count()) == 2
    assert [(f.uri, f.error, f.attempts) for f in first + second] == [("a", "second", 2), ("b", "second", 2)]
    await database.write(lambda tx: Failures(tx, made.key).clear(["a"]))
    assert select(database.path, "SELECT uri FROM failures") == [("b",)]
    assert (await made.record()).documents_failed == 4


async def test_a_passage_is_embedded_with_what_stands_above_it(database: Database) -> None:
    (loaded,) = await (await stock(database)).load(("a", "one whale, two whales"))
    document = replace(loaded, spans=[(0, 9), (11, 21)], contexts=["Whales", ""])
    assert document.embedded_texts() == ["Whales\n\none whale", "two whales"]
    assert replace(document, contexts=[]).embedded_texts() == document.passages() == ["one whale", "two whales"]


async def test_documents_that_failed_are_given_back_to_their_phase_behind_all_others(database: Database) -> None:
    made = await stock(database)
    staged = [cut(document) for document in await made.load(("a", LONG), ("b", LONG), ("c", LONG))]
    await database.write(lambda tx: StagedDocuments(tx).cut(staged, NOW))
    gone = [staged[0].id, staged[1].id]
    await database.write(lambda tx: StagedDocuments(tx).move(gone, DocumentState.CHUNKED, DocumentState.FAILED, NOW))
    bad = [FailedDocument(uri, "embed_error", "no") for uri in "ab"]
    await made.note("a", "b")
    await database.write(lambda tx: Failures(tx, made.key).add(made.seq, JobPhase.EMBEDDING, bad, NOW))
    requeued = await database.write(lambda tx: Turns(tx, made.seq).requeue_failed(JobPhase.EMBEDDING, 10))
    assert requeued == (["a", "b"], 6, 6)
    page = await database.read(lambda tx: StagedDocuments(tx).next_of(made.seq, DocumentState.CHUNKED, 0, 10, 10**6))
    last = staged[2].id
    assert page == [staged[2], replace(staged[0], turn=last + 1), replace(staged[1], turn=last + 2)]
    (later,) = await made.load(("d", LONG))
    assert later.id > page[-1].place


_ON_THEIR_WAY = (DocumentState.LOADED, DocumentState.CHUNKED, DocumentState.EMBEDDED)


@pytest.mark.parametrize(
    ("states", "order", "most"),
    [
        ([3, 2, 2, 1, 1], [0, 1, 2, 3, 4], 0),  # as a run leaves them
        ([2, 3, 2, 1, 1], [1, 2, 0, 3, 4], 3),  # one was given back, before what was further and what was not cut
        ([1, 1, 1, 2, 3], [4, 3, 0, 1, 2], 4),
        ([1, 9, 3, 4, 10], [2, 0], 1),  # what failed, is searchable or gone has no turn
        ([2, 2, 1, 1, 1], [0, 1, 2, 3, 4], 0),
    ],
)
async def test_what_is_further_on_its_way_has_the_earlier_turn(
    database: Database, states: list[int], order: list[int], most: int
) -> None:
    made = await stock(database)
    ids = [document.id for document in await made.load(*((name, LONG) for name in "abcde"))]
    await database.write(
        lambda tx: tx.many("UPDATE documents SET state = ? WHERE id = ?", list(zip(states, ids, strict=True)))
    )
    steps = 0
    while await database.write(lambda tx: Turns(tx, made.seq).put_in_order(2)):
        steps += 1
    pages = await database.read(
        lambda tx: [StagedDocuments(tx).next_of(made.seq, state, 0, 10, 10**6) for state in reversed(_ON_THEIR_WAY)]
    )
    places = [document.place for page in pages for document in page]
    assert [ids.index(document.id) for page in pages for document in page] == order
    assert places == sorted(set(places))
    assert steps <= most
    assert (steps == 0) == (most == 0)
    (later,) = await made.load(("f", LONG))
    assert later.id > max(places)


async def test_the_error_of_a_document_is_cut(database: Database) -> None:
    made = await stock(database)
    await made.load(("a", LONG))
    await made.note("a")
    bad = [FailedDocument("a", "load_error", "x" * 3_000_000)]
    await database.write(lambda tx: Failures(tx, made.key).add(made.seq, JobPhase.LOADING, bad, NOW))
    assert await database.read(lambda tx: tx.row("SELECT length(error) FROM failures")) == (LONGEST_ERROR,)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=90)


@given(
    versions=st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), TEXT), max_size=3, unique_by=lambda t: t[0]), max_size=4
    )
)
@settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_replaced_by_whatever_search_sees_the_last_of_each_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, versions: list[list[tuple[str, str]]]
) -> None:
    async with open_session(tmp_path_factory.mktemp("versions") / "kb.db") as database:
        made = await stock(database)
        last: dict[str, str] = {}
        for version in versions:
            await made.publish(*version)
            last.update(version)
        assert await is_sound(database)
        ids = await database.read(lambda tx: SearchablePassages(tx, made.scope).live_documents())
        chunks = [row[0] for row in await database.read(lambda tx: tx.rows("SELECT id FROM chunks ORDER BY id"))]
        hits = await database.read(lambda tx: SearchablePassages(tx, made.scope).fetch(chunks))
        assert len([each for each in ids[1].split(",") if each]) == len(last)
        texts: dict[str, str] = dict.fromkeys(last, "")
        for hit in hits.values():
            assert last[hit.uri][hit.start : hit.end] == hit.text
            texts[hit.uri] += hit.text
        assert texts == last


async def test_half_of_a_document_is_never_stored(database: Database, path: Path) -> None:
    made = await stock(database)
    (document,) = [cut(document) for document in await made.load(("a", LONG))]
    broken = replace(document, spans=[*document.spans, (-1, 2**70)], hashes=[*document.hashes, b"0" * 16])
    with pytest.raises(sqlite3.Error):
        await database.write(lambda tx: StagedDocuments(tx).cut([broken], NOW))
    assert select(path, "SELECT count(*) FROM chunks") == [(0,)]
    assert select(path, "SELECT state FROM documents") == [(DocumentState.LOADED,)]
