"""The cookies of one crawl, kept as long as its connections: some sites show their pages only to those who have one.

Each goes back to the scheme, host and port that set it and nowhere else, whatever its ``Domain`` says: a crawl needs no
more, and so no site learns what another has set.
"""

import time
from email.utils import mktime_tz, parsedate_tz

from phaseflow.components.sources.web.address import site_of

MOST = 50
"""Of one site; browsers keep as many."""
LONGEST = 4096
"""Characters of a name with its value; a longer one is not kept."""
_LONGEST_DATE = 60
SEPARATOR = "\n"
"""Between the values of several headers of one name that may hold commas, ``Set-Cookie`` among them."""


class Cookies:
    """By site: path and name, and what was set under them."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[tuple[str, str], str]] = {}

    def take(self, url: str, set_cookie: str) -> None:
        """Remember what an answer set or deleted."""
        kept = self._kept.setdefault(site_of(url), {})
        for line in set_cookie.split(SEPARATOR)[:MOST]:
            pair, *attributes = line.split(";")
            name, equals, value = (part.strip() for part in pair.partition("="))
            if not (equals and name) or len(pair) > LONGEST or not pair.isprintable() or not pair.isascii():
                continue
            said = {key.strip().lower(): what.strip() for key, _, what in (each.partition("=") for each in attributes)}
            path = said["path"] if said.get("path", "").startswith("/") else _folder(url)
            kept.pop((path, name), None)
            if not _is_deleted(said):
                kept[path, name] = value
            while len(kept) > MOST:
                del kept[next(iter(kept))]

    def header(self, url: str) -> str:
        """Return what to send to an address, longest path first; empty when nothing was set for it."""
        site = site_of(url)
        place = url[len(site) :].partition("?")[0]
        fits = [(path, name, value) for (path, name), value in self._kept.get(site, {}).items() if _within(place, path)]
        fits.sort(key=lambda cookie: -len(cookie[0]))
        return "; ".join(f"{name}={value}" for _, name, value in fits)


def _folder(url: str) -> str:
    """The path of a cookie that names none (RFC 6265, 5.1.4)."""
    return url[len(site_of(url)) :].partition("?")[0].rpartition("/")[0] or "/"


def _within(place: str, path: str) -> bool:
    return place == path or place.startswith(path if path.endswith("/") else f"{path}/")


def _is_deleted(said: dict[str, str]) -> bool:
    """Whether its life is over: by its age, else by a date in the past."""
    age = said.get("max-age", "")
    if age.lstrip("-").isdecimal():
        return age.startswith("-") or not age.strip("0")
    try:
        moment = parsedate_tz(said.get("expires", "")[:_LONGEST_DATE])
        return moment is not None and mktime_tz(moment) < time.time()
    except (ValueError, OverflowError):
        return False
