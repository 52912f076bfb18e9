"""What a knowledge base can be made from on this machine, as it is shown to whoever makes one."""

from typing import Annotated

from pydantic import Field

from phaseflow.domain.status import Count, Value


class Subfolder(Value):
    """A folder that a source can name: ``path`` as it is given to the service."""

    name: str
    path: str


class FolderListing(Value):
    """One folder, or the top (``path`` null) with the folders that may be read.

    ``files``: those right in it, hidden ones left out. ``is_complete``: false where there is more than was looked at.
    """

    path: str | None
    parent: str | None
    folders: list[Subfolder]
    files: Count
    is_complete: bool


class EmbeddingServer(Value):
    """A server that the operator has set up, used as ``{"type": "openai", "server": name}``.

    ``key_variable``: the environment variable that holds its key; ``has_key``: whether it is set.
    """

    name: str
    model: str
    dimensions: int | None
    key_variable: str | None
    has_key: bool


class EmbeddingServers(Value):
    """The named servers, and the variables that an embedder named by its address gets its key from.

    ``has_key``: both are set, so the key goes to the address in ``url_variable`` and nowhere else.
    """

    servers: list[EmbeddingServer]
    key_variable: str
    url_variable: str
    has_key: bool


class EmbedderAnswer(Value):
    """What became of one text that an embedder was asked for: the length of its vector, or ``error`` in words."""

    dimension: int | None
    error: str | None
    seconds: Annotated[float, Field(ge=0)]
