"""Names that come from outside."""

import re
import unicodedata
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address
from urllib.parse import unquote

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.patterns import NAME_WORDS, worded

_TOKEN = re.compile(r"[!-~](?:[ -~]*[!-~])?")
KB_ID = r"[a-z0-9][a-z0-9_-]{0,62}"
JOB_ID = r"[^/.][^/]{0,199}"
"""What can be one part of a path: a slash would end it, and clients resolve ``.`` and ``..`` before they ask."""
_JOB_ID_WORDS = "must be 1 to 200 characters, none a '/', the first no '.'"
DOCUMENT_ID = r"doc_[0-9a-f]{24}"
KB_ID_PATTERN = worded(f"^{KB_ID}$", NAME_WORDS)
JOB_ID_PATTERN = worded(f"^{JOB_ID}$", _JOB_ID_WORDS)
DOCUMENT_ID_PATTERN = worded(f"^{DOCUMENT_ID}$", "must be the id of a document, as the list of documents has it")
_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")


_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, halves of surrogate pairs, separators of lines and paragraphs."""
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They can make ``exe.md`` out of ``dm.exe`` for the eye."""
_WITHOUT_WIDTH = frozenset("\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff")
"""Two names that differ by these alone look the same."""


def hides_something(name: str) -> bool:
    """Whether a name holds characters that nobody sees and that mislead or break lines.

    Joiners (Persian, Indic, emoji) and wide blanks are parts of names.
    """
    if name.isascii():
        return not name.isprintable()
    return any(
        letter in _TURNING or letter in _WITHOUT_WIDTH or unicodedata.category(letter) in _UNSEEN for letter in name
    )


def check_kb_id(kb_id: str) -> str:
    """The name of a knowledge base, or InvalidRequest."""
    if not isinstance(kb_id, str) or not re.fullmatch(KB_ID, kb_id):
        raise InvalidRequest("kb_id", f"{kb_id!r} {NAME_WORDS}")
    return kb_id


def check_token(token: str) -> str:
    """A token that a header can carry, or InvalidRequest: with any other, no request would ever be let in."""
    if not _TOKEN.fullmatch(token):
        raise InvalidRequest("token", "a token is made of ASCII letters, digits and signs, with no blank at either end")
    return token


def check_job_id(job_id: str) -> str:
    """The id of a job, or InvalidRequest."""
    if not isinstance(job_id, str) or not re.fullmatch(JOB_ID, job_id) or _HALF_A_CHARACTER.search(job_id):
        raise InvalidRequest("job_id", f"{job_id!r:.100} {_JOB_ID_WORDS}")
    return job_id


def check_whole(field: str, text: str) -> str:
    """A text that can be stored and sent, or InvalidRequest."""
    if _HALF_A_CHARACTER.search(text):
        raise InvalidRequest(field, f"{text[:100]!r} holds half a character; give whole ones")
    return text


def whole_characters(text: str) -> str:
    """The same length, with U+FFFD for halves of characters: UTF-8 does not have them, and so neither does a file."""
    return _HALF_A_CHARACTER.sub("\ufffd", text)


def sayable(text: str) -> str:
    """The same for what is said of a fault, also without NUL: functions of SQLite end a text there."""
    return whole_characters(text).replace("\0", "\ufffd")


def name_in(url: str) -> str:
    """The path of an address as that of a file: without its query, so that its extension can be seen."""
    path = unquote(url.partition("?")[0])
    return path + "index" if path.endswith("/") else path


def document_id(kb_id: str, uri: str) -> str:
    """The id of a document: it follows from the name of its knowledge base and its uri, and stays for all versions.

    96 bits of BLAKE2b: among a billion documents two share one with a chance of one in 10^11.
    """
    name = f"{kb_id}\n{uri}".encode(errors="surrogatepass")
    return f"doc_{blake2b(name, digest_size=12).hexdigest()}"


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address can be answered by this machine alone: localhost, 127.0.0.0/8, ::1."""
    if host is None:
        return False
    name = host.strip("[]").lower().removesuffix(".")
    if name == "localhost":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
