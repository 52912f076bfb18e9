"""Names that are made here."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.identifiers import (
    DOCUMENT_ID,
    check_job_id,
    check_kb_id,
    check_token,
    document_id,
    hides_something,
    is_loopback,
    name_in,
)
from tests.matrices import together


def test_a_documents_id_follows_from_its_knowledge_base_and_uri() -> None:
    assert document_id("docs", "guide/pause.md") == document_id("docs", "guide/pause.md")
    assert re.fullmatch(DOCUMENT_ID, document_id("docs", "guide/pause.md"))


def test_two_documents_have_two_ids() -> None:
    names = [("docs", "a.md"), ("docs", "b.md"), ("doc", "sa.md"), ("other", "a.md")]
    assert len({document_id(*name) for name in names}) == len(names)


def test_a_document_whose_name_is_not_valid_unicode_has_an_id_too() -> None:
    assert re.fullmatch(DOCUMENT_ID, document_id("docs", "half-\ud800.txt"))


@together(
    "host",
    [
        "localhost",
        "LocalHost",
        "localhost.",
        "127.0.0.1",
        "127.255.0.9",
        "::1",
        "[::1]",
        "::ffff:127.0.0.1",
        "127.0.0.1.",
    ],
)
def test_what_this_machine_alone_answers_is_known(host: str) -> None:
    assert is_loopback(host)


@together(
    "host",
    [
        None, "", "example.org", "localhost.example.org", "0.0.0.1", "128.0.0.1", "126.255.255.255", "::", "::2",
        "fe80::1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "127.1.example", "[::2]",
    ],
)  # fmt: skip
def test_what_others_answer_or_may_answer_is_not_taken_for_this_machine(host: str | None) -> None:
    assert not is_loopback(host)


@together(
    ("url", "name"),
    [
        ("https://a.org/docs/page.html?v=1?2", "https://a.org/docs/page.html"),
        ("https://a.org/docs/?v=1", "https://a.org/docs/index"),
        ("https://a.org/m%C3%BCll%20alt.pdf", "https://a.org/müll alt.pdf"),
        ("a/b", "a/b"),
    ],
)
def test_the_name_in_an_address_is_that_of_a_file(url: str, name: str) -> None:
    assert name_in(url) == name


@together("name", ["a b.md", "ä.md", "\u200dx", "a\u3000b", "نام\u200cها", "👩\u200d💻"])
def test_joiners_and_wide_blanks_are_parts_of_names(name: str) -> None:
    assert not hides_something(name)


@together("hidden", ["\n", "\x7f", "\x85", "\ud800", "\u2028", "\u2029", "\u202e", "\u2069", "\u200b", "\ufeff"])
def test_what_nobody_sees_in_a_name_is_told(hidden: str) -> None:
    assert hides_something(f"a{hidden}b")
    assert hides_something(f"ä{hidden}")


@together(
    ("check", "good", "bad"),
    [
        (check_kb_id, ["a", "0", "a" * 63, "a-_b"], ["", "-a", "_a", "A", "a" * 64, "a b", "a\n", None]),
        (check_token, ["a", "a b", "~!", "x" * 300], ["", " a", "a ", "ä", "a\n", "a\tb"]),
        (check_job_id, ["a", "a.b", "x" * 200, "ü"], ["", ".a", "a/b", "/", "x" * 201, "a\udc00", 7]),
    ],
)
def test_a_name_is_taken_as_it_is_or_refused(check: Callable[[Any], str], good: list[str], bad: list[object]) -> None:
    assert [check(name) for name in good] == good
    for name in bad:
        with pytest.raises(InvalidRequest):
            check(name)
