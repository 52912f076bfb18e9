"""Spreadsheets: a heading and a table a sheet.

Read by calamine (Rust), measured against openpyxl 3.1 in benchmarks/extraction.py; openpyxl also finds nothing, without
a word, in strict OOXML. What calamine returns is compared with what the file holds, so that nothing is lost in silence.
"""

import datetime
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from phaseflow.components.extraction.cell_formats import CellFormats
from phaseflow.components.extraction.cell_values import plain
from phaseflow.components.extraction.libraries import library
from phaseflow.components.extraction.markdown_writer import Draft
from phaseflow.components.extraction.ods import Ods
from phaseflow.components.extraction.package import Package, encrypted, no_text_layer, nothing_found
from phaseflow.components.extraction.sheet_limits import MAX_CELLS, look_inside
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.components.extraction.workbook import (
    ByRow,
    PassedOver,
    Place,
    Workbook,
    by_row,
    reaches_too_far,
)
from phaseflow.components.extraction.xls import FatalWorkbook, OldWorkbook
from phaseflow.components.extraction.xlsb import BinaryWorkbook
from phaseflow.domain.errors import DocumentError

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

_PANIC = "PanicException"
_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_NOTHING = PassedOver({}, ())
_VALUE = re.compile(rb"<(?:\w+:)?(?:v|is|t|p)>[^<]|office:value=")


def extract(raw: Raw) -> Extracted:
    """Return every sheet as a Markdown table below its name. Parts: sheets. Title: the name of the file.

    Formulas appear as the values or errors they had, those that were never calculated as they are; comments and what
    drawings and charts say follow the table. Raises DocumentError ``encrypted``, ``malformed``, ``too_large``,
    ``no_text_layer``, ``nothing_found``.
    """
    package = Package(raw) if raw.data.startswith(_ZIP) else None
    if package is not None:
        look_inside(package)
    beside = _beside_xml(package) if package else _beside_records(raw)
    draft = Draft(raw.name)
    try:
        has_text = _by_library(raw, draft, beside)
    except DocumentError as error:
        if beside.binary is None or error.code != "malformed":
            raise
        draft = Draft(raw.name)
        has_text = _without_library(beside.binary, draft, beside)
    if not has_text and package is not None:
        _explain(package)
    if not has_text and beside.has_pictures:
        raise no_text_layer(raw.name)
    properties = package.properties() if package else {}
    return (draft if has_text else Draft(raw.name)).finish(raw.base_name if has_text else None, metadata=properties)


def _by_library(raw: Raw, draft: Draft, beside: "_Beside") -> bool:
    """Add all sheets; whether they have text."""
    calamine = library("python_calamine", "spreadsheets")
    try:
        workbook = calamine.CalamineWorkbook.from_filelike(BytesIO(raw.data))
        return _add_sheets(workbook, draft, beside)
    except calamine.PasswordError as error:
        raise encrypted(raw.name) from error
    except (calamine.CalamineError, OSError, ValueError) as error:
        raise _malformed(raw) from error
    except BaseException as error:
        # A panic of Rust is no Exception, and names lines of the library.
        if type(error).__name__ != _PANIC:
            raise
        raise _malformed(raw, " (its parts contradict each other)") from error


def _without_library(book: BinaryWorkbook, draft: Draft, beside: "_Beside") -> bool:
    """The same, where the library gives up. Raises DocumentError ``malformed`` for what is damaged."""
    has_text = False
    for name, rows in book.tables(MAX_CELLS):
        has_text = _add_sheet(draft, name, rows, beside.passed[name].remarks) or has_text
    return has_text


@dataclass(frozen=True, slots=True)
class _Beside:
    """What is read beside the library, by the name of the sheet."""

    passed: Mapping[str, PassedOver]
    shown: Callable[[str], ByRow]
    """What numbers show, where that is not how they are stored."""
    has_pictures: bool = False
    first_day: str = ""
    """What day 0 is, where dates are counted."""
    binary: BinaryWorkbook | None = None


def _beside_xml(package: Package) -> _Beside:
    if "content.xml" in package:
        ods = Ods(package)
        ods.measure(MAX_CELLS)
        by_sheet: dict[str, dict[int, list[tuple[int, str]]]] = {}
        for name, (row, column), text in ods.shown():
            by_sheet.setdefault(name, {}).setdefault(row, []).append((column, text))
        said = {name: PassedOver({}, texts) for name, texts in ods.remarks().items()}
        return _Beside(said, lambda name: by_sheet.get(name, {}))
    if (binary := BinaryWorkbook.read(package)) is not None:
        said = {name: PassedOver({}, binary.remarks(name)) for name in binary.sheets}
        return _Beside(
            said,
            lambda name: by_row(binary.cells(name, MAX_CELLS)),
            first_day=_first_day(binary.is_1904),
            binary=binary,
        )
    book = Workbook.read(package)
    formats, members = CellFormats(package, is_1904=book.is_1904), dict(book.sheets)
    return _Beside(
        book.passed_over(),
        lambda name: formats.shown(members[name]) if name in members else {},
        first_day=_first_day(book.is_1904),
    )


