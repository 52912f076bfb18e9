"""AsciiDoc, Org and LaTeX: kept as they are, for their marks read well as text; titles and headings are found."""

import re
from collections.abc import Callable, Iterator, Mapping
from unicodedata import normalize

from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.plain import MEDIA_TYPE
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.domain.values import MetadataValue

_HEAD = 20_000
_MOST_PARTS = 10_000
_LONGEST = 500
"""Characters of a title."""
_ADOC_ATTRIBUTE = re.compile(r"^:([\w][\w-]*):[ \t]+([^\n]*)$", re.M)
_ADOC_TITLE = re.compile(r"^(?:=|#)[ \t]+([^\n]+?)(?:[ \t]+=)?[ \t]*$")
_ADOC_HEADING = re.compile(
    r"""(?x)
    ^(?P<marks>={2,6})[ \t]+(?P<said>[^\n]+)$
  | (?:\A|(?<=\n\n))(?P<words>\w[^\n]{0,500})\n(?P<row>={2,}+|-{2,}+|~{2,}+|\^{2,}+|\+{2,}+)[ \t]*$
  | ^(?P<fence>-{4,}|={4,}|\.{4,}|\+{4,}|/{4,}|_{4,}|\*{4,}|`{3,})[^\n]*$
    """,
    re.M,
)
_ADOC_PASSED = re.compile(r"\[[^\n]*\][ \t]*$|(?:ifn?def|ifeval|endif|include)::")
"""Lines that may stand before a title: what is said of it, and conditions."""
_ADOC_REFERENCE = re.compile(r"\{([\w-]{1,100})\}")
_ADOC_AUTHOR = re.compile(r"^\w[^\n:;=<>]*(?=(?:<[^<>\n]*>[ \t]*)?(?:$|;))")
_ORG_KEYWORD = re.compile(r"^[ \t]*#\+([A-Za-z_]+):[ \t]*([^\n]*)$", re.M)
_ORG_HEADING = re.compile(r"^\*+[ \t]+([^\n]+)$|^[ \t]*#\+(?P<begin>BEGIN|END)_(?P<block>\w+)[^\n]*$", re.M | re.I)
_ORG_MARKS = re.compile(r"^(?:TODO|DONE|NEXT|WAITING|CANCELLED)[ \t]+|\[#[A-Z]\][ \t]*|[ \t]+:[\w@#%:]+:[ \t]*$")
_ORG_LINK = re.compile(r"\[\[([^\[\]\n]{1,500})\](?:\[([^\[\]\n]{1,500})\])?\]")
_TEX_COMMENT = re.compile(r"(?<!\\)%[^\n]*")
_TEX_COMMAND = re.compile(r"\\(title|author|date)\b[ \t\n]*(?:\[[^\[\]]*\][ \t\n]*)?\{")
_TEX_HEADING = re.compile(
    r"\\(?:part|chapter|section|subsection)\*?(?:\[[^\[\]\n]*\])?\{"
    r"|(?P<aside>\\begin\{(?P<name>verbatim\*?|Verbatim|lstlisting|minted|comment|alltt)\}.*?(?:\\end\{(?P=name)\}|\Z)"
    r"|\\iffalse\b.*?(?:\\fi\b|\Z)|\\end\{document\}.*)",
    re.S,
)
_TEX_DEFINITION = re.compile(r"\\(?:(?:re)?newcommand\*?[ \t]*\{?|def[ \t]*)\\([a-zA-Z]{1,50})\}?[ \t]*\{")
_TEX_NAME = re.compile(r"\\([a-zA-Z]{1,50})(?:\{\})?")
_TEX_UNSEEN = re.compile(r"\\[-/]")
"""Where a word may be divided, and a correction of the space between letters."""
_TEX_BOTH = re.compile(r"\\texorpdfstring[ \t]*\{(?:[^{}]|\{[^{}]*\})*\}[ \t]*(?=\{)")
_TEX_LINE = re.compile(r"\\\\(?:\[[^\[\]\n]{0,40}\])?|\\newline\b|~")
_TEX_DROPPED = re.compile(r"\\(?:thanks|footnote|label|vspace|hspace|inst|fnref|orcid)\*?\{[^{}]*\}")
_TEX_MACRO = re.compile(r"\\[a-zA-Z@]+\*?[ \t]*|[{}$]")
_TEX_SIGN = re.compile(r"\\([&%#_$ ,])")
_TEX_ACCENT = re.compile(r"\\(['`^\"~=.]|[cuvHr](?![a-zA-Z]))[ \t]*\{?\\?([a-zA-Z])\}?")
_TEX_ACCENTS = {
    "'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304", ".": "\u0307",
    "c": "\u0327", "u": "\u0306", "v": "\u030c", "H": "\u030b", "r": "\u030a",
}  # fmt: skip
_TEX_WORDS = {
    "\\and": ", ", "\\today": "", "\\LaTeX": "LaTeX", "\\TeX": "TeX", "---": "—", "--": "–",
    "``": "“", "''": "”",
}  # fmt: skip
_TEX_LETTER = re.compile(r"\\(ss|[oOlLij]|ae|AE|oe|OE|aa|AA)(?![a-zA-Z])(?:\{\}|[ \t]+)?")
_TEX_LETTERS = {
    "ss": "ß", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "i": "ı", "j": "ȷ", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ",
    "aa": "å", "AA": "Å",
}  # fmt: skip
_ADOC_KEYS = {
    "author": "author",
    "authors": "author",
    "description": "description",
    "keywords": "tags",
    "lang": "language",
    "revdate": "date",
    "doctitle": "title",
}
_ORG_KEYS = {
    "author": "author",
    "description": "description",
    "keywords": "tags",
    "filetags": "tags",
    "language": "language",
    "date": "date",
    "title": "title",
    "subtitle": "subtitle",
}


