"""Small documents of every binary format, made here, byte for byte."""

import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
P = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
STRICT_S = 'xmlns="http://purl.oclc.org/ooxml/spreadsheetml/main"'
ODF = "urn:oasis:names:tc:opendocument:xmlns:"
M = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
_TYPES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def package(members: Mapping[str, str | bytes]) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            # By the standards, the media type can be read without unpacking.
            archive.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else None)
    return file.getvalue()


def relations(**targets: str) -> str:
    """Relations by id; the type is the id without its number."""
    each = "".join(
        f'<Relationship Id="{name}" Type="{_TYPES}/{name.rstrip("0123456789")}" Target="{target}"/>'
        for name, target in targets.items()
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{each}</Relationships>'


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def docx(body: str, **more: str) -> bytes:
    """A Word document. ``more`` are further members of ``word/`` by name; ``title`` is the property."""
    title = more.pop("title", "")
    return package(
        {
            "_rels/.rels": relations(officeDocument="word/document.xml"),
            "docProps/core.xml": f'<c xmlns:dc="d"><dc:title>{title}</dc:title></c>',
            "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
            "word/_rels/document.xml.rels": relations(**{name: f"{name}.xml" for name in more}),
            **{f"word/{name}.xml": f"<w:{name} {W}>{content}</w:{name}>" for name, content in more.items()},
        }
    )


def shape(text: str, kind: str | None = None) -> str:
    placeholder = "" if kind is None else f'<p:nvPr><p:ph type="{kind}"/></p:nvPr>'
    lines = "".join(f"<a:p><a:r><a:t>{each}</a:t></a:r></a:p>" for each in text.split("\n"))
    return f"<p:sp><p:nvSpPr>{placeholder}</p:nvSpPr><p:txBody>{lines}</p:txBody></p:sp>"


def pptx(*slides: str, notes: str = "", layout: str = "", master: str = "") -> bytes:
    """A presentation of slides, which stand in the archive in the wrong order. The notes belong to the first, the
    layout and its master to all that have no notes."""
    order = "".join(f'<p:sldId id="{256 + n}" r:id="slide{n}"/>' for n in range(len(slides)))
    members: dict[str, str | bytes] = {
        f"ppt/slides/slide{n}.xml": f"<p:sld {P} {A} {R}>{slide}</p:sld>" for n, slide in reversed([*enumerate(slides)])
    }
    if notes:
        members["ppt/slides/_rels/slide0.xml.rels"] = relations(notesSlide="../notesSlides/n.xml")
        members["ppt/notesSlides/n.xml"] = f"<p:notes {P} {A}>{shape(notes, 'body')}{shape('1', 'sldNum')}</p:notes>"
    if layout:
        of_slides = relations(slideLayout="../slideLayouts/l.xml")
        members |= {f"ppt/slides/_rels/slide{n}.xml.rels": of_slides for n in range(len(slides))}
        members["ppt/slideLayouts/l.xml"] = f"<p:sldLayout {P} {A}>{layout}</p:sldLayout>"
        members["ppt/slideLayouts/_rels/l.xml.rels"] = relations(slideMaster="../slideMasters/m.xml")
        members["ppt/slideMasters/m.xml"] = f"<p:sldMaster {P} {A}>{master}</p:sldMaster>"
    return package(
        {
            "_rels/.rels": relations(officeDocument="ppt/presentation.xml"),
            "ppt/presentation.xml": f"<p:presentation {P} {R}><p:sldIdLst>{order}</p:sldIdLst></p:presentation>",
            "ppt/_rels/presentation.xml.rels": relations(
                **{f"slide{n}": f"slides/slide{n}.xml" for n in range(len(slides))}
            ),
            **members,
        }
    )


def xlsx(sheets: Mapping[str, str], space: str = S, **more: str | bytes) -> bytes:
    """A workbook; each sheet is its rows as markup."""
    listed = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="worksheet{n}"/>' for n, name in enumerate(sheets, 1))
    return package(
        {
            "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"/>',
            "_rels/.rels": relations(officeDocument="xl/workbook.xml"),
            "xl/workbook.xml": f"<workbook {space} {R}><sheets>{listed}</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": relations(
                **{f"worksheet{n}": f"worksheets/sheet{n}.xml" for n in range(1, len(sheets) + 1)}
            ),
            **{
                f"xl/worksheets/sheet{n}.xml": f"<worksheet {space}><sheetData>{rows}</sheetData></worksheet>"
                for n, rows in enumerate(sheets.values(), 1)
            },
            **more,
        }
    )


def cells(*rows: str) -> str:
    """Rows of texts, one letter of the alphabet a column."""
    return "".join(
        f'<row r="{y}">'
        + "".join(
            f'<c r="{chr(65 + x)}{y}" t="inlineStr"><is><t>{text}</t></is></c>' for x, text in enumerate(row.split("|"))
        )
        + "</row>"
        for y, row in enumerate(rows, 1)
    )


def odt(body: str, **more: str | bytes) -> bytes:
    names = " ".join(f'xmlns:{name}="{ODF}{name}:1.0"' for name in ("office", "text", "table", "draw"))
    svg = f'xmlns:svg="{ODF}svg-compatible:1.0"'
    return package(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f"<office:document-content {names} {svg}>{body}</office:document-content>",
            **more,
        }
    )


