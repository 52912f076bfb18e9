"""Cells of spreadsheets say what a reader sees: percent, leading zeros, dates, durations, currencies."""

import struct
from contextlib import suppress
from itertools import product

import pytest

from phaseflow.components.extraction import extract
from phaseflow.components.extraction.number_format import shown
from phaseflow.domain.errors import DocumentError
from tests.components.binary_fixtures import (
    ODF,
    S,
    ods,
    package,
    record,
    xls,
    xlsb,
    xlsb_cell,
    xlsb_record,
    xlsb_row,
    xlsx,
)
from tests.matrices import together


@together(
    ("value", "code", "text"),
    [
        (0.475, "0.0%", "47.5%"), (1234.5, '"$"#,##0.00', "$1,234.50"), (99.9, "#,##0.00 [$€-407]", "99.90 €"),
        (42, "00000", "00042"), (4930123456, "+#", "+4930123456"), (-5, "#,##0;(#,##0)", "(5)"), (-3, "0", "-3"),
        (6.02e23, "0.00E+00", "6.02E+23"), (0.1 + 0.2, "0.00", "0.30"), (1.005, "0.00", "1.01"), (-0.001, "0.0", "0.0"),
        (123456789, "000-00-0000", "123-45-6789"), (1234567, "0.0,,", "1.2"), (12000, "#,##0,", "12"),
        (0.75, "# ?/?", "3/4"), (1.75, "# ?/?", "1 3/4"), (-0.25, "# ?/?", "-1/4"), (2, "# ?/?", "2"),
        (0, "# ?/?", "0"),
        (0.333, "# ??/??", "1/3"), (1.5, "# ?/8", "1 4/8"), (0.999, "# ?/2", "1"), (2.5, "?/?", "5/2"),
        (0.5, '# ?/100" in"', "50/100 in"),
        (1e21, "General", "1E+21"), (1e-7, "General", "1E-07"), (4111111111111110, "General", "4111111111111110"),
        (12345.6789, "##0.0E+0", "12.3E+3"), (0.00012, "##0.0E+0", "120.0E-6"),
        (999999, "##0.0E+0", "1.0E+6"), (0, "##0.0E+0", "0.0E+0"), (6.02e-23, "0.0E-00", "6.0E-23"),
        (0, '0;-0;"none"', "none"), (5, '[>=10]"many";[<10]"few"', "few"), (12, 'General" km"', "12 km"),
        (1234.5, '_-* #,##0.00\\ "€"_-;-* #,##0.00\\ "€"_-', "1,234.50 €"), (-0.125, "0.0%;[Red]-0.0%", "-12.5%"),
        (7, '"No. "000', "No. 007"), (5, "@", None), (5, ";;;", ""), (0, "0;-0;", ""), (0, "#", ""),
        (-3, "0;;0", ""), (5, '"";"";"";@', ""), (5, "**;**;**", ""), (3, "[Red]", "3"), (5, "0" * 300, None),
        (1.5, "[h]:mm", "36:00"), (1.5, "[hh]:mm:ss", "36:00:00"), (1, "[s]", "86400"), (0.0007, "mm:ss.0", "01:00.5"),
        (0.3541666666666667, "h:mm AM/PM", "8:30 AM"), (0.99999999, "hh:mm:ss", "00:00:00"), (0, "h AM/PM", "12 AM"),
        (45362, "d. mmmm yyyy", "11. March 2024"), (45362.75, "dd/mm/yyyy hh:mm", "11/03/2024 18:00"),
        (61, "d.m.yy", "1.3.00"), (1, "d.m.yy", "1.1.00"), (60, "yyyy-mm-dd", "1900-02-29"),
        (0, "yyyy-mm-dd", "1900-01-00"),
        (0.5, "d mmm yyyy hh:mm", "0 Jan 1900 12:00"), (0, "dddd", "Saturday"), (32, "ddd d.m.", "Wed 1.2."),
        (45362, "ddd", "Mon"),
        (45362, "[$-407]dd.mm.yyyy", "11.03.2024"), (45362, "[$-407]d. mmmm yyyy", None),
        (45362, "[$-F800]dddd, mmmm dd", None), (-1, "yyyy", "-1"), (1e9, "yyyy", None),
        (-1.5, "yyyy-mm-dd hh:mm", "-1.5"),
        (45362, '[$-411]ggge"年"m"月"d"日"', None), (45362, "d/m/bbbb", None), (45362, "b2d.m.yyyy", None),
        (45362, "[$-404]e/m/d", None), (45362, "aaaa", None), (45362, 'yyyy"ge"', "2024ge"), (3, '0 "age"', "3 age"),
        (float("inf"), "0%", None), (float("nan"), "# ?/?", None),
    ],
)  # fmt: skip
def test_a_number_is_shown_by_its_format(value: float, code: str, text: str | None) -> None:
    assert shown(float(value), code) == text


