"""Text of others, made safe to show."""

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from phaseflow.cli.plain_text import LONGEST_LINE, cell, one_line, printable, safe_json

HOSTILE = "a\x1b]0;OWNED\x07\x1b[2J\x9b31m\x9d\r\nFORGED\u202egpj.exe\u2066\u200f\u2028\udc80\U000e0041\x00\x7f"
STEERING = frozenset(
    chr(code) for code in [*range(0x20), *range(0x7F, 0xA0), 0x61C, *range(0x2028, 0x202F)]
) | frozenset("\u200e\u200f\u2066\u2067\u2068\u2069\ufeff\U000e0041")


@given(st.text() | st.text(alphabet=sorted(STEERING)))
def test_no_text_steers_the_terminal(text: str) -> None:
    assert not STEERING & set(one_line(text + HOSTILE))
    assert not (STEERING - {"\n", "\t"}) & set(printable(text + HOSTILE))


def test_what_was_there_can_be_seen() -> None:
    assert one_line("a\x1b[2J\n\u202eb\x9b") == "a\\x1b[2J\\n\\u202eb\\x9b"


def test_writing_of_all_languages_stays_as_it_is() -> None:
    text = "Grüße, 你好, می‌خواهم, क्‍ष, 👩‍👩‍👧, e\u0301"
    assert one_line(text) == printable(text) == text


def test_a_name_of_any_length_is_one_line_that_says_how_much_is_left_out() -> None:
    assert one_line("x" * (LONGEST_LINE + 1234)).endswith("x… (1,234 characters more)")
    assert len(cell("x" * 10**6)) < 350


@given(st.text() | st.text(alphabet=sorted(STEERING)))
def test_json_is_safe_and_decodes_to_what_was_encoded(text: str) -> None:
    value = {"uri": text, text: [text]}
    encoded = safe_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(encoded) == value
    assert not STEERING & set(encoded)


def test_no_format_character_that_reorders_text_is_left_in_json() -> None:
    reordering = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    letters = [chr(code) for code in range(0x110000) if unicodedata.bidirectional(chr(code)) in reordering]
    assert safe_json("".join(letters)).isascii()
