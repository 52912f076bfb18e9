"""What Word shows and its markup does not say in so many words: fields, signs of fonts, readings, drawn letters."""

import pytest

from phaseflow.components.extraction import extract
from phaseflow.domain.errors import DocumentError
from tests.components.binary_fixtures import M, docx, package
from tests.components.test_extraction_numbers import CLAUSES, abstract, instance
from tests.matrices import together


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def field(code: str, result: str | None = None, data: str = "") -> str:
    shown = "" if result is None else f'<w:r><w:fldChar w:fldCharType="separate"/></w:r>{run(result)}'
    begin = f'<w:r><w:fldChar w:fldCharType="begin">{data}</w:fldChar></w:r>'
    return f'{begin}<w:r><w:instrText>{code}</w:instrText></w:r>{shown}<w:r><w:fldChar w:fldCharType="end"/></w:r>'


def shown(content: str, **more: str) -> str:
    return extract(docx(f"<w:p>{content}</w:p>", **more), "a.docx").text


BOX = "<w:ffData><w:checkBox><w:default w:val='{}'/>{}</w:checkBox></w:ffData>"
ENTRIES = "<w:listEntry w:val='red'/><w:listEntry w:val='green'/>"
LIST = f"<w:ffData><w:ddList><w:result w:val='1'/>{ENTRIES}</w:ddList></w:ffData>"


@together(
    ("content", "text"),
    [
        (field("LISTNUM NumberDefault") + run(" a ") + field("LISTNUM NumberDefault") + run(" b"), "1) a 2) b"),
        (field(r"LISTNUM LegalDefault \l 1 \s 3") + run(" a ") + field(r"LISTNUM LegalDefault \l 2"), "3. a 3.1."),
        (field(r"LISTNUM OutlineDefault \l 2") + run(" a"), "A. a"),
        (field("LISTNUM Clauses") + run("a"), "a"),
        (field("LISTNUM") + run(" a"), "1) a"),
        (field("AUTONUM") + run(" a"), "1. a"),
        (run("Figure ") + field("SEQ Figure", "7") + run(": a"), "Figure 7: a"),
        (field("FORMCHECKBOX", data=BOX.format(0, "<w:checked/>")) + run(" a"), "☒ a"),
        (field("FORMCHECKBOX", data=BOX.format(0, "")) + run(" a"), "☐ a"),
        (field("FORMDROPDOWN", data=LIST), "green"),
        (run("1") + field(r"EQ \f(1,2)") + run(" cups"), "1 1/2 cups"),
        (field(r"EQ \r(3,\f(a+b,2)) \b(x) \l(p;q) y\s\up6(2)"), "³√((a+b)/2) (x) p, q y²"),
        (field("SYMBOL 97 \\f Symbol"), "α"),
        (field("IF 1 = 1", "yes") + field("MERGEFIELD x"), "yes"),
        (run("Angle ") + '<w:r><w:sym w:font="Symbol" w:char="F061"/></w:r>', "Angle α"),
        ('<w:r><w:sym w:font="Wingdings" w:char="F0FE"/></w:r>' + run(" a"), "☑ a"),
        ('<w:r><w:sym w:font="Nobody knows" w:char="F0FE"/></w:r>' + run("a"), "a"),
        (run("\uf061", '<w:rFonts w:ascii="Symbol"/>') + run("a", '<w:rFonts w:ascii="Arial"/>'), "αa"),
        (run("10") + run("6", '<w:position w:val="6"/>') + run(" H") + run("2", '<w:position w:val="-4"/>'), "10⁶ H₂"),
        (f"<w:r><w:ruby><w:rt>{run('とう')}</w:rt><w:rubyBase>{run('東京')}</w:rubyBase></w:ruby></w:r>" + run("は"),
         "東京(とう)は"),
        ('<w:r><w:pict><w:shape w:alt="a badge"><w:textpath w:string="DRAFT"/></w:shape></w:pict></w:r>',
         "a badge  DRAFT"),
        (run("1") + f"<m:oMath {M}><m:f><m:num>{run('1')}</m:num><m:den>{run('2')}</m:den></m:f></m:oMath>", "1 1/2"),
    ],
)  # fmt: skip
def test_what_word_shows_is_the_text(content: str, text: str) -> None:
    assert shown(content) == text


