"""What people say about a document: the values they push, and the metadata they give it."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.identifiers import hides_something
from phaseflow.domain.made_values import told_in_words
from phaseflow.domain.patterns import worded
from phaseflow.domain.validation import first_fault
from phaseflow.domain.values import is_kept

_MetadataValue = str | bool | int | float | list[str]
_MOST_KEYS: Final = 64
MOST_BYTES: Final = 16 * 1024
"""Of metadata as JSON, in UTF-8."""
_LONGEST_KEY: Final = 200
LONGEST_URI: Final = 2048
"""Characters."""
LONGEST_ORIGIN: Final = 4096
"""Characters of where documents come from."""
BUILT_IN: Final = ("uri", "source", "title", "media_type", "size", "modified_at", "indexed_at")
"""Fields of every document, which metadata cannot shadow."""


def check_metadata(metadata: Mapping[str, Any], field: str = "metadata") -> dict[str, _MetadataValue]:
    """Metadata as it can be kept. Raises InvalidRequest, naming the field."""
    if not isinstance(metadata, Mapping):
        raise InvalidRequest(field, "must be an object of names and values")
    if len(metadata) > _MOST_KEYS:
        raise InvalidRequest(field, f"has {len(metadata)} names; at most {_MOST_KEYS} are kept")
    for key, value in metadata.items():
        if fault := _fault_of_key(key):
            raise InvalidRequest(field, fault)
        if not _is_value(value):
            is_number = isinstance(value, int | float)
            kinds = "a number of 64 bits" if is_number else "a string, a number, a boolean, or a list of strings"
            raise InvalidRequest(f"{field}.{key}", f"must be {kinds}")
        if any("\0" in each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)):
            raise InvalidRequest(f"{field}.{key}", "holds U+0000, which no text has; leave it out")
    kept = dict(metadata)
    try:
        size = len(json.dumps(kept, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        raise InvalidRequest(field, "holds half a character; give whole ones") from None
    if size > MOST_BYTES:
        raise InvalidRequest(field, f"has {size:,} bytes as JSON; at most {MOST_BYTES:,} are kept")
    return kept


def _fault_of_key(key: object) -> str | None:
    if not isinstance(key, str) or not key.strip() or len(key) > _LONGEST_KEY:
        return f"the name {key!r:.100} must be a string of 1 to {_LONGEST_KEY} characters"
    if "\0" in key:
        return f"the name {key!r:.100} holds U+0000, which no text has; leave it out"
    return f"{key!r} is a field of every document; choose another name" if key in BUILT_IN else None


def _is_value(value: object) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return is_kept(value)
    return isinstance(value, str | bool) or (isinstance(value, list) and all(isinstance(each, str) for each in value))


def _checked_metadata(value: Any) -> dict[str, _MetadataValue]:
    try:
        return check_metadata(value)
    except InvalidRequest as error:
        raise PydanticCustomError("metadata", "{fault}", {"fault": str(error).removeprefix("metadata: ")}) from None


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a character; give whole ones") from None
    return text


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds U+0000, which no text has; leave it out")
    return _whole(text)


def _visible(text: str) -> str:
    is_seen = any(letter.isprintable() and not letter.isspace() for letter in text)
    if not is_seen or hides_something(text):
        raise ValueError("must be a name that can be seen, without control characters")
    return _whole(text)


_Uri = Annotated[str, Field(min_length=1, max_length=LONGEST_URI), AfterValidator(_visible)]
_URI: TypeAdapter[str] = TypeAdapter(_Uri)
_ORIGIN: TypeAdapter[str] = TypeAdapter(
    Annotated[str, Field(min_length=1, max_length=LONGEST_ORIGIN), AfterValidator(_visible)]
)


def check_uri(uri: str, field: str = "uri") -> str:
    """A uri that a document can be pushed under. Raises InvalidRequest, naming the field."""
    return _checked(_URI, uri, field)


def check_origin(origin: str, field: str = "origin") -> str:
    """Where documents come from, as it can be kept. Raises InvalidRequest, naming the field."""
    return _checked(_ORIGIN, origin, field)


def _checked(kind: TypeAdapter[str], value: str, field: str) -> str:
    try:
        return kind.validate_python(value, strict=True)
    except ValidationError as error:
        raise InvalidRequest(field, first_fault(error).problem) from None


Metadata = Annotated[dict[str, Any], BeforeValidator(_checked_metadata)]

_MEDIA_TYPE = worded(r"^[\w.+-]+/[\w.+-]+( *;.*)?$", "must be a media type, such as text/markdown")


@told_in_words
class NewDocument(BaseModel):
    """A text to be pushed. A document that was pushed under the same ``uri`` before is replaced.
    The uri is kept as it is given.

    ``title`` is found in the text when it is not given; ``media_type`` follows from the end of the uri (``.md``,
    ``.html``), else it is plain text. ``metadata`` None keeps what was given before.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)  # else bytes would be taken for their text
    uri: _Uri
    text: Annotated[str, AfterValidator(_without_nul)]
    title: Annotated[str | None, Field(min_length=1, max_length=1000)] = None
    media_type: Annotated[str | None, Field(max_length=200, pattern=_MEDIA_TYPE)] = None
    metadata: Metadata | None = None
