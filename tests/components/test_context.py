"""Passages worth finding, and what stands above them."""

from hypothesis import example, given
from hypothesis import strategies as st

from phaseflow.components.bare_passages import _is_bare
from phaseflow.components.chunker import MarkdownChunker
from phaseflow.components.context import contexts
from tests.matrices import together

GUIDE = """# Guide

Intro text.

## Printers

### Supported printers

| Name | Speed |
|---|---|
""" + "\n".join(f"| LaserJet {n} | {n} pages a minute |" for n in range(60)) + """

## Installation

```sh
# not a heading
pip install it
```
"""  # fmt: skip
LINES = st.sampled_from(
    ["# A", "## Heading of some length", "---", "```", "```sh", "***", "| a | b |", "|---|---|", "| 1 | 2 |", "Title",
     "=====", "", "", "A sentence that says something. And another one", "word " * 30, "- item", "<!-- no -->"]
)  # fmt: skip


def above(text: str, passage: str, title: str = "", uri: str = "a.md", media_type: str = "text/markdown") -> list[str]:
    start = text.index(passage)
    return contexts(text, media_type, title, uri, [(start, start + len(passage))])[0].split("\n")


def test_a_passage_stands_under_its_headings_and_the_head_of_its_table() -> None:
    assert above(GUIDE, "| LaserJet 30") == ["Guide", "Printers", "Supported printers", "| Name | Speed |"]
    assert above(GUIDE, "pip install it") == ["Guide", "Installation"]
    assert above(GUIDE, "| Name | Speed |") == ["Guide", "Printers", "Supported printers"]
    assert above(GUIDE, "Intro text") == ["Guide"]


def test_a_title_counts_unless_it_is_the_name_of_the_file_or_stands_in_the_passage() -> None:
    text = "First part.\n\nSecond part."
    assert above(text, "Second", "Budgets 2025", "b.txt", "text/plain") == ["Budgets 2025"]
    assert above(text, "Second", "b.txt", "in/b.txt", "text/plain") == [""]
    assert above("Budgets\n\n" + text, "Budgets\n\nFirst", "Budgets", "b.txt", "text/plain") == [""]


def test_what_a_document_says_of_itself_stands_above_its_first_passage() -> None:
    text = "First part.\n\nSecond part."
    said = {
        "tags": ["okapi", "gnu antelope"],
        "description": "How to cross\n " + "x" * 900,
        "author": "Q",
        "draft": True,
    }
    first, second = contexts(text, "text/markdown", "Title", "a.md", [(0, 11), (13, 25)], said)
    assert first.split("\n")[0] == "Title"
    assert first.split("\n")[1].startswith("How to cross xxx")
    assert first.endswith("\nokapi, gnu antelope")
    assert len(first) < 500
    assert second == "Title"


def test_what_stands_above_is_bounded() -> None:
    text = "\n".join(f"{'#' * (n % 6 + 1)} {'heading ' * 24}{n}" for n in range(300)) + "\n\nThe end."
    assert len(contexts(text, "text/markdown", "t" * 10_000, "a", [(text.index("The end"), len(text))])[0]) <= 700
    table = f"{'Text. ' * 900}\n\n| a | {'wide ' * 60} |\n|---|---|\n" + "| row | of it |\n" * 90
    assert contexts(table, "text/markdown", "", "a", [(table.index("| row"), len(table))]) == [""]


@together(
    "bare", ["# Heading", "## A\n\n### B", "---", "```sh", "```", "Title\n=====", "| a | b |\n|---|---|", "***\n# A"]
)
def test_headings_fences_rules_and_heads_of_tables_are_bare(bare: str) -> None:
    assert _is_bare(bare)
    spans = MarkdownChunker(60, 0).spans(f"{bare}\n\nSomething is said here.\n", "text/markdown")
    assert not any(_is_bare(f"{bare}\n\nSomething is said here.\n"[a:b]) for a, b in spans)


@together("text", ["Said.", "# A\n\nSaid.", "| 1 | 2 |", "- item", "```\ncode\n```", "C#"])
def test_what_says_something_is_not_bare(text: str) -> None:
    assert not _is_bare(text)


@given(st.lists(LINES, max_size=40).map("\n".join), st.integers(20, 300))
@example("## Heading of some length\n\n# A\n# A\n# A\n## Heading of some length", 33)
@example(
    "# A\n" * 5 + "## Heading of some length\n" * 3 + "| a | b |\n|---|---|\n\n"
    + "A sentence that says something. And another one\n" * 3 + "# A", 262
)  # fmt: skip
def test_no_passage_is_bare_where_there_is_room_for_what_follows(text: str, size: int) -> None:
    spans = MarkdownChunker(size, 0).spans(text, "text/markdown")
    assert all(end - start <= size for start, end in spans)
    assert [a for a, _ in spans] == sorted({a for a, _ in spans})
    if size >= 200 and not _is_bare(text):
        passages = [text[start:end] for start, end in spans]
        assert [passage for passage in passages[:-1] if _is_bare(passage) and len(passage) < size / 2] == []