def extract_asciidoc(raw: Raw) -> Extracted:
    """Return the source as it is. Title: that of the document, else the first section's, else the file's name.

    Parts: what is under each heading. Metadata: the attributes that say something about the document.
    """
    return _extracted(raw, _asciidoc_said, _asciidoc_headings)


def extract_org(raw: Raw) -> Extracted:
    """Like ``extract_asciidoc``, from ``#+TITLE:`` and its like."""
    return _extracted(raw, _org_said, _org_headings)


def extract_latex(raw: Raw) -> Extracted:
    """Like ``extract_asciidoc``, from ``\\title{}`` and its like."""
    return _extracted(raw, _latex_said, _latex_headings)


def _extracted(
    raw: Raw, said: Callable[[str], dict[str, str]], headings: Callable[[str], Iterator[tuple[int, str]]]
) -> Extracted:
    text = text_of(raw)
    parts = [part for part, _ in zip(headings(text), range(_MOST_PARTS), strict=False)]
    found = said(text[:_HEAD])
    title = found.pop("title", "") or (parts[0][1] if parts else "") or raw.base_name
    metadata: dict[str, MetadataValue] = dict(found)
    if "tags" in found:
        metadata["tags"] = [tag.strip() for tag in re.split("[,:]", found["tags"]) if tag.strip()]
    return Extracted(text, title, MEDIA_TYPE, tuple(parts), metadata)


def _asciidoc_said(head: str) -> dict[str, str]:
    """The header is the lines before the first that is blank, but for comments before it."""
    found: dict[str, str] = {}
    lines = iter(head.split("\n"))
    in_comment = False
    for line in lines:
        if line.startswith("////"):
            in_comment = not in_comment
        elif in_comment or line.startswith("//") or not line.strip() or _ADOC_PASSED.match(line):
            continue
        elif title := _ADOC_TITLE.match(line[:_LONGEST]):
            found["title"] = _asciidoc_line(title[1], _asciidoc_values(head))
            break
        elif not line.startswith(":"):
            following = next(lines, "")
            is_title = set(following.strip()) == {"="} and abs(len(following.strip()) - len(line.strip())) < 3
            if is_title:
                found["title"] = _asciidoc_line(line, _asciidoc_values(head))
            break
    author = next(lines, "")
    if "title" in found and not author.startswith(":") and (name := _ADOC_AUTHOR.match(author[:_LONGEST])):
        found["author"] = name[0].strip()
    for name, value in _ADOC_ATTRIBUTE.findall(head.partition("\n\n== ")[0]):
        if key := _ADOC_KEYS.get(name.lower()):
            found.setdefault(key, value.strip())
    return {key: value for key, value in found.items() if value}


def _asciidoc_values(head: str) -> dict[str, str]:
    return {"nbsp": " ", **{name.lower(): value.strip() for name, value in _ADOC_ATTRIBUTE.findall(head)}}


