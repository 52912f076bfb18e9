"""The elements of a Word document that say something about its text, by their kinds."""

# Fallback repeats what Choice says; moveFrom and del are what tracked changes took out.
SKIPPED = frozenset(("Fallback", "moveFrom", "del", "sectPr", "tblGrid", "sdtPr", "sdtEndPr")) | frozenset(
    ("rPrChange", "pPrChange", "tblPrChange", "tblPrExChange", "trPrChange", "tcPrChange")  # what was so before
)
FORMULA = "oMath"
OF_FIELDS = frozenset(("fldChar", "sym", "checkBox", "checked", "default", "result", "listEntry"))
OF_RUNS = frozenset(("rStyle", "vanish", "vertAlign", "position", "rFonts"))
SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}
OF_PARAGRAPHS = frozenset(("pStyle", "numId", "ilvl", "outlineLvl", "gridSpan", "vMerge", "framePr"))
PROPERTIES = frozenset(("pPr", "tcPr", "trPr"))
TAKE_OUT = frozenset(("hidden", "cellDel"))
"""Say of a row, of a cell, that it is not there; ``del`` says so, too."""
ENDED = PROPERTIES | frozenset(("t", "p", "r", "instrText", "rt", "rubyBase", "tbl", "tc"))
TOLD = (
    (ENDED | OF_PARAGRAPHS | OF_FIELDS | OF_RUNS | TAKE_OUT | SKIPPED | frozenset(SIGNS))
    | frozenset((FORMULA, "altChunk", "docPr", "textpath", "shape", "tr"))
)  # fmt: skip
"""Two in three elements say nothing about the text."""
