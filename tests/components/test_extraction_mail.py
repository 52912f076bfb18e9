"""E-mail: which of its parts are text, how its headers read, and that neither takes longer than it should."""

import anyio
import anyio.to_thread
import pytest

from phaseflow.components.extraction import Extracted, extract
from phaseflow.domain.errors import DocumentError
from tests.matrices import first_of_each, together
from tests.stopwatch import fail_soon

PLAIN = "Content-Type: text/plain\n\nplain"
HTML = "Content-Type: text/html\n\n<p>page"
FILE = "Content-Type: application/pdf\nContent-Disposition: attachment; filename=x.pdf\n\nzz"
FOOTER = "Content-Type: text/plain\n\nfooter"
FORWARDED = "Content-Type: message/rfc822\n\nSubject: Inner\n\nforwarded"


def read(mail: str | bytes, name: str = "a.eml") -> Extracted:
    return extract(mail.encode() if isinstance(mail, str) else mail, name)


def refusal(mail: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        read(mail)
    return caught.value


def multipart(kind: str, *parts: str) -> str:
    """A part of parts; each depth has a boundary of its own."""
    boundary = f"b{sum(part.count('boundary') for part in parts)}"
    body = "".join(f"--{boundary}\n{part}\n" for part in parts)
    return f"Content-Type: multipart/{kind}; boundary={boundary}\n\n{body}--{boundary}--\n"


def body(mail: str) -> list[str]:
    """The paragraphs below the headers."""
    return read(f"Subject: S\nMIME-Version: 1.0\n{mail}").text.split("\n\n")[1:]


class TestParts:
    def test_headers_and_plain_body_are_the_text(self) -> None:
        mail = "From: a@b.c\nTo: d@e.f\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nX-Spam: no\n\nHello\n"
        text = "From: a@b.c\nTo: d@e.f\nSubject: Grüße\n\nHello"
        assert read(mail) == Extracted(text, "Grüße", "text/plain", read_as="message/rfc822")

    def test_an_html_body_is_read_and_attachments_are_named(self) -> None:
        assert body(multipart("mixed", HTML, FILE)) == ["page", "Attachments: x.pdf"]

    @together(
        ("mail", "expected"),
        [
            (multipart("mixed", HTML, FOOTER), ["page", "footer"]),
            (multipart("mixed", multipart("alternative", PLAIN, HTML), FOOTER), ["plain", "footer"]),
            (multipart("mixed", PLAIN, FILE, FOOTER), ["plain", "footer", "Attachments: x.pdf"]),
            (
                multipart("signed", multipart("mixed", PLAIN, FILE, FORWARDED)),
                ["plain", "Subject: Inner", "forwarded", "Attachments: x.pdf"],
            ),
            (multipart("mixed", PLAIN, FORWARDED, FOOTER), ["plain", "Subject: Inner", "forwarded", "footer"]),
            (
                multipart("mixed", PLAIN, multipart("digest", "\nSubject: One\n\n1", "\nSubject: Two\n\n2")),
                ["plain", "Subject: One", "1", "Subject: Two", "2"],
            ),
        ],
    )
    def test_every_part_comes_in_its_order(self, mail: str, expected: list[str]) -> None:
        assert body(mail) == expected

    @together(
        ("alternatives", "expected"),
        [
            ((PLAIN, HTML), ["plain"]),
            ((HTML, PLAIN), ["plain"]),
            (("Content-Type: text/plain\n\n ", HTML), ["page"]),
            (("Content-Type: text/x\n\nodd", HTML), ["page"]),
            (("Content-Type: text/x\n\nfirst", "Content-Type: text/x\n\nlast"), ["last"]),
            ((PLAIN, multipart("mixed", HTML, FILE, FOOTER)), ["plain", "Attachments: x.pdf"]),
            ((PLAIN, multipart("mixed", HTML, FORWARDED)), ["plain", "Subject: Inner", "forwarded"]),
            ((multipart("related", HTML, FILE), FILE), ["page", "Attachments: x.pdf, x.pdf"]),
        ],
    )
    def test_of_alternatives_one_is_shown_and_nothing_attached_is_lost(
        self, alternatives: tuple[str, ...], expected: list[str]
    ) -> None:
        assert body(multipart("alternative", *alternatives)) == expected

    def test_an_alternative_that_is_not_shown_may_be_beyond_reading(self) -> None:
        monster = "Content-Type: text/html\n\n" + "<i>" * 100_000
        assert body(multipart("alternative", PLAIN, monster)) == ["plain"]

    @together("kind", ["text/calendar", "text/x-patch", "multipart/mixed", "multipart/mixed; boundary=z"])
    def test_a_mail_of_another_kind_of_text_is_that_text(self, kind: str) -> None:
        assert body(f"Content-Type: {kind}\n\nSUMMARY:Meeting") == ["SUMMARY:Meeting"]

    def test_a_text_with_a_file_name_is_a_file_unless_it_is_the_letter(self) -> None:
        named = "Content-Type: text/plain; name={}.txt\n\n{}"
        mail = multipart("mixed", named.format("a", "letter"), named.format("b", "file"))
        assert body(mail) == ["letter", "Attachments: b.txt"]

    def test_a_mail_that_is_one_attachment_names_it(self) -> None:
        assert body(FILE) == ["Attachments: x.pdf"]

    @pytest.mark.parametrize(
        "kind", ["multipart/encrypted; boundary=b", "application/pkcs7-mime; smime-type=enveloped-data"]
    )
    def test_an_encrypted_mail_says_so(self, kind: str) -> None:
        encrypted = f"Content-Type: {kind}\n\nx"
        assert refusal(f"Subject: S\n{encrypted}").code == "encrypted"
        assert refusal(multipart("mixed", encrypted, FOOTER)).code == "encrypted"

    def test_what_is_encrypted_and_attached_to_a_letter_is_a_file(self) -> None:
        encrypted = "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n\nx"
        assert body(multipart("mixed", PLAIN, encrypted)) == ["plain", "Attachments: smime.p7m"]

    @pytest.mark.thorough
    def test_parts_nested_beyond_reason_are_refused(self) -> None:
        nested = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(3000))
        assert refusal(nested).code == "too_complex"

    def test_a_page_saved_as_a_web_archive_is_read_without_its_styles(self) -> None:
        page, style = "Content-Type: text/html\n\n<h1>x</h1>", "Content-Type: text/css\n\nh1 {}"
        assert read(f"Subject: S\n{multipart('related', style, page)}", "a.mht").text == "Subject: S\n\n# x"

    def test_the_root_of_related_parts_comes_first(self) -> None:
        root = multipart("related", FOOTER, "Content-ID: <r>\nContent-Type: text/html\n\n<p>root")
        assert body(root.replace("related;", 'related; start="<r>";')) == ["root", "footer"]


