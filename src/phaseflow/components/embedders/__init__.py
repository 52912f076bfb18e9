"""Embedders: texts in, vectors out. Heavy libraries are imported when an embedder is made or first used.

``OpenAIEmbedder``, which most searches and jobs of a command do without, is imported when it is first named.
"""

from typing import TYPE_CHECKING, Any

from phaseflow.components.embedders.access import EmbedderAccess, embedding_api_key
from phaseflow.components.embedders.adapter import EmbedderAdapter
from phaseflow.components.embedders.factory import as_embedder, make_embedder
from phaseflow.components.embedders.static import StaticEmbedder

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    if name != "OpenAIEmbedder":
        raise AttributeError(f"module 'phaseflow.components.embedders' has no attribute {name!r}")
    from phaseflow.components.embedders.openai import OpenAIEmbedder

    return OpenAIEmbedder
