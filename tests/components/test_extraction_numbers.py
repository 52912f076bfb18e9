"""Lists, clauses and headings have the numbers that a reader sees, or none."""

from phaseflow.components.extraction import extract
from phaseflow.components.extraction.ordinals import WORD, chinese, letters, repeated_letters, roman
from tests.components.binary_fixtures import docx, odt, paragraph, pptx, rtf
from tests.matrices import together


def level(place: int, text: str, form: str = "decimal", more: str = "") -> str:
    return f'<w:lvl w:ilvl="{place}">{more}<w:numFmt w:val="{form}"/><w:lvlText w:val="{text}"/></w:lvl>'


def abstract(levels: str, number: int = 1, more: str = "") -> str:
    return f'<w:abstractNum w:abstractNumId="{number}">{more}{levels}</w:abstractNum>'


def instance(number: int, of: int = 1, more: str = "") -> str:
    return f'<w:num w:numId="{number}"><w:abstractNumId w:val="{of}"/>{more}</w:num>'


def item(text: str, place: int = 0, number: int = 1) -> str:
    return paragraph(text, f'<w:numPr><w:ilvl w:val="{place}"/><w:numId w:val="{number}"/></w:numPr>')


def lines(body: str, numbering: str, styles: str = "") -> list[str]:
    text = extract(docx(body, numbering=numbering, styles=styles), "a.docx").text
    return [line.strip() for line in text.split("\n") if line.strip()]


CLAUSES = level(0, "%1.") + level(1, "%1.%2") + level(2, "(%3)", "lowerLetter") + level(3, "%4)", "lowerRoman")


