"""Equations of RTF: Word's markup for them, with control words in place of elements."""

from phaseflow.components.extraction.formulas import Formula

EQUATIONS = frozenset((b"moMath", b"moMathPara"))
"""Groups that old readers pass over, since there is a picture beside them: an equation, and a paragraph of some."""
_OF_ELEMENTS = b"""
    msSup msSub msSubSup msPre mf mnum mden mrad mdeg me mnary msub msup md mlimLow mlimUpp mlim mm mmr meqArr macc mbar
    mgroupChr mphant mfunc mfName mbox mborderBox mr
"""
_OF_PROPERTIES = b"""
    mfPr mnaryPr mdPr maccPr mbarPr mgroupChrPr mphantPr mradPr mmPr meqArrPr mrPr mctrlPr margPr msSupPr msSubPr
    msSubSupPr msPrePr mlimLowPr mlimUppPr mfuncPr mboxPr mborderBoxPr
"""
_OF_VALUES = b"mchr mbegChr mendChr msepChr mpos mtype mshow"
"""What groups of properties say in words."""
_WORDS = {word: word[1:].decode() for word in (_OF_ELEMENTS + _OF_PROPERTIES + _OF_VALUES).split()}
_VALUES = frozenset(_WORDS[word] for word in _OF_VALUES.split())


class Equation:
    """Takes the groups, words and letters of one equation; ``text`` is its line when its group has ended."""

    def __init__(self) -> None:
        self._formula = Formula(keeps_spaces=True)
        self._names: list[str] = []
        self._value: list[str] = []

    def open(self) -> None:
        """A group begins."""
        self._names.append("")

    def close(self) -> bool:
        """A group ends. False where it is that of the equation."""
        if not self._names:
            return False
        name = self._names.pop()
        if name in _VALUES:
            self._formula.start(name, {"val": "".join(self._value).strip()})
        if name:
            self._formula.end(name)
        return True

    def word(self, word: bytes) -> None:
        """The first word that is known names the group."""
        if self._names and not self._names[-1] and word in _WORDS:
            self._names[-1] = name = _WORDS[word]
            if name in _VALUES:
                self._value = []
            else:
                self._formula.start(name, {})

    def write(self, text: str) -> None:
        """Letters: those among properties are no part of what is seen."""
        if self._names and self._names[-1] in _VALUES:
            self._value.append(text)
        elif not any(name.endswith("Pr") for name in self._names):
            self._formula.data(text)

    @property
    def text(self) -> str:
        return self._formula.text
