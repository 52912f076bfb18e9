"""Whether an HTTP answer with a good status is all of what was asked for (RFC 9110, 14.4 and 15.3)."""

import re
from typing import Final

ACCEPTED: Final = 202
PARTIAL: Final = 206
WITHOUT_CONTENT: Final = {
    204: "it has no content",
    205: "it has no content",
    207: "that is a list for WebDAV",
    208: "that is a list for WebDAV",
    226: "that is a change to a page we do not have",
}
"""Good statuses that bring no document, however often one asks."""
_RANGE: Final = re.compile(r"bytes\s+([0-9]{1,18})-([0-9]{1,18})/(?:([0-9]{1,18})|\*)", re.IGNORECASE)
_ASKED: Final = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})", re.IGNORECASE)
_SHOWN: Final = 60


def is_whole(content_range: str) -> bool:
    """Whether the range of a 206 is all there is. One of unknown length is not, nor are several (they have no such
    header)."""
    found = _RANGE.fullmatch(content_range.strip())
    return found is not None and int(found[1]) == 0 and found[3] is not None and int(found[2]) + 1 == int(found[3])


def other_range(asked: str, content_range: str) -> str | None:
    """What is wrong with the range that came for a request of ``bytes=FIRST-LAST``, in words; None when it is right.

    Without one, the answer is the whole: right where it was asked for from its beginning. A range may end early only
    where the whole does.
    """
    wanted = _ASKED.fullmatch(asked.strip())
    if wanted is None:
        return None  # from the end, or several: nobody here asks so
    first, last = int(wanted[1]), int(wanted[2])
    if not content_range:
        return None if first == 0 else f"all of it in place of bytes {first}-{last}"
    found = _RANGE.fullmatch(content_range.strip())
    if found is not None and int(found[1]) == first:
        ends_with_all = found[3] is not None and int(found[2]) + 1 == int(found[3])
        if int(found[2]) == last or (int(found[2]) < last and ends_with_all):
            return None
    return f"{content_range[:_SHOWN]!r} in place of bytes {first}-{last}"
