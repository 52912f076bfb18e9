"""The web source: pages reached by links and sitemaps, fetched politely and from public addresses only."""

from phaseflow.components.sources.web.guard import AddressGuard, check_source
from phaseflow.components.sources.web.limits import Limits
from phaseflow.components.sources.web.loader import WebLoader

__all__ = ["AddressGuard", "Limits", "WebLoader", "check_source"]
