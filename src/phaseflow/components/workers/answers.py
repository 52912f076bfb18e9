"""The answers of a worker, taken for what they are: words of a process that a hostile document may have taken over."""

from collections.abc import Mapping
from typing import Any

from phaseflow.components.extraction.metadata import within_limits
from phaseflow.components.extraction.types import Extracted
from phaseflow.components.workers.frames import Frame, MalformedFrame
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.values import MetadataValue

READY = "ready"
READ = "read"
FAILED = "failed"
OUT_OF_MEMORY = "out of memory"


def outcome(answer: Frame) -> Extracted | DocumentError:
    """Return the text that a worker has read, or the error that it reports.

    Raises MalformedFrame when the answer is neither.
    """
    head, body = answer
    if head.get("status") == FAILED:
        return DocumentError(_text(head, "message"), code=_text(head, "code"), counts=head.get("counts") is not False)
    if head.get("status") != READ:
        raise MalformedFrame("the answer says neither read nor failed")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise MalformedFrame("the text is not UTF-8") from error
    parts, metadata = _parts(head.get("parts")), _metadata(head.get("metadata", {}))
    read_as = None if head.get("read_as") is None else _text(head, "read_as")
    return Extracted(text, _text(head, "title"), _text(head, "type"), parts, metadata, read_as)


def _text(head: dict[str, Any], key: str) -> str:
    value = head.get(key)
    if not isinstance(value, str):
        raise MalformedFrame(f"the answer has no {key}")
    return value


def _parts(value: object) -> tuple[tuple[int, str], ...]:
    if not isinstance(value, list):
        raise MalformedFrame("the answer has no parts")
    return tuple(_part(each) for each in value)


def _metadata(value: object) -> Mapping[str, MetadataValue]:
    if not isinstance(value, dict) or (metadata := within_limits(value)) != value:
        raise MalformedFrame("the metadata of the answer is none")
    return metadata


def _part(value: object) -> tuple[int, str]:
    match value:
        case [int(offset), str(label)]:
            return offset, label
    raise MalformedFrame("a part of the answer is not an offset and a label")
