"""Address cards (vCard) and calendars (iCalendar): the lines of both, and what of them a reader would see."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from quopri import decodestring

from phaseflow.components.extraction.decoding import declared, text_of
from phaseflow.components.extraction.markdown_writer import Draft, line
from phaseflow.components.extraction.plain import MEDIA_TYPE
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.domain.errors import DocumentError

_LINE = re.compile(r"(?:[\w-]+\.)?([\w-]+)((?:;[^:;\"]*(?:\"[^\"]*\"[^:;\"]*)*)*):(.*)$", re.S)
_PARAMETER = re.compile(r";([\w-]+)(?:=((?:\"[^\"]*\"|[^;\"])*))?")
_FOLD = re.compile(rb"\r?\n[ \t]")
_SOFT = re.compile(rb"=\r?\n")
_QUOTED = re.compile(rb"(?im)^[^:\n]*;(?:ENCODING=)?QUOTED-PRINTABLE[^:\n]*:(?:[^\n]*=\r?\n)+")
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_ESCAPE = re.compile(r"\\([nN,;:\\])")
_SPLIT = re.compile(r"(?<!\\);")
_MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")
_MOST_PARTS = 10_000
_LONGEST_TYPES = 200
"""Characters of the types of a line: one has two or three."""
# Of a card; what is not here is for programs, or a picture, a sound or a key.
_CARD = {
    "org": "Organisation", "title": "Title", "role": "Role", "nickname": "Nickname", "tel": "Phone", "email": "Email",
    "adr": "Address", "url": "Web", "impp": "Chat", "bday": "Birthday", "anniversary": "Anniversary",
    "categories": "Categories", "note": "Note", "related": "Related", "lang": "Language", "label": "Address",
}  # fmt: skip
_EVENT = {
    "dtstart": "Begins", "dtend": "Ends", "due": "Due", "completed": "Completed", "duration": "Duration",
    "rrule": "Repeats",
    "location": "Location", "organizer": "Organizer", "attendee": "Attendee", "contact": "Contact", "status": "Status",
    "categories": "Categories", "url": "Web", "description": "Description", "comment": "Comment",
    "resources": "Resources",
}  # fmt: skip
_EVENTS = frozenset(("vevent", "vtodo", "vjournal"))
_ASIDES = frozenset(("valarm", "vtimezone"))
_TYPES = frozenset(("home", "work", "cell", "fax", "pager", "main"))
_BINARY = frozenset(("b", "base64"))


@dataclass(slots=True)
class _Entry:
    kind: str
    lines: list[str] = field(default_factory=list)
    name: str = ""


def extract(raw: Raw) -> Extracted:
    """Return a heading and a line a property for every card and event. Parts: cards and events. Title: the calendar's
    name, or that of the only card; else the file's.

    Pictures, sounds and keys are no text. Raises DocumentError ``malformed`` for what has neither cards nor events.
    """
    text = text_of(Raw(_unfolded(raw.data), raw.name, raw.charset))
    draft = Draft(raw.name)
    entries, calendar = 0, ""
    # A stack, since an event holds alarms and a calendar holds time zones, whose lines belong to neither. What is not
    # closed counts for nothing, and so does a line outside of all.
    open_entries: list[_Entry] = []
    is_one = False
    for name, parameters, value in _properties(text):
        kind = value.strip().lower()
        if name == "begin":
            is_one = is_one or kind in ("vcard", "vcalendar")
            open_entries.append(_Entry(kind))
        elif name == "end" and open_entries:
            entry = open_entries.pop()
            if entry.kind in _EVENTS or entry.kind == "vcard":
                entries += 1
                _put(draft, entry, entries)
        elif name == "x-wr-calname":
            calendar = _unescaped(value)
        elif open_entries and open_entries[-1].kind not in _ASIDES:
            _add(open_entries[-1], name, parameters, value)
    if text.strip() and not is_one:
        message = f"{raw.name} holds neither cards nor events; export it again, or exclude it"
        raise DocumentError(message, code="malformed")
    title = calendar or (draft.title if entries == 1 else None)
    return draft.finish(title or raw.base_name, MEDIA_TYPE)


def _unfolded(data: bytes) -> bytes:
    """Join the lines that were broken. Before they are decoded: programs count bytes, and break within a letter."""
    if data.startswith(_WIDE):
        return data
    # Old cards break a line of quoted-printable with an equals sign instead of a blank.
    return _FOLD.sub(b"", _QUOTED.sub(lambda found: _SOFT.sub(b"", found[0]), data))


def _properties(text: str) -> Iterator[tuple[str, Mapping[str, str], str]]:
    for each in text.split("\n"):
        found = _LINE.match(each)
        if found:
            parameters: dict[str, str] = {}
            for key, value in _PARAMETER.findall(found[2]):
                # A parameter without a name is a type, as old cards have it, and there may be several.
                which, said = (key.lower(), value.strip('"')) if value else ("type", key)
                before = parameters.get(which, "") if which == "type" else ""
                parameters[which] = f"{before},{said}" if before and len(before) < _LONGEST_TYPES else said
            yield found[1].lower(), parameters, found[3]


def _add(entry: _Entry, name: str, parameters: Mapping[str, str], value: str) -> None:
    types = parameters.get("type", "").lower().split(",")
    encodings = {parameters.get("encoding", "").lower(), *types}
    if encodings & _BINARY or value.lstrip().lower().startswith("data:"):
        return
    if "quoted-printable" in encodings:
        value = _from_quoted(value, parameters.get("charset"))
    shown = _shown(name, parameters, value)
    if name in ("fn", "summary") or (name == "n" and not entry.name):
        entry.name = shown or entry.name
        return
    label = (_CARD if entry.kind == "vcard" else _EVENT).get(name)
    if label and shown:
        kinds = [kind for kind in types if kind in _TYPES]
        entry.lines.append(f"{label}{f' ({kinds[0]})' if kinds else ''}: {shown}")


def _shown(name: str, parameters: Mapping[str, str], value: str) -> str:
    if name == "n":
        family, *given = (_unescaped(part) for part in _SPLIT.split(value))
        return " ".join(filter(None, [*(given[2:3]), *given[:2], family, *given[3:4]]))
    if name in ("adr", "org"):
        return ", ".join(filter(None, (_unescaped(part).strip() for part in _SPLIT.split(value))))
    if found := _MOMENT.fullmatch(value.strip()):
        year, month, day, hour, minute, second, zone = found.groups()
        if name == "dtend" and not hour:
            return _day_before(int(year), int(month), int(day)) or f"{year}-{month}-{day}"
        at = f" {hour}:{minute}" + (f":{second}" if second not in (None, "00") else "") if hour else ""
        where = " UTC" if zone else f" ({parameters['tzid']})" if hour and "tzid" in parameters else ""
        return f"{year}-{month}-{day}{at}{where}"
    text = _unescaped(value).strip()
    if name in ("attendee", "organizer"):
        address = text[7:] if text.lower().startswith("mailto:") else text
        return f"{parameters['cn']} <{address}>" if parameters.get("cn") else address
    return text[4:] if name == "tel" and text.lower().startswith("tel:") else text


def _day_before(year: int, month: int, day: int) -> str | None:
    """The last day of an event of whole days: what is said to be its end is the first day without it."""
    try:
        return str(date(year, month, day) - timedelta(days=1))
    except (ValueError, OverflowError):
        return None


def _unescaped(value: str) -> str:
    return _ESCAPE.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)


def _from_quoted(value: str, charset: str | None) -> str:
    data = decodestring(value.encode("utf-8", "replace"))
    return declared(data, charset) or data.decode("utf-8", "replace")


def _put(draft: Draft, entry: _Entry, number: int) -> None:
    if not entry.name and not entry.lines:
        return
    if number <= _MOST_PARTS:
        draft.part(entry.name)
    draft.title = draft.title or line(entry.name) or None
    draft.put("\n".join(filter(None, [line(entry.name), *entry.lines])))
