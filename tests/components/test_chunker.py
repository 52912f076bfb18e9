import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseflow.components.chunker import MarkdownChunker, as_chunker, windows
from phaseflow.components.protocols import Chunker, Span
from phaseflow.domain.errors import DocumentError
from tests.matrices import examples
from tests.stopwatch import Stopwatch

MARKDOWN = "text/markdown"
PLAIN = "text/plain"

FRAGMENTS = st.sampled_from(
    [
        "# Title\n\n", "## Part\r\n\r\n", "word ", "a sentence. ", "\n", "\r\n", "\r", "\n\n\n", "\t", "    code\n",
        "- item\n", "| a | b |\n", "```\n", "> ", "e\u0301", "a\u0308\u0323", "👩‍👩‍👧", "🇫🇷",
        "漢字。", "กรุงเทพ", "\u2028", "\u00a0",
        "\u200d", "\x00", "x" * 50, "\n" * 80, " " * 80, "\n \t" * 40, "<div>", "[a](b)", "[^1]: note\n", "---\n",
    ]
)  # fmt: skip
TEXTS = st.one_of(
    st.lists(FRAGMENTS, max_size=120).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=400),
    st.text("ab \n", max_size=3000),
)


@pytest.fixture(scope="module")
def chunker() -> MarkdownChunker:
    return MarkdownChunker(1000, 100)


def test_no_passage_stands_in_another_where_headings_go_with_what_follows() -> None:
    family = "👩\u200d👩\u200d👧" + "x" * 50
    section = "\n".join(
        f"## Heading {n}\n\nWords of section {n}, which go on for a line or two. " * 2 for n in range(40)
    )
    for text, size in ((family, 7), (section, 60)):
        for overlap in range(size):
            spans = MarkdownChunker(size, overlap).spans(text, MARKDOWN)
            assert all(a.start < b.start and a.end < b.end for a, b in pairwise(spans))
            assert all(before.end - after.start <= overlap for before, after in pairwise(spans))
            assert _without(text, spans).strip() == ""


@given(TEXTS, st.integers(1, 300), st.data(), st.sampled_from([MARKDOWN, PLAIN]))
@settings(deadline=None, max_examples=examples(150))
def test_passages_are_short_ordered_and_hold_everything_but_white_space(
    text: str, size: int, data: st.DataObject, media_type: str
) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    spans = MarkdownChunker(size, overlap).spans(text, media_type)
    assert all(0 < span.end - span.start <= size for span in spans)
    assert spans == sorted(spans)
    assert all(before.end - after.start <= overlap for before, after in pairwise(spans))
    assert _without(text, spans).strip() == ""


@given(TEXTS, st.integers(1, 40), st.booleans(), st.integers(1, 80))
@settings(deadline=None, max_examples=examples(100))
def test_windows_are_apart_in_order_and_leave_out_white_space_only(
    text: str, size: int, markdown: bool, times: int
) -> None:
    text *= times
    found = list(windows(text, size, markdown=markdown))
    assert all(start < end for start, end in found)
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert _without(text, found).strip() == ""


def _without(text: str, spans: list[Span]) -> str:
    left, at = [], 0
    for start, end in spans:
        left.append(text[at:start])
        at = max(at, end)
    return "".join([*left, text[at:]])


@pytest.mark.parametrize("media_type", [MARKDOWN, PLAIN])
def test_a_text_without_content_has_no_passages(chunker: MarkdownChunker, media_type: str) -> None:
    for text in ("", " ", "\n" * 5000, "\r\n\t\u2028" * 2000):
        assert chunker.spans(text, media_type) == []


def test_markdown_is_cut_at_its_headings_and_plain_text_is_not() -> None:
    text = "# One\n\nfirst words\n# Two\n\nsecond words\n"
    chunker = MarkdownChunker(30, 0)
    assert [text[slice(*span)] for span in chunker.spans(text, MARKDOWN)] == [
        "# One\n\nfirst words",
        "# Two\n\nsecond words",
    ]
    assert [text[slice(*span)] for span in chunker.spans(text, PLAIN)] != [
        "# One\n\nfirst words",
        "# Two\n\nsecond words",
    ]


def test_neighbours_share_characters_up_to_the_overlap() -> None:
    spans = MarkdownChunker(50, 20).spans("some words here. " * 20, PLAIN)
    shared = [before.end - after.start for before, after in pairwise(spans)]
    assert max(shared) > 0
    assert max(shared) <= 20


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a" * 1_000_000, id="no boundary"),
        pytest.param("ab " * 333_000, id="one line of words"),
        pytest.param("\n" * 500_000 + "end", id="line breaks"),
        pytest.param("word" + "\n " * 250_000 + "end", id="blank lines with spaces"),
        pytest.param("word" + "\u2029" * 500_000 + "end", id="paragraph separators"),
        pytest.param("\r\n" * 250_000 + "end", id="CRLF"),
        pytest.param("漢" * 50_000, id="ideographs without punctuation"),
        pytest.param("> " * 200_000, id="nested quotes"),
        pytest.param("1,2,3\n" * 100_000, id="a table of numbers"),
    ],
)
def test_a_hostile_text_takes_linear_time(chunker: MarkdownChunker, text: str) -> None:
    for media_type in (MARKDOWN, PLAIN):
        watch = Stopwatch(time.process_time)
        spans = chunker.spans(text, media_type)
        # Seconds to minutes without windows, a few hundredths to tenths with them.
        assert watch.within(2), media_type
        assert _without(text, spans).strip() == "", media_type


