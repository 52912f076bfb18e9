"""Superscripts and subscripts stay apart from what they stand beside, in every format."""

import pytest

from phaseflow.components.extraction import extract
from phaseflow.components.extraction.raised import subscript, superscript
from tests.components.binary_fixtures import M, docx, epub, odt, pptx, rtf
from tests.matrices import together

SHOWN = "10⁶ and H₂O"


@together(
    ("text", "before", "shown"),
    [
        ("6", "10", "⁶"), ("-6", "10", "⁻⁶"), ("−6", "10", "⁻⁶"), ("n", "x", "^n"), ("n+1", "x", "^(n+1)"),
        ("6.5", "10", "^6.5"), ("1,2", "word", "¹,²"), ("[3]", "word", "[3]"), ("*", "word", "*"), ("+", "Na", "⁺"),
        ("2+", "Ca", "²⁺"), ("st", "1", "st"), ("e", "10", "e"), ("e", "XX", "e"),
        ("e", "the X", "e"), ("e", "x", "^e"), ("lle", "M", "lle"), ("o", "n", "º"),
        ("TM", "Foo", "™"), ("", "x", ""), (" ", "x", " "), ("3", "", "³"), ("a", "", "a"),
        ("a note that somebody wanted to be small", "", "a note that somebody wanted to be small"),
        ("a note that somebody wanted to be small", "x", " a note that somebody wanted to be small"),
    ],
)  # fmt: skip
def test_a_superscript_does_not_run_into_what_stands_before(text: str, before: str, shown: str) -> None:
    assert superscript(text, before) == shown


@together(("text", "shown"), [("2", "₂"), ("i", "_i"), ("max", "_max"), ("n-1", "_(n-1)")])
def test_a_subscript_does_not_run_into_what_stands_before(text: str, shown: str) -> None:
    assert subscript(text, "x") == shown


@together(
    "page",
    [
        "<p>10<sup>6</sup> and H<sub>2</sub>O",
        "<p>10<span style='vertical-align: super'>6</span> and H<span style='vertical-align:sub;'>2</span>O",
        "<p>10<sup><b>6</b></sup> and <i>H<sub>2</sub></i>O",
    ],
)
def test_in_a_page(page: str) -> None:
    assert extract(page.encode(), "a.html").text == SHOWN
    assert extract(epub({"c": f"<html><body>{page}</p></body></html>"}), "a.epub").text == SHOWN


@together(
    ("page", "shown"),
    [
        ("<p>1<sup>1</sup>&frasl;<sub>2</sub> cups", "1 ¹⁄₂ cups"),
        ("<p><sup>3</sup>/<sub>4</sub> inch", "³/₄ inch"),
        ("<p>1<math><mfrac><mn>1</mn><mn>2</mn></mfrac></math> cups", "1 1/2 cups"),
        ("<p><ruby>東京<rt>とう</rt></ruby>は<ruby>漢<rp>[</rp><rt>kan</rt><rp>]</rp></ruby>", "東京(とう)は漢[kan]"),
        ("<p><del>100</del><ins>90</ins> <s>50</s>40 wo<del>o</del>rd", "100 90 50 40 woord"),
        ("<style>.up{vertical-align:super}</style><p>10<span class=up>6</span>", "10⁶"),
        ("<p>10<span style='font-variant-position: super'>6</span> cells", "10⁶ cells"),
        ("<p>10<span style='vertical-align:.5em; font-size:70%'>6</span> cells", "10⁶ cells"),
        ("<p>H<span style='position:relative; top:.3em; font-size:smaller'>2</span>O", "H₂O"),
        ("<style>.up{font:8px x; vertical-align:text-top}</style><p>10<span class=up>6</span>", "10⁶"),
        ("<p>a<code style='vertical-align:-1px; font-size:90%'>b</code>", "ab"),
        ("<p>a<b style='vertical-align:.5em'>b</b><b style='top:-1em; font-size:70%'>c</b>", "abc"),
        ("<style>.up:hover{vertical-align:super}</style><p>10<span class=up>6</span>", "106"),
    ],
)
def test_what_stands_apart_on_a_page_does_not_run_together(page: str, shown: str) -> None:
    assert extract(page.encode(), "a.html").text == shown