def _asciidoc_line(words: str, values: Mapping[str, str]) -> str:
    shown = _ADOC_REFERENCE.sub(lambda found: values.get(found[1].lower(), found[0]), words[:_LONGEST])
    return " ".join(shown[:_LONGEST].split())


def _asciidoc_headings(text: str) -> Iterator[tuple[int, str]]:
    fence, values = "", _asciidoc_values(text[:_HEAD])
    for found in _ADOC_HEADING.finditer(text):
        delimiter = found["fence"]
        if found["row"] and abs(len(found["row"]) - len(found["words"].rstrip())) > 1:
            # No heading, but the line below may be where a block begins or ends.
            delimiter = found["row"] if len(found["row"]) > 3 and found["row"][0] in "=-+" else None
            if delimiter is None:
                continue
        if delimiter:
            fence = "" if fence == delimiter else fence or delimiter
        elif not fence and (found["row"] or "-")[0] != "=":
            # The marks may stand on both sides.
            said = found["words"] or found["said"].rstrip().removesuffix(f" {found['marks']}")
            yield found.start(), _asciidoc_line(said, values)
        elif found["row"] == fence:
            fence = ""


def _org_said(head: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in _ORG_KEYWORD.findall(head):
        if (key := _ORG_KEYS.get(name.lower())) and value.strip():
            # A title may go on in a second keyword.
            found[key] = (
                f"{found[key]} {value.strip()}" if key == "title" and key in found else value.strip()[:_LONGEST]
            )
    return found


def _org_headings(text: str) -> Iterator[tuple[int, str]]:
    block = ""
    for found in _ORG_HEADING.finditer(text):
        if found["begin"]:
            name = found["block"].lower()
            block = name if found["begin"].lower() == "begin" and not block else "" if name == block else block
        elif not block and (words := _ORG_MARKS.sub("", found[1][:_LONGEST]).strip()):
            yield found.start(), _ORG_LINK.sub(lambda link: link[2] or link[1], words) if "[[" in words else words


def _latex_said(head: str) -> dict[str, str]:
    head = _TEX_COMMENT.sub("", head)
    found: dict[str, str] = {}
    own = _latex_macros(head)
    for command in _TEX_COMMAND.finditer(head):
        words = _latex_line(_with_macros(_argument(head, command.end()), own))
        if words and command[1] not in found:
            found[command[1]] = words
    return found


def _latex_macros(head: str) -> dict[str, str]:
    return {name[1]: _argument(head, name.end()) for name in _TEX_DEFINITION.finditer(head)}


def _with_macros(written: str, own: Mapping[str, str]) -> str:
    """Put the macros of the document that take nothing in place, once."""
    return _TEX_NAME.sub(lambda name: own.get(name[1], name[0]), written)[: 4 * _LONGEST] if own else written


def _latex_headings(text: str) -> Iterator[tuple[int, str]]:
    own = _latex_macros(_TEX_COMMENT.sub("", text[:_HEAD]))
    for found in _TEX_HEADING.finditer(text):
        if found["aside"]:
            continue
        begin = text.rfind("\n", 0, found.start()) + 1
        if found.start() - begin < _LONGEST and "%" not in text[begin : found.start()].replace("\\%", ""):
            words = _latex_line(_with_macros(_argument(text, found.end()), own))
            if words:
                yield found.start(), words


def _argument(text: str, begin: int) -> str:
    """Return what stands up to the brace that closes the one before ``begin``."""
    depth = 1
    for place in range(begin, min(begin + 4 * _LONGEST, len(text))):
        if text[place] in "{}" and text[place - 1] != "\\":
            depth += 1 if text[place] == "{" else -1
            if not depth:
                return text[begin:place]
    return text[begin : begin + _LONGEST].partition("\n\n")[0]


def _latex_line(written: str) -> str:
    written = _TEX_BOTH.sub("", _TEX_UNSEEN.sub("", written))
    words = _TEX_ACCENT.sub(_accented, _TEX_DROPPED.sub("", _TEX_LINE.sub(" ", written)))
    words = _TEX_LETTER.sub(lambda letter: _TEX_LETTERS[letter[1]], words)
    for sign, meant in _TEX_WORDS.items():
        words = words.replace(sign, meant)
    words = _TEX_MACRO.sub("", _TEX_SIGN.sub(r"\1", words))
    return " ".join(words.split())[:_LONGEST].replace(" ,", ",")


def _accented(found: re.Match[str]) -> str:
    return normalize("NFC", found[2] + _TEX_ACCENTS[found[1]])
