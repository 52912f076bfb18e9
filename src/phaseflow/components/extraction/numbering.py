"""The numbers of lists, clauses and headings in a Word document, as Word shows them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from phaseflow.components.extraction.markdown_writer import BULLET
from phaseflow.components.extraction.ordinals import WORD, decimal
from phaseflow.components.extraction.styles import OFF

_LEVELS = 9
_PLACE = re.compile("%([1-9])")
_LARGEST = 1_000_000
_NAMES = """
    abstractNum num lvl lvlOverride abstractNumId startOverride numStyleLink styleLink start numFmt lvlText lvlRestart
    pStyle isLgl suff vanish
"""
NUMBERING = frozenset(_NAMES.split())
"""Elements of which the numbering is told."""
_SUFFIX = {"nothing": "", "space": " ", "tab": " "}
_CUSTOM = re.compile(r"0*1\b")


@dataclass(frozen=True, slots=True)
class _Level:
    start: int = 1
    form: str = "decimal"
    text: str | None = None
    """What is shown, with %1 for the number of the first level; None where the definition does not say."""
    restart: int | None = None
    """The level after which it begins again, from 1; 0 for never, None for any above it."""
    style: str = ""
    is_legal: bool = False
    suffix: str = " "
    is_hidden: bool = False


@dataclass(slots=True)
class _Abstract:
    levels: dict[int, _Level] = field(default_factory=dict)
    link: str = ""
    """The style of lists that stands in its place."""
    style: str = ""
    """The style of lists that it is."""
    counts: list[int | None] = field(default_factory=lambda: [None] * _LEVELS)


@dataclass(slots=True)
class _Instance:
    abstract: str = ""
    starts: dict[int, int] = field(default_factory=dict)
    levels: dict[int, _Level] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)
    """Levels at which it has been used: it begins again once, at the first item."""


class Numbering:
    """Takes the events of ``numbering.xml``, and counts: lists of one definition share its counts, as in Word."""

    def __init__(self) -> None:
        self._abstracts: dict[str, _Abstract] = {}
        self._instances: dict[str, _Instance] = {}
        self._abstract: _Abstract | None = None
        self._instance: _Instance | None = None
        self._place: int | None = None
        self._level = _Level()
        self._is_custom = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        value = attributes.get("val", "")
        if name == "abstractNum":
            self._abstract = self._abstracts[attributes.get("abstractNumId", "")] = _Abstract()
        elif name == "num":
            self._instance = self._instances[attributes.get("numId", "")] = _Instance()
        elif name in ("lvl", "lvlOverride"):
            self._place, self._level = _number(attributes.get("ilvl", ""), 0), _Level()
        elif name == "abstractNumId" and self._instance is not None:
            self._instance.abstract = value
        elif name == "startOverride" and self._instance is not None and self._place is not None:
            self._instance.starts[self._place] = _number(value, 1)
        elif name in ("numStyleLink", "styleLink") and self._abstract is not None:
            setattr(self._abstract, "link" if name == "numStyleLink" else "style", value)
        else:
            self._define(name, value, attributes)

    def end(self, name: str) -> None:
        if name == "lvl" and self._place is not None and self._place < _LEVELS:
            holder = self._instance or self._abstract
            if holder is not None:
                holder.levels[self._place] = self._level
        elif name == "abstractNum":
            self._abstract = None
        elif name == "num":
            self._instance = None

    def data(self, text: str) -> None: ...

    def _define(self, name: str, value: str, attributes: Mapping[str, str]) -> None:
        level = self._level
        if name == "start":
            self._level = replace(level, start=_number(value, 1))
        elif name == "numFmt":
            # A format that Word 2007 does not know stands before the one that it falls back on.
            if not self._is_custom:
                self._level = replace(level, form=attributes.get("format", "") if value == "custom" else value)
            self._is_custom = value == "custom"
        elif name == "lvlText":
            self._level = replace(level, text=value)
        elif name == "lvlRestart":
            self._level = replace(level, restart=_number(value, 0))
        elif name == "pStyle":
            self._level = replace(level, style=value)
        elif name == "isLgl":
            self._level = replace(level, is_legal=value not in OFF)
        elif name == "suff":
            self._level = replace(level, suffix=_SUFFIX.get(value, " "))
        elif name == "vanish":
            self._level = replace(level, is_hidden=value not in OFF)

    def level_of(self, list_id: str, styles: Sequence[str]) -> int:
        """Return the level that a list has for paragraphs of one of these styles."""
        levels = self._levels(self._instances.get(list_id))
        return next((place for style in styles for place, level in levels.items() if level.style == style), 0)

    def mark(self, list_id: str | None, place: int) -> str | None:
        """Count the next item; return what stands before it, with the space between; None when it is no item.

        ``""`` for a number in a format that is not known: none is better than another one.
        """
        instance = self._instances.get(list_id or "")
        abstract = self._resolved(instance)
        if instance is None or abstract is None:
            return None
        place = min(place, _LEVELS - 1)
        levels = self._levels(instance)
        level = levels.get(place)
        if level is None:
            return BULLET
        self._count(abstract, instance, levels, place)
        if level.form == "bullet":
            return BULLET
        if level.is_hidden:
            return ""
        text = _PLACE.sub(lambda found: _shown(abstract, levels, int(found[1]) - 1, level), _text(level, place))
        if "\0" in text:
            return ""
        return f"{text}{level.suffix}" if text.strip() else None

    def _count(self, abstract: _Abstract, instance: _Instance, levels: Mapping[int, _Level], place: int) -> None:
        counts, start = abstract.counts, instance.starts.get(place, levels[place].start)
        begins = place in instance.starts and place not in instance.begun
        instance.begun.add(place)
        count = counts[place]
        counts[place] = start if begins or count is None else min(count + 1, _LARGEST)
        for below in range(place + 1, _LEVELS):
            restart = levels[below].restart if below in levels else None
            if restart is None or 0 < place + 1 <= restart:
                counts[below] = None

    def _levels(self, instance: _Instance | None) -> dict[int, _Level]:
        abstract = self._resolved(instance)
        if instance is None or abstract is None:
            return {}
        return abstract.levels | instance.levels if instance.levels else abstract.levels

    def _resolved(self, instance: _Instance | None) -> _Abstract | None:
        found = self._abstracts.get(instance.abstract) if instance else None
        if found is not None and found.link and not found.levels:
            return next((each for each in self._abstracts.values() if each.style == found.link), found)
        return found


def _text(level: _Level, place: int) -> str:
    return f"%{place + 1}." if level.text is None and level.form != "none" else level.text or ""


def _shown(abstract: _Abstract, levels: Mapping[int, _Level], place: int, shown_in: _Level) -> str:
    """Return the number of a level as the item shows it; NUL when its format is not known."""
    level = levels.get(place)
    if level is None:
        return ""
    count = abstract.counts[place]
    number = level.start if count is None else count
    # "Section 1.01" of Word's own list is legal, and keeps its zero.
    if shown_in.is_legal and level.form != "decimalZero":
        return decimal(number)
    if found := _CUSTOM.match(level.form):
        return f"{number:0{len(found[0])}d}"
    form = WORD.get(level.form)
    return form(number) if form else "\0"


def _number(value: str, otherwise: int) -> int:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else otherwise
