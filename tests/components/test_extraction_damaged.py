"""A charset that is declared is believed although some bytes are damaged, and the share of them is told."""

from itertools import product

from phaseflow.components.extraction import extract
from phaseflow.components.extraction.encoding.prescan import declared_charset
from phaseflow.components.extraction.registry import UNREADABLE
from tests.matrices import together

TEXTS = {
    "euc-jp": "日本語のページです。検索エンジンを試します。",
    "shift_jis": "カタカナとひらがなの文章です。",
    "gbk": "这是一个中文网页，内容用于测试编码。",
    "gb2312": "这是一个中文网页，内容用于测试编码。",
    "big5": "這是一個中文網頁內容用於測試編碼",
    "euc-kr": "한국어 페이지 입니다 검색 엔진 시험",
    "windows-1251": "Это русская страница с текстом.",
    "iso-8859-7": "Αυτή είναι μια ελληνική σελίδα.",
    "utf-8": "Zażółć gęślą jaźń — 日本語",
}


@together(
    ("damage", "encoding", "is_in_header"), product([b"\xff", b"\x81", b"<!-- \xe4\xba\xac -->"], TEXTS, [True, False])
)
def test_a_damaged_byte_does_not_change_the_encoding_of_a_page(
    encoding: str, damage: bytes, *, is_in_header: bool
) -> None:
    meta = b"" if is_in_header else b'<meta charset="%s">' % encoding.encode()
    page = meta + b"<p>before" + damage + b"</p><p>" + TEXTS[encoding].encode(encoding)
    found = extract(page, "a.html", declared_charset=encoding if is_in_header else None)
    assert TEXTS[encoding] in found.text


def test_each_damaged_byte_is_one_replacement_character_and_the_share_is_told() -> None:
    text = "Größe der Häuser, " * 20
    data = text.encode().replace(b"der", b"d\xffer", 2)
    found = extract(data, "a.txt", declared_charset="utf-8")
    assert found.text == text.replace("der", "d\ufffder", 2)
    assert found.metadata == {UNREADABLE: round(2 / len(found.text), 6)}


def test_the_only_byte_beyond_ascii_is_damage_when_the_charset_is_declared() -> None:
    assert extract(b"plain text, n\xff more", "a.txt", declared_charset="utf-8").text == "plain text, n\ufffd more"


@together(
    ("label", "data", "text"),
    [
        ("euc-jp", "第".encode("euc_jp") + b"\xad\xa1" + "章の案内".encode("euc_jp") + b"\xad\xea", "第①章の案内㈱"),
        ("iso-2022-jp", b"\x1b$B\x2d\x21" + "章の案内".encode("iso2022_jp")[3:], "①章の案内"),
        ("iso-2022-jp", "案内 ".encode("iso2022_jp") + b"\x1b(I1\x1b(B", "案内 ｱ"),
        ("gbk", "价格".encode("gbk") + b"\x80" + "五百".encode("gbk"), "价格€五百"),
        ("big5", "佢哋喺香港住".encode("big5hkscs") + b"\xc6\xa1", "佢哋喺香港住①"),
        ("euc-jp", "案".encode("euc_jp") + b"\xa9\xfe" + "内の文章です".encode("euc_jp"), "案\ufffd内の文章です"),
        ("shift_jis", "案".encode("cp932") + b"\x87\xa0" + "内の文章です".encode("cp932"), "案\ufffd内の文章です"),
        ("euc-kr", "한".encode("cp949") + b"\xc9\xa1" + "국어 페이지".encode("cp949"), "한\ufffd국어 페이지"),
    ],
)
def test_signs_that_browsers_know_are_read_and_damage_does_not_put_what_follows_in_wrong_pairs(
    label: str, data: bytes, text: str
) -> None:
    assert extract(data, "a.txt", declared_charset=label).text == text


