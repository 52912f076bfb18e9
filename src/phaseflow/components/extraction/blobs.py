"""Pictures and other files that stand within a text as letters, and nobody reads: ``data:`` addresses and base64."""

import re

_SHORTEST = 64
_DATA = re.compile(
    r"(data:[\w.+-]{1,60}/[\w.+-]{1,100}(?:;[\w.+-]{1,60}(?:=[\w.+-]{1,60})?){0,5}?)"
    rf"(?:;base64,[A-Za-z0-9+/=_%-]{{{_SHORTEST},}}|,[^\s\"'()<>`]{{{_SHORTEST},}})",
    re.I,
)
_RUN = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{256,}={0,2}(?![A-Za-z0-9+/=])")
_ROW = "[A-Za-z0-9+/]"
_LINES = re.compile(
    rf"(?m)^([ \t]*){_ROW}{{60,76}}\r?\n(?:\1{_ROW}{{60,76}}\r?\n){{3,}}(?:\1{_ROW}{{1,76}}={{0,2}}[ \t]*$)?"
)
_KINDS = (re.compile("[A-Z]"), re.compile("[a-z]"), re.compile("[0-9]"))


def without_data(text: str) -> str:
    """Return a text without the content of ``data:`` addresses, whose type stays."""
    return _DATA.sub(r"\1", text) if "data:" in text or "DATA:" in text else text


def without_blobs(text: str) -> str:
    """Return a text without the content of ``data:`` addresses, and without blocks of base64."""
    text = without_data(text)
    return _LINES.sub(_unless_words, _RUN.sub(_unless_words, text)) if len(text) >= 256 else text


def _unless_words(run: re.Match[str]) -> str:
    """Keep rows of letters that are no base64: that has capitals, small letters and digits in any piece."""
    letters = run[0][:2000]
    return "" if all(len(kind.findall(letters)) > len(letters) // 50 for kind in _KINDS) else run[0]
