"""Embedders: texts in, vectors out. Heavy libraries are imported when an embedder is made or first used."""

from phaseflow.components.embedders.access import EmbedderAccess, embedding_api_key
from phaseflow.components.embedders.adapter import EmbedderAdapter
from phaseflow.components.embedders.factory import as_embedder, make_embedder
from phaseflow.components.embedders.openai import OpenAIEmbedder
from phaseflow.components.embedders.static import StaticEmbedder

__all__ = [
    "EmbedderAccess",
    "EmbedderAdapter",
    "OpenAIEmbedder",
    "StaticEmbedder",
    "as_embedder",
    "embedding_api_key",
    "make_embedder",
]