def test_days_may_be_counted_from_1904() -> None:
    assert shown(43900.0, "yyyy-mm-dd", is_1904=True) == "2024-03-11"


def styles(*codes: str) -> str:
    formats = "".join(f'<numFmt numFmtId="{164 + n}" formatCode="{code}"/>' for n, code in enumerate(codes))
    cells = "".join(f'<xf numFmtId="{164 + n}"/>' for n in range(len(codes)))
    # The styles that cells' styles are made of come first, and are not those of the cells.
    others = "<cellStyleXfs><xf numFmtId='0'/></cellStyleXfs>"
    return f"<styleSheet {S}>{formats}{others}<cellXfs>{cells}</cellXfs></styleSheet>"


def test_an_empty_date_is_the_day_that_the_program_shows() -> None:
    assert shown(0.0, "yyyy-mm-dd", is_1904=True) == "1904-01-01"
    built_in = (
        f"<styleSheet {S}><cellXfs><xf numFmtId='14'/><xf numFmtId='22'/><xf numFmtId='20'/></cellXfs></styleSheet>"
    )
    row = '<row r="1"><c r="A1" s="0"><v>0</v></c><c r="B1" s="1"><v>0.5</v></c><c r="C1" s="2"><v>0</v></c></row>'
    data = xlsx({"One": row}, **{"xl/styles.xml": built_in})
    assert "| 1900-01-00 | 1900-01-00 12:00:00 | 0:00 |" in extract(data, "a.xlsx").text


def test_errors_are_shown_in_binary_workbooks_too() -> None:
    value = struct.pack("<HHH", 0, 1, 0) + bytes([2, 0, 0x07, 0, 0, 0]) + b"\xff\xff" + bytes(8)
    truth = struct.pack("<HHH", 0, 2, 0) + bytes([1, 0, 1, 0, 0, 0]) + b"\xff\xff" + bytes(8)
    sheet = record(0x205, struct.pack("<HHHBB", 0, 0, 0, 0x2A, 1)) + record(0x06, value) + record(0x06, truth)
    packed = struct.pack("<HHHIHIH", 0, 3, 0, 42 << 2 | 2, 0, 0xFFFFFFFE, 4)
    text = extract(xls(sheet + record(0xBD, packed), "0"), "a.xls").text
    assert "| #N/A | #DIV/0! | TRUE | 42 |" in text
    assert "| #N/A | #DIV/0! |" in extract(xls(sheet), "a.xls").text
    errors = xlsb_record(3, struct.pack("<II", 0, 0) + b"\x17") + xlsb_record(
        11, struct.pack("<II", 1, 0) + b"\x1d" + bytes(8)
    )
    assert "| #REF! | #NAME? | 7.5 |" in extract(xlsb(errors + xlsb_cell(5, 2, 7.5)), "a.xlsb").text


def test_what_a_format_hides_is_not_shown() -> None:
    cells = "".join(
        f'<c r="{name}1" s="{style}" t="{kind}"><v>{value}</v></c>'
        for name, style, kind, value in (
            ("A", 0, "n", 7), ("B", 0, "str", "secret"), ("C", 1, "n", 8), ("D", 1, "str", "seen"),
            ("E", 2, "str", "x"),
            ("F", 3, "n", 0), ("G", 4, "n", 9),
        )
    )  # fmt: skip
    members = {"xl/styles.xml": styles(";;;", ";;;@", "0;0;0;&quot;hidden&quot;", "0;-0;;@", "0")}
    text = extract(xlsx({"One": f'<row r="1">{cells}</row>'}, **members), "a.xlsx").text
    assert "|  |  |  | seen | hidden |  | 9 |" in text
    # Where no text has a format, cells are read in another way.
    row = '<row r="1"><c r="A1" s="0"><v>7</v></c><c r="B1" s="1"><v>0</v></c></row>'
    text = extract(xlsx({"One": row}, **{"xl/styles.xml": styles(";;", "0")}), "a.xlsx").text
    assert "|  | 0 |" in text
    records = xlsb_cell(5, 0, 0.475, 0) + xlsb_cell(2, 1, 42, 1)
    assert "|  | 42 |" in extract(xlsb(records, ";;;", "0"), "a.xlsb").text


