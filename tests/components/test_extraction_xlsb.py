"""Binary workbooks that the library gives up on are read without it, whole or not at all."""

import io
import struct
import zipfile

import pytest

from phaseflow.components.extraction import extract
from phaseflow.domain.errors import DocumentError
from tests.components.binary_fixtures import (
    package,
    relations,
    xlsb,
    xlsb_cell,
    xlsb_record,
    xlsb_row,
    xlsb_text,
)
from tests.matrices import together

SHARED = xlsb_record(159, struct.pack("<II", 2, 2)) + b"".join(
    xlsb_record(19, b"\0" + xlsb_text(text)) for text in ("shared", "and another")
)
END_OF_SHARED = xlsb_record(160)
CHART = xlsb_record(129) + xlsb_record(130)


def cell(kind: int, column: int, body: bytes, style: int = 0) -> bytes:
    return xlsb_record(kind, struct.pack("<II", column, style) + body)


CELLS = (
    cell(7, 0, struct.pack("<I", 1))
    + cell(6, 1, xlsb_text("inline"))
    + xlsb_cell(5, 2, 0.475, 0)
    + xlsb_cell(2, 3, 42, 1)
    + xlsb_row(2)
    + cell(1, 0, b"")
    + cell(8, 1, xlsb_text("of a formula") + bytes(10))
    + cell(4, 2, b"\1")
    + cell(11, 3, b"\x17" + bytes(10))
    + xlsb_cell(9, 5, 45_000.25, 2)
)
SHOWN = (
    "## One\n\n| and another | inline | 47.5% | 42 |  |  |\n| --- | --- | --- | --- | --- | --- |\n"
    "|  | of a formula | TRUE | #REF! |  | 2023-03-15 06:00:00 |"
)
FORMATS = ("0.0%", "0", '[$-407]d. mmmm "im Jahr" yyyy')


def sheet(number: int, relation: str, name: str, before: bytes = b"") -> bytes:
    return xlsb_record(156, before + struct.pack("<II", 0, number) + xlsb_text(relation) + xlsb_text(name))


def book(*sheets: bytes) -> bytes:
    return xlsb_record(131) + xlsb_record(143) + b"".join(sheets) + xlsb_record(144) + xlsb_record(132)


def workbook(main: bytes, folder: str = "xl", **changed: bytes) -> bytes:
    """A workbook with shared strings and a sheet of a chart; ``changed``: other parts, by the end of their names."""
    with zipfile.ZipFile(io.BytesIO(xlsb(CELLS, *FORMATS))) as base:
        parts: dict[str, str | bytes] = {name: base.read(name) for name in base.namelist()}
    parts |= {
        "xl/workbook.bin": main,
        "xl/_rels/workbook.bin.rels": relations(
            worksheet1="worksheets/sheet1.bin", chartsheet1="chartsheets/sheet1.bin", styles1="styles.bin",
            sharedStrings1="sharedStrings.bin",
        ),
        "xl/chartsheets/sheet1.bin": CHART,
        "xl/sharedStrings.bin": SHARED + END_OF_SHARED,
        "_rels/.rels": relations(officeDocument=f"{folder}/workbook.bin"),
    }  # fmt: skip
    parts |= {name: data for name in parts for end, data in changed.items() if name.endswith(f"{end}.bin")}
    return package({name.replace("xl/", f"{folder}/", 1): data for name, data in parts.items()})


ONE, GRAPH = sheet(1, "worksheet1", "One"), sheet(2, "chartsheet1", "Graph")


@together(
    "data",
    [
        workbook(book(ONE, GRAPH)),
        workbook(book(GRAPH, ONE)),
        workbook(book(ONE), folder="other"),
        workbook(book(sheet(1, "worksheet1", "One", before=bytes(4)))),
    ],
)
def test_what_the_library_cannot_open_is_read_all_the_same(data: bytes) -> None:
    found = extract(data, "a.xlsb")
    assert SHOWN in found.text
    assert "One" in [label for _, label in found.parts]


def test_it_shows_what_the_library_shows() -> None:
    assert SHOWN in extract(workbook(book(ONE)), "a.xlsb").text


@together(
    "data",
    [
        workbook(book(ONE, GRAPH), sheet1=CHART[:-1]),
        workbook(book(ONE, GRAPH), sheet1=xlsb_record(129) + xlsb_row(0) + cell(5, 0, b"\0")),
        workbook(
            book(ONE, GRAPH), sheet1=xlsb_record(129) + xlsb_row(0) + cell(7, 0, b"\x09\0\0\0") + xlsb_record(130)
        ),
        workbook(book(ONE, GRAPH), sharedStrings=SHARED),
        workbook(book(ONE, GRAPH, sheet(3, "gone", "Lost"))),
        workbook(book(), folder="other"),
    ],
)
def test_what_is_damaged_is_refused_and_not_read_in_part(data: bytes) -> None:
    with pytest.raises(DocumentError) as caught:
        extract(data, "a.xlsb")
    assert caught.value.code == "malformed"


def test_a_lone_cell_far_away_is_refused() -> None:
    far = xlsb_record(129) + xlsb_row(0) + xlsb_cell(5, 0, 1) + xlsb_row(1_000_000) + xlsb_cell(5, 16_000, 1)
    with pytest.raises(DocumentError) as caught:
        extract(workbook(book(ONE, GRAPH), sheet1=far + xlsb_record(130)), "a.xlsb")
    assert caught.value.code == "too_large"


def test_errors_at_the_edge_and_errors_alone_are_shown() -> None:
    error = b"\x17"
    edge = xlsb_cell(5, 1, 7.5) + cell(3, 0, error) + cell(3, 3, error) + xlsb_row(1) + cell(3, 2, error)
    assert (
        "| #REF! | 7.5 |  | #REF! |\n| --- | --- | --- | --- |\n|  |  | #REF! |  |"
        in extract(xlsb(edge), "a.xlsb").text
    )
    assert "| #REF! |" in extract(xlsb(cell(3, 0, error)), "a.xlsb").text
