"""The first heading of a Markdown text, as CommonMark 0.31 has headings: what only looks like one is none."""

import re

_HEAD = 20_000
"""Characters in which it is looked for."""
_LONGEST = 1000
"""Characters of a heading: more is a text that lacks its line ends."""
_QUOTE = re.compile(r" {0,3}>[ \t]?")
_ITEM = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?: {1,4}(?=\S)|[ \t]|$)")
_BREAK = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_ATX = re.compile(r" {0,3}#{1,6}(?:[ \t]+(.*))?$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_CODE = re.compile(r"(?: {4}| {0,3}\t)")
_DEFINITION = re.compile(r" {0,3}\[(?:[^\[\]\\]|\\.)+\]:\s*\S+(?:\s+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?[ \t]*(?:\n|$)")
_BLOCK_TAGS = """
    address article aside base basefont blockquote body caption center col colgroup dd details dialog dir div dl dt
    fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hr html iframe legend li link
    main menu menuitem nav noframes ol optgroup option p param search section summary table tbody td tfoot th thead
    title tr track ul
"""
# A block of HTML begins with one of these and ends with the line that has the other, or with a blank one.
_HTML = (
    (
        re.compile(r" {0,3}<(?:script|pre|style|textarea)(?=[\s>]|$)", re.I),
        re.compile(r"</(?:script|pre|style|textarea)>", re.I),
    ),
    (re.compile(r" {0,3}<!--"), re.compile("-->")),
    (re.compile(r" {0,3}<\?"), re.compile(r"\?>")),
    (re.compile(r" {0,3}<!\[CDATA\["), re.compile(r"\]\]>")),
    (re.compile(r" {0,3}<![A-Za-z]"), re.compile(">")),
    (re.compile(rf" {{0,3}}</?(?:{'|'.join(_BLOCK_TAGS.split())})(?=[\s>]|/>|$)", re.I), re.compile(r"^\s*$")),
)  # fmt: skip
_ATTRIBUTE = r"""\s+[\w:.-]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+))?"""
_LONE_TAG = re.compile(rf" {{0,3}}(?:<[A-Za-z][\w-]*(?:{_ATTRIBUTE})*\s*/?>|</[A-Za-z][\w-]*\s*>)\s*$")
_BLANK = re.compile(r"^\s*$")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])")
_REFERENCE = re.compile(r"\[([^\[\]]+)\]")
_HTML_HEADING = re.compile(
    r"\s{0,8}(?:<(?:div|center|p|header)\b[^<>]{0,200}>\s{0,8}){0,2}<(h[1-6])\b[^<>]{0,500}>(.{1,2000}?)</\1\s*>",
    re.I | re.S,
)
_SIGN = re.compile(r"[<&\[\\*_`]")
"""What a heading has that is more than its words."""
_CODE_SPAN = re.compile(r"(`{1,5}[^`]{1,300}`{1,5})")
_TAG = re.compile(r"</?[A-Za-z][\w-]{0,30}(?:\s[^<>]{0,500})?>|<!--[^<>]{0,500}-->")
_ENTITY = re.compile(r"(?<!\\)&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MARKED = re.compile(
    r"(?<![\\*])(\*{1,3}|`+)(?=\S)([^*`]+?)(?<=[^\s\\])\1|(?<!\w)(?<!\\)(_{1,3})(?=\S)(.+?)(?<=[^\s\\])\3(?!\w)"
)


def first_heading(text: str) -> str | None:
    """Return the first heading that has words, in one line and without its marks; None when there is none.

    A heading may be HTML, in a block of it: the first lines of many a README are.
    """
    scan = _Scan()
    head = text[:_HEAD]
    place = 0
    for line in head.split("\n"):
        html = _HTML_HEADING.match(head, place) if "<" in line and not scan.is_in_code else None
        heading = html[2] if html else scan.heading(line)
        words = _plain(heading, text) if heading else ""
        if words:
            return words
        place += len(line) + 1
    return None


