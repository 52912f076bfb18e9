"""Which embedder a knowledge base gets, from its settings or from the program's own object."""

import os
from typing import Any

from phaseflow.components.embedders.openai import OpenAIEmbedder
from phaseflow.components.embedders.port import EmbedderPort
from phaseflow.components.embedders.static import StaticEmbedder
from phaseflow.domain.settings import OpenAIEmbedderSettings, StaticEmbedderSettings

_KEY_VARIABLE = "PHASEFLOW_EMBEDDING_API_KEY"


def make_embedder(settings: StaticEmbedderSettings | OpenAIEmbedderSettings) -> EmbedderPort:
    """Make the embedder that the settings name; ``aclose`` of the port closes it. Makes no connection yet.

    Raises ComponentUnavailable when its files are missing or its key cannot be used.
    """
    if isinstance(settings, StaticEmbedderSettings):
        return EmbedderPort(StaticEmbedder(), owned=True)
    embedder = OpenAIEmbedder(str(settings.base_url), settings.model, embedding_api_key())
    return EmbedderPort(embedder, owned=True)


def as_embedder(embedder: Any) -> EmbedderPort:
    """Take a program's own embedder, LangChain's among them; it stays open. Raises TypeError for anything else."""
    return embedder if isinstance(embedder, EmbedderPort) else EmbedderPort(embedder)


def embedding_api_key() -> str | None:
    """The key for the embedding server from ``PHASEFLOW_EMBEDDING_API_KEY``, or None."""
    return os.environ.get(_KEY_VARIABLE, "").strip() or None
