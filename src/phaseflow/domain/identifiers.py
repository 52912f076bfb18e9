"""Names that come from outside."""

import re

from phaseflow.domain.errors import InvalidRequest

KB_ID = r"[a-z0-9][a-z0-9_-]{0,62}"


def check_kb_id(kb_id: str) -> str:
    """The name of a knowledge base, or InvalidRequest."""
    if not isinstance(kb_id, str) or not re.fullmatch(KB_ID, kb_id):
        raise InvalidRequest(
            "kb_id", f"{kb_id!r} must be 1 to 63 lower-case letters, digits, '-' or '_', not beginning with '-' or '_'"
        )
    return kb_id