class TestWord:
    def test_clauses_show_the_numbers_of_all_their_levels(self) -> None:
        body = "".join(map(item, "abcdefg", [0, 1, 1, 2, 3, 0, 1]))
        shown = ["1. a", "1.1 b", "1.2 c", "(a) d", "i) e", "2. f", "2.1 g"]
        assert lines(body, abstract(CLAUSES) + instance(1)) == shown

    @together(
        ("levels", "more", "shown"),
        [
            (level(0, "§ %1", more='<w:start w:val="12"/>'), "", "§ 12 x"),
            (level(0, "%1.", "upperRoman", '<w:start w:val="4"/>'), "", "IV. x"),
            (level(0, "%1.", "decimalZero"), "", "01. x"),
            (
                level(0, "第%1条", "chineseCounting", '<w:suff w:val="nothing"/><w:start w:val="21"/>'),
                "",
                "第二十一条x",
            ),
            (level(0, "Note:", "none"), "", "Note: x"),
            (level(0, "", "none"), "", "x"),
            (level(0, "%1.", "no-such-format"), "", "x"),
            (level(0, "%1.", more="<w:rPr><w:vanish/></w:rPr>"), "", "x"),
            (level(0, "\uf0b7", "bullet"), "", "- x"),
            (level(0, "%1."), '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="7"/></w:lvlOverride>', "7. x"),
            (level(0, "%1."), f'<w:lvlOverride w:ilvl="0">{level(0, "(%1)", "lowerLetter")}</w:lvlOverride>', "(a) x"),
        ],
    )
    def test_a_number_has_the_form_start_and_frame_of_its_definition(self, levels: str, more: str, shown: str) -> None:
        assert lines(item("x"), abstract(levels) + instance(1, more=more)) == [shown]

    def test_a_form_that_word_2007_does_not_know_goes_before_the_one_it_falls_back_on(self) -> None:
        custom = (
            '<w:lvl w:ilvl="0"><w:numFmt w:val="custom" w:format="001, 002, 003, ..."/><w:numFmt w:val="decimal"/>'
            '<w:lvlText w:val="%1"/></w:lvl>'
        )
        assert lines(item("x"), abstract(custom) + instance(1)) == ["001 x"]

    def test_lists_of_one_definition_go_on_unless_they_begin_again(self) -> None:
        override = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride>'
        numbering = abstract(level(0, "%1.")) + instance(1) + instance(2) + instance(3, more=override)
        body = item("a") + item("b", number=2) + item("c", number=3) + item("d", number=3)
        assert lines(body, numbering) == ["1. a", "2. b", "1. c", "2. d"]

    def test_a_list_inside_does_not_begin_the_outer_one_again(self) -> None:
        override = "".join(
            f'<w:lvlOverride w:ilvl="{place}"><w:startOverride w:val="1"/></w:lvlOverride>' for place in range(3)
        )
        numbering = abstract(CLAUSES) + instance(1, more=override) + instance(2, more=override)
        body = item("a") + item("b", 1, 2) + item("c") + item("d", 1, 2)
        assert lines(body, numbering) == ["1. a", "1.1 b", "2. c", "2.1 d"]

    def test_a_level_that_never_begins_again_goes_on(self) -> None:
        levels = level(0, "%1.") + level(1, "(%2)", more='<w:lvlRestart w:val="0"/>')
        body = "".join(map(item, "abcd", [0, 1, 0, 1]))
        assert lines(body, abstract(levels) + instance(1)) == ["1. a", "(1) b", "2. c", "(2) d"]

    def test_legal_numbering_shows_all_levels_in_digits(self) -> None:
        levels = level(0, "%1.", "upperRoman") + level(1, "%1.%2", more="<w:isLgl/>")
        assert lines(item("a") + item("b", 1), abstract(levels) + instance(1)) == ["I. a", "1.1 b"]

    def test_the_legal_list_of_word_keeps_its_zero(self) -> None:
        levels = level(0, "Article %1.", "upperRoman") + level(1, "Section %1.%2", "decimalZero", "<w:isLgl/>")
        shown = ["Article I. a", "Section 1.01 b"]
        assert lines(item("a") + item("b", 1), abstract(levels) + instance(1)) == shown

    @together("end", ["<w:vanish/>", '<w:moveFrom w:id="1"/>', '<w:del w:id="1"/>'])
    def test_an_item_of_which_nothing_is_seen_does_not_count(self, end: str) -> None:
        hidden = (
            '<w:r><w:rPr><w:vanish/></w:rPr><w:t>b</w:t></w:r><w:moveFrom w:id="2"><w:r><w:t>b</w:t></w:r></w:moveFrom>'
        )
        gone = f'<w:p><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr><w:rPr>{end}</w:rPr></w:pPr>{hidden}</w:p>'
        assert lines(item("a") + gone + item("c"), abstract(level(0, "%1.")) + instance(1)) == ["1. a", "2. c"]

    def test_headings_are_numbered_by_their_style(self) -> None:
        levels = level(0, "%1", more='<w:pStyle w:val="H1"/>') + level(1, "%1.%2", more='<w:pStyle w:val="H2"/>')
        styles = "".join(
            f'<w:style w:styleId="H{n}"><w:name w:val="heading {n}"/><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr>'
            "</w:pPr></w:style>"
            for n in (1, 2)
        )
        body = paragraph("Scope", '<w:pStyle w:val="H1"/>') + paragraph("Terms", '<w:pStyle w:val="H2"/>')
        none = paragraph("Annex", '<w:pStyle w:val="H1"/><w:numPr><w:numId w:val="0"/></w:numPr>')
        found = extract(docx(body + none, numbering=abstract(levels) + instance(1), styles=styles), "a.docx")
        assert found.text == "# 1 Scope\n\n## 1.1 Terms\n\n# Annex"
        assert (found.title, [label for _, label in found.parts]) == ("Scope", ["1 Scope", "1.1 Terms", "Annex"])

    def test_a_definition_may_be_that_of_a_style_of_lists(self) -> None:
        numbering = (
            abstract("", 1, '<w:numStyleLink w:val="Mine"/>')
            + abstract(level(0, "%1)"), 2, '<w:styleLink w:val="Mine"/>')
            + instance(1)
        )
        assert lines(item("a"), numbering) == ["1) a"]

    def test_items_without_text_count_and_a_column_of_them_shows_its_numbers(self) -> None:
        numbering = abstract(level(0, "%1.")) + instance(1)
        assert lines(item("a") + item("") + item("c"), numbering) == ["1. a", "3. c"]
        row = f"<w:tr><w:tc>{item('')}</w:tc><w:tc>{paragraph('x')}</w:tc></w:tr>"
        assert lines(f"<w:tbl>{row * 2}</w:tbl>", numbering)[::2] == ["| 1. | x |", "| 2. | x |"]


