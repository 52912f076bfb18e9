"""What several endpoints of the protocol take: the parameters and bodies of one stand beside it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from phaseflow.http.endpoint import Parameters

MOST_IN_BATCH = 2000
"""Files added to a vector store by one request, as the protocol has it."""
CHARACTERS_A_TOKEN = 4
"""Chunks are cut by characters; a token of OpenAI's models is about four of English text."""

Id = Annotated[str, Field(min_length=1, max_length=200)]
Order = Literal["asc", "desc"]
_Status = Literal["in_progress", "completed", "failed", "cancelled"]


class Cursors(Parameters):
    """A page of a list."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: Order = "desc"
    after: Id | None = None
    before: Id | None = None

    @model_validator(mode="after")
    def _one_cursor(self) -> "Cursors":
        if self.after is not None and self.before is not None:
            raise ValueError("give either after or before, not both")
        return self


class StorePath(Parameters):
    """One vector store."""

    vector_store_id: Id


class StoreFileList(Cursors):
    """A page of the files of a vector store."""

    vector_store_id: Id
    filter: _Status | None = None


class Body(BaseModel):
    """What is unknown is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]
Attributes = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)] | bool | int | float],
    Field(max_length=16),
]


class Auto(Body):
    """Chunks as the vector store has them."""

    type: Literal["auto"]


class _StaticSizes(Body):
    """Sizes in tokens."""

    max_chunk_size_tokens: Annotated[int, Field(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _overlap_is_small(self) -> "_StaticSizes":
        if self.chunk_overlap_tokens * 2 > self.max_chunk_size_tokens:
            raise ValueError("chunk_overlap_tokens must be at most half of max_chunk_size_tokens")
        return self


class Static(Body):
    """Chunks of a size of the client's."""

    type: Literal["static"]
    static: _StaticSizes

    @property
    def sizes(self) -> dict[str, int]:
        """The settings that stand for its sizes."""
        return {
            "chunk_size": self.static.max_chunk_size_tokens * CHARACTERS_A_TOKEN,
            "chunk_overlap": self.static.chunk_overlap_tokens * CHARACTERS_A_TOKEN,
        }


Chunking = Annotated[Auto | Static, Field(discriminator="type")]
Name = Annotated[str, Field(max_length=1000)]
FileIds = Annotated[tuple[Id, ...], Field(max_length=MOST_IN_BATCH)]


class StoreFileBody(Body):
    """A file for a vector store."""

    file_id: Id
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None
