"""Transactions of the full-text index: as many passages as take a verb's patience, whatever their words are."""

from pathlib import Path

import pytest

from phaseflow import FolderSource, PhaseFlow
from phaseflow.actors.transaction_size import TRANSACTION_S, TransactionSize
from phaseflow.store.passages import SearchablePassages
from phaseflow.store.postings import Packed


class Processor:
    """Counts seconds as somebody says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spent = 0.0
        monkeypatch.setattr("phaseflow.actors.transaction_size.time.thread_time", lambda: self.spent)


def taken(size: TransactionSize, processor: Processor, each_s: float, transactions: int) -> list[int]:
    """How many passages went into each transaction, where one takes ``each_s``."""
    found = []
    for _ in range(transactions):
        found.append(size.passages)
        with size.measuring(found[-1]):
            processor.spent += found[-1] * each_s
    return found


@pytest.mark.parametrize("each_s", [20e-6, 100e-6, 500e-6])
def test_a_transaction_comes_to_take_the_same_time_whatever_a_passage_takes(
    monkeypatch: pytest.MonkeyPatch, each_s: float
) -> None:
    sizes = taken(TransactionSize(1024), Processor(monkeypatch), each_s, 8)
    assert sizes[-1] * each_s == pytest.approx(TRANSACTION_S, rel=0.1)
    assert max(sizes) * each_s < 7 * TRANSACTION_S


def test_passages_of_few_words_fill_a_transaction_and_a_few_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    processor, size = Processor(monkeypatch), TransactionSize(1024)
    assert taken(size, processor, 10e-6, 8)[-1] == 1024
    with size.measuring(3):
        processor.spent += 1.0
    assert size.passages == 1024


async def test_a_large_document_of_many_words_is_indexed_in_smaller_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "large.txt").write_text("\n\n".join(f"Paragraph {n}. " + "word " * 150 for n in range(700)))
    processor, sizes, index = Processor(monkeypatch), list[int](), SearchablePassages.index

    def slowly(self: SearchablePassages, passages: Packed) -> None:
        index(self, passages)
        sizes.append(passages.size)
        processor.spent += passages.size * TRANSACTION_S / 100

    monkeypatch.setattr(SearchablePassages, "index", slowly)
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        done = await (await flow.start("kb", FolderSource(str(tmp_path / "docs")))).wait()
    assert (done.status, sum(sizes)) == ("completed", done.metrics.chunks_indexed)
    assert len(sizes) > 3
    assert all(size <= 140 for size in sizes[2:])
