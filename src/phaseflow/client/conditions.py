"""What a change is bound to, as the headers of a request (RFC 9110, 13.1)."""

import re

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.etags import ANY, Etags, Precondition

_TAG = re.compile(r"[\x21\x23-\x7e]*")


def conditions(if_match: Etags | None, if_none_match: Etags | None) -> dict[str, str]:
    """The headers; none where nothing is asked for. Raises InvalidRequest for what cannot be a tag."""
    wanted = Precondition(if_match, if_none_match)
    given = {"If-Match": wanted.match, "If-None-Match": wanted.none_match}
    return {name: _header(name, etags) for name, etags in given.items() if etags is not None}


def _header(name: str, etags: Etags) -> str:
    if etags == ANY:
        return ANY
    tags = [etags] if isinstance(etags, str) else list(etags)
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise InvalidRequest(name.lower().replace("-", "_"), f"{tag[:64]!r} is not an etag")
    return ", ".join(f'"{tag}"' for tag in tags)
