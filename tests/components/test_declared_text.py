"""Texts that are pushed: their letters are known, and so is that they are text."""

from itertools import product

from phaseflow.components.extraction import extract
from phaseflow.components.extraction.registry import type_of_text
from tests.matrices import together

PAGE = "<meta charset={}><p>{}"


def read(uri: str, text: str, media_type: str | None = None) -> str:
    media_type = media_type or type_of_text(uri, text)
    charset = None if media_type is None else "utf-8"
    return extract(text.encode(), uri, declared_charset=charset, declared_type=media_type).text


@together(
    ("uri", "text", "shown"),
    [
        ("a.html", PAGE.format("gbk", "中文"), "中文"),
        ("a.html", PAGE.format("shift_jis", "café"), "café"),
        ("a.html", PAGE.format("utf-7", "1+AGE-2"), "1+AGE-2"),
        ("no-extension", "<html>" + PAGE.format("big5", "é"), "é"),
        ("a.xml", "<?xml version='1.0' encoding='gb2312'?><a>é</a>", "é"),
        ("a.py", "# coding: utf-7\nx = '1+AGE-2'", "1+AGE-2"),
        ("a.py", "# -*- coding: big5 -*-\n# é", "# é"),
        ("a.txt", "in HZ ~{VPND~} is two signs", "~{VPND~}"),
        ("a.eml", "From: a\nContent-Type: text/plain; charset=gbk\n\né", "é"),
        ("a.eml", "From: a\nContent-Type: text/html; charset=gbk\n\n" + PAGE.format("gbk", "é"), "é"),
        ("a.rtf", "{\\rtf1\\ansi é\U0001f600}", "é\U0001f600"),
    ],
)
def test_a_text_is_unicode_whatever_charset_it_declares(uri: str, text: str, shown: str) -> None:
    assert shown in read(uri, text)


def test_what_is_encoded_in_a_mail_is_in_its_own_charset() -> None:
    head = "From: a\nContent-Type: text/plain; charset=gbk\nContent-Transfer-Encoding: base64\n\n"
    assert "中文" in read("a.eml", head + "1tDOxA==")


@together(
    ("uri", "media_type"),
    product(["a.pdf", "a.docx", "a.xls", "a.rtf", "a.png", "a.doc", "https://example.org/a.zip"], [None, "text/plain"]),
)
def test_a_text_is_text_whatever_its_name(uri: str, media_type: str | None) -> None:
    assert read(uri, "The words of it.", media_type) == "The words of it."


@together("text", ["ID3 is a decision tree.", "GIF89a has a palette.", "BZh begins an archive."])
def test_a_text_is_text_however_it_begins(text: str) -> None:
    assert read("no-extension", text) == text


@together(("uri", "text"), [("a.md", "# Título"), ("a.html", "<p>é"), ("a", "é"), ("a.rtf.txt", "x"), ("a.json", "{}")])
def test_a_text_that_cannot_be_taken_for_another_is_kept_as_it_was(uri: str, text: str) -> None:
    assert type_of_text(uri, text) is None
