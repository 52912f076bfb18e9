"""Whether a job should ask before it takes out documents, and how it does: a pure rule."""

from collections.abc import Mapping

from phaseflow.domain.counting import counted_of

_FEW_DELETED = 10
"""Fewer documents than this may always go."""
WOULD_DELETE = "it would take out "
"""How the reason begins for which a job pauses before it takes out most of a source."""


def why_not_delete(had: Mapping[str, int], gone: Mapping[str, int], most_share: float) -> str | None:
    """Why a job should ask before it takes out documents, or None. By source: how many it had before the job, how many
    would go. All sources are named of which too many would."""
    over = [
        f"{counted_of(gone[name], had[name], 'document')}{_of_source(name)}"
        for name in sorted(had)
        if gone.get(name, 0) >= _FEW_DELETED and gone[name] > most_share * had[name]
    ]
    if not over:
        return None
    return f"{WOULD_DELETE}{' and '.join(over)}; resume to take them out, or cancel and check the source"


def is_named(name: str, reason: str) -> bool:
    """Whether ``reason``, for which a job asks, names a source."""
    return _of_source(name) in reason


def _of_source(name: str) -> str:
    return f" of the source {name!r}"
