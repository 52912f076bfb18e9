"""``If-Match`` and ``If-None-Match``: a change is made only while what it changes is still what somebody has read.

The ``ETag`` of an answer names what can be edited, and does not move with the counts and the job that stand beside it.
So it is for changes: a GET is always answered in full.
"""

import re
from typing import Annotated, ClassVar

from pydantic import Field

from phaseflow.domain.etags import ANY, Etags
from phaseflow.domain.patterns import worded
from phaseflow.http.endpoint import Parameters

_IF_MATCH, _IF_NONE_MATCH = "If-Match", "If-None-Match"
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
# RFC 9110, 8.8.3 and 5.6.1.2: a recipient takes empty elements of a list, too.
_FIELD = worded(
    rf"^[ \t]*(?:\*[ \t]*|(?:{_TAG}[ \t]*)?(?:,[ \t]*(?:{_TAG}[ \t]*)?)*)$",
    'must be * or tags in quotation marks with commas between them, as in "3f9c", "41d0"',
)
_WEAK = "W/"


class Conditional(Parameters):
    """What has to hold for a change; without these headers, nothing."""

    headers: ClassVar[frozenset[str]] = frozenset({_IF_MATCH, _IF_NONE_MATCH})
    match_field: Annotated[
        str | None,
        Field(alias=_IF_MATCH, pattern=_FIELD, description="Change it only while it has one of these tags; * is any."),
    ] = None
    none_match_field: Annotated[
        str | None,
        Field(
            alias=_IF_NONE_MATCH, pattern=_FIELD,
            description="Change it only if it has none of these tags; *: only create it.",
        ),
    ] = None  # fmt: skip

    @property
    def if_match(self) -> Etags | None:
        """Compared strongly (RFC 9110, 13.1.1): a weak tag never matches."""
        return _etags(self.match_field, takes_weak=False)

    @property
    def if_none_match(self) -> Etags | None:
        """Compared weakly (13.1.2): a weak tag matches, too."""
        return _etags(self.none_match_field, takes_weak=True)


def _etags(field: str | None, *, takes_weak: bool) -> Etags | None:
    if field is None:
        return None
    if field.strip(" \t") == ANY:
        return ANY
    tags = [tag.partition('"') for tag in re.findall(_TAG, field)]
    return [opaque.removesuffix('"') for weak, _, opaque in tags if takes_weak or weak != _WEAK]
