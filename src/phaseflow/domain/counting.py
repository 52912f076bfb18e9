"""Numbers with the noun that they count: the only place that knows of singular and plural."""


def counted(number: int, noun: str, *, others: str | None = None) -> str:
    """``1 document``, ``0 documents``, ``1,200 documents``. ``others`` is the plural where it is not ``noun`` + s."""
    return f"{number:,} {form(number, noun, others=others)}"


def counted_of(done: int, total: int, noun: str) -> str:
    """``0 of 1 document``, ``105 of 1,500 documents``: the total decides."""
    return f"{done:,} of {counted(total, noun)}"


def form(number: int, noun: str, *, others: str | None = None) -> str:
    """The noun as it stands behind the number."""
    return noun if number == 1 else others or f"{noun}s"


def size_of(count: int) -> str:
    """``512 bytes``, ``4.1 kB``, ``1.2 GB``: in powers of 1,000."""
    if count < 1000:
        return counted(count, "byte")
    size, unit = float(count), ""
    for unit in ("kB", "MB", "GB", "TB"):  # noqa: B007  # the last one is what is shown
        size /= 1000
        if size < 999.95:
            break
    return f"{size:,.1f} {unit}"
