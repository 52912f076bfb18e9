"""What the styles and the numbering of a Word document say about a paragraph."""

from collections.abc import Iterator
from dataclasses import dataclass

_MAX_INHERITED = 20
OFF = ("0", "false", "off")
_HEADING_NAMES = {"title": 1} | {f"heading {level}": level for level in range(1, 10)}


@dataclass(slots=True)
class _Style:
    name: str = ""
    parent: str = ""
    outline: int | None = None
    list_id: str | None = None
    is_hidden: bool | None = None


class Styles:
    """Takes the events of ``styles.xml``."""

    def __init__(self) -> None:
        self._styles: dict[str, _Style] = {}
        self._style = _Style()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        value = attributes.get("val", "")
        if name == "style":
            self._style = self._styles[attributes.get("styleId", "")] = _Style()
        elif name == "name":
            self._style.name = value.lower()
        elif name == "basedOn":
            self._style.parent = value
        elif name == "outlineLvl" and value.isdigit():
            self._style.outline = int(value[:3])
        elif name == "numId":
            self._style.list_id = value
        elif name == "vanish":
            self._style.is_hidden = value not in OFF

    def end(self, name: str) -> None: ...

    def data(self, text: str) -> None: ...

    def hides(self, style: str) -> bool | None:
        """Return whether text of a style is hidden, None where the style does not say."""
        return next((each.is_hidden for each in self._line_of(style) if each.is_hidden is not None), None)

    def level(self, style: str, outline: int | None) -> int | None:
        """Return the level of a heading, None for running text. ``outline`` is what the paragraph itself says."""
        if outline is not None:
            return outline + 1 if outline < 9 else None
        for each in self._line_of(style):
            if each.name in _HEADING_NAMES:
                return _HEADING_NAMES[each.name]
            if each.outline is not None:
                return each.outline + 1 if each.outline < 9 else None
        return None

    def list_id(self, style: str) -> str | None:
        return next((each.list_id for each in self._line_of(style) if each.list_id is not None), None)

    def _line_of(self, style: str) -> Iterator[_Style]:
        for _ in range(_MAX_INHERITED):
            found = self._styles.get(style)
            if found is None:
                return
            yield found
            style = found.parent


class Numbering:
    """Takes the events of ``numbering.xml``, and counts the items of numbered lists."""

    def __init__(self) -> None:
        self._formats: dict[tuple[str, int], str] = {}
        self._abstract: dict[str, str] = {}
        self._counts: dict[str, list[int]] = {}
        self._definition = self._list = ""
        self._level = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        value = attributes.get("val", "")
        if name == "abstractNum":
            self._definition = attributes.get("abstractNumId", "")
        elif name == "lvl":
            level = attributes.get("ilvl", "")
            self._level = int(level[:3]) if level.isdigit() else 0
        elif name == "numFmt":
            self._formats[self._definition, self._level] = value
        elif name == "num":
            self._list = attributes.get("numId", "")
        elif name == "abstractNumId":
            self._abstract[self._list] = value

    def end(self, name: str) -> None: ...

    def data(self, text: str) -> None: ...

    def number(self, list_id: str | None, level: int) -> int | None:
        """Return the next item's number, 0 for a bullet, None when it is no item."""
        if list_id is None or list_id not in self._abstract:
            return None
        form = self._formats.get((self._abstract[list_id], level), "bullet")
        if form == "none":
            return None
        if form == "bullet":
            return 0
        counts = self._counts.setdefault(list_id, [0] * 10)
        place = min(level, 9)
        counts[place] += 1
        counts[place + 1 :] = [0] * (9 - place)
        return counts[place]
