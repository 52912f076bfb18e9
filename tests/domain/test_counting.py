"""Singular and plural, everywhere."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import phaseflow
from phaseflow.cli import messages
from phaseflow.domain.counting import counted, counted_of, form, size_of
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.messages import message
from phaseflow.domain.phase import PhaseState
from phaseflow.domain.vocabulary import PHASES, PhaseStatus
from tests.cli.statuses import failure, job
from tests.matrices import together

NOUNS = "document|chunk|attempt|line|character|file|page|passage|vector|text|item|job|batch|row|folder|address"
WRONG = re.compile(rf"(?<![\d,.])1 ({NOUNS})e?s\b|(?<![\d,.])(0|2) ({NOUNS})\b")


@together(("number", "told"), [(0, "0 documents"), (1, "1 document"), (2, "2 documents"), (1200, "1,200 documents")])
def test_a_noun_agrees_with_its_number(number: int, told: str) -> None:
    assert counted(number, "document") == told


def test_of_a_total_the_total_decides() -> None:
    assert (counted_of(0, 1, "chunk"), counted_of(1, 2, "chunk")) == ("0 of 1 chunk", "1 of 2 chunks")


def test_a_plural_of_its_own_is_named() -> None:
    assert form(2, "batch", others="batches") == "batches"


def _messages() -> Iterator[str]:
    for status, number, total in product(PhaseStatus, (0, 1, 2), (None, 1, 2)):
        phases = [
            PhaseState(name, status, items_processed=number, items_total=total, items_available=9) for name in PHASES
        ]
        yield message(IngestionState("job", "kb", tuple(phases)), number)
        busy = [replace(p, status=PhaseStatus.RUNNING) for p in phases[1:]]
        yield message(IngestionState("job", "kb", (phases[0], *busy)), number)


def _shown() -> Iterator[str]:
    counts = ("documents_loaded", "documents_unchanged", "documents_deleted", "documents_failed", "chunks_indexed")
    for number, total in product((0, 1, 2), (None, 1, 2)):
        phase = {"status": "completed", "items_processed": number, "items_total": total, "items_failed": number}
        status = job(dict.fromkeys(PHASES, phase), metrics=dict.fromkeys(counts, number))
        yield from messages.summary(status)
        yield from messages.changes(None, status)
        yield from messages.failures(status, [failure(attempts=number or 1)], "list them")
        yield from (messages.items(each) for each in status.phase_details)


def test_no_sentence_says_one_documents() -> None:
    told = [*_messages(), *_shown()]
    assert len(told) > 100
    assert [each for each in told if WRONG.search(each)] == []


def test_no_number_is_followed_by_a_noun_that_does_not_agree_with_it() -> None:
    """In the source: a value in braces with a plural right behind it is 1 one day; a constant never is."""
    plural = re.compile(rf"^ (?:[a-z]+ )?({NOUNS})e?s\b")
    found = []
    for path in Path(phaseflow.__file__).parent.rglob("*.py"):
        text = path.read_text("utf-8")
        # Few modules have a brace, one word or two, and such a noun; to take all apart takes two seconds.
        for node in ast.walk(ast.parse(text)) if re.search(rf"\}}['\"\s f]*(?:[a-z]+ )?({NOUNS})e?s\b", text) else ():
            if not isinstance(node, ast.JoinedStr):
                continue
            for value, after in zip(node.values, node.values[1:], strict=False):
                is_plural = isinstance(after, ast.Constant) and plural.match(str(after.value))
                if isinstance(value, ast.FormattedValue) and is_plural and not ast.unparse(value.value).isupper():
                    found.append(f"{path.name}: {ast.unparse(node)}")
    assert found == []


@together(
    ("count", "told"),
    [(1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (4100, "4.1 kB"), (999_949, "999.9 kB"), (10**9, "1.0 GB")],
)
def test_a_size_is_told_in_powers_of_a_thousand(count: int, told: str) -> None:
    assert size_of(count) == told
