"""The fingerprint that a program gives a component of its own: a name that can be kept, and told from others."""

LONGEST = 1000
"""Characters."""


def checked_fingerprint(component: object, given: object) -> str:
    """The fingerprint of a component as it gives it. Raises TypeError, naming the component, for what is no name."""
    if isinstance(given, str) and given.strip() and len(given) <= LONGEST and "\0" not in given and _is_whole(given):
        return given
    kind = component if isinstance(component, type) else type(component)
    shown = repr(given) if isinstance(given, str | int | None) else f"a {type(given).__name__}"
    raise TypeError(
        f"the fingerprint of {kind.__qualname__} is {shown:.100}: give it a string such as 'my-model:384', of at most "
        f"{LONGEST:,} characters, that changes whenever what it makes does"
    )


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