def test_a_number_in_a_paragraph_of_a_list_is_of_that_list() -> None:
    properties = '<w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr></w:pPr>'
    numbering = abstract(CLAUSES) + instance(1)
    assert shown(properties + run("a ") + field("LISTNUM") + run(" b"), numbering=numbering) == "1. a 1.1 b"


def test_fields_without_end_or_depth_are_read() -> None:
    begin = '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>LISTNUM \\l 9</w:instrText></w:r>'
    end = '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    assert shown(end + run("a") + begin * 2000 + run("b")) == "ab"
    assert shown(field("EQ " + "\\r(" * 2000 + "x" + ")" * 2000) + run("a")).endswith("a")


def test_a_document_of_other_programs_is_no_empty_one() -> None:
    members: dict[str, str | bytes] = {
        "word/document.xml": "<w:document xmlns:w='w'><w:body/></w:document>",
        "word/embeddings/a.bin": b"x",
    }
    with pytest.raises(DocumentError) as caught:
        extract(package(members), "a.docx")
    assert caught.value.code == "nothing_found"


GONE = run("gone")
SHOWN_AGAIN = run("gone", "<w:vanish w:val='0'/>")
HIDDEN = ' hidden="1"'
PICTURE = '<w:drawing><w:docPr{} w:descr="gone"/>{}</w:drawing>'
TEXT_BOX = f"<w:txbxContent><w:p>{GONE}{SHOWN_AGAIN}</w:p></w:txbxContent>"
NOT_HIDDEN = "<w:hidden w:val='0'/>"
CHANGED_ROW = "<w:trPrChange><w:trPr><w:hidden/></w:trPr></w:trPrChange>"
CHANGED_CELL = "<w:tcPrChange><w:tcPr><w:vMerge/></w:tcPr></w:tcPrChange>"


def row(properties: str, first: str, second: str, of_cell: str = "") -> str:
    cells = f"<w:tc><w:tcPr>{of_cell}</w:tcPr><w:p>{first}</w:p></w:tc><w:tc><w:p>{second}</w:p></w:tc>"
    return f"<w:tr><w:trPr>{properties}</w:trPr>{cells}</w:tr>"


SEEN = row("", run("a"), run("b"))


@together(
    "content",
    [
        f"<w:tbl>{SEEN}{row('<w:del/>', GONE, GONE)}</w:tbl>",
        f"<w:tbl>{row('<w:hidden/>', GONE, GONE)}{SEEN}</w:tbl>",
        f"<w:tbl>{row(NOT_HIDDEN, run('a'), run('b'))}</w:tbl>",
        f"<w:tbl>{row('<w:ins/>' + CHANGED_ROW, run('a'), run('b'))}</w:tbl>",
        f"<w:tbl>{row('', GONE, run('a'), '<w:cellDel/>')}</w:tbl><w:p>{run('b')}</w:p>",
        f"<w:tbl>{row('', run('a'), run('b'), CHANGED_CELL)}</w:tbl>",
        f"<w:p>{run('a')}<w:r>{PICTURE.format(HIDDEN, '')}</w:r>{run(' b')}</w:p>",
        f"<w:p>{run('a')}<w:r><w:rPr><w:vanish/></w:rPr>{PICTURE.format('', TEXT_BOX)}</w:r>{run(' b')}</w:p>",
        f"<w:sdt><w:sdtPr><w:rPr><w:vanish/></w:rPr></w:sdtPr><w:p>{run('a b')}</w:p></w:sdt>",
    ],
)
def test_what_is_hidden_or_deleted_by_its_properties_is_no_text(content: str) -> None:
    found = extract(docx(content), "a.docx").text
    assert found.replace("|", " ").replace("-", " ").split() == ["a", "b"]
