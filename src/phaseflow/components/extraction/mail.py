"""E-mail: the headers that people read, then the text."""

from typing import TYPE_CHECKING

from phaseflow.components.extraction import html
from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.package import encrypted
from phaseflow.components.extraction.plain import MEDIA_TYPE
from phaseflow.components.extraction.shapes import Extracted, Raw
from phaseflow.domain.errors import DocumentError

if TYPE_CHECKING:
    from email.message import MIMEPart

_TEXTS = ("text/plain", "text/html")
_SMIME = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_SHOWN = ("From", "To", "Cc", "Date", "Subject")


def extract(raw: Raw) -> Extracted:
    """Return headers, the body (plain where it has text, else HTML), what was forwarded, and attachments' names.

    Title: the subject. Attached files are not read. Raises DocumentError ``encrypted``, and ``too_complex`` for parts
    nested beyond reason.
    """
    from email import message_from_bytes
    from email.policy import default

    if not raw.data.strip():
        return Extracted("", raw.base_name, MEDIA_TYPE)
    try:
        message = message_from_bytes(raw.data, policy=default)
        text, title = _read(message, raw), _clean(_header(message, "Subject"))
    except RecursionError as error:
        raise DocumentError(f"{raw.name} nests its parts too deeply to be read", code="too_complex") from error
    return Extracted(text, title or raw.base_name, MEDIA_TYPE)


def _read(message: "MIMEPart", raw: Raw) -> str:
    if _is_encrypted(message):
        raise encrypted(raw.name)
    headers = [f"{name}: {_header(message, name)}" for name in _SHOWN if _header(message, name)]
    body = _body(message)
    texts, names = [_text(body, raw)] if body else [], []
    for part in message.iter_attachments():
        name, kind = part.get_filename(), part.get_content_type()
        if kind == "message/rfc822":
            texts += [_read(inner, raw) for inner in part.iter_parts()]
        elif name:
            names.append(name)
        elif kind in _TEXTS:
            # Mail programs cut a text in two where a picture stands in it.
            texts.append(_text(part, raw))
    attachments = [f"Attachments: {', '.join(names)}"] if names else []
    return _clean("\n\n".join(filter(None, ["\n".join(headers), *texts, *attachments])))


def _is_encrypted(message: "MIMEPart") -> bool:
    kind = message.get_content_type()
    return kind == "multipart/encrypted" or (kind in _SMIME and message.get_param("smime-type") == "enveloped-data")


def _header(message: "MIMEPart", name: str) -> str:
    try:
        return " ".join(str(message.get(name, "")).split())
    except (ValueError, IndexError, AttributeError):
        # The standard library fails in these ways on malformed addresses and dates; the body is worth more.
        return ""


def _body(message: "MIMEPart") -> "MIMEPart | None":
    plain = message.get_body(("plain",))
    if plain is not None and _payload(plain).strip():
        return plain
    return message.get_body(("html",))


def _text(part: "MIMEPart", raw: Raw) -> str:
    piece = Raw(_payload(part), raw.name, part.get_content_charset())
    if part.get_content_type() == "text/html":
        return html.extract_whole(piece).text
    return text_of(piece).strip()


def _payload(part: "MIMEPart") -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()