def epub(chapters: Mapping[str, str], *, sheet: str | bytes = "", **more: str | bytes) -> bytes:
    """A book; ``sheet`` is the style sheet of all chapters."""
    items = "".join(f'<item id="{n}" href="{n}.xhtml" media-type="application/xhtml+xml"/>' for n in chapters)
    items += '<item id="sheet" href="s.css" media-type="text/css"/>' if sheet else ""
    spine = "".join(f'<itemref idref="{name}"/>' for name in chapters)
    return package(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfile full-path="OPS/book.opf"/></container>',
            "OPS/book.opf": (
                f'<package><metadata xmlns:dc="d"><dc:title>The Book</dc:title></metadata>'
                f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
            ),
            **({"OPS/s.css": sheet} if sheet else {}),
            **{f"OPS/{name}.xhtml": f"<html><body>{content}</body></html>" for name, content in chapters.items()},
            **more,
        }
    )


def pdf(*pages: str, title: str = "", drawn: bool = False) -> bytes:
    """A PDF with a line of text a page, without a table of objects: readers build it anew. ``drawn``: and a stroke."""
    kids = " ".join(f"{10 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj",
        f"2 0 obj<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>endobj",
        "3 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj",
        f"4 0 obj<</Title({title})>>endobj",
    ]
    for n, text in enumerate(pages):
        content = (f"BT /F 12 Tf 20 50 Td ({text}) Tj ET" if text else "") + (" 0 0 m 50 50 l S" if drawn else "")
        objects += [
            f"{10 + 2 * n} 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 100]/Contents {11 + 2 * n} 0 R"
            "/Resources<</Font<</F 3 0 R>>>>>>endobj",
            f"{11 + 2 * n} 0 obj<</Length {len(content)}>>stream\n{content}\nendstream endobj",
        ]
    return ("%PDF-1.4\n" + "\n".join(objects) + "\ntrailer<</Root 1 0 R/Info 4 0 R>>\n%%EOF").encode("latin-1")


