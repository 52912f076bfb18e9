"""The source of a page as parsers need it: what they would leave out with templates and scripts, and readers see."""

import re
from html import escape

SHADOW_ROOT = "shadow-root"
_SHADOW = re.compile(r"<(/?)template\b([^>]{0,2000}+)>", re.I)
_SHADOW_MODE = re.compile(r"\bshadowrootmode\s*=\s*[\"']?(?:open|closed)", re.I)
_SHADOW_WORDS = ("shadowrootmode", "shadowRootMode", "SHADOWROOTMODE", "ShadowRootMode")
"""As anybody writes it: small letters of every page would cost more than all else here."""
_FORMULA = re.compile(
    r"<script\b[^>]{0,200}?\btype\s*=\s*[\"']?math/(?:tex|asciimath)\b[^>]{0,200}+>([^<]*+(?:<(?!/script)[^<]*+)*+)</script\s*>",
    re.I,
)
_FORMULA_WORD = "math/"
_SET = re.compile(r"class=[\"']?(?:MathJax|mjx-|katex)")
"""A page that was saved after its scripts had set the formulas has them twice."""


def as_shown(text: str) -> str:
    """Return the page with declarative shadow roots, and formulas that a script sets, as elements."""
    if _FORMULA_WORD in text and not _SET.search(text):
        text = _FORMULA.sub(lambda found: f"<span>{escape(found[1], quote=False)}</span>", text)
    return _with_open_shadows(text)


def _with_open_shadows(text: str) -> str:
    """Return the page with declarative shadow roots as elements, which parsers leave out with other templates."""
    if "emplate" not in text and "EMPLATE" not in text:
        return text
    if not any(word in text for word in _SHADOW_WORDS):
        return text
    opened: list[bool] = []

    def element(tag: re.Match[str]) -> str:
        if tag[1]:
            return f"</{SHADOW_ROOT}>" if opened and opened.pop() else tag[0]
        opened.append(_SHADOW_MODE.search(tag[2]) is not None)
        return f"<{SHADOW_ROOT}>" if opened[-1] else tag[0]

    return _SHADOW.sub(element, text)