def test_excel() -> None:
    row = (
        '<row r="2"><c r="B2" s="0"><v>0.2</v></c><c r="C2" s="1" t="n"><f>A1*2</f><v>42</v></c>'
        '<c s="2" r="D2"><v>1.5</v></c><c r="E2" s="0" t="str"><f>x</f><v>0.3</v></c></row>'
    )
    data = xlsx({"One": row}, **{"xl/styles.xml": styles("0%", "00000", "[h]:mm")})
    assert "| 20% | 00042 | 36:00 | 0.3 |" in extract(data, "a.xlsx").text


def test_texts_are_shown_as_they_are_framed_and_raised_and_cells_may_have_no_name() -> None:
    texts = (
        "<si><r><t>10</t></r><r><rPr><vertAlign val='superscript'/></rPr><t>6</t></r><r><t> cells</t></r></si>"
        "<si><t>東京</t><rPh><t>とう</t></rPh></si>"
    )
    row = (
        '<row><c t="s"><v>0</v></c><c t="s" s="0"><v>1</v></c><c s="1"><v>0.75</v></c>'
        '<c t="inlineStr"><is><r><t>H</t></r><r><rPr><vertAlign val="subscript"/></rPr><t>2</t></r></is></c></row>'
    )
    members = {"xl/styles.xml": styles("0;0;0;&quot;No. &quot;@", "0%")}
    data = xlsx({"One": row}, **members, **{"xl/sharedStrings.xml": f"<sst {S}>{texts}</sst>"})
    assert "| 10⁶ cells | No. 東京 | 75% | H₂ |" in extract(data, "a.xlsx").text
    # An accounting format has a place for texts, and nothing beside them.
    plain = xlsx(
        {"One": '<row r="1"><c r="A1" s="0" t="inlineStr"><is><t>x</t></is></c></row>'},
        **{"xl/styles.xml": styles("0;0;0;_(@_)")},
    )
    assert "| x |" in extract(plain, "a.xlsx").text


def test_the_formats_that_excel_numbers() -> None:
    formats = "".join(f'<xf numFmtId="{number}"/>' for number in (12, 13, 48))
    row = "".join(
        f'<c r="{name}1" s="{n}"><v>{value}</v></c>'
        for n, (name, value) in enumerate(zip("ABC", (0.5, 0.32, 12345), strict=True))
    )
    members = {"xl/styles.xml": f"<styleSheet {S}><cellXfs>{formats}</cellXfs></styleSheet>"}
    assert "| 1/2 | 8/25 | 12.3E+3 |" in extract(xlsx({"One": f'<row r="1">{row}</row>'}, **members), "a.xlsx").text


def test_binary_workbooks() -> None:
    cells = xlsb_cell(5, 0, 0.475, 0) + xlsb_cell(2, 1, 42, 1) + xlsb_cell(9, 2, 1.5, 2) + xlsb_cell(5, 3, 7.5, 9)
    text = extract(xlsb(cells, "0.0%", "00000", "[h]:mm", comment="ask Ann"), "a.xlsb").text
    assert "| 47.5% | 00042 | 36:00 | 7.5 |" in text
    assert text.endswith("\n\nask Ann")