class _Scan:
    """Reads line by line, with the containers (quotes, items of lists) taken off."""

    def __init__(self) -> None:
        self._fence: str | None = None
        self._html_end: re.Pattern[str] | None = None
        self._paragraph: list[str] = []
        self._quotes = 0
        """How many quotes the paragraph is in."""
        self._indent = 0
        """Blanks with which a line goes on in the item of a list that was begun last."""
        self._paragraph_indent = 0

    @property
    def is_in_code(self) -> bool:
        return self._fence is not None or (self._html_end is not None and self._html_end.pattern != _BLANK.pattern)

    def heading(self, line: str) -> str | None:
        """Take a line; return the heading that it ends or is."""
        # In the order in which CommonMark decides. What is open (code, HTML) takes the line, whatever it looks like.
        # Then a line below a paragraph may make a heading of that. Only then does the line speak for itself.
        if line[:1].isalpha() and self._fence is None and self._html_end is None:
            # No sign of anything: a line of a paragraph.
            self._indent = self._indent if self._paragraph else 0
            self._go_on(line, 0, 0)
            return None
        line, quotes, indent = self._without_containers(line)
        if self._fence is not None:
            if re.match(rf" {{0,3}}{re.escape(self._fence)}{re.escape(self._fence[0])}*[ \t]*$", line):
                self._fence = None
            return None
        if self._html_end is not None:
            if self._html_end.search(line):
                self._html_end = None
            return None
        if _BLANK.match(line):
            self._paragraph = []
            return None
        if self._paragraph and self._goes_on(quotes, indent) and _SETEXT.match(line):
            words = _without_definitions("\n".join(self._paragraph))
            if words.strip():
                self._paragraph = []
                return words
        if not self._paragraph and _CODE.match(line):
            return None
        if atx := _ATX.match(line):
            self._paragraph = []
            return _without_closing(atx[1] or "")
        if self._opens(line):
            return None
        self._go_on(line, quotes, indent)
        return None

    def _go_on(self, line: str, quotes: int, indent: int) -> None:
        if not self._paragraph:
            self._quotes, self._paragraph_indent = quotes, indent
        self._paragraph.append(line.strip())

    def _goes_on(self, quotes: int, indent: int) -> bool:
        """Whether a line is in the containers of the paragraph, and does not only go on with it."""
        return quotes == self._quotes and indent == self._paragraph_indent

    def _without_containers(self, line: str) -> tuple[str, int, int]:
        """Return a line without its containers, how many of them are quotes, and how deep it stands in items."""
        quotes = indent = 0
        if self._indent and line[: self._indent].isspace() and len(line) > self._indent:
            line, indent = line[self._indent :], self._indent
        # Inside a fence only the quotes that it stands in are taken off: a further sign, or a bullet, is code.
        while self._fence is None or quotes < self._quotes:
            if quote := _QUOTE.match(line):
                line, quotes = line[quote.end() :], quotes + 1
            elif (
                self._fence is not None
                or self._html_end is not None
                or _BREAK.match(line)
                or (self._paragraph and self._goes_on(quotes, indent) and _SETEXT.match(line))
            ):
                break
            elif item := _ITEM.match(line):
                line, indent = line[item.end() :], indent + max(item.end(), 2)
                self._paragraph, self._indent = [], indent
            else:
                break
        # Text at the margin ends the list, but for a paragraph that merely goes on there without its blanks.
        if not indent and line.strip() and not self._paragraph:
            self._indent = 0
        return line, quotes, indent

    def _opens(self, line: str) -> bool:
        """Whether a line begins a block that is no paragraph."""
        if fence := _FENCE.match(line):
            self._fence, self._paragraph = fence[1], []
            return True
        for begin, end in _HTML:
            if found := begin.match(line):
                self._html_end = None if end.search(line, found.end()) and end.pattern != _BLANK.pattern else end
                self._paragraph = []
                return True
        if not self._paragraph and _LONE_TAG.match(line):
            self._html_end = _BLANK
            return True
        if _BREAK.match(line):
            self._paragraph = []
            return True
        return False


def _without_definitions(paragraph: str) -> str:
    """What stands first in a paragraph may define links, and is not shown."""
    while found := _DEFINITION.match(paragraph):
        paragraph = paragraph[found.end() :]
    return paragraph


def _plain(heading: str, text: str) -> str:
    heading = heading[:_LONGEST]
    if _SIGN.search(heading) is None:
        return " ".join(heading.split())
    parts = _CODE_SPAN.split(heading)
    parts[::2] = [
        _ENTITY.sub(_unescaped, _TAG.sub("", part)) if "<" in part or "&" in part else part for part in parts[::2]
    ]
    # Twice: a picture may stand in a link.
    words = _LINK.sub(r"\1", _LINK.sub(r"\1", "".join(parts)))
    words = _REFERENCE.sub(lambda found: found[1] if f"[{found[1]}]:".lower() in text.lower() else found[0], words)
    words = _MARKED.sub(lambda found: found[2] or found[4], words)
    return " ".join(_ESCAPED.sub(r"\1", words).split())


def _unescaped(entity: re.Match[str]) -> str:
    from html import unescape

    return unescape(entity[0])


def _without_closing(words: str) -> str:
    """A heading without the signs that close it, which stand alone or behind a blank."""
    trimmed = words.rstrip(" \t")
    before = trimmed.rstrip("#")
    is_closed = before != trimmed and (not before or before[-1] in " \t")
    return before.rstrip(" \t") if is_closed else words
