"""Numbers that people give: in metadata, and in the filters that compare it."""

from math import isfinite


def is_kept(number: int | float) -> bool:
    """Metadata can hold it, and a filter can compare it: a whole number of 64 bits, or any finite float."""
    return isfinite(number) if isinstance(number, float) else abs(number) < 1 << 63  # what SQLite has as whole