class TestOpenDocument:
    def level(self, place: int, more: str = 'style:num-format="1" style:num-suffix="."') -> str:
        return f'<text:list-level-style-number text:level="{place}" {more}/>'

    def text(self, levels: str, body: str, name: str = 'list-style style:name="L"') -> str:
        end = name.split(maxsplit=1)[0]
        styles = f'<office:styles xmlns:style="s" xmlns:loext="l"><text:{name}>{levels}</text:{end}></office:styles>'
        return extract(odt(styles + body), "a.odt").text

    @together(
        ("more", "shown"),
        [
            ('style:num-format="1" style:num-prefix="(" style:num-suffix=")"', "(1) x"),
            ('style:num-format="a" style:num-suffix=")" text:start-value="28"', "ab) x"),
            ('style:num-format="a" style:num-letter-sync="true" text:start-value="28"', "bb x"),
            ('style:num-format="I" text:start-value="4"', "IV x"),
            ('style:num-format="" style:num-suffix="Note:"', "Note: x"),
            ('style:num-format=""', "x"),
            ('style:num-format="1" loext:num-list-format="§ %1%:"', "§ 1: x"),
        ],
    )
    def test_a_number_has_the_form_start_and_frame_of_its_style(self, more: str, shown: str) -> None:
        body = '<text:list text:style-name="L"><text:list-item><text:p>x</text:p></text:list-item></text:list>'
        assert self.text(self.level(1, more), body) == shown

    def test_a_number_shows_the_levels_above_it(self) -> None:
        inner = "<text:list><text:list-item><text:p>b</text:p></text:list-item></text:list>"
        body = f'<text:list text:style-name="L"><text:list-item><text:p>a</text:p>{inner}</text:list-item></text:list>'
        levels = self.level(1) + self.level(2, 'style:num-format="a" text:display-levels="2"')
        assert self.text(levels, body) == "1. a\n  1.a b"

    def test_a_list_goes_on_with_the_one_it_names(self) -> None:
        one = "<text:list-item><text:p>{}</text:p></text:list-item>"
        first = f'<text:list xml:id="first" text:style-name="L">{one.format("a")}</text:list>'
        other = f'<text:list text:style-name="L">{one.format("b")}</text:list>'
        more = f'<text:list text:style-name="L" text:continue-list="first">{one.format("c")}</text:list>'
        assert self.text(self.level(1), first + other + more).split() == ["1.", "a", "1.", "b", "2.", "c"]

    def test_an_item_that_only_holds_a_list_does_not_count(self) -> None:
        item = "<text:list-item>{}</text:list-item>"
        go_on = '<text:list text:style-name="L" text:continue-numbering="true">{}</text:list>'
        inner = item.format(f"<text:list>{item.format('<text:p>b</text:p>') * 2}</text:list>")
        whole = "".join(go_on.format(each) for each in (item.format("<text:p>a</text:p>"), inner)) + go_on.format(
            item.format("<text:p>c</text:p>")
        )
        levels = self.level(1) + self.level(2, 'style:num-format="1" text:display-levels="2"')
        assert self.text(levels, whole) == "1. a\n  1.1 b\n  1.2 b\n2. c"

    def test_one_item_may_have_a_style_of_its_own(self) -> None:
        body = (
            '<text:list text:style-name="L"><text:list-item><text:p>a</text:p></text:list-item>'
            '<text:list-item text:style-override="M"><text:p>b</text:p></text:list-item></text:list>'
        )
        letters = self.level(1, 'style:num-format="a" style:num-suffix=")"')
        other = f'</text:list-style><text:list-style style:name="M">{letters}'
        assert self.text(self.level(1) + other, body) == "1. a\nb) b"

    def test_headings_are_numbered_by_the_outline(self) -> None:
        outline = "".join(
            f'<text:outline-level-style text:level="{n}" style:num-format="1" text:display-levels="{n}"/>'
            for n in (1, 2)
        )
        heading = '<text:h text:outline-level="{}"{}>{}</text:h>'
        body = (
            heading.format(1, "", "a")
            + heading.format(2, "", "b")
            + heading.format(2, "", "c")
            + heading.format(1, ' text:is-list-header="true"', "d")
            + heading.format(1, "", "e")
        )
        shown = ["# 1 a", "## 1.1 b", "## 1.2 c", "# d", "# 2 e"]
        assert self.text(outline, body, "outline-style").split("\n\n") == shown

    def test_a_number_that_the_document_says_itself_stands_there_once(self) -> None:
        body = '<text:h text:outline-level="1"><text:number>A.1</text:number>x</text:h>'
        assert self.text('<text:outline-level-style text:level="1" style:num-format="1"/>', body, "outline-style") == (
            "# A.1 x"
        )


