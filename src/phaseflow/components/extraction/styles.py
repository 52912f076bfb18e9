"""What the styles of a Word document say about a paragraph and its text."""

from collections.abc import Iterator
from dataclasses import dataclass

_MAX_INHERITED = 20
OFF = ("0", "false", "off")
STYLES = frozenset(("style", "name", "basedOn", "outlineLvl", "numId", "ilvl", "vertAlign", "position", "vanish"))
"""Elements of which styles are told."""
_HEADING_NAMES = {"title": 1} | {f"heading {level}": level for level in range(1, 10)}


def position_of(name: str, value: str) -> str | None:
    """Return what ``vertAlign`` says, and of ``position``, which is a height, ``superscript`` or ``subscript``."""
    if name == "vertAlign":
        return value
    shift = value.lstrip("-")
    if not shift.isdigit() or not int(shift[:4]):
        return None
    return "subscript" if value.startswith("-") else "superscript"


@dataclass(slots=True)
class _Style:
    style_id: str = ""
    name: str = ""
    parent: str = ""
    outline: int | None = None
    list_id: str | None = None
    list_level: int | None = None
    position: str | None = None
    is_hidden: bool | None = None


class Styles:
    """Takes the events of ``styles.xml``."""

    def __init__(self) -> None:
        self._styles: dict[str, _Style] = {}
        # Asked for every paragraph and run; the answers stand once the styles are read.
        self._hiding: dict[str, bool | None] = {}
        self._positions: dict[str, str | None] = {}
        self._lists: dict[str, tuple[str | None, int | None, list[str]]] = {}
        self._style = _Style()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        value = attributes.get("val", "")
        if name == "style":
            self._style = self._styles[attributes.get("styleId", "")] = _Style(attributes.get("styleId", ""))
        elif name == "name":
            self._style.name = value.lower()
        elif name == "basedOn":
            self._style.parent = value
        elif name == "outlineLvl" and value.isdigit():
            self._style.outline = int(value[:3])
        elif name == "numId":
            self._style.list_id = value
        elif name == "ilvl" and value.isdigit():
            self._style.list_level = int(value[:3])
        elif name in ("vertAlign", "position"):
            self._style.position = position_of(name, value) or self._style.position
        elif name == "vanish":
            self._style.is_hidden = value not in OFF

    def end(self, name: str) -> None: ...

    def data(self, text: str) -> None: ...

    def hides(self, style: str) -> bool | None:
        """Return whether text of a style is hidden, None where the style does not say."""
        if style not in self._hiding:
            said = (each.is_hidden for each in self._line_of(style) if each.is_hidden is not None)
            self._hiding[style] = next(said, None)
        return self._hiding[style]

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

    def list_of(self, style: str) -> tuple[str | None, int | None, list[str]]:
        """Return the list and the level in it that a style puts a paragraph in, and the styles that may say so."""
        if style in self._lists:
            return self._lists[style]
        line = list(self._line_of(style))
        list_id = next((each.list_id for each in line if each.list_id is not None), None)
        level = next((each.list_level for each in line if each.list_level is not None), None)
        self._lists[style] = list_id, level, [each.style_id for each in line]
        return self._lists[style]

    def position(self, style: str) -> str | None:
        """Return ``superscript`` or ``subscript`` for text of a style; None where the style does not say."""
        if style not in self._positions:
            said = (each.position for each in self._line_of(style) if each.position is not None)
            self._positions[style] = next(said, None)
        return self._positions[style]

    def _line_of(self, style: str) -> Iterator[_Style]:
        for _ in range(_MAX_INHERITED):
            found = self._styles.get(style)
            if found is None:
                return
            yield found
            style = found.parent
