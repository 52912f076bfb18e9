"""Characters of the fonts whose letters are signs: Symbol and Wingdings."""

from collections.abc import Mapping

# From 0x20 on; blanks where the font has only pieces of brackets, or nothing.
_SYMBOL = (
    " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼"
    + " " * 33
    + "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈… ―↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑          〉∫⌠ ⌡"
)
_WINGDINGS = {
    0x28: "☎", 0x2A: "✉", 0x4A: "☺", 0x4C: "☹", 0x6C: "●", 0x6E: "■", 0x6F: "□", 0x71: "❑", 0x72: "❒", 0x75: "◆",
    0x76: "❖", 0x9F: "•", 0xA1: "○", 0xA7: "▪", 0xA8: "◻", 0xAB: "★", 0xD8: "➢", 0xDF: "←", 0xE0: "→", 0xE1: "↑",
    0xE2: "↓", 0xE8: "➔", 0xEF: "⇦", 0xF0: "⇨", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑",
    **{0x80 + number: sign for number, sign in enumerate("⓪①②③④⑤⑥⑦⑧⑨⑩⓿❶❷❸❹❺❻❼❽❾❿")},
}  # fmt: skip
_FONTS: Mapping[str, Mapping[int, str]] = {
    "symbol": {code: sign for code, sign in enumerate(_SYMBOL, 0x20) if sign != " " or code == 0x20},
    "wingdings": _WINGDINGS,
}
_PRIVATE = 0xF000
"""Where Office puts the characters of such fonts in Unicode."""


def is_symbol_font(font: str) -> bool:
    return font.lower() in _FONTS


def shown(code: int, font: str) -> str:
    """Return the character that a font shows for a number of its own or in Unicode; ``""`` when that is not known."""
    signs = _FONTS.get(font.lower())
    if signs is None:
        return "" if 0xE000 <= code < 0xF900 or not 0x20 <= code < 0xD800 else chr(code)
    return signs.get(code - _PRIVATE if code >= _PRIVATE else code, "")


def shown_text(text: str, font: str) -> str:
    """Return a text as such a font shows it, of which Unicode knows the characters by numbers of their own only."""
    return "".join(shown(ord(sign), font) if _PRIVATE <= ord(sign) < _PRIVATE + 0x100 else sign for sign in text)
