"""Expectations that others have published, as data in `public_facts`, with their licences: all of them hold but those
that are named here, each with the rule that says otherwise."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

from phaseflow.components.extraction.charsets import codec_of
from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.encoding.prescan import declared_charset
from phaseflow.components.extraction.markdown_headings import first_heading
from phaseflow.components.extraction.types import Raw
from phaseflow.components.sources.web.robots_file import RobotsFile

FACTS = Path(__file__).parent / "public_facts"
UNDECLARED = "windows-1252"
"""What browsers take when a page says nothing; here the bytes decide."""
RUNS_SCRIPTS = b"document.write"
"""Says its charset by a script."""
ESCAPED_BY_THE_CALLER = "http://foo.bar/foo/bar/\u30c4"
"""Google's matcher takes addresses as they are; every address of a crawl is escaped before (RFC 3986)."""
NEEDLESS_ESCAPES = "Allow: /foo/bar/%62%61%7A\n", "http://foo.bar/foo/bar/baz"
"""RFC 9309, 2.2.2: escapes of what needs none are undone before comparing."""


def rows(name: str) -> Iterator[list[str]]:
    """The values of each row as texts; ``""`` for none."""
    for row in (FACTS / name).read_text(encoding="utf-8").splitlines():
        yield ["" if value is None else str(value) for value in json.loads(row)]


def letter_of(codec: str) -> str:
    """One that the codec has, and those that are taken for it have not in that place."""
    return next(letter for letter in "œłж日א" if letter in letter.encode(codec, "ignore").decode(codec))


def is_utf8(page: bytes) -> str | None:
    """A declaration is passed over where all bytes of a page say otherwise: what is UTF-8 throughout is UTF-8."""
    return "utf-8" if page.decode(errors="ignore").encode() == page else None


def test_pages_have_the_encoding_that_browsers_find() -> None:
    count = 0
    for case in (FACTS / "html5lib_encoding.dat").read_bytes().split(b"#data\n")[1:]:
        page, _, label = case.partition(b"\n#encoding\n")
        expected = codec_of(label.split(b"\n")[0].decode())
        assert expected is not None
        count += 1
        # Only what is not ASCII shows the encoding. Behind a tag that does not end it would belong to the tag.
        has_room = page.endswith(b">") and page.isascii()
        letters = page + f"\n<p>{letter_of(expected)}</p>".encode(expected) if has_room else page
        if declared_charset(letters) is None and not page.startswith(BOM_UTF8):
            assert expected == codec_of(UNDECLARED) or RUNS_SCRIPTS in page, page
        else:
            text = letters.removeprefix(BOM_UTF8).decode(is_utf8(letters) or expected)
            assert text_of(Raw(letters, "a.html"), declared_charset) == text, page
    assert count == 83


def test_robots_files_are_read_as_a_large_crawler_reads_them() -> None:
    count = 0
    for _, text, agent, address, allowed in rows("robots_google.jsonl"):
        rule, escaped = NEEDLESS_ESCAPES
        is_other = address == ESCAPED_BY_THE_CALLER or (rule in text and address == escaped)
        assert RobotsFile(text, agent.lower()).allows(address) == ((allowed == "True") is not is_other), text
        count += 1
    assert count == 136


def test_titles_of_markdown_are_the_first_headings_of_commonmarks_examples() -> None:
    count = 0
    for number, source, heading in rows("commonmark_headings.jsonl"):
        assert " ".join((first_heading(source) or "").split()) == heading, number
        count += 1
    assert count == 655