def test_in_code_cells_headings_and_items_of_a_page() -> None:
    page = (
        "<pre>x<sup>2</sup>\ny</pre><ol><li><sup>1</sup>a</ol><h2>m<sup>2</sup></h2><table><tr><th>m<sup>3</sup><td>x"
    )
    assert extract(page.encode(), "a.html").text == "```\nx²\ny\n```\n\n1. ¹a\n\n## m²\n\n| m³ | x |\n| --- | --- |"


def test_in_a_word_document_by_the_run_and_by_its_style() -> None:
    def run(text: str, position: str = "") -> str:
        return f'<w:r><w:rPr><w:vertAlign w:val="{position}"/></w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'

    styled = '<w:r><w:rPr><w:rStyle w:val="Up"/></w:rPr><w:t>6</w:t></w:r>'
    styles = '<w:style w:styleId="Up"><w:rPr><w:vertAlign w:val="superscript"/></w:rPr></w:style>'
    end = run(" and H", "baseline") + run("2", "subscript") + run("O")
    for six in (run("6", "superscript"), styled):
        assert extract(docx(f"<w:p>{run('10')}{six}{end}</w:p>", styles=styles), "a.docx").text == SHOWN


def test_notes_of_a_word_document_have_its_styles() -> None:
    def run(text: str, style: str = "") -> str:
        return f'<w:r><w:rPr><w:rStyle w:val="{style}"/></w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'

    styles = "".join(
        f'<w:style w:styleId="{name}"><w:rPr>{said}</w:rPr></w:style>'
        for name, said in (("Up", '<w:vertAlign w:val="superscript"/>'), ("Gone", "<w:vanish/>"))
    )
    note = f"<w:footnote><w:p>{run('10')}{run('6', 'Up')}{run('gone', 'Gone')}</w:p></w:footnote>"
    assert extract(docx("<w:p/>", styles=styles, footnotes=note), "a.docx").text == "10⁶"


def test_runs_of_one_superscript_are_one() -> None:
    run = '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:t>{}</w:t></w:r>'
    body = f"<w:p><w:r><w:t>x</w:t></w:r>{run.format('n')}{run.format('+1')}</w:p>"
    assert extract(docx(body), "a.docx").text == "x^(n+1)"


@pytest.mark.parametrize(("up", "down"), [("super 58%", "sub 58%"), ("33% 58%", "-33% 58%")])
def test_in_an_opendocument(up: str, down: str) -> None:
    styles = "".join(
        f'<s:style s:name="{name}"><s:text-properties s:text-position="{place}"/></s:style>'
        for name, place in (("U", up), ("D", down), ("N", "0% 100%"))
    )
    span = '<text:span text:style-name="{}">{}</text:span>'
    link = '<text:a text:style-name="U">6</text:a>'
    for six in (span.format("U", 6), link):
        body = f"<text:p>10{six} {span.format('N', 'and')} H{span.format('D', 2)}O</text:p>"
        assert extract(odt(f'<s:styles xmlns:s="s">{styles}</s:styles>{body}'), "a.odt").text == SHOWN


@together(
    "body",
    [
        r"10{\super 6} and H{\sub 2}O",
        r"10\super 6\nosupersub  and H\sub 2\plain O",
        r"10{\super 6\super0  and }H{\sub 2}O",
    ],
)
def test_in_rtf(body: str) -> None:
    assert extract(rtf(body), "a.rtf").text == SHOWN


