"""Presentations: a heading a slide, its text and tables in the order of the slide, then charts and speaker's notes."""

import re
from dataclasses import dataclass, field

from phaseflow.components.extraction.formulas import Formula
from phaseflow.components.extraction.markdown_writer import BULLET, Draft, line
from phaseflow.components.extraction.ordinals import HTML, WORD
from phaseflow.components.extraction.package import Package
from phaseflow.components.extraction.pptx_layouts import LEVELS, MARKS, Inherited, Layouts, LevelMarks, Mark, mark_of
from phaseflow.components.extraction.raised import Line
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.components.extraction.xml_events import Elements, Texts

_TITLES = frozenset(("title", "ctrTitle"))
# On every slide, and no content of it.
_REPEATED = frozenset(("dt", "ftr", "sldNum", "hdr", "sldImg"))
_ATTACHED = {"chart": "", "diagramData": "", "notesSlide": "Notes: ", "comments": ""}
_FORMS = {"arabic": "1", "alphaLc": "a", "alphaUc": "A", "romanLc": "i", "romanUc": "I"}
_FRAMES = {"Period": "{}. ", "ParenR": "{}) ", "ParenBoth": "({}) ", "Plain": "{} "}
_AUTO = re.compile(r"(arabic|alphaLc|alphaUc|romanLc|romanUc)(Period|ParenR|ParenBoth|Plain)")
_OTHER_FORMS = {
    "circleNumDbPlain": WORD["decimalEnclosedCircle"], "circleNumWdBlackPlain": WORD["decimalEnclosedCircle"],
    "circleNumWdWhitePlain": WORD["decimalEnclosedCircle"], "arabicDbPlain": WORD["decimalFullWidth"],
    "ea1ChsPlain": WORD["chineseCounting"], "ea1ChtPlain": WORD["chineseCounting"],
    "ea1JpnKorPlain": WORD["chineseCounting"], "hebrew2Minus": WORD["hebrew2"], "hindiNumPeriod": WORD["hindiNumbers"],
    "thaiNumPeriod": WORD["thaiNumbers"],
}  # fmt: skip
_NAMES = "Fallback oMath r t p pPr rPr br v sp pic grpSp graphicFrame cNvPr ph strCache tbl tr tc txBody"
_TOLD = MARKS.union(LEVELS, _NAMES.split())
"""Elements that say something. Most of a slide is where things stand and how they look."""
_NO_TITLES = ("", "PowerPoint Presentation")


def extract(raw: Raw) -> Extracted:
    """Return the slides as Markdown. Parts: slides. Title: the property, else the first slide's.

    Raises DocumentError ``encrypted``, ``malformed``, ``too_large``, ``no_text_layer``, ``nothing_found``.
    """
    package = Package(raw)
    draft, layouts = Draft(raw.name), Layouts(package)
    for number, slide in enumerate(_slides(package), 1):
        draft.part(f"slide {number}")
        package.parse(slide, _Slide(draft, layouts.of(slide)), _TOLD)
        _add_attached(package, slide, draft)
    if draft.is_empty:
        package.refuse_unread()
    title = package.title()
    return draft.finish(None if title in _NO_TITLES else title, metadata=package.properties())


def _slides(package: Package) -> list[str]:
    main = package.main("ppt/presentation.xml")
    relations = package.relations(main)
    order: list[str] = []

    def note(name: str, attributes: dict[str, str]) -> None:
        if name == "sldId":
            order.append(attributes.get("r-id", ""))

    package.parse(main, Elements(note))
    listed = [relations[each].target for each in order if each in relations]
    return [slide for slide in listed if slide in package]


def _add_attached(package: Package, slide: str, draft: Draft) -> None:
    for relation in package.relations(slide).values():
        if relation.kind in _ATTACHED and relation.target in package:
            text = drawn(package, relation.target)
            if relation.kind == "comments" and not text:
                # Before 2021 their text was no paragraph.
                remarks = Texts("text")
                package.parse(relation.target, remarks)
                text = "\n\n".join(filter(str.strip, remarks.texts))
            if text:
                draft.put(_ATTACHED[relation.kind] + text)