class TestHeaders:
    @together(
        ("header", "text"),
        [
            (b"=?utf-8?Q?Gr=C3?= =?UTF-8?Q?=B6=C3=9Fe?=", "Größe"),
            (b"=?iso-8859-1?q?Gr=F6=DFe?= =?utf-8?b?4oKs?= x", "Größe€ x"),
            (b"=?utf-8?b?R3LDtsOfZQ?=", "Größe"),
            (b"=?utf-8*de?q?Gr=C3=B6=C3=9Fe_1?=", "Größe 1"),
            (b"a =?odd?q?b?= =?utf-8?b?x?= =?utf-8?x?y?=", "a bx =?utf-8?x?y?="),
            (b"one\n two\n\tthree", "one two three"),
            (b"=?utf-8?q?one=0Atwo?=", "one two"),
            (b"=?utf-8?q?Gr=C3=B6=C3=9Fe_=FF_end?=", "Größe \ufffd end"),
            (b"=?iso-2022-jp?b?GyRCLSE+TxsoQg==?=", "①章"),
            ("Größe".encode(), "Größe"),
            ("Größe".encode("cp1252"), "Größe"),
            (b"a\x81", "a\x81"),
        ],
    )
    def test_encoded_words_and_raw_letters_are_read(self, header: bytes, text: str) -> None:
        found = read(b"Subject: " + header + b"\n\nx")
        assert (found.title, found.text) == (text, f"Subject: {text}\n\nx")

    def test_raw_letters_are_of_the_encoding_of_the_body(self) -> None:
        mail = "Subject: Новости\nContent-Type: text/plain; charset=koi8-r\n\nтекст"
        assert read(mail.encode("koi8-r")).text == "Subject: Новости\n\nтекст"

    @together(
        "parameter",
        ['filename="=?utf-8?b?R3LDtsOfZQ==?="', "filename*=utf-8''Gr%C3%B6%C3%9Fe", "filename*0=Grö; filename*1=ße"],
    )
    def test_names_of_files_are_read_in_every_encoding(self, parameter: str) -> None:
        assert body(f"Content-Disposition: attachment; {parameter}\n\nx") == ["Attachments: Größe"]

    @together("parameters", ["boundary*=b; boundary*0=b", "boundary*=a\0b''b", f"boundary*{'9' * 5000}=b", "boundary"])
    def test_parameters_that_make_no_sense_cost_no_text(self, parameters: str) -> None:
        assert body(f"Content-Type: multipart/mixed; {parameters}\n\n--b\n\ntext")[-1] == "text"

    @pytest.mark.parametrize(
        "mail",
        first_of_each(
            [
                "To: " + ", ".join(f"user{number}@example.org" for number in range(20_000)),
                "To: " + '"' * 100_001,
                "From: " + "." * 1_000_000,
                "Subject: " + "a " * 500_000,
                "Subject: " + "=?utf-8?q?a" * 100_000,
                "Subject: " + "=?utf-8?q?a?= " * 50_000,
                "Content-Type: text/plain; " + "a=b;" * 50_000,
                "Content-Disposition: attachment; " + "".join(f"filename*{number}=a;" for number in range(50_000)),
                multipart("mixed", *["\nhi"] * 20_000),
            ],
            lambda mail: mail[:14],
        ),
        ids=lambda mail: mail[:20],
    )
    async def test_many_or_long_ones_take_no_longer(self, mail: str) -> None:
        with fail_soon(5):
            await anyio.to_thread.run_sync(read, f"{mail}\n\nx", abandon_on_cancel=True)


