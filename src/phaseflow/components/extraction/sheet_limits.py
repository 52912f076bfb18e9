"""What is looked at in a spreadsheet before the library reads it, which has no limits: bombs, lone cells."""

import re
from collections.abc import Iterable, Iterator

from phaseflow.components.extraction.odf import refuse_encrypted
from phaseflow.components.extraction.package import Package
from phaseflow.components.extraction.workbook import reaches_too_far
from phaseflow.domain.errors import DocumentError

MAX_CELLS = 20_000_000
"""Between the first and the last cell of a sheet that hold something: each takes 32 bytes."""
_LONGEST_CELL = 250
_LONGEST_TEXT = 8_000_000
"""Bytes: Excel takes 32,767 characters."""
_QUOTED = rb"""(?:"[^"<>]{0,500}"|'[^'<>]{0,500}')"""
_EMPTY = rb"""(?:[^<>"'/]{0,500}+%s){0,20}+[^<>"'/]{0,500}+/>""" % _QUOTED
"""The rest of a cell without content, which only has a style: the library passes it over, however far away it is. What
is written in another way than programs do it is not taken for one: an attribute may hold ``/>``."""
_REFERENCE = re.compile(rb"""\br\s*=\s*["']([A-Za-z]+)(\d+)["'](?!%s)""" % _EMPTY)
_LONGEST_NUMBER = 12
"""Letters or digits of a reference that are looked at: with so many it is too far already."""
_NAMELESS = re.compile(
    rb"""<(?:\w+:)?(?:row\b[^<>]{0,2000}?\br\s*=\s*["'](\d{1,20})"""
    rb"""|c(?:>|\s++(?!(?:[\w:]{1,100}\s*=\s*%s\s*){0,9}r\s*=)(?!%s)))""" % (_QUOTED, _EMPTY)
)
# One for each quote: what begins with one sign is found several times as fast.
_FAR = tuple(re.compile(rb"%s(?:[A-Za-z](?:[A-Za-z]{2,}+\d|[A-Za-z]?\d{5})|\d{5})" % quote) for quote in (b'"', b"'"))


def look_inside(package: Package) -> None:
    """Unpack everything once, against bombs and against a lone cell in the far corner: the library has no limits."""
    refuse_encrypted(package)
    for name in package.names():
        if name.endswith((".xml", ".bin")):
            _measure(package, name)
        if name.startswith("xl/worksheets/") and _reaches_far(package, name):
            _measure_sheet(package, name)


def _measure(package: Package, sheet: str) -> None:
    text_length = 0
    for chunk in package.chunks(sheet):
        # The library takes a text of any length into memory, several times over.
        text_length = 0 if b"<" in chunk or not sheet.endswith(".xml") else text_length + len(chunk)
        if text_length > _LONGEST_TEXT:
            message = (
                f"{package.name} has a text of more than {_LONGEST_TEXT:,} bytes in one cell; split it or exclude it"
            )
            raise DocumentError(message, code="too_large")


def _reaches_far(package: Package, sheet: str) -> bool:
    """Whether a sheet may have so many cells at all: most have nothing beyond row 9999 or column ZZ."""
    cut = b""
    for chunk in package.chunks(sheet):
        # A reference may be cut in two by the end of a chunk.
        text = cut + chunk
        if any(far.search(text) for far in _FAR):
            return True
        cut = chunk[-_LONGEST_CELL:]
    return False


def _measure_sheet(package: Package, sheet: str) -> None:
    rows = columns = row = cells = 0
    for tags in _whole_tags(package.chunks(sheet)):
        found = _REFERENCE.findall(tags)
        columns = max(columns, max(map(_column, {letters for letters, _ in found}), default=0))
        rows = max(rows, max((int(digits[:_LONGEST_NUMBER]) for _, digits in found), default=0))
        # Cells need not say where they stand: they have the number of their row, and come one after the other.
        for tag in _NAMELESS.finditer(tags):
            if tag[1]:
                row, cells = int(tag[1]), 0
            else:
                cells += 1
                rows, columns = max(rows, row), max(columns, cells)
    if rows * columns > MAX_CELLS:
        raise reaches_too_far(package.name, sheet, rows, columns)


def _whole_tags(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        text = rest + chunk
        end = max(text.rfind(b"<"), 0)
        yield text[:end]
        rest = text[end:]
    yield rest


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters[:_LONGEST_NUMBER].upper():
        number = number * 26 + letter - 64
    return number
