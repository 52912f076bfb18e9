"""What a document holds beside its text is read, or it is told that it was not."""

from collections.abc import Iterator

import pytest

from phaseflow.components.extraction import extract
from phaseflow.components.extraction.package import Package
from phaseflow.domain.errors import DocumentError
from tests.components.binary_fixtures import (
    A,
    P,
    R,
    cells,
    package,
    pdf,
    pptx,
    record,
    relations,
    rtf,
    shape,
    xls,
    xlsx,
)
from tests.matrices import together


def refusal(data: bytes, name: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        extract(data, name)
    return caught.value


def annotated(*notes: str) -> bytes:
    marks = " ".join(f"{50 + n} 0 R" for n in range(len(notes)))
    objects = "\n".join(f"{50 + n} 0 obj<</Type/Annot/Rect[1 1 9 9]{note}>>endobj" for n, note in enumerate(notes))
    data = pdf("Page").replace(b"/MediaBox", f"/Annots[{marks}]/MediaBox".encode())
    return data.replace(b"\ntrailer", b"\n" + objects.encode() + b"\ntrailer")


class TestPdf:
    def test_notes_of_readers_are_text(self) -> None:
        notes = (
            "/Subtype/Text/Contents(a note)",
            "/Subtype/Highlight/Contents(a remark)",
            "/Subtype/Link/Contents(no)",
        )
        assert extract(annotated(*notes), "a.pdf").text == "Page\n\na note\n\na remark"

    def test_a_note_that_stands_on_the_page_is_there_once(self) -> None:
        assert extract(annotated("/Subtype/Text/Contents(Page)"), "a.pdf").text == "Page"

    def test_attachments_are_named(self) -> None:
        names = b"/Names<</EmbeddedFiles<</Names[(a)<</Type/Filespec/F(offer.xlsx)/UF(offer.xlsx)>>]>>>>"
        data = pdf("Page").replace(b"/Type/Catalog", b"/Type/Catalog" + names)
        assert extract(data, "a.pdf").text == "Page\n\nAttachments: offer.xlsx"

    def test_files_that_are_attached_to_a_page_are_named(self) -> None:
        file = "/Subtype/FileAttachment/FS<</Type/Filespec/F(plan.dwg)/UF(plan.dwg)>>"
        assert extract(annotated(file, file), "a.pdf").text == "Page\n\nAttachments: plan.dwg"

    def test_pages_have_the_labels_that_viewers_show(self) -> None:
        labels = b"/PageLabels<</Nums[0<</S/r>>2<</S/D/P(A-)/St 5>>]>>"
        data = pdf("One", "Two", "Three").replace(b"/Type/Catalog", b"/Type/Catalog" + labels)
        assert [label for _, label in extract(data, "a.pdf").parts] == ["page i", "page ii", "page A-5"]

    def test_a_hyphen_is_the_words_own_before_a_capital(self) -> None:
        broken = b"(Sil-) Tj 0 -12 Td (ben Nord-) Tj 0 -12 Td (Ost) Tj"
        data = pdf("X").replace(b"(X) Tj", broken)
        assert extract(data, "a.pdf").text == "Silben Nord-Ost"

    def test_a_hyphen_is_an_address_s_own(self) -> None:
        broken = b"(http://a.example/long-) Tj 0 -12 Td (path and ann-) Tj 0 -12 Td (ex) Tj"
        data = pdf("X").replace(b"(X) Tj", broken)
        assert extract(data, "a.pdf").text == "http://a.example/long-path and annex"

    @together("count", [1, 3, 100_000_000])
    def test_a_list_of_pages_that_contains_itself_is_malformed(self, count: int) -> None:
        data = pdf("x").replace(b"/Kids[10 0 R]/Count 1", b"/Kids[2 0 R]/Count %d" % count)
        assert refusal(data, "a.pdf").code == "malformed"

    def test_its_properties_are_metadata(self) -> None:
        info = b"/Author(Ann)/Creator(Writer)/CreationDate(D:20240131120000+01'00')/Keywords(a, b)"
        data = pdf("x", title="T").replace(b"<</Title(T)", b"<</Title(T)" + info)
        assert extract(data, "a.pdf").metadata == {
            "author": "Ann", "created": "2024-01-31T12:00:00+01:00", "tags": ["a", "b"],
        }  # fmt: skip


class TestPowerPoint:
    @pytest.mark.parametrize(
        "comment",
        [
            "<p:cmLst {}><p:cm><p:text>a remark</p:text></p:cm></p:cmLst>",
            "<p:cmLst {}><p:cm><p:txBody><a:p><a:r><a:t>a remark</a:t></a:r></a:p></p:txBody></p:cm></p:cmLst>",
        ],
    )
    def test_comments_follow_their_slide(self, comment: str) -> None:
        slide = f"<p:sld {P} {A}>{shape('Slide', 'title')}</p:sld>"
        members = {
            "_rels/.rels": relations(officeDocument="ppt/presentation.xml"),
            "ppt/presentation.xml": f'<p:presentation {P} {R}><p:sldId r:id="slide0"/></p:presentation>',
            "ppt/_rels/presentation.xml.rels": relations(slide0="slides/s.xml"),
            "ppt/slides/s.xml": slide,
            "ppt/slides/_rels/s.xml.rels": relations(comments="../c.xml"),
            "ppt/c.xml": comment.format(f"{P} {A}"),
        }
        assert extract(package(members), "a.pptx").text == "## Slide\n\na remark"

    def test_numbered_points_and_superscripts_are_as_shown(self) -> None:
        def point(text: str, form: str, more: str = "") -> str:
            run = f"<a:r><a:rPr {more}/><a:t>{text}</a:t></a:r>"
            return f'<a:p><a:pPr><a:buAutoNum type="{form}"/></a:pPr><a:r><a:t>x</a:t></a:r>{run}</a:p>'

        points = (
            point("2", "arabicPeriod", 'baseline="30000"') + point("b", "arabicPeriod") + point("c", "alphaLcParenR")
        )
        body = f'<p:sp><p:nvSpPr><p:nvPr><p:ph type="body"/></p:nvPr></p:nvSpPr><p:txBody>{points}</p:txBody></p:sp>'
        assert extract(pptx(body), "a.pptx").text == "1. x²\n2. xb\na) xc"


def test_a_diagram_in_a_sheet_is_text() -> None:
    data = xlsx(
        {"One": cells("a")},
        **{
            "xl/worksheets/_rels/sheet1.xml.rels": relations(drawing="../drawings/d.xml"),
            "xl/drawings/d.xml": "<d/>",
            "xl/drawings/_rels/d.xml.rels": relations(diagramData="../diagrams/data.xml"),
            "xl/diagrams/data.xml": f"<d {A}><a:p><a:r><a:t>in a diagram</a:t></a:r></a:p></d>",
        },
    )
    assert extract(data, "a.xlsx").text.endswith("in a diagram")


def test_a_star_within_a_group_of_rtf_hides_nothing() -> None:
    assert extract(rtf(r"{\f0\*\cs7 seen} {\*\unknown gone}"), "a.rtf").text == "seen"


@pytest.mark.parametrize(
    ("name", "member", "begin"),
    [
        ("a.docx", "word/document.xml", "<d><p><t>"),
        ("a.odt", "content.xml", "<d><p>"),
        ("a.pptx", "ppt/presentation.xml", "<d><p><t>"),
    ],
)
def test_a_text_without_end_is_refused_where_it_is_too_much(
    name: str, member: str, begin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phaseflow.components.extraction.xml_events.MAX_CHARS", 100_000)
    read: list[int] = []
    whole = Package.chunks

    def counted(self: Package, member: str) -> Iterator[bytes]:
        for chunk in whole(self, member):
            read.append(len(chunk))
            yield chunk

    monkeypatch.setattr(Package, "chunks", counted)
    assert refusal(package({member: begin + "a" * 10_000_000}), name).code == "too_large"
    assert sum(read) < 300_000


def test_what_is_read_twice_is_unpacked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f'<row r="{n}"><c r="A{n}" t="inlineStr"><is><t>a text</t></is></c></row>' for n in range(1, 3000))
    data = xlsx({"One": rows})
    monkeypatch.setattr("phaseflow.components.extraction.package.MAX_UNPACKED", len(rows) + 10_000)
    assert extract(data, "a.xlsx").text.count("a text") == 2999


@together(
    ("name", "data"),
    [
        ("a.rtf", rtf(r"{\pict\pngblip 89504e47}")),
        ("a.rtf", rtf(r"{\*\shppict{\pict\pngblip 89504e47}}")),
        ("a.html", b"<p><img src=a.png></p>"),
        ("a.html", b"<svg><path d='M0 0'/></svg>"),
        ("a.xls", xls(b"", before=record(0xEB, bytes(8)))),
    ],
)
def test_a_document_of_pictures_only_is_told(name: str, data: bytes) -> None:
    assert refusal(data, name).code == "no_text_layer"


@together(
    ("name", "data"),
    [
        ("a.pptx", package({"ppt/presentation.xml": "<p/>", "ppt/embeddings/a.xlsx": "x"})),
        ("a.pptx", package({"ppt/presentation.xml": "<p/>", "ppt/media/a.mp4": "x"})),
        ("a.odt", package({"content.xml": "<d/>", "Object 1/content.bin": "x"})),
        ("a.rtf", rtf(r"{\object\objemb{\*\objdata 0105}}")),
        ("a.ipynb", b'{"cells": [{"cell_type": "code", "source": "", "outputs": [{"text": "42"}]}]}'),
    ],
)
def test_a_document_of_other_things_than_text_is_told(name: str, data: bytes) -> None:
    assert refusal(data, name).code == "nothing_found"


def test_pictures_beside_a_text_or_a_link_are_no_reason_to_refuse() -> None:
    assert extract(rtf(r"{\pict\pngblip 89504e47}text"), "a.rtf").text == "text"
    assert extract(b"<p><img src=a.png alt=word></p>", "a.html").text == "word"
    assert extract(b"<a href=/b><img src=a.png></a>", "a.html").text == ""


def test_what_stands_for_a_drawing_is_read_and_a_hidden_shape_is_not() -> None:
    described = '<p:graphicFrame><p:cNvPr id="1" name="x" descr="a chart of sales"/></p:graphicFrame>'
    hidden = shape("unseen").replace("<p:nvSpPr>", '<p:nvSpPr><p:cNvPr id="2" name="x" hidden="1"/>')
    assert extract(pptx(described + hidden + shape("seen")), "a.pptx").text == "a chart of sales\n\nseen"


def test_conversations_beside_a_sheet_are_read_and_what_stands_for_them_is_not() -> None:
    comments = "<comments><text><t>[Threaded comment] Your version</t></text><text><t>a note</t></text></comments>"
    members = {
        "xl/worksheets/_rels/sheet1.xml.rels": relations(comments1="../c.xml", threadedComment1="../t.xml"),
        "xl/c.xml": comments,
        "xl/t.xml": "<ThreadedComments><threadedComment><text>said so</text></threadedComment></ThreadedComments>",
    }
    text = extract(xlsx({"One": cells("a")}, **members), "a.xlsx").text
    assert text.endswith("a note\n\nsaid so")
    assert "Your version" not in text


@together(
    ("body", "text"),
    [
        (r"{\header every page\par}{\headerf every page\par}{\footer {\field{\*\fldinst PAGE}{\fldrslt 3}}\par}a\par",
         "a\n\nevery page\n\n3"),
        (r"a {\object\objemb{\*\objclass Sheet}{\*\objdata 0105}{\result b}} c\par", "a b c"),
        (r"{\*\do\dobxpage{\dptxbx{\dptxbxtext drawn\par}}}a\par", "a\n\ndrawn"),
        (r"a {\upr{ascii}{\*\ud{\u1103 D}}} b\par", "a я b"),
        (r"{\fonttbl{\f2\fcharset2 Symbol;}{\f3 Arial;}}{\f2 a\u-4032 ?} {\f3 a}\par", "α≅ a"),
        (r"10{\up6 6} H{\dn4 2}O {\up0 x}\par", "10⁶ H₂O x"),
        (r"see {\field{\*\fldinst HYPERLINK \"u\"}{\fldrslt the link}}, {\field{\*\fldinst PAGE}{\fldrslt 12}}.\par",
         "see the link, 12."),
    ],
)  # fmt: skip
def test_rtf_is_read_as_it_is_shown(body: str, text: str) -> None:
    assert extract(rtf(body), "a.rtf").text == text