def test_rtf_shows_its_numbers_as_they_are_written() -> None:
    body = (
        r"{\listtext\pard (a)\tab}\ls1 one\par\pard{\listtext\pard \'a7\tab}two\par"
        r"\pard\outlinelevel0{\listtext\pard 2.1\tab}Head\par"
    )
    assert extract(rtf(body), "a.rtf").text == "(a) one\n- two\n\n# 2.1 Head"


def test_rtf_that_leaves_the_numbers_to_its_tables_shows_them() -> None:
    level = r"{\listlevel\levelnfc%d\levelstartat%d{\leveltext %s;}{\levelnumbers\'01;}}"
    levels = level % (0, 5, r"\'02\'00.") + level % (4, 1, r"\'04(\'00\'01)") + level % (23, 1, r"\'01\'b7")
    tables = (
        r"{\*\listtable{\list" + levels + r"\listid7}}{\*\listoverridetable{\listoverride\listid7"
        r"\listoverridecount0\ls1}}"
    )
    item = r"\pard\ls1\ilvl%d %s\par"
    body = "".join(item % each for each in [(0, "a"), (1, "b"), (0, "c"), (1, "d"), (2, "e")]) + r"\pard f\par"
    assert extract(rtf(tables + body), "a.rtf").text == "5. a\n  (5a) b\n6. c\n  (6a) d\n    - e\n\nf"
    said = r"{\listtext 9.\tab}"
    assert extract(rtf(tables + body.replace(" a", said + "a")), "a.rtf").text.startswith("9. a\n\nb")


@together(
    ("page", "shown"),
    [
        ("<ol start=5><li>a<li>b</ol>", "5. a\n6. b"),
        ("<ol start=-1><li>a<li>b<li>c</ol>", "-1. a\n0. b\n1. c"),
        ("<ol><li>a<li value=20>b<li>c</ol>", "1. a\n20. b\n21. c"),
        ("<ol reversed><li>a<li>b<ul><li>x</ul></ol>", "2. a\n1. b\n  - x"),
        ("<ol reversed start=9><li>a<li>b</ol>", "9. a\n8. b"),
        ("<ol type=a start=27><li>a<li type=I>b</ol>", "aa. a\nXXVIII. b"),
        ("<ol type=i><li>a<ol type=A><li>b</ol></ol>", "i. a\n  A. b"),
        ("<ol style='list-style: lower-roman inside'><li>a</ol>", "i. a"),
        ("<ul style='list-style-type:decimal'><li>a</ul>", "1. a"),
        ("<ol style='list-style:none'><li>a</ol>", "- a"),
        ("<ul type=1><li>a</ul>", "- a"),
        ("<ol><li value=x>a<li value=99999999>b</ol>", "1. a\n2. b"),
        ("<style>ol.leg > li{} .x, ol.leg{list-style-type:lower-roman}</style><ol class=leg><li>a<li>b</ol>",
         "i. a\nii. b"),
        ("<style>@media screen{ol{list-style:none}}</style><ol><li>a</ol>", "- a"),
        ("<style>ol:hover{list-style:none} @import x; p{}</style><ol><li>a</ol>", "1. a"),
        ("<ol style='list-style-type:armenian'><li value=24>a</ol>", "ԻԴ. a"),
        ("<ol style='list-style-type:devanagari'><li value=12>a</ol>", "१२. a"),
        ("<ol style=\"list-style-type: '§ '\"><li>a</ol>", "- a"),
        ("<ol style='list-style-type:korean-hangul-formal'><li>a</ol>", "- a"),
        ("<ol start=' 7abc'><li>a<li value='20.'>b<li>c</ol>", "7. a\n20. b\n21. c"),
        ("<style>.r li{list-style-type:upper-roman}</style><ol class=r><li>a<li>b</ol>", "I. a\nII. b"),
        ("<style>li{display:block} li:before{content:counter(x)}</style><ol><li>a</ol>", "- a"),
        ("<style>li.x::marker{content:'Art. '}</style><ol><li class=x>a<li>b</ol>", "- a\n2. b"),
        ("<style>@counter-style z{symbols:'a'} ol{list-style:z}</style><ol><li>a</ol>", "- a"),
        ("<ol style='counter-reset: list-item 4'><li>a</ol>", "- a"),
        ("<ol><li style='display:block'>a<li>b</ol>", "- a\n2. b"),
    ],
)  # fmt: skip
def test_lists_of_a_page_have_the_numbers_that_browsers_show(page: str, shown: str) -> None:
    assert extract(page.encode(), "a.html").text == shown


