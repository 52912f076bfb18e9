"""Equations of RTF are read as those of Word, on one line."""

import unicodedata

from phaseflow.components.extraction import extract
from tests.components.binary_fixtures import rtf
from tests.matrices import together

MATH = r"\mr\mscr0\msty2 \rtlch\fcs1 \af0 \ltrch\fcs0 \f34\insrsid1 \hich\af34\dbch\af0\loch\f34 "


def seen(letters: str) -> str:
    return rf"{{{MATH}{letters}}}"


HALF = rf"{{\mf{{\mfPr{{\mctrlPr\f34 }}}}{{\mnum{seen('1')}}}{{\mden{seen('2')}}}}}"
SQUARE = rf"{{\msSup{{\msSupPr{{\mctrlPr}}}}{{\me{seen('y')}}}{{\msup{seen('2')}}}}}"
SUM = (
    r"{\mnary{\mnaryPr{\mchr \u8721\'a6}{\mlimLoc undOvr}{\mctrlPr}}"
    rf"{{\msub{seen('i=1')}}}{{\msup{seen('n')}}}{{\me{seen('i')}}}}}"
)
MATRIX = (
    r"{\mm{\mmPr{\mmcs{\mmc{\mmcPr{\mcount 2}{\mmcJc center}}}}}"
    rf"{{\mmr{{\me{seen('1')}}}{{\me{seen('0')}}}}}{{\mmr{{\me{seen('0')}}}{{\me{seen('1')}}}}}}}"
)
INTERVAL = rf"{{\md{{\mdPr{{\mbegChr [}}{{\mendChr )}}}}{{\me{seen(chr(92) + 'u945 ?')}}}}}"
BEHIND = r"{\mmathPict{\*\shppict{\pict\pngblip 89504e47}}{\nonshppict{\pict\wmetafile8 01}}}"


@together(
    ("equation", "text"),
    [
        (HALF, "1/2"), (SQUARE, "y²"), (SUM, "∑_(i=1)^n i"), (MATRIX, "1, 0; 0, 1"), (INTERVAL, "[α)"),
        (rf"{{\mrad{{\mradPr{{\mdegHide on}}}}{{\mdeg}}{{\me{seen('2n')}}}}}", "√(2n)"),
        (rf"{{\macc{{\maccPr{{\mchr \u775 ?}}}}{{\me{seen('x')}}}}}", "ẋ"),
        (rf"{{\mfunc{{\mfName{seen('sin')}}}{{\me{seen('x')}}}}}", "sin x"),
        (seen("E=m") + r"{\v hidden}", "E=m"),
    ],
)  # fmt: skip
def test_an_equation_of_rtf_is_one_line_as_in_word(equation: str, text: str) -> None:
    inside = extract(rtf(rf"\pard so {{\mmath{{\*\moMath{equation}}}{BEHIND}}} it is\par"), "a.rtf").text
    assert " ".join(unicodedata.normalize("NFC", inside).split()) == f"so {text} it is"
    alone = rf"\pard so\par{{\*\moMathPara{{\*\moMathParaPr\mjc0}}{{\*\moMath{equation}}}}}\par it is\par"
    assert unicodedata.normalize("NFC", extract(rtf(alone), "a.rtf").text) == f"so\n\n{text}\n\nit is"


def test_a_fraction_of_rtf_does_not_run_into_the_number_before_it() -> None:
    assert extract(rtf(rf"1{{\mmath{{\*\moMath{HALF}}}}} cups"), "a.rtf").text == "1 1/2 cups"


def test_an_equation_in_what_is_passed_over_is_passed_over() -> None:
    assert extract(rtf(rf"seen{{\*\unknown{{\*\moMath{HALF}}}}}"), "a.rtf").text == "seen"


@together("broken", [r"{\mmath{\*\moMath{\mf{\mnum 1}", r"{\*\moMath}}} x", r"{\*\moMath{\me{\mchr", r"{\*\moMath"])
def test_a_broken_equation_of_rtf_breaks_nothing(broken: str) -> None:
    assert extract(rtf(f"seen {broken}"), "a.rtf").text.startswith("seen")
