"""The web source: pages reached by links and sitemaps, fetched politely and from public addresses only.

Names are imported when they are first used: a search needs the rules for addresses, and no loader.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseflow.components.sources.web.limits import Limits as Limits
    from phaseflow.components.sources.web.loader import WebLoader as WebLoader
    from phaseflow.components.sources.web.ssrf import AddressPolicy as AddressPolicy
    from phaseflow.components.sources.web.ssrf import check_source as check_source

__all__ = ["AddressPolicy", "Limits", "WebLoader", "check_source"]

_HOMES = {"Limits": "limits", "WebLoader": "loader", "AddressPolicy": "ssrf", "check_source": "ssrf"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'phaseflow.components.sources.web' has no attribute {name!r}")
    value = getattr(import_module(f"phaseflow.components.sources.web.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