def test_numbers_are_written_as_they_are_counted() -> None:
    assert [roman(n) for n in (1, 4, 1994, 3999, 4000, 0)] == ["I", "IV", "MCMXCIV", "MMMCMXCIX", "4000", "0"]
    assert [letters(n) for n in (1, 26, 27, 703)] == ["a", "z", "aa", "aaa"]
    assert [repeated_letters(n) for n in (1, 26, 27, 54, 10**6)] == ["a", "z", "aa", "bbb", "1000000"]
    assert [chinese(n) for n in (1, 10, 12, 20, 101, 110)] == ["一", "十", "十二", "二十", "一百〇一", "一百一十"]
    assert [WORD["cardinalText"](n) for n in (1, 20, 42)] == ["One", "Twenty", "Forty-two"]
    assert [WORD["ordinalText"](n) for n in (2, 12, 20, 31)] == ["Second", "Twelfth", "Twentieth", "Thirty-first"]
    assert [WORD["hebrew1"](n) for n in (2, 15, 121)] == ["ב", "טו", "קכא"]
    assert [WORD[name](12) for name in ("hex", "hindiNumbers", "thaiNumbers")] == ["C", "१२", "๑๒"]
    for form in WORD.values():
        for number in (-1, 0, 1, 10**6):
            assert len(form(number)) < 50


def test_points_of_slides_have_the_numbers_that_their_shape_or_they_say() -> None:
    def point(text: str, properties: str = "") -> str:
        return f'<a:p><a:pPr lvl="0">{properties}</a:pPr><a:r><a:t>{text}</a:t></a:r></a:p>'

    circled = '<a:buAutoNum type="circleNumDbPlain"/>'
    styled = '<a:lstStyle><a:lvl1pPr><a:buAutoNum type="romanLcPeriod" startAt="3"/></a:lvl1pPr></a:lstStyle>'
    body = '<p:sp><p:nvPr><p:ph type="body"/></p:nvPr><p:txBody>{}</p:txBody></p:sp>'
    own = body.format(point("a", circled) + point("b", circled))
    of_shape = body.format(styled + point("c") + point("d") + point("e", '<a:buChar char="x"/>'))
    assert extract(pptx(own, of_shape), "a.pptx").text == "① a\n② b\niii. c\niv. d\n- e"


def test_points_of_slides_have_the_numbers_that_their_layout_or_its_master_says() -> None:
    def sheet(*placeholders: tuple[str, str]) -> str:
        return "".join(
            f"<p:sp><p:nvPr><p:ph {said}/></p:nvPr><p:txBody><a:lstStyle>{style}</a:lstStyle></p:txBody></p:sp>"
            for said, style in placeholders
        )

    def body(said: str, *points: str) -> str:
        return f"<p:sp><p:nvPr><p:ph {said}/></p:nvPr><p:txBody>{''.join(points)}</p:txBody></p:sp>"

    def first(mark: str) -> str:
        return f"<a:lvl1pPr>{mark}</a:lvl1pPr>"

    a, b = (f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p>" for text in "ab")
    below = '<a:p><a:pPr lvl="1"/><a:r><a:t>c</a:t></a:r></a:p>'
    none, letters = "<a:buNone/>", '<a:buAutoNum type="alphaLcParenR"/>'
    layout = sheet(('type="body" idx="1"', first(letters)), ('type="body" idx="2"', first(none)), ('idx="3"', ""))
    styles = f'{first("<a:buChar/>")}<a:lvl2pPr><a:buAutoNum type="arabicPeriod"/></a:lvl2pPr>'
    master = sheet(('type="title"', first(none))) + f"<p:txStyles><p:bodyStyle>{styles}</p:bodyStyle></p:txStyles>"
    slides = body('idx="1"', a, b, below), body('idx="2"', a, b), body('type="obj" idx="3"', a, below)
    found = extract(pptx(*slides, layout=layout, master=master), "a.pptx").text
    assert found == "a) a\nb) b\n  1. c\n\na\n\nb\n\n- a\n  1. c"


def test_what_only_a_master_or_a_layout_says_belongs_to_no_slide() -> None:
    def said(text: str) -> str:
        return f"<p:sp><p:nvPr/><p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"

    found = extract(pptx(said("seen"), said("too"), layout=said("of the layout"), master=said("Ltd.")), "a.pptx").text
    assert found == "seen\n\ntoo"
