"""What is kept of a page to ask next time whether it has changed: its validators, and its links."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from phaseflow.components.sources.web.address import site_of
from phaseflow.components.sources.web.answer import Answer

_LONGEST = 1000
"""A validator is short; a longer one would be sent with every request."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """``ETag`` and ``Last-Modified`` as they came, and the links of the page.

    The links are here because an answer 304 has no page to take them from, and without them a second crawl would
    not find what lies behind a page that did not change.
    """

    etag: str = ""
    modified: str = ""
    links: tuple[str, ...] = ()

    @classmethod
    def of(cls, answer: Answer, links: tuple[str, ...]) -> Self:
        etag, modified = answer.header("etag"), answer.header("last-modified")
        return cls(etag if len(etag) < _LONGEST else "", modified if len(modified) < _LONGEST else "", links)

    @classmethod
    def decoded(cls, stamp: str | None, url: str) -> Self:
        """Read what ``encoded`` wrote for the page at ``url``; an empty stamp for anything else."""
        try:
            etag, modified, links = json.loads(stamp or "")
            site = site_of(url)
            return cls(str(etag), str(modified), tuple(_absolute(str(link), site) for link in links))
        except (ValueError, TypeError):
            return cls()

    def encoded(self, url: str) -> str | None:
        """Return the stamp as text, or None when the server gave nothing to ask by."""
        if not (self.etag or self.modified):
            return None
        site = site_of(url)
        links = [link.removeprefix(site) for link in self.links]
        return json.dumps([self.etag, self.modified, links], separators=(",", ":"))

    def conditions(self) -> Mapping[str, str]:
        """Return the headers of a request that asks for the page only when it changed."""
        asked = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in asked.items() if value}


def _absolute(link: str, site: str) -> str:
    return site + link if link.startswith("/") else link
