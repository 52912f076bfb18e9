"""The web source: pages reached by links and sitemaps, fetched politely and from public addresses only."""

from phaseflow.components.sources.web.limits import Limits
from phaseflow.components.sources.web.loader import WebLoader
from phaseflow.components.sources.web.ssrf import AddressPolicy, check_source

__all__ = ["AddressPolicy", "Limits", "WebLoader", "check_source"]
