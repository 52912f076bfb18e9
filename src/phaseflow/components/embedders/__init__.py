"""Embedders: texts in, vectors out. Heavy libraries are imported when an embedder is made or first used.

What only an embedding server takes, and most searches and jobs of a command do without, is imported when it is first
named.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from phaseflow.components.embedders.adapter import EmbedderAdapter
from phaseflow.components.embedders.factory import as_embedder, make_embedder
from phaseflow.components.embedders.static import StaticEmbedder

if TYPE_CHECKING:
    from phaseflow.components.embedders.access import EmbedderAccess as EmbedderAccess
    from phaseflow.components.embedders.access import embedding_api_key as embedding_api_key
    from phaseflow.components.embedders.openai import OpenAIEmbedder as OpenAIEmbedder

__all__ = [
    "EmbedderAccess",
    "EmbedderAdapter",
    "OpenAIEmbedder",
    "StaticEmbedder",
    "as_embedder",
    "embedding_api_key",
    "make_embedder",
]
_LATER: Final = {"EmbedderAccess": "access", "embedding_api_key": "access", "OpenAIEmbedder": "openai"}
"""The modules of what is imported when it is first named."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'phaseflow.components.embedders' has no attribute {name!r}")
    return getattr(import_module(f"phaseflow.components.embedders.{_LATER[name]}"), name)
