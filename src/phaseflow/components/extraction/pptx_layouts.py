"""How the points of a slide are marked where the slide does not say: its layout does, and the master of that."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from phaseflow.components.extraction.odf_styles import number_of
from phaseflow.components.extraction.package import Package

Mark = tuple[str | None, int]
"""How points are numbered, ``""`` for bullets and None for no mark at all, and the number of the first."""
Marks = Mapping[int, Mark]
"""By level, from 0."""

_BULLETED = ("", 1)
_NONE: Marks = {}
LEVELS = {f"lvl{number}pPr": number - 1 for number in range(1, 10)}
MARKS = frozenset(("buAutoNum", "buChar", "buBlip", "buNone"))
_TOLD = MARKS.union(LEVELS, ("sp", "ph", "bodyStyle", "lstStyle"))
"""Elements of a layout that are asked for."""
_TAG = re.compile(rb"<(/?)(?:[\w.-]+:)?(%s)\b([^<>]*?)(/?)>" % "|".join(sorted(_TOLD)).encode())
_ATTRIBUTE = re.compile(rb"(?<![\w:.-])([\w.-]+)\s*=\s*([\"'])([^\"']*)\2")
_WITHOUT_POINTS = frozenset(("title", "dt", "ftr", "sldNum", "hdr", "sldImg"))
"""Placeholders whose text is no list whatever their layout says."""
_KINDS = {"": "body", "obj": "body", "ctrTitle": "title", "subTitle": "body"}
"""What a placeholder of a master stands for that of a layout or slide."""


@dataclass(slots=True)
class LevelMarks:
    """Takes the events of a style of lists: ``found`` has the levels that say how they are marked."""

    found: dict[int, Mark] = field(default_factory=dict)
    level: int | None = None
    """Of the style that is open."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name in LEVELS:
            self.level = LEVELS[name]
        elif self.level is not None and (mark := mark_of(name, attributes)) is not None:
            self.found[self.level] = mark

    def end(self, name: str) -> None:
        if name in LEVELS:
            self.level = None


def mark_of(name: str, attributes: Mapping[str, str]) -> Mark | None:
    """Return what an element says of the mark of a point; None when it says nothing."""
    if name not in MARKS:
        return None
    if name == "buAutoNum":
        return attributes.get("type", ""), number_of(attributes.get("startAt"), 1)
    if name in ("buChar", "buBlip"):
        return _BULLETED
    return (None, 1) if name == "buNone" else None


@dataclass(slots=True)
class _Sheet:
    """A layout or a master: what its placeholders say, by number and by kind."""

    by_number: dict[str, Marks] = field(default_factory=dict)
    by_kind: dict[str, Marks] = field(default_factory=dict)
    body: LevelMarks = field(default_factory=LevelMarks)
    """Of a master: what holds for all text that is no title."""
    _shape: LevelMarks = field(default_factory=LevelMarks)
    _in_body: bool = False
    _in_shape: bool = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "sp":
            self._shape = LevelMarks()
        elif name == "ph":
            self.by_kind.setdefault(_kind(attributes), self._shape.found)
            if number := attributes.get("idx"):
                self.by_number[number] = self._shape.found
        elif name in ("bodyStyle", "lstStyle"):
            self._in_body, self._in_shape = name == "bodyStyle", name == "lstStyle"
        elif self._in_body:
            self.body.start(name, attributes)
        elif self._in_shape:
            self._shape.start(name, attributes)

    def end(self, name: str) -> None:
        if name in ("bodyStyle", "lstStyle"):
            self._in_body = self._in_shape = False
        elif self._in_body:
            self.body.end(name)
        elif self._in_shape:
            self._shape.end(name)

    def data(self, text: str) -> None: ...


class Layouts:
    """The layouts and masters of a presentation, each read once."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._sheets: dict[str, _Sheet] = {}

    def of(self, slide: str) -> "Inherited":
        """Return what the slide gets from its layout, which is read when the first placeholder asks for it."""
        return Inherited(lambda: self._read(slide))

    def _read(self, slide: str) -> tuple[_Sheet, _Sheet]:
        layout = self._behind(slide, "slideLayout")
        master = self._behind(layout, "slideMaster") if layout else None
        return self._sheet(layout), self._sheet(master)

    def _behind(self, member: str, kind: str) -> str | None:
        relations = self._package.relations(member).values()
        return next((each.target for each in relations if each.kind == kind and each.target in self._package), None)

    def _sheet(self, member: str | None) -> _Sheet:
        if member is None:
            return _Sheet()
        if member not in self._sheets:
            self._sheets[member] = sheet = _Sheet()
            # To look takes a fraction of the time, and most say nothing that makes a difference.
            markup = self._package.read(member)
            if _marks_points(markup):
                if _is_plain(markup):
                    _tell(markup, sheet)
                else:
                    self._package.parse(member, sheet, _TOLD)
        return self._sheets[member]


class Inherited:
    """What one slide gets."""

    def __init__(self, read: Callable[[], tuple[_Sheet, _Sheet]] = lambda: (_Sheet(), _Sheet())) -> None:
        self._read = read
        self._sheets: tuple[_Sheet, _Sheet] | None = None

    def marks(self, placeholder: Mapping[str, str]) -> dict[int, Mark]:
        """Return how the points of a placeholder are marked, given its attributes."""
        kind = _kind(placeholder)
        if kind in _WITHOUT_POINTS:
            return {}
        self._sheets = self._sheets or self._read()
        layout, master = self._sheets
        said = layout.by_number.get(placeholder.get("idx", ""))
        said = layout.by_kind.get(kind, _NONE) if said is None else said
        if kind != "body":
            return dict(said)
        return {**master.body.found, **master.by_kind.get(kind, _NONE), **said}


def _is_plain(markup: bytes) -> bool:
    """Whether tags stand in markup as they are: it has no comments, declarations and the like, and no wide letters."""
    return b"<!" not in markup and b"\0" not in markup


def _tell(markup: bytes, sheet: _Sheet) -> None:
    """Tell the few elements that are asked for, which takes a fraction of the time of a parser, and a layout is mostly
    about how it looks."""
    for slash, name, attributes, is_empty in _TAG.findall(markup):
        element = name.decode()
        if not slash:
            found = _ATTRIBUTE.findall(attributes)
            sheet.start(element, {key.decode(): value.decode("utf-8", "replace") for key, _, value in found})
        if slash or is_empty:
            sheet.end(element)


def _marks_points(markup: bytes) -> bool:
    """Whether a sheet says of points what is not so without it: that they have numbers, or no bullets. Of a master its
    style of texts counts: that titles and dates have no bullets says every one."""
    begin, end = markup.find(b"bodyStyle>"), markup.rfind(b"bodyStyle>")
    return b"buAutoNum" in markup or b"buNone" in (markup[begin:end] if begin >= 0 else markup)


def _kind(placeholder: Mapping[str, str]) -> str:
    kind = placeholder.get("type", "")
    return _KINDS.get(kind, kind)
