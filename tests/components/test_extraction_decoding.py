"""Bytes to text in any common encoding."""

import codecs
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseflow.components.extraction import extract
from phaseflow.domain.errors import DocumentError
from tests.matrices import together

WORDS = "Grüße aus Köln: 名前, 😀\n"


@given(st.text(alphabet=st.characters(exclude_characters="\0\r\ufeff", exclude_categories=["Cs"])))
def test_utf8_text_comes_out_as_it_went_in(text: str) -> None:
    assert extract(text.encode(), "a.txt").text == text


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.md"])
def test_a_byte_order_mark_decides_and_is_no_part_of_the_text(mark: bytes, encoding: str, name: str) -> None:
    assert extract(mark + WORDS.encode(encoding), name).text == WORDS


def test_a_byte_order_mark_goes_before_a_declaration() -> None:
    data = codecs.BOM_UTF16_LE + '<meta charset="latin-1"><p>Größe 名'.encode("utf-16-le")
    assert extract(data, "a.html", declared_charset="koi8-r").text == "Größe 名"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_latin_utf16_is_known_without_a_mark(encoding: str) -> None:
    assert extract("A plain text, für alle.\n".encode(encoding), "a.txt").text == "A plain text, für alle.\n"


@together(
    ("encoding", "text"),
    product(
        ["utf-16-le", "utf-16-be"],
        ["имя;город\nИван;Москва\n", "中文内容,一共三行。\n没有字节顺序标记\n", "ひらがなと漢字 A\n"],
    ),
)
def test_other_utf16_is_known_without_a_mark(text: str, encoding: str) -> None:
    assert extract(text.encode(encoding), "a.csv").text == text


@together(
    ("encoding", "text"),
    product(["utf-16-le", "utf-16-be"], ["吾輩は猫である。名前はまだ無い。", "안녕하세요, 오늘 날씨가 좋네요."]),
)
def test_utf16_in_one_line_of_cjk_is_known_without_a_mark(text: str, encoding: str) -> None:
    assert extract(text.encode(encoding), "a.txt").text == text


@together(("encoding", "text"), product(["utf-32-le", "utf-32-be"], ["Hello, große Welt 😀", "Привет, как дела?"]))
def test_utf32_is_known_without_a_mark(text: str, encoding: str) -> None:
    assert extract(text.encode(encoding), "a.txt").text == text


@together("data", [b"\x01\x00\x02\x00" * 20, b"a\0\0b", bytes(range(256)) * 2])
def test_binary_data_is_not_taken_for_utf16(data: bytes) -> None:
    with pytest.raises(DocumentError) as caught:
        extract(data, "a.txt")
    assert caught.value.code == "unsupported_format"


@together("encoding", ["cp1252", "cp850", "mac_roman"])
def test_western_encodings_are_not_taken_for_each_other(encoding: str) -> None:
    text = "Les élèves français étudient à côté du château" * 3
    assert extract(text.encode(encoding), "a.txt").text == text


@together("encoding", ["iso2022_jp", "euc_jp", "cp932"])
def test_a_short_japanese_text_is_known(encoding: str) -> None:
    assert extract("すべての人間は自由".encode(encoding), "a.txt").text == "すべての人間は自由"


def test_a_declared_charset_is_used() -> None:
    assert extract("привет".encode("koi8-r"), "a.txt", declared_charset="KOI8-R").text == "привет"


@together("label", ["no-such-charset", "utf-16", "rot13", "utf-7\0", ""])
def test_a_declaration_that_cannot_be_true_is_passed_over(label: str) -> None:
    assert extract(b"plain", "a.txt", declared_charset=label).text == "plain"


@together(
    ("page", "encoding"),
    [
        ('<meta charset="windows-1252"><p>15,50 €', "cp1252"),
        ("<meta http-equiv=Content-Type content='text/html; charset=iso-8859-1'><p>15,50 €", "cp1252"),
        ("<META CHARSET=shift_jis><p>髙橋", "cp932"),
        ('<?xml version="1.0" encoding="koi8-r"?><html><p>привет', "koi8-r"),
    ],
)
def test_a_page_is_decoded_as_it_declares(page: str, encoding: str) -> None:
    assert extract(page.encode(encoding), "a.html").text == page.rpartition(">")[2]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("a.html", '<meta charset="utf-16"><p>Größe der Häuser'),
        ("a.html", '<meta charset="utf-16le"><p>Größe der Häuser!'),
        ("a.xml", '<?xml version="1.0" encoding="UTF-16"?><a>Größe der Häuser</a>'),
    ],
)
def test_a_declaration_of_utf16_that_reads_as_bytes_is_not_true(name: str, page: str, encoding: str) -> None:
    assert "Größe der Häuser" in extract(page.encode(encoding), name).text


@together(
    ("label", "text"),
    product(["utf-16", "utf-16le", "utf-16be", "utf-32", "unicode"], ["Größe der Häuser", "Größe der Häuser!"]),
)
def test_a_header_of_utf16_is_not_believed_for_bytes_without_nuls(text: str, label: str) -> None:
    assert extract(text.encode(), "a.txt", declared_charset=label).text == text


@together(("encoding", "label"), product(["utf-16-le", "utf-16-be"], ["utf-16", "utf-16le", "utf-8", None]))
def test_utf16_is_read_in_its_own_order_whatever_declares_it(encoding: str, label: str | None) -> None:
    page = '<meta charset="utf-16"><p>Größe 名'
    assert extract(page.encode(encoding), "a.html", declared_charset=label).text == "Größe 名"


