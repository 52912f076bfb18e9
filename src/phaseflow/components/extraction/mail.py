"""E-mail: the headers that people read, then the text."""

from typing import TYPE_CHECKING

from phaseflow.components.extraction import html
from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.plain import MEDIA_TYPE
from phaseflow.components.extraction.shapes import Extracted, Raw
from phaseflow.domain.errors import DocumentError

if TYPE_CHECKING:
    from email.message import EmailMessage

_SHOWN = ("From", "To", "Cc", "Date", "Subject")


def extract(raw: Raw) -> Extracted:
    """Return headers, the plain body (else the HTML one), and the names of attachments. Title: the subject.

    Attachments are not read. Raises DocumentError ``too_complex`` for parts nested beyond reason.
    """
    from email import message_from_bytes
    from email.policy import default

    if not raw.data.strip():
        return Extracted("", raw.base_name, MEDIA_TYPE)
    try:
        text, title = _read(message_from_bytes(raw.data, policy=default), raw)
    except RecursionError as error:
        raise DocumentError(f"{raw.name} nests its parts too deeply to be read", code="too_complex") from error
    return Extracted(text, title or raw.base_name, MEDIA_TYPE)


def _read(message: "EmailMessage", raw: Raw) -> tuple[str, str]:
    headers = [f"{name}: {_header(message, name)}" for name in _SHOWN if _header(message, name)]
    names = [name for part in message.iter_attachments() if (name := part.get_filename())]
    attachments = [f"Attachments: {', '.join(names)}"] if names else []
    text = "\n\n".join(filter(None, ["\n".join(headers), _body(message, raw), *attachments]))
    return _clean(text), _clean(_header(message, "Subject"))


def _header(message: "EmailMessage", name: str) -> str:
    try:
        return " ".join(str(message.get(name, "")).split())
    except (ValueError, IndexError, AttributeError):
        # The standard library fails in these ways on malformed addresses and dates; the body is worth more.
        return ""


def _body(message: "EmailMessage", raw: Raw) -> str:
    part = message.get_body(("plain", "html"))
    if part is None:
        return ""
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    piece = Raw(data, raw.name, part.get_content_charset())
    if part.get_content_type() == "text/html":
        return html.extract(piece).text
    return text_of(piece).strip()


def _clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()