def test_a_long_document_is_cut_fast_and_like_its_parts(chunker: MarkdownChunker) -> None:
    section = "## Part\n\n" + "A sentence of some words. " * 60 + "\n\n- one\n- two\n\n"
    text = section * (4_600_000 // len(section))
    watch = Stopwatch(time.process_time)
    spans = chunker.spans(text, MARKDOWN)
    assert watch.within(2)
    assert len(spans) == len(chunker.spans(section, MARKDOWN)) * (len(text) // len(section))


def test_a_long_document_is_cut_at_a_heading_rather_than_in_its_text() -> None:
    section = "# Part\n\n" + "words and words. " * 100 + "\n"
    text = section * 100
    found = list(windows(text, 1000, markdown=True))
    assert len(found) > 1
    assert all(text.startswith("# Part", start) for start, _ in found)


def test_the_corpus_is_cut_into_exact_slices(chunker: MarkdownChunker, corpora: Path) -> None:
    for path in sorted(Path(corpora, "waf").rglob("*.md"))[:60]:
        text = path.read_text(encoding="utf-8", errors="replace")
        spans = chunker.spans(text, MARKDOWN)
        assert _without(text, spans).strip() == ""
        assert max(span.end - span.start for span in spans) <= 1000


def test_half_a_surrogate_pair_is_a_bad_document(chunker: MarkdownChunker) -> None:
    with pytest.raises(DocumentError, match="character 3") as caught:
        chunker.spans("abc\ud800", PLAIN)
    assert caught.value.code == "decode_error"


def test_the_fingerprint_changes_with_the_sizes() -> None:
    prints = {MarkdownChunker(*sizes).fingerprint for sizes in [(1000, 100), (1000, 99), (999, 100)]}
    assert len(prints) == 3
    assert MarkdownChunker(1000, 100).fingerprint in prints


class Pieces:
    """A splitter of LangChain's shape with the answer given."""

    def __init__(self, *pieces: str) -> None:
        self._pieces = list(pieces)
        self._chunk_size = 7

    def split_text(self, text: str) -> list[str]:
        return self._pieces


@pytest.mark.parametrize(
    ("text", "pieces", "expected"),
    [
        pytest.param("one two three", ["one two", "two three"], [(0, 7), (4, 13)], id="overlap"),
        pytest.param("aaaaaaaa", ["aaaa", "aaaa"], [(0, 4), (4, 8)], id="repeated, touching"),
        pytest.param("la la la", ["la", "la", "la"], [(0, 2), (3, 5), (6, 8)], id="repeated, apart"),
        pytest.param("one\n\n  two", ["one two"], [(0, 10)], id="white space changed"),
        pytest.param("one\n\ntwo", ["one", "\n\ntwo"], [(0, 3), (3, 8)], id="separator kept"),
        pytest.param("one two", ["", "one", "  ", "two"], [(0, 3), (4, 7)], id="empty pieces"),
        pytest.param("a.b (c)", ["a.b (c)"], [(0, 7)], id="signs"),
    ],
)
def test_pieces_of_a_splitter_are_found_in_the_text(
    text: str, pieces: list[str], expected: list[tuple[int, int]]
) -> None:
    assert as_chunker(Pieces(*pieces)).spans(text, PLAIN) == expected


def test_a_piece_that_is_not_in_the_text_is_refused() -> None:
    with pytest.raises(DocumentError, match="piece 2") as caught:
        as_chunker(Pieces("one", "three")).spans("one two", PLAIN)
    assert caught.value.code == "chunk_not_in_text"


def test_a_chunker_is_taken_as_it_is_and_a_splitter_is_wrapped(chunker: MarkdownChunker) -> None:
    wrapped = as_chunker(Pieces("one"))
    assert as_chunker(chunker) is chunker
    assert isinstance(wrapped, Chunker)
    assert wrapped.fingerprint == f"{__name__}.Pieces:7"


def test_anything_else_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(TypeError, match="split_text"):
        as_chunker(object())  # type: ignore[arg-type]  # the mistake under test


def test_a_splitter_that_returns_documents_is_taken() -> None:
    class Document:
        def __init__(self, text: str) -> None:
            self.page_content = text
            self.metadata = {"Header 1": "A"}

    class Headers:
        def split_text(self, text: str) -> list[Document]:
            return [Document(piece) for piece in text.split("# ")[1:]]

    text = "# A\none\n# B\ntwo\n"
    spans = as_chunker(Headers()).spans(text, "text/markdown")  # type: ignore[arg-type]  # it has the shape of a splitter, not its types
    assert [text[start:end].split() for start, end in spans] == [["A", "one"], ["B", "two"]]


def test_a_splitter_that_returns_no_strings_is_told_by_name() -> None:
    class Objects:
        def split_text(self, text: str) -> list[object]:
            return [object()]

    with pytest.raises(TypeError, match=r"Objects.split_text\(\) returned an object among its pieces; use one that"):
        as_chunker(Objects()).spans("text", "text/plain")  # type: ignore[arg-type]  # the mistake