@pytest.mark.parametrize("codes", [(), ("0.0%",)])
def test_cells_of_a_binary_workbook_that_are_too_far_apart_are_refused_before_the_library_reads_them(
    codes: tuple[str, ...],
) -> None:
    near = xlsb_cell(5, 0, 1.5) + xlsb_row(1000) + xlsb_cell(5, 1000, 2.5)
    assert extract(xlsb(near, *codes), "a.xlsb").text.count("\n") > 2
    for row, column in ((1_048_575, 16_383), (0, 2**32 - 1), (1_048_575, 20)):
        far = xlsb_cell(5, 0, 1.5) + xlsb_row(row) + xlsb_cell(5, column, 2.5)
        with pytest.raises(DocumentError) as caught:
            extract(xlsb(far, *codes), "a.xlsb")
        assert caught.value.code == "too_large"
        assert f"row {row + 1:,} and column {column + 1:,}" in str(caught.value)
    row_of_two = xlsb_row(1_048_575) + xlsb_cell(5, 0, 1.5) + xlsb_cell(5, 100, 2.5)
    with pytest.raises(DocumentError, match="reaches to row"):
        extract(xlsb(row_of_two, *codes), "a.xlsb")


CELL = (
    "<table:table-cell office:value-type='string' table:number-columns-repeated=\"{}\"><text:p>x</text:p>"
    "</table:table-cell>"
)
EMPTY = '<table:table-cell table:number-columns-repeated="{}"/>'
ROWS = '<table:table-row table:number-rows-repeated="{}">{}</table:table-row>'


def test_cells_of_an_opendocument_that_are_too_far_apart_are_refused_before_the_library_reads_them() -> None:
    usual = ods(CELL.format(1), ROWS.format(1_048_575, EMPTY.format(16_384)))
    assert extract(usual, "a.ods").text == "## S\n\n| x |\n| --- |"
    row_of_many = CELL.format(16_384)
    for cells, more in (
        (
            CELL.format(1),
            ROWS.format(1_048_574, EMPTY.format(1)) + ROWS.format(1, EMPTY.format(16_383) + CELL.format(1)),
        ),
        (CELL.format(1), ROWS.format(1_000_000, CELL.format(100))),
        (CELL.format(1), ROWS.format(1_000_000, EMPTY.format(1) + CELL.format(100))),
        (row_of_many, ROWS.format(1, row_of_many) * 2000),
        (EMPTY.format(16_383) + CELL.format(1), ROWS.format(1, CELL.format(1)) * 2000),
    ):
        with pytest.raises(DocumentError) as caught:
            extract(ods(cells, more), "a.ods")
        assert caught.value.code == "too_large"


def test_an_opendocument_that_does_not_end_is_refused_and_not_looked_for_its_end() -> None:
    for more in ("</table:tabe>", "<table:table-row>", "<!-- "):
        with pytest.raises(DocumentError) as caught:
            extract(ods(CELL.format(1), more), "a.ods")
        assert caught.value.code == "malformed"


def test_a_cell_with_a_name_that_no_program_writes_is_too_far_away() -> None:
    for name in ("A" * 40 + "1", "A" + "9" * 5000, "XFD" + "1" * 30):
        rows = f'<row r="1"><c r="A1"><v>1</v></c><c r="{name}"><v>1</v></c></row>'
        with pytest.raises(DocumentError) as caught:
            extract(xlsx({"One": rows}), "a.xlsx")
        assert caught.value.code == "too_large"


@together(
    ("more", "cell"),
    product(
        ['x="/>"', "x='/>'", 'x=">"', 'x="<"', 'x="r=1"', 'x="/" y="/>"', 'x="r=&quot;A1&quot; />"'],
        ['<c r="XFD{0}" {1}><v>1</v></c>', '<c {1} r="XFD{0}"><v>1</v></c>'],
    ),
)
def test_no_attribute_hides_a_cell_that_is_too_far_away(cell: str, more: str) -> None:
    near = f'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576">{cell.format(1048576, more)}</row>'
    nameless = f'<row r="1"><c><v>1</v></c></row><row r="1048576">{f"<c {more}><v>1</v></c>" * 100}</row>'
    for rows in (near, nameless):
        with pytest.raises(DocumentError) as caught:
            extract(xlsx({"One": rows}), "a.xlsx")
        assert caught.value.code in ("too_large", "malformed")
    styled = "".join(f'<c r="XFD1048576" s="0" {each}/>' for each in ("", 'x="y"', "x='y' "))
    assert extract(xlsx({"One": f'<row r="1"><c r="A1"><v>1</v></c>{styled}</row>'}), "a.xlsx").text.count("\n") == 3


