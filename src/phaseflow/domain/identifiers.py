"""Names that come from outside."""

import re

from phaseflow.domain.errors import InvalidRequest

_TOKEN = re.compile(r"[!-~](?:[ -~]*[!-~])?")
KB_ID = r"[a-z0-9][a-z0-9_-]{0,62}"


def check_kb_id(kb_id: str) -> str:
    """The name of a knowledge base, or InvalidRequest."""
    if not isinstance(kb_id, str) or not re.fullmatch(KB_ID, kb_id):
        raise InvalidRequest(
            "kb_id", f"{kb_id!r} must be 1 to 63 lower-case letters, digits, '-' or '_', not beginning with '-' or '_'"
        )
    return kb_id


def check_token(token: str) -> str:
    """A token that a header can carry, or InvalidRequest: with any other, no request would ever be let in."""
    if not _TOKEN.fullmatch(token):
        raise InvalidRequest("token", "a token is made of ASCII letters, digits and signs, with no blank at either end")
    return token
