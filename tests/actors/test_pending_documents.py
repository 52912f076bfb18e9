"""Pending documents leave in the order of their ids, however their chunks are done."""

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from phaseflow.actors.pending_documents import Chunk, PendingDocuments
from phaseflow.store.documents import StagedDocument, text_hash


def document(number: int, *texts: str, embedded: tuple[bool, ...] | None = None) -> StagedDocument:
    spans, begin = [], 0
    for text in texts:
        spans.append((begin, begin + len(text)))
        begin += len(text)
    hashes = [text_hash(text) for text in texts]
    return StagedDocument(
        number, f"{number}.md", "", "text/plain", "".join(texts), spans, hashes, embedded or (False,) * len(texts)
    )


def ids(documents: object) -> list[int]:
    assert isinstance(documents, list)
    return [each.id for each in documents]


def test_a_document_asks_for_the_chunks_that_have_no_vector() -> None:
    chunks = PendingDocuments().add(document(7, "one", "two", "three", embedded=(True, False, False)))
    assert [(chunk.document_id, chunk.chunk_id & 0xFFFFF, chunk.text) for chunk in chunks] == [
        (7, 1, "two"),
        (7, 2, "three"),
    ]


def test_a_chunk_has_no_text_of_its_own_before_it_is_asked_for() -> None:
    whole = document(7, "one", "two")
    for chunk in PendingDocuments().add(whole):
        assert not any(isinstance(part, str) for part in chunk)
        assert chunk.document is whole


def test_a_chunk_is_embedded_with_what_stands_above_it() -> None:
    one, two = PendingDocuments().add(replace(document(7, "one", "two"), contexts=["", "Whales"]))
    assert (one.text, two.text) == ("one", "Whales\n\ntwo")


def test_chunks_of_a_document_that_was_dropped_settle_nothing() -> None:
    pending = PendingDocuments()
    (dropped,), (kept, open_one) = pending.add(document(1, "a")), pending.add(document(2, "b", "c"))
    pending.drop([1])
    pending.settle([kept, dropped])
    assert pending.open_chunks(2) == 1
    assert pending.still_open([dropped, kept, open_one]) == [open_one]


def test_a_document_is_ready_when_all_its_chunks_are() -> None:
    pending = PendingDocuments()
    first, second = pending.add(document(1, "a", "b"))
    assert ids(pending.ready([first])) == []
    pending.settle([first])
    assert ids(pending.ready([second])) == [1]


def test_a_document_without_open_chunks_is_ready_at_once() -> None:
    pending = PendingDocuments()
    assert pending.add(document(1)) == []
    assert pending.add(document(2, "a", embedded=(True,))) == []
    assert ids(pending.ready()) == [1, 2]


def test_a_document_waits_for_those_before_it() -> None:
    pending = PendingDocuments()
    (early,), (late,) = pending.add(document(1, "a")), pending.add(document(2, "b"))
    assert ids(pending.ready([late])) == []
    pending.settle([late])
    assert ids(pending.ready([early])) == [1, 2]


def test_a_document_that_failed_holds_up_nobody() -> None:
    pending = PendingDocuments()
    pending.add(document(1, "a"))
    (good,) = pending.add(document(2, "b"))
    assert ids(pending.ready([good], [1])) == [2]
    pending.fail(1, "bad")
    assert ids(pending.ready([good])) == [2]


def test_chunks_of_a_document_that_failed_are_no_longer_open() -> None:
    pending = PendingDocuments()
    chunks = pending.add(document(1, "a", "b")) + pending.add(document(2, "c"))
    pending.fail(1, "bad")
    assert [chunk.text for chunk in pending.still_open(chunks)] == ["c"]


def test_what_became_of_the_documents_is_told_in_their_order() -> None:
    pending = PendingDocuments()
    chunks = [chunk for number in (1, 2, 3) for chunk in pending.add(document(number, str(number)))]
    pending.fail(2, "bad")
    assert list(pending.decided()) == []
    ready = pending.ready([chunks[0]])
    pending.settle([chunks[0]])
    pending.close(ready)
    assert list(pending.decided()) == [None, "bad"]
    assert list(pending.decided()) == []


@given(
    sizes=st.lists(st.integers(0, 4), max_size=12),
    seed=st.randoms(use_true_random=False),
    bad=st.sets(st.integers(1, 12), max_size=3),
)
def test_every_document_leaves_once_and_in_order_or_has_failed(
    sizes: list[int], seed: random.Random, bad: set[int]
) -> None:
    pending = PendingDocuments()
    chunks: list[Chunk] = []
    for number, size in enumerate(sizes, start=1):
        chunks += pending.add(document(number, *[f"{number} {n}" for n in range(size)]))
    seed.shuffle(chunks)
    left, failed = [], set()
    for begin in range(0, len(chunks) + 1, 3):
        done = pending.still_open(chunks[begin : begin + 3])
        losing = {chunk.document_id for chunk in done} & bad
        done = [chunk for chunk in done if chunk.document_id not in losing]
        ready = pending.ready(done, losing)
        pending.settle(done)
        for number in losing:
            pending.fail(number, "bad")
        pending.close(ready)
        left += ids(ready)
        failed |= losing
    assert left == sorted(left)
    assert sorted([*left, *failed]) == list(range(1, len(sizes) + 1))