def filled_form(value: str) -> bytes:
    """A PDF of one page with nothing on it but a field that holds ``value``."""
    shown = f"BT /F 12 Tf 2 5 Td ({value}) Tj ET"
    return (
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[5 0 R]>>>>endobj\n"
        "2 0 obj<</Type/Pages/Kids[4 0 R]/Count 1>>endobj\n"
        "3 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n"
        "4 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 100]/Annots[5 0 R]>>endobj\n"
        f"5 0 obj<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/V({value})/Rect[10 10 200 30]/AP<</N 6 0 R>>>>endobj\n"
        "6 0 obj<</Type/XObject/Subtype/Form/BBox[0 0 190 20]/Resources<</Font<</F 3 0 R>>>>"
        f"/Length {len(shown)}>>stream\n{shown}\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    ).encode("ascii")


def rtf(body: str) -> bytes:
    styles = r"{\stylesheet{\s0 Normal;}{\s1\outlinelevel0 heading 1;}}"
    fonts = r"{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}}"
    info = r"{\info{\title The title}{\author Nobody}}"
    return ("{" + rf"\rtf1\ansi\ansicpg1252{fonts}{styles}{info}" + body + "}").encode("ascii")


def ole(name: str, stream: bytes) -> bytes:
    """A compound file with one stream."""
    size = max(len(stream), 4096)
    sectors = -(-size // 512)
    chain = [0xFFFFFFFD, 0xFFFFFFFE, *range(3, 2 + sectors), 0xFFFFFFFE]
    entry = name.encode("utf-16-le").ljust(64, b"\0")
    root = "Root Entry".encode("utf-16-le").ljust(64, b"\0")
    tree = struct.pack("<III", 0xFFFFFFFF, 0xFFFFFFFF, 1) + bytes(36)
    directory = root + struct.pack("<HBB", 22, 5, 1) + tree + struct.pack("<IQ", 0xFFFFFFFE, 0)
    leaf = struct.pack("<III", 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF) + bytes(36)
    directory += entry + struct.pack("<HBB", 2 * len(name) + 2, 2, 1) + leaf + struct.pack("<IQ", 2, size)
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    header += struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    table = struct.pack(f"<{len(chain)}I", *chain).ljust(512, b"\xff")
    assert len(table) == 512
    return header + table + directory.ljust(512, b"\0") + stream.ljust(sectors * 512, b"\0")


def record(kind: int, body: bytes) -> bytes:
    """A record of an old Excel workbook."""
    return struct.pack("<HH", kind, len(body)) + body


def xls(sheet: bytes, *codes: str, before: bytes = b"") -> bytes:
    """An old workbook of one sheet, ``S``; style n has the n-th of the formats ``codes``."""
    formats = b"".join(
        record(0x41E, struct.pack("<HHB", 164 + n, len(code), 0) + code.encode("latin-1"))
        for n, code in enumerate(codes)
    )
    styles = b"".join(record(0xE0, struct.pack("<HH", 0, 164 + n) + bytes(16)) for n in range(len(codes)))
    begin = record(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 0)) + before + formats + styles
    listed = struct.pack("<IBBBB", 0, 0, 0, 1, 0) + b"S"
    place = len(begin) + len(record(0x85, listed)) + 4
    listed = struct.pack("<I", place) + listed[4:]
    inside = record(0x809, struct.pack("<HHHHII", 0x600, 0x10, 0, 0, 0, 0)) + sheet + record(0x0A, b"")
    return ole("Workbook", begin + record(0x85, listed) + record(0x0A, b"") + inside)


def xlsb_text(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def xlsb_record(kind: int, body: bytes = b"") -> bytes:
    """A record of a binary Excel workbook, of at most 127 bytes."""
    number = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
    return number + bytes([len(body)]) + body


def xlsb_row(number: int) -> bytes:
    """The head of a row, from 0: cells follow."""
    return xlsb_record(0, struct.pack("<I", number) + bytes(21))


def xlsb_cell(kind: int, column: int, value: float, style: int = 0) -> bytes:
    """A cell with a number: 5 as it is (float), 2 packed (int), 9 of a formula (float)."""
    packed = struct.pack("<I", int(value) << 2 | 2) if kind == 2 else struct.pack("<d", value)
    return xlsb_record(kind, struct.pack("<II", column, style) + packed + (bytes(10) if kind == 9 else b""))


def xlsb(rows: bytes, *codes: str, comment: str = "") -> bytes:
    """A binary workbook of one sheet, ``One``; style n has the n-th of ``codes``. ``rows`` begin in row 0."""
    book = xlsb_record(131) + xlsb_record(153, bytes(12)) + xlsb_record(143)
    book += xlsb_record(156, struct.pack("<II", 0, 1) + xlsb_text("worksheet1") + xlsb_text("One"))
    formats = b"".join(xlsb_record(44, struct.pack("<H", 164 + n) + xlsb_text(code)) for n, code in enumerate(codes))
    cell_styles = b"".join(xlsb_record(47, struct.pack("<HH", 0, 164 + n) + bytes(12)) for n in range(len(codes)))
    sheet = xlsb_record(129) + xlsb_record(148, struct.pack("<IIII", 0, 0, 0, 3)) + xlsb_record(145) + xlsb_row(0)
    return package(
        {
            "_rels/.rels": relations(officeDocument="xl/workbook.bin"),
            "xl/workbook.bin": book + xlsb_record(144) + xlsb_record(132),
            "xl/_rels/workbook.bin.rels": relations(worksheet1="worksheets/sheet1.bin", styles1="styles.bin"),
            "xl/styles.bin": xlsb_record(278)
            + xlsb_record(615, struct.pack("<I", len(codes)))
            + formats
            + xlsb_record(616)
            + xlsb_record(617, struct.pack("<I", len(codes)))
            + cell_styles
            + xlsb_record(618),
            "xl/worksheets/sheet1.bin": sheet + rows + xlsb_record(146) + xlsb_record(130),
            "xl/worksheets/_rels/sheet1.bin.rels": relations(comments1="../comments1.bin"),
            "xl/comments1.bin": xlsb_record(628) + xlsb_record(637, b"\0" + xlsb_text(comment)) + xlsb_record(629),
        }
    )


def ods(cells: str, more: str = "") -> bytes:
    """A spreadsheet of one sheet, ``S``, with one row, and more behind it."""
    names = " ".join(f'xmlns:{name}="{ODF}{name}:1.0"' for name in ("office", "text", "table"))
    content = (
        f"<office:document-content {names}><office:body><office:spreadsheet>"
        f'<table:table table:name="S"><table:table-row>{cells}</table:table-row>{more}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    return package({"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": "<m/>"})


SAMPLES: Mapping[str, bytes] = {
    "a.pdf": pdf("Page one", "Page two", title="A title"),
    "a.docx": docx(
        paragraph("Top", '<w:outlineLvl w:val="0"/>') + paragraph("text") + "<w:tbl><w:tr><w:tc>" + paragraph("cell")
        + "</w:tc><w:tc>" + paragraph("next") + "</w:tc></w:tr></w:tbl>", title="T",
    ),
    "a.pptx": pptx(shape("Slide", "title") + shape("one\ntwo", "body"), notes="Say this"),
    "b.pptx": pptx(
        shape("one\ntwo", "body"), layout='<p:sp><p:ph type="body" idx="1"/><a:lstStyle><a:lvl1pPr><a:buAutoNum type='
        '"arabicPeriod"/></a:lvl1pPr></a:lstStyle></p:sp>', master="<p:bodyStyle><a:lvl2pPr/></p:bodyStyle>",
    ),
    "a.xlsx": xlsx({"First": cells("a|b", "c|d")}),
    "b.xlsx": xlsx(
        {"First": "".join(f'<row r="{n}"><c r="A{n}" s="{n % 3}"><v>{n}.5</v></c></row>' for n in range(1, 9))},
        **{"xl/styles.xml": f'<styleSheet {S}><numFmts><numFmt numFmtId="164" formatCode="[h]:mm"/></numFmts><cellXfs>'
           '<xf numFmtId="164"/><xf numFmtId="14"/><xf numFmtId="10"/></cellXfs></styleSheet>'},
    ),
    "a.odt": odt("<office:body><text:h text:outline-level='1'>Top</text:h><text:p>text</text:p></office:body>"),
    "a.epub": epub({"one": "<h1>One</h1><p>text</p>"}),
    "a.ods": ods("<table:table-cell office:value-type='string'><text:p>a</text:p></table:table-cell>"),
    "a.xls": xls(record(0x203, struct.pack("<HHHd", 0, 0, 0, 0.475)), "0.0%"),
    "a.xlsb": xlsb(xlsb_cell(5, 0, 0.475), "0.0%", comment="ask Ann"),
    "a.rtf": rtf(r"\pard\s1 Top\par\pard text \'e4\par\trowd\pard\intbl a\cell b\cell\row"),
}  # fmt: skip