def drawn(package: Package, member: str) -> str:
    """Return what a chart, a diagram, a drawing or a page of notes of any Office document says."""
    apart = Draft(package.name)
    found = _Slide(apart, Inherited(), has_points=False)
    package.parse(member, found, _TOLD)
    apart.put(", ".join(dict.fromkeys(found.labels)))
    return "".join(apart.pieces)


@dataclass(slots=True)
class _Paragraph:
    line: Line = field(default_factory=Line)
    level: int = 0
    is_item: bool = False
    form: str = ""
    """How the item is numbered; ``""`` for a bullet."""
    start: int = 1


class _Slide:
    """Turns the events of a slide, a chart or a page of notes into blocks."""

    def __init__(self, draft: Draft, inherited: Inherited, *, has_points: bool = True) -> None:
        self.labels: list[str] = []
        """The names of a chart's series and categories."""
        self._draft = draft
        self._inherited = inherited
        self._has_points = has_points
        self._placeholder: str | None = None
        self._paragraph: _Paragraph | None = None
        self._title: list[str] = []
        self._rows: list[list[str]] | None = None
        self._cell: list[str] | None = None
        self._taking: Line | None = None
        self._taking_labels = False
        self._position = ""
        self._counts: dict[int, tuple[str, int]] = {}
        """How far the numbered lists of each level have come, and how they are numbered."""
        self._in_labels = self._is_hidden = False
        self._hidden_groups: list[bool | None] = []
        """Whether the groups that are open are hidden; None where their own properties are still to come."""
        self._styled = LevelMarks()
        """How the shape marks its points that do not say it themselves."""
        self._formula: Formula | None = None
        self._formula_depth = 0
        self._skipping = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._skipping or name == "Fallback":
            self._skipping += 1
        elif name == "oMath" or self._formula is not None:
            self._formula = self._formula or Formula(keeps_spaces=True)
            self._formula_depth += 1
            self._formula.start(name, attributes)
        elif name == "r":
            self._position = ""
        elif name == "t":
            self._taking = self._paragraph.line if self._paragraph else None
        elif name == "p":
            # Text of a placeholder that is not the title is a list of points.
            self._paragraph = _Paragraph(is_item=self._has_points and self._placeholder in ("", "body", "obj"))
            self._set_mark(self._styled.found.get(0))
        elif name == "pPr" and self._paragraph:
            level = attributes.get("lvl", "0")
            self._paragraph.level = int(level) if level in "012345678" and level else 0
            self._set_mark(self._styled.found.get(self._paragraph.level))
        elif self._paragraph and (mark := mark_of(name, attributes)):
            self._set_mark(mark)
        elif name == "rPr":
            self._position = _position(attributes.get("baseline", ""))
        else:
            self._open(name, attributes)

    def end(self, name: str) -> None:
        if self._skipping:
            self._skipping -= 1
        elif self._formula is not None:
            self._end_formula(name)
        elif name in ("t", "v"):
            self._taking, self._taking_labels = None, False
        elif name == "p":
            self._close_paragraph()
        elif name == "txBody" and self._title:
            self._draft.heading(2, line(" ".join(self._title)))
            self._title = []
            self._counts.clear()
        elif name == "strCache":
            self._in_labels = False
        elif name in ("tc", "tbl"):
            self._close(name)
        elif name == "grpSp" and self._hidden_groups:
            self._hidden_groups.pop()
        else:
            self._styled.end(name)

    def data(self, text: str) -> None:
        if self._skipping:
            return
        if self._formula is not None:
            self._formula.data(text if text.strip() else "")
        elif self._taking is not None:
            self._taking.write(text, self._position)
        elif self._taking_labels:
            self.labels.append(text)

    def _set_mark(self, mark: Mark | None) -> None:
        if self._paragraph and mark is not None:
            form, self._paragraph.start = mark
            self._paragraph.is_item, self._paragraph.form = form is not None, form or ""

    def _end_formula(self, name: str) -> None:
        if self._formula is None:
            return
        self._formula.end(name)
        self._formula_depth -= 1
        if not self._formula_depth:
            text, self._formula = self._formula.text, None
            if self._paragraph:
                self._paragraph.line.write_apart(text)

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        if name == "br" and self._paragraph:
            self._paragraph.line.write("\n")
        elif name == "v":
            self._taking_labels = self._in_labels
        elif name in ("sp", "pic"):
            self._placeholder, self._is_hidden, self._styled = None, False, LevelMarks()
        elif name == "graphicFrame":
            self._is_hidden = False
        elif name == "grpSp":
            self._hidden_groups.append(None)
        elif name == "cNvPr":
            self._name_shape(attributes)
        elif name == "ph":
            self._placeholder = attributes.get("type", "")
            self._styled = LevelMarks(self._inherited.marks(attributes))
        elif name == "strCache":
            self._in_labels = True
        elif name == "tbl":
            self._rows, self._placeholder = [], None
        elif self._rows is not None and name == "tr":
            self._rows.append([])
        elif self._rows is not None and name == "tc":
            self._cell = []
        else:
            self._styled.start(name, attributes)

    def _name_shape(self, attributes: dict[str, str]) -> None:
        """Take the properties of a shape, or of a group, in which everything is hidden if it is."""
        self._is_hidden = attributes.get("hidden", "0") in ("1", "true")
        if self._hidden_groups and self._hidden_groups[-1] is None:
            self._hidden_groups[-1] = self._is_hidden
        self._is_hidden = self._is_hidden or any(self._hidden_groups)
        self._draft.put("" if self._is_hidden else attributes.get("descr", ""))

    def _close(self, name: str) -> None:
        if name == "tbl" and self._rows is not None:
            self._draft.table(self._rows)
            self._rows = None
        elif self._rows and self._cell is not None:
            self._rows[-1].append(" ".join(self._cell))
            self._cell = None

    def _close_paragraph(self) -> None:
        paragraph, self._paragraph = self._paragraph, None
        text = paragraph.line.take() if paragraph else ""
        if paragraph is None or not text.strip() or self._placeholder in _REPEATED or self._is_hidden:
            return
        if self._cell is not None:
            self._cell.append(text)
        elif self._placeholder in _TITLES:
            self._title.append(text)
        elif paragraph.is_item:
            self._draft.item(paragraph.level, text, self._mark(paragraph))
        else:
            self._counts.clear()
            self._draft.put(text)

    def _mark(self, paragraph: _Paragraph) -> str:
        """Count the item: a number goes on while no other kind of item stands between, at its level or above."""
        level, form = paragraph.level, f"{paragraph.form} {paragraph.start}"
        before, count = self._counts.get(level, ("", 0))
        self._counts = {each: held for each, held in self._counts.items() if each < level}
        if not paragraph.form:
            return BULLET
        count = count + 1 if before == form else paragraph.start
        self._counts[level] = form, count
        if other := _OTHER_FORMS.get(paragraph.form):
            return f"{other(count)}{'. ' if paragraph.form.endswith('Period') else ' '}"
        found = _AUTO.fullmatch(paragraph.form)
        return _FRAMES[found[2]].format(HTML[_FORMS[found[1]]](count)) if found else ""


def _position(baseline: str) -> str:
    """Per mille of the size of the letters, or per cent in strict documents."""
    shift = baseline.rstrip("%")
    if not shift.lstrip("-").isdigit() or not int(shift[:9]):
        return ""
    return "subscript" if shift.startswith("-") else "superscript"
