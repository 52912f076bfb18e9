"""A form with one file, piece by piece: fields are small, the file is passed on."""

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from phaseflow.domain.errors import InvalidRequest
from phaseflow.http.multipart import boundary_of

_LONGEST_FIELDS = 65_536
"""Bytes of all fields and headers."""
LONGEST_NAME = 255
"""Characters of the name of a file."""
_FILE = "file"


class FileForm:
    """Parses a body. ``fields`` are those that have come, ``filename`` is None until the file has begun."""

    def __init__(self, content_type: str) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self.is_whole = False
        self._data = bytearray()
        self._small = 0
        self._header = (bytearray(), bytearray())
        self._disposition = b""
        self._field: str | None = None
        self._value = bytearray()
        self._parser = MultipartParser(
            boundary_of(content_type),
            {
                "on_part_begin": self._begin_part,
                "on_header_begin": self._begin_header,
                "on_header_field": lambda data, start, end: self._add(self._header[0], data[start:end]),
                "on_header_value": lambda data, start, end: self._add(self._header[1], data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_content,
                "on_part_data": self._content,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def feed(self, piece: bytes) -> bytes:
        """The next bytes of the body; those of the file that are among them."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise InvalidRequest("body", f"cannot be read as multipart/form-data ({error})") from error
        found = bytes(self._data)
        self._data.clear()
        return found

    def _add(self, to: bytearray, data: bytes) -> None:
        self._small += len(data)
        if self._small > _LONGEST_FIELDS:
            raise InvalidRequest("body", f"its fields have more than {_LONGEST_FIELDS:,} bytes")
        to.extend(data)

    def _begin_part(self) -> None:
        self._disposition = b""
        self._value.clear()

    def _begin_header(self) -> None:
        self._header = (bytearray(), bytearray())

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = bytes(value)

    def _begin_content(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name != _FILE:
            self._field = name
            return
        if self.filename is not None:
            raise InvalidRequest(_FILE, "is given more than once; send one file a request")
        try:
            given = options.get(b"filename", b"").decode()
        except UnicodeDecodeError:
            raise InvalidRequest(_FILE, "has a name that is not UTF-8; rename it") from None
        name = given.replace("\\", "/").rpartition("/")[2] or _FILE
        if len(name) > LONGEST_NAME or not name.isprintable():
            raise InvalidRequest(_FILE, f"needs a name of at most {LONGEST_NAME} characters, all visible; rename it")
        self._field, self.filename = None, name

    def _content(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._data += data[start:end]
        else:
            self._add(self._value, data[start:end])

    def _end_part(self) -> None:
        if self._field is not None:
            self.fields[self._field] = self._value.decode("utf-8", "replace")

    def _end(self) -> None:
        self.is_whole = True
