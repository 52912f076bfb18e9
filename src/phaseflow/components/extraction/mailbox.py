"""Mailboxes (mbox): one mail after another, each read as a mail."""

import re
from collections.abc import Iterator

from phaseflow.components.extraction import mail
from phaseflow.components.extraction.markdown_writer import Draft
from phaseflow.components.extraction.plain import MEDIA_TYPE
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.domain.errors import DocumentError

_BEGIN = rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From %s[^\r\n]*\r?\n%s"
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_ZONE = rb"(?: +(?:[A-Z]{2,5}|[+-]\d{4}))?"
_DATE = (
    rb"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +(?:%s +\d\d?|\d\d? +%s)(?: +\d{4})? +|\d{4}-\d\d-\d\d[ T])"
    rb"\d\d?:\d\d(?::\d\d)?%s(?: +\d{4})?%s(?: +remote from [^\r\n]*)?[ \t]*(?=[\r\n])" % (_MONTH, _MONTH, _ZONE, _ZONE)
)
"""As ctime writes it, with a zone in one of two places, or the day first, or as ISO 8601: it ends the line."""
_DATED = re.compile(_BEGIN % (rb"(?=[^\r\n]*? %s)" % _DATE, b""))
_BARE = re.compile(_BEGIN % (b"", rb"(?=[A-Za-z][\w-]*:|>From |\r?\n|\Z)"))
"""A paragraph may begin with From, and not every program marks it: where the first line ends with a date, all do."""
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d{1,12})[ \t]*\r?$")
_BLANK = re.compile(rb"(?m)^\r?\n")
_GAP = re.compile(rb"(?:\r?\n){0,2}")
"""What stands between a mail and the next one."""
_QUOTED = re.compile(rb"(?m)^>(>*From )")
_MOST_PARTS = 10_000


def extract(raw: Raw) -> Extracted:
    """Return all mails as ``mail.extract`` does, a line between them. Parts: mails. Title: the name of the file.

    A mail ends where its Content-Length says, if that is the end of the file or where the next one begins; else at the
    next line that can begin one. Those that are encrypted are left out, and counted in the metadata
    (``unread_messages``). Raises DocumentError ``malformed`` for what is not a mailbox, ``encrypted`` when all mails
    are, ``too_large``.
    """
    if not raw.data.strip():
        return Extracted("", raw.base_name, MEDIA_TYPE)
    draft = Draft(raw.name)
    refused: DocumentError | None = None
    read = unread = 0
    for data in _messages(raw):
        try:
            found = mail.extract(Raw(data, raw.name))
        except DocumentError as error:
            refused, unread = error, unread + 1
            continue
        read += 1
        if read <= _MOST_PARTS:
            draft.part(found.title if found.title != raw.base_name else f"message {read + unread}")
        draft.put(found.text)
    if refused is not None and not read:
        raise refused
    return draft.finish(raw.base_name, MEDIA_TYPE, {"unread_messages": unread} if unread else None)


def _messages(raw: Raw) -> Iterator[bytes]:
    data = raw.data.lstrip()
    begins = list((_DATED if _DATED.match(data) else _BARE).finditer(data))
    if not begins or begins[0].start():
        message = f"{raw.name} is not a mailbox, which begins with From; export it again, or exclude it"
        raise DocumentError(message, code="malformed")
    starts = {found.start() for found in begins}
    # Two spellings, which is quicker than any: other than these is hardly used.
    is_counted = b"ontent-Length:" in data or b"ontent-length:" in data
    place = 0
    for number, begin in enumerate(begins):
        if begin.start() < place:
            continue  # a line of the mail before
        end = begins[number + 1].start() if number + 1 < len(begins) else len(data)
        counted = _counted_end(data, begin.end(), end) if is_counted else None
        if counted is not None and (counted == len(data) or counted in starts) and counted > end:
            # Who counts does not mark such lines.
            place = counted
            yield data[begin.end() : counted]
            continue
        place = end
        yield _QUOTED.sub(rb"\1", data[begin.end() : end])


def _counted_end(data: bytes, begin: int, end: int) -> int | None:
    """Where the next mail begins after as many bytes as the head of this one says that it has."""
    head = _BLANK.search(data, begin, end)
    length = _LENGTH.search(data, begin, head.start()) if head else None
    if head is None or length is None:
        return None
    last = head.end() + int(length[1])
    gap = _GAP.match(data, last) if last <= len(data) else None
    return gap.end() if gap else None