@together("name", ["a.txt", "a.json", "a.md", "a.csv"])
def test_a_damaged_byte_does_not_change_the_encoding_of_utf8_that_nobody_declares(name: str) -> None:
    data = "The café and the naïve plan XX were ready, as planned. ".encode().replace(b"XX", b"\xff")
    assert extract(data, name).text == "The café and the naïve plan \ufffd were ready, as planned. "


def test_a_declaration_that_most_bytes_contradict_is_in_doubt() -> None:
    text = "Die Größe der Häuser wächst, sagen Händler für schöne Türen. " * 5
    found = extract(text.encode("cp1252"), "a.txt", declared_charset="utf-8")
    assert (found.text, found.metadata) == (text, {})


@together(
    ("head", "label"),
    [
        (b'<meta charset="iso8859-2">', "iso8859-2"),
        (b"<meta charset=  iso8859-2 >", "iso8859-2"),
        (b"<META\nCHARSET='iso8859-2'/>", "iso8859-2"),
        (b'<meta/charset="iso8859-2">', "iso8859-2"),
        (b'<meta http-equiv="content-type" content="text/html; charset=iso8859-2">', "iso8859-2"),
        (b"<meta content=\"text/html; charset='iso8859-2'\" http-equiv=Content-Type>", "iso8859-2"),
        (b'<meta content="text/html; charset=iso8859-2">', None),
        (b'<meta http-equiv="refresh" content="0; charset=iso8859-2">', None),
        (b'<metacharset="iso8859-2">', None),
        (b'<!--<meta charset="iso8859-1">--><meta charset="iso8859-2">', "iso8859-2"),
        (b'<!--><meta charset="iso8859-2">-->', "iso8859-2"),
        (b'<!-- <meta charset="iso8859-2">', None),
        (b'<p title="<meta charset=iso8859-1>"><meta charset="iso8859-2">', "iso8859-2"),
        (b'<p title="x><meta charset="iso8859-2">', None),
        (b'<meta charset="bogus"><meta charset="iso8859-2">', "iso8859-2"),
        (b'<meta charset="iso8859-2" charset="utf-8">', "iso8859-2"),
        (b"<script>'<meta charset=\"iso8859-1\">'</script><meta charset=iso8859-2>", "iso8859-2"),
        (b"<style>/*<meta charset=iso8859-1>*/</style><meta charset=iso8859-2>", "iso8859-2"),
        (b"<title>How to use <meta charset=iso8859-1></title><meta charset=iso8859-2>", "iso8859-2"),
        (b"<title>How to use <meta charset=iso8859-1></title>", None),
        (b"<script>'<meta charset=\"iso8859-2\">'</script>\xfe", "iso8859-2"),
        (b'<?xml version="1.0" encoding="koi8-r"?><html>', "koi8-r"),
        (b'<?xml version="1.0" encoding="koi8-r"?><html><meta charset="iso8859-2">', "iso8859-2"),
        (b'<meta charset="utf-16le">', "utf-8"),
        (b"</meta charset=iso8859-1><meta charset=iso8859-2>", "iso8859-2"),
        (b"<!doctype html><? meta charset=iso8859-1 ><meta charset=iso8859-2>", "iso8859-2"),
        (b'<meta charset="iso8859-2', None),
    ],
)
def test_the_charset_of_a_page_is_found_as_browsers_find_it(head: bytes, label: str | None) -> None:
    assert declared_charset(head) == label


def test_utf8_is_read_as_such_whatever_multibyte_charset_is_declared() -> None:
    text = "这是一个中文网页，内容用于测试编码。!" * 3
    assert extract(text.encode(), "a.txt", declared_charset="gbk").text == text


def test_a_charset_declared_far_from_the_beginning_counts_when_the_page_is_not_utf8() -> None:
    page = b"<!-- %s --><meta charset=iso-8859-2><p>" % (b"+" * 8000) + "Příliš".encode("iso-8859-2")
    assert extract(page, "a.html").text == "Příliš"


def test_a_head_made_of_openings_is_looked_through_in_linear_time() -> None:
    assert declared_charset(b"<script " * 8192) is None
    assert declared_charset(b"<script>" * 8192) is None
