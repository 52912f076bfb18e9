"""A body of ``multipart/form-data`` as files, piece by piece."""

import json
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from phaseflow.components.upload_batch import UploadBatch
from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.new_document import (
    LONGEST_ORIGIN,
    LONGEST_URI,
    MOST_BYTES,
    check_metadata,
    check_origin,
    check_uri,
)
from phaseflow.http.endpoint import MULTIPART
from phaseflow.http.problems import UnsupportedMediaType

_FIELD = "files"
_METADATA = "metadata"
"""A part of this name is JSON: what is said about all the files."""
URI = "uri"
"""A part of this name is the uri of the next file, in place of its name."""
_ORIGIN = "origin"
"""A part of this name says where all the files come from."""
_PARTS = f"{_FIELD!r}, and {URI!r}, {_ORIGIN!r} and {_METADATA!r}"
_LONGEST = {_METADATA: 2 * MOST_BYTES, URI: 4 * LONGEST_URI, _ORIGIN: 4 * LONGEST_ORIGIN}
"""Bytes of the parts that are no files, blanks and characters of four bytes included."""
_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}
"""What browsers make of these in the name of a file (HTML, multipart/form-data encoding algorithm)."""


def boundary_of(content_type: str) -> bytes:
    """What stands between the parts. Raises UnsupportedMediaType for another kind of body."""
    kind, options = parse_options_header(content_type)
    if kind != MULTIPART.encode():
        told = kind.decode("latin-1") or "of no kind"
        raise UnsupportedMediaType(f"the body is {told}; send files as {MULTIPART}, each as a part named {_FIELD!r}")
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise InvalidRequest("body", f"the Content-Type {MULTIPART} names no boundary; let your HTTP library write it")
    return boundary


class FileParts:
    """Writes each part of a body to ``batch``. ``feed`` and ``finish`` raise InvalidRequest for what is no such body,
    and what ``batch`` raises."""

    def __init__(self, boundary: bytes, batch: UploadBatch) -> None:
        self._batch = batch
        self._header = (bytearray(), bytearray())
        self._disposition = b""
        self._is_whole = False
        self._value: tuple[str, bytearray] | None = None
        self._uri: str | None = None
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_begin": self._begin_header,
                    "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_file,
                    "on_part_data": lambda data, start, end: self._take(data[start:end]),
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _malformed(error) from error

    def feed(self, piece: bytes) -> None:
        """The next bytes of the body. Blocking."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _malformed(error) from error

    def finish(self) -> None:
        """That was the body."""
        if not self._is_whole:
            raise InvalidRequest("body", "ends in the middle of a part; send it again")
        if self._uri is not None:
            raise InvalidRequest(URI, "no file follows it; send each before its file")

    def _begin_part(self) -> None:
        self._disposition = b""

    def _begin_header(self) -> None:
        self._header = (bytearray(), bytearray())

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = bytes(value)

    def _begin_file(self) -> None:
        _, options = parse_options_header(self._disposition)
        field = options.get(b"name", b"").decode("utf-8", "replace")
        if field in _LONGEST:
            self._value = field, bytearray()
            return
        if field != _FIELD:
            raise InvalidRequest(_FIELD, f"a part is named {field[:100]!r}; the parts are {_PARTS}")
        if b"filename" not in options:
            raise InvalidRequest(_FIELD, "a part is not a file; send its name as filename")
        if self._uri is not None:
            self._batch.begin_document(self._uri)
            self._uri = None
        else:
            self._batch.begin(_file_name(options[b"filename"]))

    def _take(self, data: bytes) -> None:
        if self._value is None:
            self._batch.write(data)
            return
        field, value = self._value
        value += data
        if len(value) > _LONGEST[field]:
            raise InvalidRequest(field, f"has more than the {_LONGEST[field]:,} bytes that are taken")

    def _end_part(self) -> None:
        if self._value is None:
            self._batch.end()
            return
        field, value = self._value
        self._value = None
        if field == _METADATA:
            self._batch.metadata = json.dumps(_as_metadata(_METADATA, bytes(value)))
        elif field == URI and self._uri is not None:
            raise InvalidRequest(URI, "a file has two of them; send one before each file")
        elif field == URI:
            self._uri = check_uri(_text(field, value), field)
        else:
            self._batch.origin = check_origin(_text(field, value), field)

    def _end(self) -> None:
        self._is_whole = True


def _as_metadata(field: str, text: str | bytes) -> dict[str, Any]:
    """Metadata from JSON. Raises InvalidRequest, naming the field."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequest(field, "is not JSON; send an object of names and values") from None
    return check_metadata(value, field)


def _file_name(raw: bytes) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest(_FIELD, "the name of a file is no UTF-8; rename it") from None
    for escape, letter in _ESCAPES.items():
        name = name.replace(escape, letter)
    # The path of a Windows server, of whose two backslashes one is taken for an escape. The others are cut before.
    return name.rpartition("\\")[2] if name.startswith("\\") else name


def _text(field: str, value: bytearray) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest(field, "is no UTF-8; send it as UTF-8") from None


def _malformed(error: FormParserError) -> InvalidRequest:
    return InvalidRequest("body", f"is not multipart/form-data ({error}); let your HTTP library write it")