@together(
    ("formula", "shown"),
    [
        ("<msup><mi>x</mi><mn>2</mn></msup><mo>+</mo><mi>y</mi>", "x²+y"),
        ("<msup><mn>10</mn><mrow><mo>-</mo><mn>6</mn></mrow></msup>", "10⁻⁶"),
        ("<mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn></mfrac>", "(a+b)/2"),
        ("<msqrt><mn>2</mn><mi>n</mi></msqrt>", "√(2n)"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>", "x_i²"),
        ("<msup><mrow></mrow><mn>3</mn></msup><mi>He</mi>", "³He"),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", "(a,b)"),
        ("<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr><mtr><mtd><mn>2</mn></mtd></mtr></mtable>",
         "1, 0; 2"),
        ("<mn>1</mn><mfrac><mn>1</mn><mn>2</mn></mfrac><mi>c</mi>", "1 1/2 c"),
        ("<msup><mi>f</mi><mo>′</mo></msup><mo>\u2061</mo><mi>x</mi>", "f′ x"),
        ("<mi>a</mi><mphantom><mn>9</mn></mphantom><maction><mn>1</mn><mn>2</mn></maction>", "a1"),
        ("<mn>3</mn><mo>\u2064</mo><mfrac><mn>1</mn><mn>2</mn></mfrac><mo>\u2062</mo><mi>x</mi>", "3 1/2 x"),
        ("<mover><mi>x</mi><mo>¯</mo></mover>", "x\u0304"), ("<mover><mi>v</mi><mo>→</mo></mover>", "v\u20d7"),
        ("<mover accent='true'><mrow><mi>A</mi><mi>B</mi></mrow><mo>‾</mo></mover>", "AB‾"),
        ("<mover><mi>a</mi><mo>^</mo></mover><mover><mi>b</mi><mo>˙</mo></mover>", "a\u0302b\u0307"),
        ("<mover><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mo>¯</mo></mover>", "(a+b)¯"),
        ("<munder><mi>x</mi><mo>_</mo></munder>", "x\u0332"), ("<mover><mo>=</mo><mi>def</mi></mover>", "=^def"),
        ("<munder><munder><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mo>⏟</mo></munder><mn>2</mn></munder>", "(a+b)₂"),
        ("<mo>(</mo><mfrac linethickness='0pt'><mi>n</mi><mi>k</mi></mfrac><mo>)</mo>", "(n; k)"),
        ("<munder><mi>a</mi><mtext>real part</mtext></munder>", "a_(real part)"),
        ("<mstack><mn>424</mn><msrow><mo>+</mo><mn>33</mn></msrow><msline/></mstack>", "424 +33"),
        ("<mmultiscripts><mi>C</mi><none/><mn>3</mn><mprescripts/><mn>6</mn><mn>14</mn></mmultiscripts>", "¹⁴₆C³"),
    ],
)  # fmt: skip
def test_mathml_is_one_line_that_means_the_same(formula: str, shown: str) -> None:
    assert extract(f"<p>so <math>{formula}</math> holds".encode(), "a.html").text == f"so {shown} holds"
    body = '<text:p>so <draw:object xmlns:xlink="x" xlink:href="./O"/> holds</text:p>'
    member = f'<math xmlns="http://www.w3.org/1998/Math/MathML">{formula}</math>'
    assert extract(odt(body, **{"O/content.xml": member}), "a.odt").text == f"so {shown} holds"


def test_formulas_of_word_are_one_line_that_means_the_same() -> None:
    t = "<m:r><m:t>{}</m:t></m:r>"
    integral = (
        f'<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub>{t.format("i=1")}</m:sub><m:sup>{t.format("n")}</m:sup>'
        f"<m:e>{t.format('i')}</m:e></m:nary>"
    )
    rest = f"<m:rad><m:deg/><m:e>{t.format('2n')}</m:e></m:rad><m:d><m:e>{t.format('a')}</m:e></m:d>"
    body = f"<w:p><m:oMath {M}>{integral}{t.format(' = ')}{rest}</m:oMath></w:p>"
    assert extract(docx(body), "a.docx").text == "∑_(i=1)^n i = √(2n)(a)"


@together(
    ("formula", "shown"),
    [
        ('<m:acc><m:accPr><m:chr m:val="̅"/></m:accPr><m:e>{x}</m:e></m:acc>', "x\u0304"),
        ('<m:bar><m:barPr><m:pos m:val="top"/></m:barPr><m:e>{x}</m:e></m:bar>', "x\u0304"),
        ("<m:bar><m:e>{x}</m:e></m:bar>", "x\u0332"),
        ('<m:f><m:fPr><m:type m:val="noBar"/></m:fPr><m:num>{n}</m:num><m:den>{x}</m:den></m:f>', "n; x"),
        ('<m:groupChr><m:groupChrPr><m:chr m:val="→"/></m:groupChrPr><m:e>{n}</m:e></m:groupChr>', "→^n"),
        ("<m:limLow><m:e><m:groupChr><m:e>{n}{x}</m:e></m:groupChr></m:e><m:lim>{n}</m:lim></m:limLow>", "nx_n"),
        ('{n}<m:phant><m:phantPr><m:show m:val="0"/></m:phantPr><m:e>{x}</m:e></m:phant>', "n"),
        ("{n}<m:phant><m:e>{x}</m:e></m:phant>", "nx"),
    ],
)
def test_accents_bars_and_braces_of_word(formula: str, shown: str) -> None:
    letters = {letter: f"<m:r><m:t>{letter}</m:t></m:r>" for letter in "nx"}
    body = f"<w:p><m:oMath {M}>{formula.format(**letters)}</m:oMath></w:p>"
    assert extract(docx(body), "a.docx").text == shown


@together(
    ("page", "shown"),
    [
        ("<p>a <span style='display:none'><math><mi>b</mi></math></span><img aria-hidden=true alt=b> c", "a b c"),
        ("<p>a <script type='math/tex; mode=display'>b<c</script> d", "a b<c d"),
        ("<p>a <span class=MathJax>b</span><script type='math/tex'>b</script> d", "a b d"),
        ("<p>a <span style='display:none'>no <math><mi>b</mi></math></span>c", "a c"),
    ],
)
def test_a_formula_is_there_once_however_a_page_shows_it(page: str, shown: str) -> None:
    assert extract(page.encode(), "a.html").text == shown


def test_style_sheets_of_a_book_say_what_is_raised_and_how_lists_are_numbered() -> None:
    page = "<html><body><p>10<i class='up'>6</i></p><ol class='r'><li>a</li></ol></body></html>"
    sheet = ".up {vertical-align: super} ol.r {list-style-type: lower-roman}"
    assert extract(epub({"c": page}, sheet=sheet), "a.epub").text == "10⁶\n\ni. a"
    assert extract(epub({"c": page}, sheet=".x {color: red}"), "a.epub").text == "106\n\n1. a"


def test_a_soft_hyphen_does_not_cut_a_word() -> None:
    assert extract("<p>Silben\xadtrennung".encode(), "a.html").text == "Silbentrennung"
    assert extract(odt("<text:p>Silben\xadtrennung</text:p>"), "a.odt").text == "Silbentrennung"


def test_how_a_word_is_read_stands_behind_it() -> None:
    ruby = "<text:ruby><text:ruby-base>東京</text:ruby-base><text:ruby-text>とう</text:ruby-text></text:ruby>"
    assert extract(odt(f"<text:p>{ruby}は</text:p>"), "a.odt").text == "東京(とう)は"


def test_a_formula_on_a_slide_is_one_line() -> None:
    t = "<a:r><a:t>{}</a:t></a:r>"
    one, two = (f"<m:r><m:t>{number}</m:t></m:r>" for number in (1, 2))
    half = f"<m:oMath {M}><m:f><m:num>{one}</m:num><m:den>{two}</m:den></m:f></m:oMath>"
    slide = f"<p:sp><p:txBody><a:p>{t.format('1')}{half}{t.format(' cups')}</a:p></p:txBody></p:sp>"
    assert extract(pptx(slide), "a.pptx").text == "1 1/2 cups"


@together(
    "mark",
    [
        '<a epub:type="noteref" href="#f">12</a>',
        '<a role="doc-noteref" href="#f">12</a>',
        '<sup><a epub:type="noteref" href="#f">12</a></sup>',
        '<a epub:type="noteref" href="#f"><sup>12</sup></a>',
        '<span style="vertical-align: super" role="doc-noteref">12</span>',
    ],
)
def test_the_mark_of_a_note_is_above_the_line_whatever_the_page_says(mark: str) -> None:
    assert extract(f"<p>word{mark} more".encode(), "a.html").text == "word¹² more"
