"""Mailboxes, cards, calendars, flat OpenDocument; titles and properties of texts; pictures that stand as letters."""

from base64 import b64encode
from hashlib import sha512
from itertools import product

import pytest

from phaseflow.components.extraction import extract
from phaseflow.components.extraction.blobs import without_blobs
from phaseflow.components.extraction.front_matter import front_matter
from phaseflow.components.extraction.markdown_headings import first_heading
from phaseflow.components.extraction.registry import needs_worker
from phaseflow.domain.errors import DocumentError
from tests.components.binary_fixtures import ODF, docx, epub, odt, package, paragraph
from tests.matrices import together
from tests.stopwatch import Stopwatch

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3
PICTURE = b64encode(PNG).decode()
MAIL = "From a@b Mon Mar 11 09:00:00 2024\nFrom: Ann <a@b>\nSubject: {}\n\n{}\n\n"


class TestMailbox:
    def test_every_mail_is_read_and_is_a_part(self) -> None:
        mails = MAIL.format("=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "One\n>From here on") + MAIL.format("Two", "Body From it")
        found = extract(mails.encode(), "a.mbox")
        assert found.text == (
            "From: Ann <a@b>\nSubject: Grüße\n\nOne\nFrom here on\n\nFrom: Ann <a@b>\nSubject: Two\n\nBody From it"
        )
        assert [label for _, label in found.parts] == ["Grüße", "Two"]

    def test_a_paragraph_that_begins_with_from_begins_no_mail(self) -> None:
        mails = MAIL.format("One", "first\n\nFrom here on: all\nlast") + MAIL.format("Two", "x")
        found = extract(mails.encode(), "a.mbox")
        assert "From here on: all\nlast" in found.text
        assert [label for _, label in found.parts] == ["One", "Two"]

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_a_mail_ends_where_its_length_says(self, end: str) -> None:
        body = "One\n\nFrom c@d Tue Mar 12 09:00:00 2024\nSubject: quoted\n\n>From here\n".replace("\n", end)
        head = MAIL.partition("\n\n")[0].format("First") + f"\nContent-Length: {len(body)}\n\n"
        mails = head.replace("\n", end) + body + end + MAIL.format("Second", "x").replace("\n", end)
        found = extract(mails.encode(), "a.mbox")
        assert [label for _, label in found.parts] == ["First", "Second"]
        assert found.text.count("\n>From here\n") == 1

    @together("length", ["3", "999999999999", "-1", "x", "12345678901234567890"])
    def test_a_length_that_leads_to_no_mail_is_passed_over(self, length: str) -> None:
        head, _, body = MAIL.partition("\n\n")
        one = head.format("First") + f"\nContent-Length: {length}\n\n" + body.format("some words")
        found = extract((one + MAIL.format("Second", "x")).encode(), "a.mbox")
        assert [label for _, label in found.parts] == ["First", "Second"]
        assert "some words" in found.text

    def test_encrypted_mails_are_counted(self) -> None:
        locked = "From a@b x\nContent-Type: multipart/encrypted\n\nx\n\n"
        assert extract((locked + MAIL.format("A", "b")).encode(), "a.mbox").metadata == {"unread_messages": 1}
        with pytest.raises(DocumentError) as caught:
            extract(locked.encode(), "a.mbox")
        assert caught.value.code == "encrypted"

    def test_what_is_no_mailbox_is_malformed(self) -> None:
        with pytest.raises(DocumentError) as caught:
            extract(b"just text", "a.mbox")
        assert caught.value.code == "malformed"


@pytest.mark.parametrize(
    ("data", "read_as"),
    [
        (MAIL.format("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "x"), "application/mbox"),
        ("Return-Path: <a@b>\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\nx\n", "message/rfc822"),
        ("Received: from a by b\n\twith c\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\nx\n", "message/rfc822"),
        ("BEGIN:VCARD\nFN:Gr\n üße\nEND:VCARD\n", "text/vcard"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Gr\n üße\nEND:VEVENT\nEND:VCALENDAR\n", "text/calendar"),
    ],
)
@pytest.mark.parametrize("name", ["Inbox", "1700000000.M1P2.host:2,S"])
def test_mails_and_cards_without_an_extension_are_known_by_how_they_begin(data: str, read_as: str, name: str) -> None:
    found = extract(data.encode(), name)
    assert found.read_as == read_as
    assert "Grüße" in found.text
    assert needs_worker(data.encode(), name)


@together("text", ["From 10:30 on\nwe eat.", "Received: 3 boxes\nSent: 2", "From here to 12:30:\n\nNote: x"])
def test_a_text_that_begins_like_a_mail_is_a_text(text: str) -> None:
    assert extract(text.encode(), "note").text == text


def test_a_card_says_what_a_reader_would_see() -> None:
    card = (
        "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Müller;Ann;;Dr.;\r\nFN:Dr. Ann Müller\r\nORG:Acme\\, Inc.;Sales\r\n"
        "TEL;TYPE=WORK,VOICE:+49 30 1\r\nitem1.EMAIL:ann@acme.example\r\nADR;TYPE=home:;;Weg 1;Bonn;;53111;DE\r\n"
        f"PHOTO;ENCODING=b;TYPE=PNG:{PICTURE[:60]}\r\n {PICTURE[60:120]}\r\nPHOTO:data:image/png;base64,{PICTURE}\r\n"
        "NOTE:one\\ntwo thr\r\n ee\r\nBDAY:19700131\r\nEND:VCARD\r\n"
    )
    assert extract(card.encode(), "a.vcf").text == (
        "Dr. Ann Müller\nOrganisation: Acme, Inc., Sales\nPhone (work): +49 30 1\nEmail: ann@acme.example\n"
        "Address (home): Weg 1, Bonn, 53111, DE\nNote: one\ntwo three\nBirthday: 1970-01-31"
    )


def test_an_old_card_is_decoded() -> None:
    name = "N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BC=\nller;Ann"
    card = f"BEGIN:VCARD\nVERSION:2.1\n{name}\nTEL;HOME:1\nEND:VCARD\n"
    assert extract(card.encode(), "a.vcf").text == "Ann Müller\nPhone (home): 1"


def test_a_line_of_an_old_card_may_have_several_types_and_an_encoding_among_them() -> None:
    lines = (
        "TEL;WORK;VOICE:1\nTEL;TYPE=VOICE;TYPE=HOME:2\nLABEL;QUOTED-PRINTABLE;WORK:Weg 1=0D=0ABonn\nNOTE;BASE64;X:QUJD"
    )
    shown = "Ann\nPhone (work): 1\nPhone (home): 2\nAddress (work): Weg 1\nBonn"
    assert extract(f"BEGIN:VCARD\nFN:Ann\n{lines}\nEND:VCARD\n".encode(), "a.vcf").text == shown


@together(
    ("end", "shown"),
    [("20240502", "2024-05-01"), ("20240301", "2024-02-29"), ("20241301", "2024-13-01"), ("00010101", "0001-01-01")],
)
def test_the_last_day_of_an_event_of_whole_days_is_the_one_before_its_end(end: str, shown: str) -> None:
    event = f"BEGIN:VEVENT\nSUMMARY:Fair\nDTSTART;VALUE=DATE:20240229\nDTEND;VALUE=DATE:{end}\nEND:VEVENT"
    text = extract(f"BEGIN:VCALENDAR\n{event}\nEND:VCALENDAR\n".encode(), "a.ics").text
    assert text == f"Fair\nBegins: 2024-02-29\nEnds: {shown}"


def test_lines_that_are_broken_within_a_letter_are_joined() -> None:
    card = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:M\xc3\r\n \xbcller\r\nNOTE:x\xc3\n\t\xa9y\r\nEND:VCARD\r\n"
    assert extract(card, "a.vcf").text == "Müller\nNote: xéy"


def test_a_calendar_says_its_events_without_alarms_and_zones() -> None:
    event = (
        "BEGIN:VEVENT\nSUMMARY:Fair\\, day 1\nDTSTART;TZID=Europe/Berlin:20240311T090000\nDTEND:20240311T100000Z\n"
        'LOCATION:Hall 3\nATTENDEE;CN="Ann, B":mailto:ann@b.example\nDESCRIPTION:Bring\\na coat\n'
        "BEGIN:VALARM\nDESCRIPTION:no\nEND:VALARM\nEND:VEVENT\n"
    )
    zone = "BEGIN:VTIMEZONE\nTZID:Europe/Berlin\nCOMMENT:no\nEND:VTIMEZONE\n"
    found = extract(f"BEGIN:VCALENDAR\nX-WR-CALNAME:Fairs\n{zone}{event}END:VCALENDAR\n".encode(), "a.ics")
    assert found.text == (
        "Fair, day 1\nBegins: 2024-03-11 09:00 (Europe/Berlin)\nEnds: 2024-03-11 10:00 UTC\nLocation: Hall 3\n"
        "Attendee: Ann, B <ann@b.example>\nDescription: Bring\na coat"
    )
    assert (found.title, found.parts) == ("Fairs", ((0, "Fair, day 1"),))


@together("name", ["a.vcf", "a.ics", "a.fodt"])
def test_what_is_none_of_them_is_malformed(name: str) -> None:
    with pytest.raises(DocumentError) as caught:
        extract(b"just text", name)
    assert caught.value.code == "malformed"


def test_a_flat_opendocument_is_read_without_its_pictures() -> None:
    names = " ".join(f'xmlns:{name}="{ODF}{name}:1.0"' for name in ("office", "text", "draw", "meta"))
    meta = (
        '<office:meta><dc:title xmlns:dc="d">T</dc:title><meta:initial-creator>Ann</meta:initial-creator></office:meta>'
    )
    picture = f"<draw:frame><draw:image><office:binary-data>{PICTURE}</office:binary-data></draw:image></draw:frame>"
    body = f'<text:h text:outline-level="1">Head</text:h><text:p>text{picture}</text:p>'
    found = extract(
        f"<office:document {names}>{meta}<office:body>{body}</office:body></office:document>".encode(), "a.fodt"
    )
    assert (found.text, found.title, found.metadata) == ("# Head\n\ntext", "T", {"author": "Ann"})


@together(
    ("name", "source", "title", "labels"),
    [
        ("a.adoc", "// c\n= A *Guide* =\nAnn B <a@b>\n:toc:\n\n== One\n\n----\n== no\n----\n", "A *Guide*", ["One"]),
        ("a.adoc", ":lang: en\n\n= Guide\n\n== One\n", "Guide", ["One"]),
        ("a.adoc", "Guide\n=====\n\ntext", "Guide", []),
        ("a.adoc", "text\n\n== One\n", "One", ["One"]),
        ("a.adoc", "////\n= no\n////\n[[a]]\nifdef::b[]\n= T {c}\n:c: D\n\n== One {c}\n", "T D", ["One D"]),
        ("a.adoc", "T\n==\n\nOne\n---\n\nx\n\ntext\n--------\n== no\n--------\n\nTwo\n~~~\n", "T", ["One", "Two"]),
        ("a.org", "#+TITLE: G\n* TODO [#A] One :tag:\n#+BEGIN_SRC sh\n* no\n#+END_SRC\n** Two\n", "G", ["One", "Two"]),
        ("a.org", "* One\n", "One", ["One"]),
        ("a.tex", "% \\title{no}\n\\title[s]{\\LaTeX{} {\\bf p}aper\\\\ caf\\'e {\\\"o}}", "LaTeX paper café ö", []),
        ("a.tex", "\\section*{On 50\\% \\emph{more}}\n%\\section{no}\n", "On 50% more", ["On 50% more"]),
        ("a.tex", "\\newcommand{\\us}{Phase\\-flow}\n\\section{The \\us{} way}\n\\section{\\us}", "The Phaseflow way",
         ["The Phaseflow way", "Phaseflow"]),
        ("a.tex", "\\section{Of \\texorpdfstring{$\\mathcal{O}(n)$}{O(n)} and shelf\\/ful}", "Of O(n) and shelfful",
         ["Of O(n) and shelfful"]),
        ("a.adoc", "= T =\n\n== One ==\n\n=== a == b ===  \n\n== C= ===\n", "T", ["One", "a == b", "C= ==="]),
        ("a.org", "* TODO [[https://a.example/x][The link]] and [[file:b.org]]\n", "The link and file:b.org",
         ["The link and file:b.org"]),
        ("a.tex", "\\newcommand{\\my}{\\O re\\ss e}\n\\title{\\my{} \\ae}", "Øreße æ", []),
        ("a.tex", "\\begin{verbatim}\n\\section{no}\n\\end{verbatim}\\iffalse\\section{no}\\fi\n\\section{One}"
         "\\end{document}\\section{no}", "One", ["One"]),
        ("a.tex", "text", "a.tex", []),
    ],
)  # fmt: skip
def test_markup_has_titles_and_sections(name: str, source: str, title: str, labels: list[str]) -> None:
    found = extract(source.encode(), name)
    assert (found.text, found.title, [label for _, label in found.parts]) == (source, title, labels)


@together(
    ("source", "title"),
    [
        ("#", None), ("#x", None), ("# a #", "a"), ("# a#", "a#"), ("# a \\#", "a #"), ("    # a", None),
        ("\t# a", None),
        ("####### a", None), ("   ## a", "a"), ("a\nb\n---", "a b"), ("  a\n  ===", "a"), ("a\n\n---", None),
        ("***\n---", None), ("> # a", "a"), ("- # a", "a"), ("> a\nb\n===", None), ("- a\n---", None),
        ("```\n# a\n```", None),
        ("~~~\n# a\n```\n~~~\n# b", "b"), ("<div>\n# a\n</div>\n\n# b", "b"), ("<!-- \n# a\n-->\n# b", "b"),
        ("[a]: /b\n===", "==="), ("# [a](b) *c* `d`", "a c d"), ("# [![a](b)](c)", "a"),
        ("a\n    # b", None), ("1) a\n   ===", "a"),
    ],
)  # fmt: skip
def test_headings_are_those_of_commonmark(source: str, title: str | None) -> None:
    assert first_heading(source) == (title if title != "===" else None)


@together("source", ["# " + "_a " * 7000, "> " * 10_000, "- a\n" * 5000, "a\n" * 10_000, "# " + "[a" * 9000])
def test_no_text_takes_long_to_look_for_a_heading(source: str) -> None:
    from time import process_time

    watch = Stopwatch(process_time)
    first_heading(source)
    assert watch.within(1)


def test_front_matter_is_metadata() -> None:
    yaml = (
        "title: 'It''s: so'\ntags: [a, \"b, c\"]\nAuthor: Ann # x\ndate: 2024-01-31\ndraft: true\nweight: 2.5\n"
        "nested:\n  x: 1\nlist:\n- one\n- two\nlong: >\n  one\n  two\nempty:\nsize: 3\n"
    )
    assert front_matter(yaml) == {
        "title": "It's: so", "tags": ["a", "b, c"], "author": "Ann", "date": "2024-01-31", "draft": True, "weight": 2.5,
        "list": ["one", "two"], "long": "one two",
    }  # fmt: skip
    toml = 'title = "T"\ndate = 2024-01-31\ntags = ["a"]\n[nested]\nx = 1\n'
    assert front_matter(toml, is_toml=True) == {"title": "T", "date": "2024-01-31", "tags": ["a"]}
    assert front_matter("= broken", is_toml=True) == {}


def test_properties_of_documents_are_metadata() -> None:
    core = '<c xmlns:dc="d" xmlns:t="t"><dc:creator>Ann</dc:creator><t:created>2024-01-31T00:00:00Z</t:created></c>'
    word = docx(paragraph("x"))
    assert extract(word, "a.docx").metadata == {}
    members = {"word/document.xml": "<d><p/></d>", "docProps/core.xml": core}
    assert extract(package(members), "a.docx").metadata == {"author": "Ann", "created": "2024-01-31T00:00:00Z"}
    meta = '<m xmlns:dc="d"><dc:language>de</dc:language><keyword>one</keyword></m>'
    assert extract(odt("", **{"meta.xml": meta}), "a.odt").metadata == {"language": "de", "tags": ["one"]}
    date = '<meta property="article:published_time" content="2024-01-31">'
    page = f"<html lang=de><head><meta name=author content=Ann>{date}"
    assert extract(page.encode(), "a.html").metadata == {"language": "de", "author": "Ann", "created": "2024-01-31"}
    assert extract(epub({"c": "<p>x</p>"}), "a.epub").metadata == {}


@together(
    ("name", "scheme"),
    product(
        ["a.md", "a.rst", "a.adoc", "a.svg", "a.css", "a.txt", "a.json"],
        ["data:image/png;base64,", "data:font/woff2;charset=utf-8;base64,"],
    ),
)
def test_pictures_that_stand_as_letters_are_no_text(name: str, scheme: str) -> None:
    text = extract(f"before ![word]({scheme}{PICTURE}) after".encode(), name).text
    assert text == f"before ![word]({scheme.removesuffix(';base64,')}) after"


def test_only_a_sender_and_a_date_begin_a_mail() -> None:
    lines = (
        "From the start it was so:\nResult: BETA", "From then on:\nNote: DELTA", "From a@b came GAMMA",
        "From 10:00 to 12:00 on 5 March 2024 the office is closed", "From Monday 10:00 2024 onwards",
        "From 1 Jan 2024 10:00 all is new", "From here on we go Mon to Fri 10:00:00 2024 text.",
        "From Berlin Mon Jan  1 10:00 2024 we drive",
    )  # fmt: skip
    said = "\n\n".join(lines)
    dates = (
        "Thu Jan  1 00:00:00 2024",
        "Mon Mar 11 09:00 2024",
        "Mon Mar 11 09:00:00 +0100 2024",
        "Mon, 11 Mar 2024 09:00:00",
        "Mon Mar 11 09:00:00 2024 +0100",
        "Mon Mar 11 09:00:00 CET 2024 remote from host",
        "2024-03-11 09:00:00",
    )
    mails = "".join(f"From MAILER DAEMON {date}\nSubject: S\n\n{said}\n\n" for date in dates)
    text = extract(mails.encode(), "a.mbox").text
    assert text.count("Subject: S") == text.count(said) == len(dates)


def test_blocks_of_base64_are_no_text_and_words_are() -> None:
    rows = "\n".join(PICTURE[place : place + 76] for place in range(0, len(PICTURE), 76))
    assert without_blobs(f"a\n\n{rows}\n\nb") == "a\n\n\n\nb"
    assert without_blobs(f"a {PICTURE} b") == "a  b"
    assert without_blobs(f'"{rows}"').count("\n") < 3
    for words in ("ACGT" * 200, "a" * 1000, "/usr/lib/x" * 100, "9" * 500, "=" * 400, "0123456789abcdef" * 40):
        assert without_blobs(words) == words


@pytest.mark.parametrize("name", ["a.txt", "a.md"])
def test_a_document_of_nothing_but_base64_is_told(name: str) -> None:
    rows = "\n".join(PICTURE[place : place + 76] for place in range(0, len(PICTURE), 76))
    with pytest.raises(DocumentError, match="holds only a file that stands as letters") as caught:
        extract(rows.encode(), name)
    assert caught.value.code == "nothing_found"


HASHES = [sha512(bytes([number])).digest() for number in range(200)]
IDENTIFIERS = {
    "sha256": "\n".join(each[:32].hex() for each in HASHES),
    "sha256, the last shorter": "\n".join([*(each[:32].hex() for each in HASHES), "0" * 40]),
    "sha512": ", ".join(each.hex() for each in HASHES),
    "tokens of 48 bytes": "\n".join(b64encode(each[:48]).decode() for each in HASHES),
    "a key": f"ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB{b64encode(b''.join(HASHES[:8])).decode()} me@host",
    "a token in an address": f"https://example.org/login?request={b64encode(b''.join(HASHES[:20])).decode()}&x=1",
}


@together(
    ("kind", "wrapped"),
    product(IDENTIFIERS, ["a.txt {}\n", "a.csv name\n{}\n", "a.md # Blocked\n\n{}\n", "a.html <pre>{}</pre>"]),
)
def test_identifiers_are_no_files_however_many_there_are(kind: str, wrapped: str) -> None:
    name, _, wrapped = wrapped.partition(" ")
    found = extract(wrapped.format(IDENTIFIERS[kind].replace("&", "&amp;")).encode(), name)
    words = [word for line in IDENTIFIERS[kind].split("\n") for word in line.split(", ")]
    assert [
        word for word in words if word.replace("&", "") not in found.text.replace("&amp;", "").replace("&", "")
    ] == []
    assert "left_out_characters" not in found.metadata


def test_what_is_left_out_is_told() -> None:
    noise = b"".join(HASHES)
    mime = b64encode(noise).decode()
    rows = [mime[place : place + 76] for place in range(0, len(mime), 76)]
    pem = [mime[:1000][place : place + 64] for place in range(0, 1000, 64)]
    for blob in ("\n".join(rows), "\n".join(pem), mime, noise.hex(), PICTURE):
        found = extract(f"first\n\n{blob}\n\nlast\n".encode(), "a.md")
        assert "last" in found.text
        assert found.metadata["left_out_characters"] == len(f"first\n\n{blob}\n\nlast\n") - len(found.text)
        assert len(found.text) < 20


@together(
    ("name", "wrapped"),
    [
        ("a.txt", "first\n{}\nlast"),
        ("a.py", 'first = "{}"\nlast = 1\n'),
        ("a.csv", "first,picture\nlast,{}\n"),
        ("a.json", '{{"first": 1, "picture": "{}", "last": 2}}'),
        ("a.html", "<p>first</p><pre>{}</pre><p>last</p>"),
        ("a.eml", "Subject: first\n\n{}\n\nlast\n"),
        ("a.rtf", r"{{\rtf1 first\par {}\par last}}"),
    ],
)
def test_blocks_of_base64_and_hex_are_no_text_in_any_format(name: str, wrapped: str) -> None:
    rows = [PICTURE[place : place + 64] for place in range(0, len(PICTURE), 64)]
    blobs = [PICTURE, PNG.hex(), PICTURE.translate(str.maketrans("+/", "-_"))]
    blobs += {"a.txt": ["\n".join(rows)], "a.html": ["\n".join(rows)], "a.json": ["\\n".join(rows)]}.get(name, [])
    for blob in blobs:
        text = extract(wrapped.format(blob).encode(), name).text
        assert "last" in text
        assert len(text) < 300, text


def test_uuencoded_files_are_no_text() -> None:
    file = "begin 644 a.bin\n" + ("M" + "A1B2" * 15 + "\n") * 9 + "`\nend\n"
    assert extract(f"before\n{file}after".encode(), "a.txt").text == "before\nbegin 644 a.bin\n\nafter"
    words = "begin 644 things\none\ntwo\nTHREE\nend\n"
    assert extract(words.encode(), "a.txt").text == words


def test_parts_stand_where_they_begin_when_a_block_before_them_is_left_out() -> None:
    top, following = (paragraph(words, '<w:outlineLvl w:val="0"/>') for words in ("Top", "Next"))
    body = paragraph(PICTURE) + top + paragraph(PICTURE) + following + paragraph("last")
    found = extract(docx(body), "a.docx")
    assert PICTURE not in found.text
    assert [(found.text[begin:].partition("\n")[0], label) for begin, label in found.parts] == [
        ("# Top", "Top"),
        ("# Next", "Next"),
    ]
    assert found.text.endswith("last")


def test_percent_encoded_drawings_are_no_text() -> None:
    drawing = "%3Csvg xmlns=%22x%22%3E".replace(" ", "%20") + "%3Cpath%20d=%22M0%200%22/%3E" * 9
    assert extract(f"![w](data:image/svg+xml,{drawing}) b".encode(), "a.md").text == "![w](data:image/svg+xml) b"