def _beside_records(raw: Raw) -> _Beside:
    """Raises DocumentError ``encrypted``. What is damaged is left to the library, which says so."""
    try:
        book = OldWorkbook.read(raw.data)
        remarks = book.unread()
    except FatalWorkbook as error:
        # The library would go round for ever, or take the process with it.
        raise _malformed(raw, f" ({error})") from error
    except (ValueError, KeyError, struct.error):
        return _Beside({}, lambda name: {})
    if book.is_encrypted:
        raise encrypted(raw.name)
    begins = dict(book.sheets)
    passed = {name: PassedOver({}, texts) for name, texts in remarks.items()}
    return _Beside(
        passed,
        lambda name: by_row(book.cells(begins[name]) if name in begins else ()),
        book.has_pictures,
        _first_day(book.is_1904),
    )


def _add_sheets(workbook: "CalamineWorkbook", draft: Draft, beside: _Beside) -> bool:
    has_text = False
    for name in workbook.sheet_names:
        # Before the library reads the sheet: what is too far away in it ends here.
        shown = beside.shown(name)
        sheet = workbook.get_sheet_by_name(name)
        # All rows come, those before the first cell too.
        if sheet.total_height * sheet.width > MAX_CELLS:
            raise reaches_too_far(draft.name, name, sheet.total_height, sheet.total_width)
        more = beside.passed.get(name, _NOTHING)
        left = sheet.start[1] if sheet.start else 0
        rows = _rows(sheet.iter_rows(), shown, left, beside.first_day)
        if cells := {**_beyond(shown, rows, left), **more.cells}:
            rows = _completed(rows, left, cells, draft.name)
        has_text = _add_sheet(draft, name, rows, more.remarks) or has_text
    return has_text


def _add_sheet(draft: Draft, name: str, rows: list[list[str]], remarks: Sequence[str]) -> bool:
    draft.part(name)
    draft.heading(2, name)
    draft.table(rows)
    for remark in remarks:
        draft.put(remark)
    return any(any(row) for row in rows) or any(remarks)


def _rows(values: "Iterable[Sequence[Any]]", shown: ByRow, left: int, first_day: str) -> list[list[str]]:
    """Return the rows of a sheet, whose columns begin with ``left``; ``shown`` goes before the values."""
    rows: list[list[str]] = []
    for number, row in enumerate(values):
        cells: list[Any] = list(row)
        for column, text in shown.get(number, ()):
            if left <= column < left + len(cells):
                cells[column - left] = text
        rows.append([cell if isinstance(cell, str) else _as_text(cell, first_day) for cell in cells])
    return rows


def _beyond(shown: ByRow, rows: Sequence[Sequence[str]], left: int) -> dict[Place, str]:
    """What is shown outside the cells that the library gives: it passes over errors, also where nothing else is."""
    right = left + (len(rows[0]) if rows else 0)
    return {
        (number, column): text
        for number, cells in shown.items()
        for column, text in cells
        if text and (number >= len(rows) or not left <= column < right)
    }


def _completed(rows: list[list[str]], left: int, more: Mapping[Place, str], name: str) -> list[list[str]]:
    """Return the rows, of which the library gives those from the first and the columns from ``left``, with ``more``."""
    height = max(len(rows), 1 + max(row for row, _ in more))
    width = max(left + max(map(len, rows), default=0), 1 + max(column for _, column in more))
    if height * width > MAX_CELLS:
        raise reaches_too_far(name, "with formulas", height, width)
    whole = [[""] * left + row + [""] * (width - left - len(row)) for row in rows]
    whole += [[""] * width for _ in range(height - len(rows))]
    for (row, column), text in more.items():
        whole[row][column] = whole[row][column] or text
    first = min(left, *(column for _, column in more)) if rows else min(column for _, column in more)
    return [row[first:] for row in whole]


def _explain(package: Package) -> None:
    sheets = [name for name in package.names() if name.startswith("xl/worksheets/") or name == "content.xml"]
    if any(_VALUE.search(chunk) for name in sheets for chunk in package.chunks(name)):
        raise nothing_found(package.name, "it has cells with values")
    if package.has_pictures():
        raise no_text_layer(package.name)


def _malformed(raw: Raw, why: str = "") -> DocumentError:
    if raw.data.startswith(_OLE) and "EncryptedPackage".encode("utf-16-le") in raw.data:
        return encrypted(raw.name)
    message = f"{raw.name} is damaged or no spreadsheet{why}; open and save it again, or exclude it"
    return DocumentError(message, code="malformed")


def _as_text(cell: Any, first_day: str) -> str:
    """Return a value that no format says more about. ``first_day`` is day 0; ``""`` where days are not counted."""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return plain(cell)
    if isinstance(cell, datetime.timedelta):
        return _duration(cell)
    if isinstance(cell, datetime.datetime):
        return str(cell.date()) if cell.time() == datetime.time() else cell.isoformat(" ", "seconds")
    if isinstance(cell, datetime.time) and first_day:
        # Times are shown by their formats, and before this. What is left is a date, as systems or other languages write
        # it, on the day before the first: mostly one that nobody has filled in.
        return f"{first_day} {cell.isoformat('seconds')}" if cell != datetime.time() else first_day
    return str(cell)


def _duration(time: datetime.timedelta) -> str:
    """Hours may be more than a day: 36:00:00."""
    seconds = round(time.total_seconds())
    minutes, second = divmod(abs(seconds), 60)
    return f"{'-' if seconds < 0 else ''}{minutes // 60}:{minutes % 60:02d}:{second:02d}"


def _first_day(is_1904: bool) -> str:
    """Return day 0 as dates are written that follow the reader's own system."""
    return "1904-01-01" if is_1904 else "1900-01-00"
