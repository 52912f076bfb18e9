"""Binary formats: what becomes of headings, tables, pages and titles, and that nothing is lost without a word."""

import sys
from collections.abc import Mapping
from itertools import product

import pytest

from phaseflow.components.extraction import Extracted, extract, needs_worker
from phaseflow.components.extraction.formats import FORMATS
from phaseflow.components.extraction.registry import LARGE
from phaseflow.domain.errors import DocumentError
from tests.components.binary_fixtures import (
    ODF,
    SAMPLES,
    STRICT_S,
    A,
    M,
    R,
    S,
    W,
    cells,
    docx,
    epub,
    filled_form,
    odt,
    package,
    paragraph,
    pdf,
    pptx,
    relations,
    rtf,
    shape,
    xlsx,
)
from tests.matrices import together

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
PICTURE = {"word/media/a.png": b"\x89PNG"}
BINARY = [extension for each in FORMATS if each.is_binary for extension in each.extensions]


def refusal(data: bytes, name: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        extract(data, name)
    assert name in str(caught.value)
    return caught.value


def labels(document: Extracted) -> Mapping[str, str]:
    """Every part's first line by its label."""
    return {label: document.text[offset:].partition("\n")[0] for offset, label in document.parts}


class TestChoice:
    @together("extension", BINARY)
    def test_every_binary_format_belongs_in_a_worker(self, extension: str) -> None:
        assert needs_worker(b"x", f"a.{extension}")

    @together("name", ["a.md", "a.html", "a.csv", "LICENSE"])
    def test_text_does_not(self, name: str) -> None:
        assert not needs_worker(b"x", name)

    @together("name", ["a.eml", "a.mht", "page"])
    def test_mail_does_though_it_is_text(self, name: str) -> None:
        assert needs_worker(b"MIME-Version: 1.0\nSubject: S\n\nx", name)

    @together("name", [f"a.{each.extensions[0]}" for each in FORMATS])
    def test_whatever_is_large_does(self, name: str) -> None:
        assert needs_worker(b"[" * (LARGE + 1), name)

    def test_an_empty_file_needs_none(self) -> None:
        assert not needs_worker(b"", "a.pdf")

    @together("name", [*SAMPLES])
    def test_a_document_without_an_extension_is_known_by_its_content(self, name: str) -> None:
        assert extract(SAMPLES[name], "download").text == extract(SAMPLES[name], name).text

    def test_a_word_document_that_is_named_like_an_old_one_is_read(self) -> None:
        assert extract(SAMPLES["a.docx"], "a.doc").text == extract(SAMPLES["a.docx"], "a.docx").text

    @together(
        ("name", "called"), product([*SAMPLES], ["a.txt", "a.md", "a.html", "a.pdf", "a.docx", "a.xlsx", "a.rtf"])
    )
    def test_a_wrong_extension_does_not_hide_what_a_document_is(self, name: str, called: str) -> None:
        assert extract(SAMPLES[name], called).text == extract(SAMPLES[name], name).text
        assert needs_worker(SAMPLES[name], called)

    def test_a_table_of_text_that_is_called_a_spreadsheet_is_read_as_it_is(self) -> None:
        assert extract(b"Name\tAge\r\nAnn\t5\r\n", "a.xls").text == "Name\tAge\nAnn\t5\n"

    @together(
        ("name", "page"),
        product(
            ["a.doc", "a.xls", "a.pdf"],
            [b"<html><body>x", b"\xef\xbb\xbf<!DOCTYPE html>x", b"MIME-Version: 1.0\nContent-Type: text/html\n\n<p>x"],
        ),
    )
    def test_a_page_that_is_called_an_office_document_is_read(self, page: bytes, name: str) -> None:
        assert extract(page, name).text == "x"

    @together("name", ["a.doc", "a.ppt", "a.zip", "a.bin", "a.msg"])
    def test_what_cannot_be_read_says_so(self, name: str) -> None:
        error = refusal(OLE + b"x", name)
        assert (error.code, error.counts) == ("unsupported_format", False)

    @pytest.mark.parametrize(
        ("name", "module", "extra"), [("a.pdf", "pypdfium2", "pdf"), ("a.xls", "python_calamine", "sheets")]
    )
    def test_a_missing_library_is_named_by_its_extra(
        self, name: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(DocumentError, match=rf"phaseflow\[{extra}\]") as caught:
            extract(b"x", name)
        assert (caught.value.code, caught.value.counts) == ("missing_extra", False)


@together(("extension", "data"), product(BINARY, [b"x", b"PK\x03\x04", b"\0" * 100]))
def test_what_is_not_of_its_format_is_malformed(extension: str, data: bytes) -> None:
    assert refusal(data, f"a.{extension}").code == "malformed"


@together("extension", ["docx", "pptx", "xlsx"])
def test_an_office_document_with_a_password_is_encrypted(extension: str) -> None:
    error = refusal(OLE + b"\0" * 500 + "EncryptedPackage".encode("utf-16-le"), f"a.{extension}")
    assert error.code == "encrypted"


class TestPdf:
    def test_columns_that_are_drawn_line_by_line_are_read_one_after_the_other_and_tables_by_rows(self) -> None:
        def page(*columns: list[str]) -> str:
            rows = [
                f"1 0 0 1 {30 + 150 * x} {400 - 14 * y} Tm ({text}) Tj"
                for y, row in enumerate(zip(*columns, strict=True))
                for x, text in enumerate(row)
            ]
            content = f"BT /F 10 Tf {' '.join(rows)} ET".encode()
            return lines_of(pdf("x").replace(b"[0 0 300 100]", b"[0 0 400 500]"), content)

        def lines_of(data: bytes, content: bytes) -> str:
            begin, end = data.index(b"<</Length"), data.index(b"endstream")
            stream = b"<</Length %d>>stream\n%s\n" % (len(content), content)
            return extract(data[:begin] + stream + data[end:], "a.pdf").text

        left = [f"left line {n} of the column" for n in range(8)]
        right = [f"right line {n} of the other" for n in range(8)]
        assert page(left, right).split() == " ".join(left + right).split()
        names, prices = [f"part {n}" for n in range(8)], [f"{n}.50" for n in range(8)]
        assert page(names, prices).split()[:6] == ["part", "0", "0.50", "part", "1", "1.50"]

    def test_pages_are_parts_and_the_title_is_the_property(self) -> None:
        document = extract(pdf("One", "Two", title="A title"), "a.pdf")
        parts = ((0, "page 1"), (5, "page 2"))
        expected = Extracted("One\n\nTwo", "A title", "text/plain", parts, read_as="application/pdf")
        assert document == expected

    @together("title", ["", "Microsoft Word - x.doc", "report.tex", "untitled"])
    def test_a_title_that_tells_nothing_gives_way_to_the_name(self, title: str) -> None:
        assert extract(pdf("One", title=title), "a.pdf").title == "a.pdf"

    def test_an_empty_page_is_skipped_and_counted(self) -> None:
        assert extract(pdf("One", "", "Three"), "a.pdf").parts == ((0, "page 1"), (5, "page 3"))

    def test_pages_that_show_something_and_hold_no_text_are_a_failure(self) -> None:
        told = refusal(pdf("", drawn=True), "a.pdf")
        assert told.code == "no_text_layer"
        assert "save it as PDF" not in str(told)

    def test_ligatures_that_ghostscript_wrote_backwards_are_read(self) -> None:
        letters = "/CMapName/x def 1 begincodespacerange <00><ff> endcodespacerange 1 beginbfchar {} endbfchar"
        cmap = letters.format("<01><66006900>")
        font = f"/ToUnicode 5 0 R>>endobj 5 0 obj<</Length {len(cmap)}>>stream\n{cmap}\nendstream endobj\n"
        data = pdf("De\x01ne").replace(b"/BaseFont/Helvetica>>endobj", b"/BaseFont/Helvetica" + font.encode())
        assert extract(data, "a.pdf").text == "Define"

    def test_what_is_filled_into_a_form_is_text(self) -> None:
        assert extract(filled_form("Filled in"), "a.pdf").text == "Filled in"

    def test_a_document_without_pages_is_malformed(self) -> None:
        assert refusal(pdf(), "a.pdf").code == "malformed"

    def test_blank_pages_are_an_empty_document(self) -> None:
        assert extract(pdf("", ""), "a.pdf").text == ""


class TestWord:
    def test_headings_lists_and_tables_are_markdown(self) -> None:
        styles = (
            '<w:style w:styleId="H"><w:name w:val="heading 2"/></w:style>'
            '<w:style w:styleId="Mine"><w:name w:val="Mine"/><w:basedOn w:val="H"/></w:style>'
        )
        numbering = (
            '<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="decimal"/></w:lvl>'
            '<w:lvl w:ilvl="1"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>'
            '<w:num w:numId="7"><w:abstractNumId w:val="1"/></w:num>'
        )
        item = '<w:numPr><w:ilvl w:val="{}"/><w:numId w:val="7"/></w:numPr>'
        body = (
            paragraph("Heading", '<w:pStyle w:val="Mine"/>')
            + paragraph("text")
            + paragraph("first", item.format(0))
            + paragraph("inner", item.format(1))
            + paragraph("second", item.format(0))
            + f"<w:tbl><w:tr><w:tc>{paragraph('a|b')}</w:tc><w:tc>{paragraph('c')}</w:tc></w:tr></w:tbl>"
        )
        document = extract(docx(body, styles=styles, numbering=numbering, title="The title"), "a.docx")
        assert document.text == ("## Heading\n\ntext\n\n1. first\n  - inner\n2. second\n\n| a\\|b | c |\n| --- | --- |")
        assert (document.title, document.parts) == ("The title", ((0, "Heading"),))

    def test_merged_cells_keep_the_columns(self) -> None:
        wide = f'<w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr>{paragraph("wide")}</w:tc>'
        covered = f"<w:tc><w:tcPr><w:vMerge/></w:tcPr>{paragraph('unseen')}</w:tc>"
        cell = f"<w:tc>{paragraph('x')}</w:tc>"
        text = extract(
            docx(f"<w:tbl><w:tr>{wide}{cell}</w:tr><w:tr>{cell}{covered}{cell}</w:tr></w:tbl>"), "a.docx"
        ).text
        assert text == "| wide |  | x |\n| --- | --- | --- |\n| x |  | x |"

    def test_a_table_inside_a_cell_keeps_its_text_there(self) -> None:
        inner = f"<w:tbl><w:tr><w:tc>{paragraph('inner')}</w:tc></w:tr></w:tbl>"
        row = f"<w:tr><w:tc>{paragraph('outer')}{inner}</w:tc><w:tc>{paragraph('x')}</w:tc></w:tr>"
        assert extract(docx(f"<w:tbl>{row}</w:tbl>"), "a.docx").text.startswith("| outer inner | x |")

    def test_deleted_text_and_repeated_alternatives_are_left_out(self) -> None:
        body = (
            "<w:p><w:r><w:t>a</w:t></w:r><w:del><w:r><w:t>gone</w:t></w:r></w:del>"
            "<w:Fallback><w:r><w:t>twice</w:t></w:r></w:Fallback></w:p>"
        )
        assert extract(docx(body), "a.docx").text == "a"

    @together(
        "end",
        ['<w:framePr w:dropCap="drop" w:lines="3"/>', '<w:framePr w:dropCap="margin"/>', "<w:rPr><w:del/></w:rPr>"],
    )
    def test_a_paragraph_that_runs_on_is_one_with_the_next(self, end: str) -> None:
        first = f"<w:p><w:pPr>{end}</w:pPr><w:r><w:t>D</w:t></w:r></w:p>"
        rest = '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>rop</w:t></w:r></w:p>'
        assert extract(docx(first + paragraph("rop cap.")), "a.docx").text == "Drop cap."
        assert extract(docx(first + rest), "a.docx").text.endswith("Drop")
        assert extract(docx(paragraph("a") + first), "a.docx").text == "a\n\nD"
        cells = f"<w:tr><w:tc>{first}</w:tc><w:tc>{first}{paragraph('rop')}</w:tc></w:tr>"
        assert extract(docx(f"{first}<w:tbl>{cells}</w:tbl>"), "a.docx").text.startswith("D\n\n| D | Drop |")

    def test_a_frame_is_a_paragraph_of_its_own(self) -> None:
        frame = '<w:p><w:pPr><w:framePr w:w="100" w:wrap="around"/></w:pPr><w:r><w:t>beside</w:t></w:r></w:p>'
        assert extract(docx(frame + paragraph("text")), "a.docx").text == "beside\n\ntext"

    def test_hidden_text_is_left_out(self) -> None:
        run = "<w:r><w:rPr><w:vanish{}/></w:rPr><w:t>{}</w:t></w:r>"
        seen = run.format(" w:val='0'", "a")
        body = f"<w:p>{run.format('', 'hidden')}{seen}<w:r><w:t>b</w:t></w:r></w:p>"
        assert extract(docx(body), "a.docx").text == "ab"

    def test_text_that_its_style_hides_is_left_out(self) -> None:
        styles = (
            '<w:style w:styleId="Gone"><w:rPr><w:vanish/></w:rPr></w:style>'
            '<w:style w:styleId="Heir"><w:basedOn w:val="Gone"/></w:style>'
            '<w:style w:styleId="Back"><w:rPr><w:vanish w:val="0"/></w:rPr></w:style>'
        )
        of_its_own = '<w:p><w:r><w:rPr><w:rStyle w:val="Gone"/></w:rPr><w:t>x</w:t></w:r><w:r><w:t>a</w:t></w:r></w:p>'
        back = (
            '<w:p><w:pPr><w:pStyle w:val="Heir"/></w:pPr><w:r><w:t>x</w:t></w:r>'
            '<w:r><w:rPr><w:rStyle w:val="Back"/></w:rPr><w:t>b</w:t></w:r></w:p>'
        )
        assert extract(docx(of_its_own + back, styles=styles), "a.docx").text == "a\n\nb"

    def test_formulas_keep_their_fractions_and_powers(self) -> None:
        fraction = "<m:f><m:num><w:t>a+1</w:t></m:num><m:den><w:t>b</w:t></m:den></m:f>"
        power = "<m:sSubSup><m:e><w:t>x</w:t></m:e><m:sub/><m:sup><w:t>2</w:t></m:sup></m:sSubSup>"
        body = f"<w:p><m:oMath {M}>{fraction}<w:r><w:t> + </w:t></w:r>{power}</m:oMath></w:p>"
        assert extract(docx(body), "a.docx").text == "(a+1)/b + x²"

    @pytest.mark.parametrize(("ending", "chunk"), [("html", "<h1>x</h1>"), ("mht", "Content-Type: text/html\n\n<h1>x")])
    def test_a_page_inside_the_document_is_read(self, ending: str, chunk: str) -> None:
        data = self.with_chunk(f"word/chunk.{ending}", chunk)
        assert extract(data, "a.docx").text == "before\n\n# x"

    def test_a_document_of_nothing_but_an_unknown_inner_one_is_a_failure(self) -> None:
        assert refusal(self.with_chunk("word/chunk.odd", "x", before=""), "a.docx").code == "nothing_found"

    @staticmethod
    def with_chunk(member: str, chunk: str, before: str = "before") -> bytes:
        body = f'<w:body {R}>{paragraph(before)}<w:altChunk r:id="aFChunk"/></w:body>'
        return package(
            {
                "word/document.xml": f"<w:document {W}>{body}</w:document>",
                "word/_rels/document.xml.rels": relations(aFChunk=f"/{member}"),
                member: chunk,
            }
        )

    def test_notes_and_comments_follow_the_text(self) -> None:
        document = docx(paragraph("body"), footnotes=paragraph("a note"), comments=paragraph("a comment"))
        assert extract(document, "a.docx").text == "body\n\na note\n\na comment"

    def test_a_document_of_pictures_says_that_it_has_no_text(self) -> None:
        data = package({"word/document.xml": "<w:document xmlns:w='w'/>", **PICTURE})
        told = refusal(data, "a.docx")
        assert told.code == "no_text_layer"
        assert "save it as PDF" in str(told)

    def test_a_document_without_anything_is_empty(self) -> None:
        assert extract(docx(""), "a.docx").text == ""

    def test_entities_are_refused(self) -> None:
        bomb = (
            '<!DOCTYPE w [<!ENTITY a "aaaa">]><w:document xmlns:w="w"><w:p><w:r><w:t>&a;</w:t></w:r></w:p></w:document>'
        )
        assert refusal(package({"word/document.xml": bomb}), "a.docx").code == "malformed"

    def test_an_archive_that_unpacks_to_too_much_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("phaseflow.components.extraction.package.MAX_UNPACKED", 100_000)
        assert refusal(docx(paragraph("x" * 200_000)), "a.docx").code == "too_large"


class TestPowerPoint:
    def test_slides_come_in_their_order_with_titles_points_tables_and_notes(self) -> None:
        table = (
            "<a:tbl><a:tr><a:tc><a:txBody><a:p><a:r><a:t>x</a:t></a:r></a:p></a:txBody></a:tc>"
            "<a:tc><a:txBody><a:p><a:r><a:t>y</a:t></a:r></a:p></a:txBody></a:tc></a:tr></a:tbl>"
        )
        data = pptx(shape("First", "title") + shape("a\nb", "body"), shape("Second") + table, notes="Say this")
        document = extract(data, "a.pptx")
        assert document.text == ("## First\n\n- a\n- b\n\nNotes: Say this\n\nSecond\n\n| x | y |\n| --- | --- |")
        assert document.title == "First"
        assert labels(document) == {"slide 1": "## First", "slide 2": "Second"}

    def test_what_a_picture_shows_is_text(self) -> None:
        picture = '<p:pic><p:nvPicPr><p:cNvPr id="1" name="p" descr="A red dog"/></p:nvPicPr></p:pic>'
        assert extract(pptx(picture), "a.pptx").text == "A red dog"

    def test_everything_in_a_hidden_group_is_hidden(self) -> None:
        group = '<p:grpSp><p:nvGrpSpPr><p:cNvPr id="1" name="G"{}/></p:nvGrpSpPr>{}</p:grpSp>'
        picture = '<p:pic><p:nvPicPr><p:cNvPr id="2" name="P" descr="A red dog"/></p:nvPicPr></p:pic>'
        named = shape("gone").replace("<p:sp>", '<p:sp><p:nvSpPr><p:cNvPr id="3" name="S"/></p:nvSpPr>', 1)
        hidden = group.format(' hidden="1"', named + group.format("", named + picture))
        slide = hidden + group.format("", named.replace("gone", "seen"))
        assert extract(pptx(slide), "a.pptx").text == "seen"


class TestSheets:
    def test_every_sheet_is_a_table_below_its_name(self) -> None:
        document = extract(xlsx({"First": cells("a|b", "c|d"), "Second": cells("e|f")}), "a.xlsx")
        assert document.text == (
            "## First\n\n| a | b |\n| --- | --- |\n| c | d |\n\n## Second\n\n| e | f |\n| --- | --- |"
        )
        assert labels(document) == {"First": "## First", "Second": "## Second"}

    def test_numbers_and_truth_read_as_they_are_written(self) -> None:
        row = '<row r="1"><c r="A1"><v>3</v></c><c r="B1"><v>0.25</v></c><c r="C1" t="b"><v>1</v></c></row>'
        assert extract(xlsx({"S": row}), "a.xlsx").text.splitlines()[2] == "| 3 | 0.25 | TRUE |"

    def test_strict_ooxml_is_read_and_not_silently_empty(self) -> None:
        assert "| a | b |" in extract(xlsx({"S": cells("a|b")}, STRICT_S), "a.xlsx").text

    def test_cells_in_which_the_library_finds_nothing_are_a_failure(self) -> None:
        unlisted = {"xl/workbook.xml": f"<workbook {S}><sheets/></workbook>"}
        assert refusal(xlsx({"S": cells("a|b")}, **unlisted), "a.xlsx").code == "nothing_found"

    def test_a_reference_to_a_text_that_is_not_there_is_malformed(self) -> None:
        row = '<row r="1"><c r="A1" t="s"><v>5</v></c></row>'
        assert refusal(xlsx({"S": row}), "a.xlsx").code == "malformed"

    def test_a_formula_that_was_never_calculated_is_shown_where_it_stands(self) -> None:
        rows = (
            '<row r="2"><c r="B2"><v>3</v></c></row>'
            '<row r="3"><c r="A3"><f>B2*2</f><v></v></c><c r="B3"><f>1+1</f><v>2</v></c>'
            '<c r="D3"><f>A3&amp;"x"</f></c></row>'
        )
        table = extract(xlsx({"S": rows}), "a.xlsx").text.partition("\n\n")[2]
        assert table == '|  | 3 |  |  |\n| --- | --- | --- | --- |\n| =B2*2 | 2 |  | =A3&"x" |'

    def test_a_workbook_of_nothing_but_such_formulas_is_not_empty(self) -> None:
        row = '<row r="1"><c r="B1"><f>1+1</f><v/></c></row>'
        assert extract(xlsx({"S": row}), "a.xlsx").text == "## S\n\n| =1+1 |\n| --- |"

    def test_an_error_is_shown_as_it_stands_in_its_cell(self) -> None:
        row = '<row r="1"><c r="A1"><v>1</v></c><c r="B1" t="e"><f>1/0</f><v>#DIV/0!</v></c></row>'
        assert "| 1 | #DIV/0! |" in extract(xlsx({"S": row}), "a.xlsx").text

    def test_comments_and_boxes_of_text_follow_the_table(self) -> None:
        more = {
            "xl/worksheets/_rels/sheet1.xml.rels": relations(comments="../c.xml", drawing="../d.xml"),
            "xl/c.xml": f"<comments {S}><comment><text><r><t>re</t></r><r><t>mark</t></r></text></comment></comments>",
            "xl/d.xml": f"<d {A}><a:p><a:r><a:t>box</a:t></a:r></a:p></d>",
        }
        assert extract(xlsx({"S": cells("a")}, **more), "a.xlsx").text.endswith("| --- |\n\nremark\n\nbox")
        assert extract(xlsx({"S": ""}, **more), "a.xlsx").text == "## S\n\nremark\n\nbox"

    def test_a_workbook_without_cells_is_empty(self) -> None:
        assert extract(xlsx({"S": ""}), "a.xlsx").text == ""

    @together(
        "cell", ['r="XFD1048576"', 'r="B299999999"', "r = 'b20000001'", 'r="ZZZZZ9"', ""],
    )  # fmt: skip
    def test_a_lone_cell_in_the_far_corner_is_refused_before_it_takes_the_memory(self, cell: str) -> None:
        far = f'<row r="1"><c r="A1"><v>1</v></c></row><row r="20000001"><c {cell}><v>2</v></c></row>'
        assert refusal(xlsx({"S": far}), "a.xlsx").code == "too_large"

    def test_cells_that_do_not_say_where_they_stand_are_measured_by_their_rows(self) -> None:
        rows = "".join(f'<row r="{99_999 + n}">{"<c><v>7</v></c>" * 3}</row>' for n in range(5000))
        assert extract(xlsx({"S": rows}), "a.xlsx").text.count("| 7 | 7 | 7 |") == 5000

    def test_an_empty_cell_in_the_far_corner_takes_no_room(self) -> None:
        far = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576" s="1"/></row>'
        assert extract(xlsx({"S": far}), "a.xlsx").text == "## S\n\n| 1 |\n| --- |"


class TestOpenDocument:
    def test_headings_lists_and_tables_are_markdown(self) -> None:
        body = (
            '<text:h text:outline-level="2">Head</text:h><text:p>a<text:s text:c="2"/>b<text:line-break/>c</text:p>'
            "<text:list><text:list-item><text:p>one</text:p><text:list><text:list-item><text:p>inner</text:p>"
            "</text:list-item></text:list></text:list-item></text:list>"
            "<table:table><table:table-row><table:table-cell><text:p>x</text:p></table:table-cell>"
            "<table:table-cell><text:p>y</text:p></table:table-cell></table:table-row></table:table>"
        )
        document = extract(odt(body), "a.odt")
        assert document.text == "## Head\n\na  b\nc\n\n- one\n  - inner\n\n| x | y |\n| --- | --- |"
        assert document.parts == ((0, "Head"),)

    def test_numbered_lists_keep_their_numbers_and_go_on(self) -> None:
        styles = (
            '<text:list-style style:name="L">'
            '<text:list-level-style-number text:level="1" style:num-format="1" style:num-suffix="."/>'
            '<text:list-level-style-bullet text:level="2"/></text:list-style>'
        )
        inner = "<text:list><text:list-item><text:p>inner</text:p></text:list-item></text:list>"
        first = f'<text:list text:style-name="L"><text:list-item><text:p>a</text:p>{inner}</text:list-item></text:list>'
        more = (
            '<text:list text:style-name="L" text:continue-numbering="true"><text:list-item><text:p>b</text:p>'
            '</text:list-item><text:list-item text:start-value="7"><text:p>c</text:p></text:list-item></text:list>'
        )
        body = f'<office:styles xmlns:style="s">{styles}</office:styles>{first}<text:p>x</text:p>{more}'
        assert extract(odt(body), "a.odt").text == "1. a\n  - inner\n\nx\n\n2. b\n7. c"

    def test_notes_and_comments_follow_their_paragraph_without_who_and_when(self) -> None:
        note = (
            "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>note</text:p>"
            "</text:note-body></text:note>"
        )
        comment = (
            '<office:annotation xmlns:dc="d"><dc:creator>Bob</dc:creator><dc:date>2024</dc:date>'
            "<text:p>comment</text:p></office:annotation>"
        )
        body = f"<text:h>He{note}ad</text:h><text:p>te{comment}xt</text:p>"
        assert extract(odt(body), "a.odt").text == "# Head\n\nnote\n\ntext\n\ncomment"

    def test_slides_have_headings_and_notes(self) -> None:
        box = '<draw:frame xmlns:p="p" p:class="{}"><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>'
        notes = f'<n:notes xmlns:n="n">{box.format("header", "gone")}{box.format("notes", "say this")}</n:notes>'
        slide = f"<draw:page>{box.format('title', 'Title')}{box.format('outline', 'text')}{notes}</draw:page>"
        document = extract(odt(slide), "a.odp")
        assert document.text == "## Title\n\ntext\n\nNotes: say this"
        assert (document.title, document.parts) == ("Title", ((0, "slide 1"),))

    def test_a_paragraph_in_the_style_of_a_title_is_a_heading(self) -> None:
        style = '<s:style xmlns:s="s" s:name="P1" s:parent-style-name="Title"/>'
        body = f'{style}<text:p text:style-name="P1">Title</text:p><text:p text:style-name="P2">text</text:p>'
        assert extract(odt(body), "a.odt").text == "# Title\n\ntext"

    @pytest.mark.parametrize(
        ("formula", "text"),
        [("<mi>x</mi><mo>=</mo><mn>2</mn>", "x=2"), ("<mi>x</mi><annotation>x over 2</annotation>", "x over 2")],
    )
    def test_a_formula_stands_in_its_paragraph(self, formula: str, text: str) -> None:
        inside = '<draw:frame><draw:object xmlns:x="x" x:href="./Object 1"/></draw:frame>'
        data = odt(f"<text:p>a {inside} b</text:p>", **{"Object 1/content.xml": f"<math>{formula}</math>"})
        assert extract(data, "a.odt").text == f"a {text} b"

    @pytest.mark.parametrize("kind", ["spreadsheet", "chart"])
    def test_the_texts_of_a_table_or_chart_in_a_text_stay_apart(self, kind: str) -> None:
        cells = "".join(
            f"<table:table-cell><text:p>{word}</text:p></table:table-cell>" for word in ("one", "two", "one")
        )
        inside = f"<office:document-content><office:body><office:{kind}>{cells}</office:{kind}></office:body>"
        names = f'xmlns:office="{ODF}office:1.0" xmlns:text="{ODF}text:1.0" xmlns:table="{ODF}table:1.0"'
        member = inside.replace("content>", f"content {names}>", 1) + "</office:document-content>"
        body = '<text:p>so<draw:object xmlns:xlink="x" xlink:href="./O"/>on</text:p>'
        assert extract(odt(body, **{"O/content.xml": member}), "a.odt").text == "so one, two on"

    def test_objects_in_a_flat_document_say_what_they_are_and_end_nothing(self) -> None:
        names = "".join(f' xmlns:{name}="{ODF}{name}:1.0"' for name in ("office", "text", "table")) + ' xmlns:draw="d"'
        formula = "<math><semantics><mi>x</mi><annotation>x over 2</annotation></semantics></math>"
        table = "<table:table><table:table-row><table:table-cell><text:p>one</text:p></table:table-cell>"
        table += "<table:table-cell><text:p>two</text:p></table:table-cell></table:table-row></table:table>"
        inner = f"<office:document><office:body><office:spreadsheet>{table}</office:spreadsheet></office:body>"
        objects = f"<draw:object>{formula}</draw:object></text:p><text:p>"
        objects += f"<draw:object>{inner}</office:document></draw:object>"
        body = f"<office:text><text:p>so {objects}</text:p><text:p>after</text:p></office:text>"
        flat = f"<office:document{names}><office:body>{body}</office:body></office:document>"
        assert extract(flat.encode(), "a.fodt").text == "so x over 2\n\n| one | two |\n| --- | --- |\n\nafter"

    def test_repeated_cells_keep_the_columns(self) -> None:
        cells = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
        empty = '<table:table-cell table:number-columns-repeated="2"/>'
        row = f"<table:table-row>{cells.format('a')}{empty}{cells.format('b')}</table:table-row>"
        assert extract(odt(f"<table:table>{row}</table:table>"), "a.odt").text.startswith("| a |  |  | b |")

    def test_hidden_text_is_left_out(self) -> None:
        styles = (
            '<s:style xmlns:s="s" s:name="H"><s:text-properties text:display="none"/></s:style>'
            '<s:style xmlns:s="s" s:name="I" s:parent-style-name="H"/>'
        )
        body = (
            '<text:p text:style-name="H">x</text:p><text:p>a<text:span text:style-name="I">x</text:span>b</text:p>'
            '<text:section text:display="none"><text:p>x</text:p></text:section>'
            '<text:section text:display="condition"><text:p>c</text:p></text:section>'
        )
        assert extract(odt(styles + body), "a.odt").text == "ab\n\nc"

    def test_deleted_text_is_left_out_and_descriptions_are_read(self) -> None:
        body = (
            "<text:tracked-changes><text:p>gone</text:p></text:tracked-changes>"
            "<text:p>a<draw:frame><svg:desc>a picture of it</svg:desc></draw:frame>b</text:p>"
        )
        assert extract(odt(body), "a.odt").text == "ab\n\na picture of it"

    def test_what_stands_on_every_page_is_said_once_and_hidden_text_not_at_all(self) -> None:
        names = f'xmlns:office="{ODF}office:1.0" xmlns:text="{ODF}text:1.0" xmlns:style="{ODF}style:1.0"'
        head = "<style:master-page><style:{0}><text:p>{1} <text:page-number>4</text:page-number></text:p></style:{0}>"
        pages = (head.format("header", "Head") + "</style:master-page>") * 2
        styles = f"<office:document-styles {names}><office:master-styles>{pages}</office:master-styles>"
        body = '<text:p>a <text:hidden-text text:is-hidden="true">no</text:hidden-text></text:p>'
        data = odt(body, **{"styles.xml": f"{styles}</office:document-styles>"})
        assert extract(data, "a.odt").text == "a\n\nHead 4"
        flat = f"<office:master-styles>{pages}</office:master-styles><office:body>{body}</office:body>"
        flat = f"<office:document {names}>{flat}</office:document>"
        assert extract(flat.encode(), "a.fodt").text == "a\n\nHead 4"

    def test_an_encrypted_document_says_so(self) -> None:
        manifest = "<manifest><file-entry><encryption-data/></file-entry></manifest>"
        data = odt("<text:p>x</text:p>", **{"META-INF/manifest.xml": manifest})
        assert refusal(data, "a.odt").code == "encrypted"


class TestEpub:
    def test_chapters_are_parts_in_reading_order(self) -> None:
        document = extract(epub({"b": "<h1>Before</h1>x", "a": "<h1>After</h1>y"}), "a.epub")
        assert document.text == "# Before\n\nx\n\n# After\n\ny"
        assert (document.title, labels(document)) == ("The Book", {"Before": "# Before", "After": "# After"})

    def test_an_element_closed_in_one_tag_does_not_swallow_what_follows(self) -> None:
        assert extract(epub({"a": "<title/><script src='x'/><a id='y'/><p>text</p>"}), "a.epub").text == "text"

    def test_a_chapter_may_be_in_another_encoding(self) -> None:
        chapter = "<html><head><title/></head><body><p>größer</p></body></html>".encode("utf-16")
        assert extract(epub({"a": ""}, **{"OPS/a.xhtml": chapter}), "a.epub").text == "größer"

    def test_a_chapter_of_an_old_book_is_read(self) -> None:
        book = '<package><manifest><item id="a" href="a.html" media-type="text/x-oeb1-document"/></manifest></package>'
        assert extract(epub({}, **{"OPS/book.opf": book, "OPS/a.html": "<p>text</p>"}), "a.epub").text == "text"

    @pytest.mark.parametrize("kind", ["application/xhtml+xml", "application/x-unknown"])
    def test_a_book_without_any_of_its_chapters_is_a_failure(self, kind: str) -> None:
        listed = f'<manifest><item id="a" href="b.xhtml" media-type="{kind}"/></manifest>'
        book = f'<package>{listed}<spine><itemref idref="a"/></spine></package>'
        assert refusal(epub({"a": "x"}, **{"OPS/book.opf": book}), "a.epub").code == "nothing_found"

    def test_the_head_of_a_chapter_is_no_banner_of_a_site(self) -> None:
        document = extract(epub({"a": "<header><h2>Head</h2></header><p>x</p>", "b": "<p>y</p>"}), "a.epub")
        assert document.text == "## Head\n\nx\n\ny"
        assert [label for _, label in document.parts] == ["Head", "b.xhtml"]

    def test_copy_protection_says_so_and_scrambled_fonts_do_not(self) -> None:
        rights = '<encryption><CipherReference URI="OPS/{}"/></encryption>'
        locked = {"META-INF/encryption.xml": rights.format("a.xhtml")}
        assert refusal(epub({"a": "x"}, **locked), "a.epub").code == "encrypted"
        assert extract(epub({"a": "x"}, **{"META-INF/encryption.xml": rights.format("f.otf")}), "a.epub").text == "x"


class TestRtf:
    def test_headings_and_tables_are_markdown(self) -> None:
        rows = r"\trowd\pard\intbl a\cell b\cell\row\trowd\intbl c\cell d\cell\row"
        body = rf"\pard\s1 Head\par\pard text\par{rows}\pard end\par"
        document = extract(rtf(body), "a.rtf")
        assert document.text == "# Head\n\ntext\n\n| a | b |\n| --- | --- |\n| c | d |\n\nend"
        assert (document.title, document.parts) == ("The title", ((0, "Head"),))

    @together(
        ("written", "text"),
        [
            (r"caf\'e9", "café"),
            (r"\u8364?", "€"),
            (r"\u-10179?\u-8704?", "😀"),
            (r"{\uc0\u228 x}", "äx"),
            (r"{\f1\'e4\'e0}", "да"),
            (r"a\~b\_c\{d\}", "a\u00a0b-c{d}"),
            (r"\ldblquote x\rdblquote", "“x”"),
            (r"a{\v hidden}b", "ab"),
            (r"a{\*\unknown gone}b{\pict ffd8}", "ab"),
            (r"a{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}", "alink"),
            (r"a{\xe{\v hidden}Index}b{\tc Contents}c{\atnid AB}{\atnauthor Ann}", "abc"),
            # A substitute is one letter or sign; braces, tabs and ends of paragraphs are none.
            (r"\u233\par x", "é\n\nx"),
            (r"{\b \u233}x", "éx"),
            (r"\u233\tab x", "é\tx"),
            (r"a\u8211\endash b\u160\~c\u123\{d", "a–b\u00a0c{d"),
            (r"x\u8217\'92y\u8217'z", "x’y’z"),
            (r"a\u-10179?b\u-8704?c", "abc"),
            # The group that holds the document has ended.
            (r"a}{\b junk", "a"),
        ],
    )
    def test_characters_are_what_they_stand_for(self, written: str, text: str) -> None:
        assert extract(rtf(written), "a.rtf").text == text

    def test_lists_are_markdown_wherever_their_marks_stand(self) -> None:
        body = (
            r"{\listtext\pard\plain 1.\tab}\pard\ls1 one\par\pard\ls1{\listtext\pard 2)\tab}two\par"
            r"{\pntext\'b7\tab}\pard\ilvl1 inner\par\pard text\par"
        )
        assert extract(rtf(body), "a.rtf").text == "1. one\n2) two\n  - inner\n\ntext"

    def test_what_a_reader_without_nested_tables_would_see_is_left_out(self) -> None:
        inner = r"\itap2 b\nestcell{\*\nesttableprops\trowd\nestrow}{\nonesttables\par}{\nonesttables or this\par}"
        assert "this" not in extract(rtf(rf"\trowd\pard\intbl a {inner}\pard\intbl c\cell\row"), "a.rtf").text

    def test_a_mark_in_unicode_without_a_substitute_takes_nothing_from_its_item(self) -> None:
        body = r"{\listtext\tab\u8226 \tab}First\par{\listtext\u8226 }Second"
        assert extract(rtf(body), "a.rtf").text == "- First\n- Second"

    def test_the_mark_of_a_list_does_not_end_a_table(self) -> None:
        body = r"\trowd\pard\intbl{\listtext\pard 1.\tab}a\par b\cell c\cell\row"
        assert extract(rtf(body), "a.rtf").text == "| a b | c |\n| --- | --- |"

    @together(
        "beside",
        [
            r"{\footnote\pard note\par}",
            r"{\*\footnote note}",
            r"{\*\annotation{\*\atndate 1}note}",
            r"{\shp{\*\shpinst\shpleft1{\sp{\sn x}{\sv 1}}{\shptxt\pard note\par}}{\shprslt note}}",
        ],
    )
    def test_notes_comments_and_boxes_follow_their_paragraph(self, beside: str) -> None:
        assert extract(rtf(rf"\pard\s1 He{beside}ad\par\pard text"), "a.rtf").text == "# Head\n\nnote\n\ntext"

    def test_a_table_that_is_cut_off_keeps_its_text(self) -> None:
        text = extract(rtf(r"\trowd\pard\intbl a\cell b\par c"), "a.rtf").text
        assert all(word in text for word in "abc")

    def test_deleted_text_is_left_out(self) -> None:
        assert extract(rtf(r"a{\deleted gone}{\revised b}"), "a.rtf").text == "ab"

    def test_binary_data_is_jumped_over(self) -> None:
        assert extract(rtf(r"a{\pict\bin5 }}}}}}b"), "a.rtf").text == "ab"


@together("title", [".", "-", "…", " "])
def test_a_title_that_says_nothing_is_none(title: str) -> None:
    core = f"<cp:coreProperties xmlns:cp='c' xmlns:dc='d'><dc:title>{title}</dc:title></cp:coreProperties>"
    heading = '<w:p><w:pPr><w:outlineLvl w:val="0"/></w:pPr><w:r><w:t>Real</w:t></w:r></w:p>'
    assert extract(docx(heading, **{"docProps/core.xml": core}), "a.docx").title == "Real"
    assert extract(f"<title>{title}</title><h1>Real</h1>".encode(), "a.html").title == "Real"


def test_what_stands_for_a_picture_in_the_order_of_a_book_is_read() -> None:
    items = {"a": 'media-type="image/png" fallback="b"', "b": 'media-type="x/y" fallback="c"', "c": "", "d": ""}
    items |= {"e": 'media-type="image/png" fallback="e"'}
    listed = "".join(f'<item id="{name}" href="{name}.xhtml" {said}/>' for name, said in items.items())
    order = "".join(f'<itemref idref="{name}"/>' for name in "ade")
    members: dict[str, str | bytes] = {
        "META-INF/container.xml": '<container><rootfile full-path="book.opf"/></container>',
        "book.opf": f"<package><manifest>{listed}</manifest><spine>{order}</spine></package>",
        **{f"{name}.xhtml": f"<html><body><p>{name}</p></body></html>" for name in items},
    }
    assert extract(package(members), "a.epub").text == "c\n\nd"


def test_a_drawing_that_is_a_page_of_a_book_is_read() -> None:
    drawing = '<svg xmlns="http://www.w3.org/2000/svg"><title>no</title><image href="a.png"/><text>drawn</text></svg>'
    book = (
        '<package><manifest><item id="a" href="a.svg" media-type="image/svg+xml"/><item id="b" href="b.svg" '
        'media-type="image/svg+xml"/></manifest><spine><itemref idref="a"/></spine></package>'
    )
    members = {
        "META-INF/container.xml": '<container><rootfile full-path="book.opf"/></container>',
        "book.opf": book,
        "a.svg": drawing,
        "b.svg": drawing.replace("drawn", "a picture"),
    }
    assert extract(package(members), "a.epub").text == "drawn"