def test_a_record_of_a_binary_workbook_that_no_program_writes_hides_nothing_behind_it() -> None:
    far = xlsb_row(1_048_575) + xlsb_cell(5, 16_383, 2.5)
    with pytest.raises(DocumentError) as caught:
        extract(xlsb(xlsb_cell(5, 0, 1.5) + b"\x93\x01\xff\xff\xff\x7f" + far), "a.xlsb")
    assert caught.value.code == "malformed"


def test_a_cell_that_is_cut_by_the_end_of_a_piece_is_shown_too() -> None:
    rows = "".join(f'<row r="{n}"><c r="A{n}" s="0"><v>0.{n:05}</v></c></row>' for n in range(1, 5001))
    text = extract(xlsx({"One": rows}, **{"xl/styles.xml": styles("0.000%")}), "a.xlsx").text
    assert text.count("%") == 5000


def test_opendocument_shows_what_the_document_says_is_shown() -> None:
    names = " ".join(f'xmlns:{name}="{ODF}{name}:1.0"' for name in ("office", "text", "table"))
    cell = '<table:table-cell office:value-type="{}" office:{}="{}"{}><text:p>{}</text:p></table:table-cell>'
    row = (
        "<table:table-row><table:table-cell/>"
        + cell.format("percentage", "value", "0.475", "", "47.5%")
        + cell.format("currency", "value", "9.9", "", "9,90 €")
        + cell.format("time", "time-value", "PT36H00M00S", "", "36:00")
        + cell.format("float", "value", "7", ' table:number-columns-repeated="2"', "007")
        + "</table:table-row>"
    )
    content = (
        f"<office:document-content {names}><office:body><office:spreadsheet>"
        f'<table:table table:name="A &amp; B">{row}</table:table></office:spreadsheet></office:body>'
        "</office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    data = package({"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": "<m/>"})
    assert "| 47.5% | 9,90 € | 36:00 | 007 | 007 |" in extract(data, "a.ods").text


def test_opendocument_shows_numbers_as_they_are_shown_though_no_style_says_how() -> None:
    names = " ".join(f'xmlns:{name}="{ODF}{name}:1.0"' for name in ("office", "text", "table"))
    cell = '<table:table-cell office:value-type="float" office:value="{}"><text:p>{}</text:p></table:table-cell>'
    row = f"<table:table-row>{cell.format('42', '42')}{cell.format('7.5', '7,50')}</table:table-row>"
    content = (
        f"<office:document-content {names}><office:body><office:spreadsheet>"
        f'<table:table table:name="A">{row}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    data = package({"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": "<m/>"})
    assert "| 42 | 7,50 |" in extract(data, "a.ods").text


def test_words_of_an_opendocument_cell_are_parted_where_its_lines_are() -> None:
    words = "one<text:line-break/>two<text:tab/>three<text:s/>four"
    cell = f'<table:table-cell office:value-type="string"><text:p>{words}</text:p></table:table-cell>'
    assert "| one two three four |" in extract(ods(cell, ""), "a.ods").text


def test_opendocument_says_texts_in_lines_and_comments_and_drawings_beside() -> None:
    names = " ".join(f'xmlns:{name}="{ODF}{name}:1.0"' for name in ("office", "text", "table", "style", "draw"))
    styled = '<style:style style:name="T1"><style:text-properties style:text-position="super 58%"/></style:style>'
    note = '<office:annotation><dc:creator xmlns:dc="d">Ann</dc:creator><text:p>a remark</text:p></office:annotation>'
    row = (
        f"<table:table-row><table:table-cell office:value-type='string'>{note}<text:p>10<text:span"
        ' text:style-name="T1">6</text:span> cells</text:p></table:table-cell>'
        f'<table:table-cell office:value-type="percentage" office:value="0.5">{note}<text:p>50%</text:p>'
        "<draw:frame><draw:text-box><text:p>boxed</text:p></draw:text-box></draw:frame></table:table-cell>"
        '<table:table-cell office:value-type="boolean" office:boolean-value="true"><text:p>WAHR</text:p>'
        "</table:table-cell></table:table-row>"
    )
    content = (
        f"<office:document-content {names}>{styled}<office:body><office:spreadsheet>"
        f'<table:table table:name="A">{row}</table:table></office:spreadsheet></office:body></office:document-content>'
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    data = package({"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": "<m/>"})
    text = extract(data, "a.ods").text
    assert "| 10⁶ cells | 50% | WAHR |" in text
    assert text.endswith("a remark\n\na remark\n\nboxed")


class TestOldExcel:
    def test_numbers_of_every_packing_are_shown_by_their_format(self) -> None:
        sheet = record(0x203, struct.pack("<HHHd", 0, 0, 0, 0.475))
        sheet += record(0x27E, struct.pack("<HHHI", 0, 1, 1, 42 << 2 | 2))
        sheet += record(0xBD, struct.pack("<HHHIHIH", 0, 2, 1, 7 << 2 | 2, 0, 50 << 2 | 3, 3))
        assert "| 47.5% | 00042 | 00007 | 50.0% |" in extract(xls(sheet, "0.0%", "00000"), "a.xls").text

    def test_texts_of_boxes_and_comments_follow_the_table(self) -> None:
        box = record(0x1B6, bytes(10) + struct.pack("<HHI", 5, 0, 0)) + record(0x3C, b"\0boxed")
        wide = record(0x1B6, bytes(10) + struct.pack("<HHI", 4, 0, 0)) + record(
            0x3C, b"\1" + "žluť".encode("utf-16-le")
        )
        assert extract(xls(box + wide), "a.xls").text == "## S\n\nboxed\n\nžluť"

    def test_a_password_is_told(self) -> None:
        with pytest.raises(DocumentError) as caught:
            extract(xls(b"", before=record(0x2F, b"\1\0" + bytes(52))), "a.xls")
        assert caught.value.code == "encrypted"

    def test_a_panic_of_the_library_is_not_the_message(self) -> None:
        cut = record(0x203, struct.pack("<HHH", 0, 0, 0))
        with pytest.raises(DocumentError) as caught:
            extract(xls(cut), "a.xls")
        assert caught.value.code == "malformed"
        assert "slice" not in str(caught.value)

    @pytest.mark.parametrize("rows", [(0, 0x80000018), (0x80000000, 0x18)])
    def test_a_sheet_that_claims_more_rows_than_there_can_be_is_refused(self, rows: tuple[int, int]) -> None:
        size = record(0x200, struct.pack("<IIHHH", *rows, 0, 4, 0))
        with pytest.raises(DocumentError, match="more rows or columns than there can be"):
            extract(xls(size), "a.xls")

    @pytest.mark.parametrize("sector", [1, 2])
    def test_a_chain_of_sectors_that_goes_round_is_malformed(self, sector: int) -> None:
        data = bytearray(xls(b""))
        # The table of sectors is the first of them.
        data[512 + 4 * sector : 516 + 4 * sector] = struct.pack("<I", sector)
        with pytest.raises(DocumentError) as caught:
            extract(bytes(data), "a.xls")
        assert caught.value.code == "malformed"

    @together("place", [30, 48, 76, 512, 520])
    def test_a_chain_of_sectors_that_leads_nowhere_ends(self, place: int) -> None:
        data = bytearray(xls(record(0x203, struct.pack("<HHHd", 0, 0, 0, 0.475)), "0%"))
        data[place : place + 8] = b"\2\0\0\0\2\0\0\0"
        with suppress(DocumentError):
            extract(bytes(data), "a.xls")


def test_rows_and_columns_that_a_workbook_hides_are_text() -> None:
    cells = '<c r="A{0}"><v>1</v></c><c r="B{0}"><v>2</v></c>'
    rows = f'<row r="1">{cells.format(1)}</row><row r="2" hidden="1">{cells.format(2)}</row>'
    sheet = f'<worksheet {S}><cols><col min="1" max="1" hidden="1"/></cols><sheetData>{rows}</sheetData></worksheet>'
    text = extract(xlsx({"One": ""}, **{"xl/worksheets/sheet1.xml": sheet}), "a.xlsx").text
    assert "| 1 | 2 |\n| --- | --- |\n| 1 | 2 |" in text
