"""Texts that do not say which encoding they are in."""

from itertools import product

import pytest

from phaseflow.components.extraction import extract
from phaseflow.domain.errors import DocumentError
from tests.matrices import together

RUSSIAN = "Все люди рождаются свободными и равными в своем достоинстве и правах."
UKRAINIAN = "Всі люди народжуються вільними і рівними у своїй гідності та правах."
BULGARIAN = "Всички хора се раждат свободни и равни по достойнство и права."
CZECH = "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv."
HUNGARIAN = "Minden emberi lény szabadon születik és egyenlő méltósága van."
POLISH = "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności."
CROATIAN = "Sva ljudska bića rađaju se slobodna i jednaka u dostojanstvu."
HEBREW = "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם."
ARABIC = "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق."
GERMAN = "Über die schöne Größe der Häuser läßt sich streiten."


@together(
    "text",
    [
        "The ticket costs £5 and it is cold.",
        "t,unit\n21,°C\n22,µm\n",
        "p\n£12.50\n",
        "°\n5\n",
        "10 ± 2",
        "½ cup of sugar",
        "© 2020 Example Ltd.",
        "It costs €5 or £4",
        "See pages 5–7 – it’s “final”…",
        "a naïve idea",
        "id,name\n1,Zoë\n",
        "<p>Price: £5</p>",
        "BMW fährt nach München",
    ],
)
def test_a_sign_or_two_in_a_text_of_ascii_are_western(text: str) -> None:
    assert extract(text.encode("cp1252"), "a.csv").text == text


@together(
    ("text", "encodings"),
    [
        (RUSSIAN, "cp1251 koi8-r iso8859-5 cp866 mac-cyrillic"),
        (UKRAINIAN, "cp1251 koi8-u"),
        (BULGARIAN, "cp1251 iso8859-5"),
        (CZECH, "cp1250 iso8859-2 cp852"),
        (HUNGARIAN, "cp1250 iso8859-2 cp852"),
        (POLISH, "cp1250 iso8859-2 cp852"),
        (CROATIAN, "cp1250 iso8859-2"),
        (HEBREW, "cp1255 iso8859-8"),
        (ARABIC, "cp1256 iso8859-6"),
        (GERMAN, "cp1252 cp850 mac-roman"),
        ("Les élèves à l'œuvre paient 5 €.", "cp1252 iso8859-15"),
        ("Pay 5 € now", "cp1252 iso8859-15"),
        ("Visi žmonės gimsta laisvi ir lygūs savo orumu ir teisėmis.", "cp1257 iso8859-13"),
        ("Visi cilvēki piedzimst brīvi un vienlīdzīgi savā pašcieņā.", "cp1257 iso8859-13"),
        ("Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι.", "cp1253 iso8859-7"),
        ("Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.", "cp1254"),
        ("มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน", "tis-620"),
        ("╔════════╗\n║ README ║\n╚════════╝\n", "cp437"),
    ],
)
def test_a_sentence_is_known_in_each_encoding_of_its_language(text: str, encodings: str) -> None:
    for encoding in encodings.split():
        assert extract(text.encode(encoding), "a.txt").text == text, encoding


@together(
    ("rows", "encoding"),
    [
        ("имя;город\nИван;Москва\nОльга;Киев\n", "koi8-r"),
        ("имя;город\nИван;Москва\nОльга;Киев\n", "cp1251"),
        ("姓名,城市\n王小明,台北市\n陳大文,高雄市\n", "big5"),
        ("姓名,城市\n王小明,北京市\n陈大文,上海市\n", "gb18030"),
        ("性别\n男\n女\n男\n", "gb18030"),
        ("ID,名称,価格\n1,りんご,100\n", "cp932"),
        ("이름,도시\n김철수,서울\n", "cp949"),
        ("Name;Straße\nMüller;Hauptstraße 5\n", "cp1252"),
        ("nom;prénom\nLefèvre;Amélie\n", "cp1252"),
        ("שם,עיר\nדוד,ירושלים\n", "cp1255"),
        ("imię;miasto\nŁukasz;Kraków\n", "cp1250"),
    ],
)
def test_two_rows_of_a_table_are_enough(rows: str, encoding: str) -> None:
    assert extract(rows.encode(encoding), "a.csv").text == rows


@together("encoding", ["hz", "iso2022_kr", "iso2022_jp"])
def test_seven_bit_encodings_are_known(encoding: str) -> None:
    text = {"hz": "今天天气很好", "iso2022_kr": "안녕하세요", "iso2022_jp": "すべての人間"}[encoding]
    assert extract(text.encode(encoding), "a.txt").text == text


@together("data", [b"a ~{ b ~{", b"\x1b$ costs $5", b"\x1b[31mred\x1b[0m"])
def test_what_only_looks_like_a_seven_bit_encoding_stays_as_it_is(data: bytes) -> None:
    assert extract(data, "a.txt").text == data.decode()


@together(("text", "encoding"), product(["สวัสดี", "โทรศัพท์ 02-123-4567", "ชื่อ: สมชาย ใจดี", "น้ำดื่ม"], ["tis-620", "cp874"]))
def test_a_word_of_thai_is_not_taken_for_chinese(text: str, encoding: str) -> None:
    assert extract(text.encode(encoding), "a.txt").text == text


@together("text", ["你好", "价格 250 元", "中华人民共和国", "在尊严和权利上一律平等"])
def test_a_word_of_chinese_is_not_taken_for_thai(text: str) -> None:
    assert extract(text.encode("gbk"), "a.txt").text == text


def test_a_sign_far_behind_counts_like_one_at_the_start() -> None:
    text = "plain text and so on\n" * 10_000 + "It costs £5.\n"
    assert extract(text.encode("cp1252"), "a.txt").text == text


@together(("ascii_lines", "encoding"), product([10, 1000, 10_000], ["cp1251", "koi8-r", "cp866"]))
def test_a_few_words_are_not_lost_in_a_long_source_of_ascii(encoding: str, ascii_lines: int) -> None:
    text = "x = compute(y)\n" * ascii_lines + "# Привет, как дела?\n" + "x = compute(y)\n" * ascii_lines
    assert extract(text.encode(encoding), "a.py").text == text


@pytest.mark.parametrize("data", [bytes(range(128, 256)) * 40, bytes(range(1, 256))])
def test_bytes_without_sense_are_no_text(data: bytes) -> None:
    with pytest.raises(DocumentError) as caught:
        extract(data, "a.txt")
    assert caught.value.code == "unsupported_format"