def test_a_header_tells_the_order_of_a_text_too_short_to_show_it() -> None:
    assert extract("имя\n".encode("utf-16-be"), "a.txt", declared_charset="utf-16be").text == "имя\n"


@together(
    ("label", "encoding", "text"),
    [
        ("iso-8859-8-i", "iso8859-8", "כל בני האדם"),
        ("x-mac-cyrillic", "mac-cyrillic", "привет"),
        ("X-Mac-Roman", "mac-roman", "Größe"),
        ("x-sjis", "cp932", "髙橋"),
        ("windows-874", "cp874", "สวัสดี"),
        ("x-user-defined", "cp1252", "Größe"),
        ("x-cp1251", "cp1251", "привет"),
        ("ks_c_5601-1989", "cp949", "똠방"),
        ("iso88591", "cp1252", "5 €"),
        ("unicode-1-1-utf-8", "utf-8", "Größe"),
    ],
)
def test_labels_of_the_web_that_python_does_not_know_are_understood(label: str, encoding: str, text: str) -> None:
    page = f'<meta charset="{label}"><p>{text}'
    assert extract(page.encode(encoding), "a.html").text == text


@together(
    ("data", "name", "label"),
    [
        ("<p>Größe\0 der Häuser".encode(), "a.html", None),
        ('<meta charset="latin-1"><p>Größe\0 der Häuser'.encode("latin-1"), "a.html", None),
        ("Größe der Häuser\0".encode("latin-1"), "a.txt", "latin-1"),
        ("Größe \0der Häuser".encode(), "a.txt", "utf-16"),
    ],
)
def test_a_stray_nul_in_a_text_is_left_out(data: bytes, name: str, label: str | None) -> None:
    assert extract(data, name, declared_charset=label).text == "Größe der Häuser"


@together(
    ("data", "label"),
    product(
        [b"text\0text", b"/usr/bin\0/usr/lib\0/etc\0", b"a plain text\0 \x01\x02", b"GIF89a\0 \xff\xfa\xe0 data\x03\0"],
        [None, "utf-8", "latin-1"],
    ),
)
def test_nuls_in_a_binary_file_are_no_slip(data: bytes, label: str | None) -> None:
    with pytest.raises(DocumentError) as caught:
        extract(data, "a.txt", declared_charset=label)
    assert caught.value.code == "unsupported_format"


@together(
    ("text", "encoding"),
    [
        ("Les élèves français étudient à côté du château, où l'été fut chaud. ", "cp1252"),
        ("Über die schöne Größe der Häuser läßt sich streiten. ", "cp1252"),
        ("não podemos resistir ao desejo; acha-se tão bem determinada a situação ", "latin-1"),
        ("“Smart quotes” — he said, it’s 5 €. ", "cp1252"),
        ("Zażółć gęślą jaźń, proszę państwa; będę w Łodzi jutro wieczorem ", "cp1250"),
        ("Привет, как дела? Мы поехали домой вчера вечером. ", "cp1251"),
        ("人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心 ", "gb18030"),
        ("すべての人間は、生まれながらにして自由であり ", "cp932"),
        ("모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. ", "cp949"),
    ],
)
def test_an_undeclared_encoding_is_detected(text: str, encoding: str) -> None:
    assert extract((text * 3).encode(encoding), "a.txt").text == text * 3


def test_utf8_with_a_broken_byte_stays_utf8() -> None:
    data = ("Größe " * 20).encode() + b"\xc3 end"
    assert extract(data, "a.txt").text == "Größe " * 20 + "\ufffd end"


def test_bytes_that_fit_their_sample_but_not_to_the_end_are_an_error() -> None:
    data = ("すべての人間は、自由であり\n" * 3000).encode("cp932") + b"\x81"
    with pytest.raises(DocumentError, match="save it as UTF-8") as caught:
        extract(data, "a.txt")
    assert caught.value.code == "decode_error"


@together(
    "charset", ["iso-8859-1", "windows-1252", "iso-8859-15", "koi8-r", "windows-1251", "us-ascii", "gbk", "shift_jis"]
)
def test_a_wrong_declaration_of_utf8_is_ignored(charset: str) -> None:
    for words in ("Grüße", "für", "Привет, мир", "知识库是一个可搜索的集合"):
        if len(words) < 9 and charset in {"gbk", "shift_jis"}:
            continue  # two signs of these may be one of UTF-8 by chance
        for name, page in (
            ("a.html", f'<meta charset="{charset}"><p>{words}</p>'),
            ("b.html", f'<meta http-equiv="Content-Type" content="text/html; charset={charset}"><p>{words}</p>'),
            ("a.xml", f'<?xml version="1.0" encoding="{charset}"?><a>{words}</a>'),
        ):
            assert words in extract(page.encode(), name).text


@together(("text", "encoding"), [("联通 网络", "gbk"), ("Ça va, été", "cp1252"), ("Привет", "koi8-r")])
def test_a_right_declaration_is_believed(text: str, encoding: str) -> None:
    assert text in extract(f'<meta charset="{encoding}"><p>{text}</p>'.encode(encoding), "a.html").text


@together(
    ("data", "text"),
    [
        ("Die Straße".encode() + b"\xff Ende.", "Die Straße\ufffd Ende."),
        ("Die Straße schö".encode()[:-1], "Die Straße sch\ufffd"),
        (b"one\0two\0three four five six seven", "onetwothree four five six seven"),
        (b"one two\0 three \0four five", "one two three four five"),
        ("Grüße\0 aus Köln\0 und überall".encode(), "Grüße aus Köln und überall"),
    ],
)
def test_short_texts_with_damage_are_utf8(data: bytes, text: str) -> None:
    assert extract(data, "a.txt").text == text
