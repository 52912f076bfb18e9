"""Which embedder a knowledge base gets, from its settings or from the program's own object."""

from typing import Any

from phaseflow.components.embedders.access import EmbedderAccess
from phaseflow.components.embedders.openai import OpenAIEmbedder
from phaseflow.components.embedders.port import EmbedderPort
from phaseflow.components.embedders.static import StaticEmbedder
from phaseflow.domain.settings import EmbedderSettings, StaticEmbedderSettings


def make_embedder(settings: EmbedderSettings, access: EmbedderAccess | None = None) -> EmbedderPort:
    """Make the embedder that the settings name; ``aclose`` of the port closes it. Makes no connection yet.

    ``access`` (default: that of a program without clients) decides on the key and on connections. Raises
    ComponentUnavailable when its files are missing or its key cannot be used.
    """
    if isinstance(settings, StaticEmbedderSettings):
        return EmbedderPort(StaticEmbedder(), owned=True)
    access = access or EmbedderAccess()
    embedder = OpenAIEmbedder(
        str(settings.base_url), settings.model, access.key_for(settings), guard=access.guard_for(settings)
    )
    return EmbedderPort(embedder, owned=True)


def as_embedder(embedder: Any) -> EmbedderPort:
    """Take a program's own embedder, LangChain's among them; it stays open. Raises TypeError for anything else."""
    return embedder if isinstance(embedder, EmbedderPort) else EmbedderPort(embedder)