FLOWED = "From: a\nContent-Type: text/plain; format=flowed{}\n\n"


@together(
    ("more", "text", "shown"),
    [
        ("", "one \nparagraph\n\nnext", "one paragraph\n\nnext"),
        ("", "> quoted \n> words\nanswer", "> quoted words\nanswer"),
        ("", "> quoted \n>> deeper", "> quoted \n>> deeper"),
        ("", "words \n-- \nname", "words \n-- \nname"),
        ("", " From here\n > no quote", "From here\n> no quote"),
        ("; delsp=yes", "see https://exa \nmple.org and  \nmore", "see https://example.org and more"),
        ("; DelSp=YES", "日本 \n語", "日本語"),
    ],
)
def test_lines_that_flow_are_whole_again(more: str, text: str, shown: str) -> None:
    assert read(FLOWED.format(more) + text).text == f"From: a\n\n{shown}"


@together(
    ("kind", "text", "shown"),
    [
        ("text/rtf", r"{\rtf1 hello {\b bold}}", "hello bold"),
        (
            "text/calendar; method=REQUEST",
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Tea\nEND:VEVENT\nEND:VCALENDAR",
            "Tea",
        ),
        ("text/vcard", "BEGIN:VCARD\nFN:Ann\nEND:VCARD", "Ann"),
        ("text/rtf", "no such text", "no such text"),
        ("text/enriched", "<bold>One</bold>\nline\n\n<param>Times</param>1 << 2", "One line\n1 < 2"),
    ],
)
def test_a_text_of_another_format_is_read_as_that(kind: str, text: str, shown: str) -> None:
    assert read(f"From: a\nContent-Type: {kind}\n\n{text}").text == f"From: a\n\n{shown}"


@together("kind", ["delivery-status", "disposition-notification", "feedback-report"])
def test_what_became_of_a_mail_is_told(kind: str) -> None:
    fields = "Final-Recipient: rfc822; bob@example.org\nStatus: 5.1.1"
    text = read(multipart("report", "\nNot delivered", f"Content-Type: message/{kind}\n\n{fields}")).text
    assert f"Not delivered\n\n{fields}" in text


@together("charset", [b"\xe9", b"utf-\xff8", b'"\xe9\x00"'])
def test_a_charset_that_is_none_costs_no_mail(charset: bytes) -> None:
    mail = b"From: a\nContent-Type: text/plain; charset=" + charset + b"\n\ncaf\xc3\xa9\n"
    assert "café" in read(mail).text
    assert "café" in read(b"From a@b.c Mon Jan  1 00:00:00 2024\n" + mail, "a.mbox").text
