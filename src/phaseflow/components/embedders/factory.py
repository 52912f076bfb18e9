"""Which embedder a knowledge base gets, from its settings or from the program's own object."""

from typing import TYPE_CHECKING, Any

from phaseflow.components.embedders.adapter import EmbedderAdapter
from phaseflow.components.embedders.static import StaticEmbedder
from phaseflow.domain.settings import (
    EmbedderSettings,
    NamedEmbedderSettings,
    OpenAIEmbedderSettings,
    StaticEmbedderSettings,
)

if TYPE_CHECKING:
    from phaseflow.components.embedders.access import EmbedderAccess
    from phaseflow.components.embedders.server_name import ServerName


def make_embedder(settings: EmbedderSettings, access: "EmbedderAccess | None" = None) -> EmbedderAdapter:
    """Make the embedder that the settings name; ``aclose`` of the port closes it. Makes no connection yet.

    ``access`` (default: that of a program without clients) decides on the key and on connections. Raises
    ComponentUnavailable when its files are missing or its key cannot be used, InvalidRequest for a server that has no
    such name.
    """
    if isinstance(settings, StaticEmbedderSettings):
        return EmbedderAdapter(StaticEmbedder(), owned=True)
    from phaseflow.components.embedders.access import EmbedderAccess
    from phaseflow.components.embedders.openai import BATCH_SIZE, IN_FLIGHT, OpenAIEmbedder

    access = access or EmbedderAccess()
    name, server = _named(settings, access)
    embedder = OpenAIEmbedder(
        str(server.base_url),
        server.model,
        access.key_for(server),
        batch_size=server.batch_size or BATCH_SIZE,
        in_flight=server.in_flight or IN_FLIGHT,
        dimensions=server.dimensions,
        requests_per_minute=server.requests_per_minute,
        query_prefix=server.query_prefix,
        document_prefix=server.document_prefix,
        guard=access.guard_for(server),
        name=name,
    )
    return EmbedderAdapter(embedder, owned=True)


def _named(
    settings: OpenAIEmbedderSettings | NamedEmbedderSettings, access: "EmbedderAccess"
) -> "tuple[ServerName | None, OpenAIEmbedderSettings]":
    if isinstance(settings, OpenAIEmbedderSettings):
        return None, settings
    from phaseflow.components.embedders.server_name import ServerName

    server = access.named(settings)
    return ServerName(settings.server, server.api_key_env), server


def as_embedder(embedder: Any) -> EmbedderAdapter:
    """Take a program's own embedder, LangChain's among them; it stays open. Raises TypeError for anything else."""
    return embedder if isinstance(embedder, EmbedderAdapter) else EmbedderAdapter(embedder)
