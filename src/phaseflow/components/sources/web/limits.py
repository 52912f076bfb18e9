"""How much of a site's time, bytes and patience a crawl may take."""

from dataclasses import dataclass

from phaseflow.domain.checked_fields import check_numbers


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one crawl. Sizes are in bytes after decompression."""

    max_bytes: int = 32 * 1024 * 1024
    """A page or file; a larger one is a failed document."""
    max_ratio: int = 250
    """Bytes out for a byte in, once more than 1 MiB came out. HTML compresses to a tenth; a bomb to a thousandth."""
    connect_s: float = 10
    total_s: float = 60
    """From the request to the last byte, without the wait for its turn. A chain of redirects may take twice as long."""
    slowest_rate: int = 64 * 1024
    """Bytes per second: a body that comes faster gets the time that it takes at this rate on top of ``total_s``."""
    redirects: int = 10
    per_second: float = 10
    """Requests to one site."""
    at_once: int = 4
    """Requests to one site."""
    hangs_s: float = 10
    """A request that takes longer leaves its place to another, so that a few pages that hang do not hold up a site."""
    longest_delay_s: float = 60
    """The most that a Crawl-delay is heeded: with one of a day a crawl would never end."""

    def __post_init__(self) -> None:
        check_numbers(self)
