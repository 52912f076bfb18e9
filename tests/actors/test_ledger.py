"""The book of documents: they leave in the order of their ids, however their chunks are done."""

import random

from hypothesis import given
from hypothesis import strategies as st

from phaseflow.actors.ledger import Item, Ledger
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
    items = Ledger().add(document(7, "one", "two", "three", embedded=(True, False, False)))
    assert [(item.document_id, item.chunk_id & 0xFFFFF, item.text) for item in items] == [
        (7, 1, "two"),
        (7, 2, "three"),
    ]


def test_a_document_is_ready_when_all_its_chunks_are() -> None:
    ledger = Ledger()
    first, second = ledger.add(document(1, "a", "b"))
    assert ids(ledger.ready([first])) == []
    ledger.settle([first])
    assert ids(ledger.ready([second])) == [1]


def test_a_document_without_open_chunks_is_ready_at_once() -> None:
    ledger = Ledger()
    assert ledger.add(document(1)) == []
    assert ledger.add(document(2, "a", embedded=(True,))) == []
    assert ids(ledger.ready()) == [1, 2]


def test_a_document_waits_for_those_before_it() -> None:
    ledger = Ledger()
    (early,), (late,) = ledger.add(document(1, "a")), ledger.add(document(2, "b"))
    assert ids(ledger.ready([late])) == []
    ledger.settle([late])
    assert ids(ledger.ready([early])) == [1, 2]


def test_a_document_that_failed_holds_up_nobody() -> None:
    ledger = Ledger()
    ledger.add(document(1, "a"))
    (good,) = ledger.add(document(2, "b"))
    assert ids(ledger.ready([good], [1])) == [2]
    ledger.fail(1)
    assert ids(ledger.ready([good])) == [2]


def test_chunks_of_a_document_that_failed_are_no_longer_open() -> None:
    ledger = Ledger()
    items = ledger.add(document(1, "a", "b")) + ledger.add(document(2, "c"))
    ledger.fail(1)
    assert [item.text for item in ledger.still_open(items)] == ["c"]


@given(
    sizes=st.lists(st.integers(0, 4), max_size=12),
    seed=st.randoms(use_true_random=False),
    bad=st.sets(st.integers(1, 12), max_size=3),
)
def test_every_document_leaves_once_and_in_order_or_has_failed(
    sizes: list[int], seed: random.Random, bad: set[int]
) -> None:
    ledger = Ledger()
    items: list[Item] = []
    for number, size in enumerate(sizes, start=1):
        items += ledger.add(document(number, *[f"{number} {n}" for n in range(size)]))
    seed.shuffle(items)
    left, failed = [], set()
    for begin in range(0, len(items) + 1, 3):
        done = ledger.still_open(items[begin : begin + 3])
        losing = {item.document_id for item in done} & bad
        done = [item for item in done if item.document_id not in losing]
        ready = ledger.ready(done, losing)
        ledger.settle(done)
        for number in losing:
            ledger.fail(number)
        ledger.close(ready)
        left += ids(ready)
        failed |= losing
    assert left == sorted(left)
    assert sorted([*left, *failed]) == list(range(1, len(sizes) + 1))
