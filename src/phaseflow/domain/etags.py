"""What may be edited, named by a tag of its content, so that a change can be bound to what somebody has seen."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from phaseflow.domain.errors import InvalidRequest, PreconditionFailed

ANY: Final = "*"
"""In place of a tag: whatever is there."""
Etags = str | Collection[str]
"""A tag, several of which any will do, or ``*``."""


def etag_of(value: Any) -> str:
    """The tag of a JSON value: the same for equal values, in every process and on every machine."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return blake2b(canonical.encode("ascii"), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Precondition:
    """What has to hold in the transaction that writes. ``match``: it has one of these tags, or is there at all.
    ``none_match``: it has none of these, or is not there. None asks for nothing."""

    match: Etags | None = None
    none_match: Etags | None = None

    def __post_init__(self) -> None:
        for field, value in (("if_match", self.match), ("if_none_match", self.none_match)):
            if value is not None and not _are_texts(value):
                raise InvalidRequest(field, "must be an etag, several of them, or *")

    @property
    def is_empty(self) -> bool:
        """It holds whatever is there."""
        return self.match is None and self.none_match is None

    def check(self, what: str, etag: str | None) -> None:
        """Raise PreconditionFailed unless it holds for what has ``etag`` now; None: it is not there."""
        if self.match is not None and not _has(self.match, etag):
            why = "was changed meanwhile" if etag else "is not there"
            raise PreconditionFailed(f"{what} {why}, and nothing was written; read it again, then decide")
        if self.none_match is not None and _has(self.none_match, etag):
            why = "is there already" if self.none_match == ANY else "is as it must not be"
            raise PreconditionFailed(f"{what} {why}, and nothing was written; read it, then decide")


def _are_texts(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, Collection) and all(isinstance(each, str) for each in value))


def _has(wanted: Etags, etag: str | None) -> bool:
    if etag is None:
        return False
    return wanted in {ANY, etag} if isinstance(wanted, str) else etag in wanted
