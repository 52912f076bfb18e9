"""What clients send: parameters and bodies."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from phaseflow.domain.search_query import LONGEST_QUERY
from phaseflow.http.endpoint import Parameters

_MOST_IN_BATCH = 2000
"""Files added to a vector store by one request, as the protocol has it."""
CHARACTERS_A_TOKEN = 4
"""Chunks are cut by characters; a token of OpenAI's models is about four of English text."""

Id = Annotated[str, Field(min_length=1, max_length=200)]
_Order = Literal["asc", "desc"]
_Status = Literal["in_progress", "completed", "failed", "cancelled"]


class FilePath(Parameters):
    """One file."""

    file_id: Id


class FileList(Parameters):
    """A page of the files."""

    purpose: Annotated[str | None, Field(max_length=100)] = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    order: _Order = "desc"
    after: Id | None = None


class Cursors(Parameters):
    """A page of a list."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: _Order = "desc"
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


class StoreFilePath(StorePath):
    """One file of a vector store."""

    file_id: Id


class StoreFileList(Cursors):
    """A page of the files of a vector store."""

    vector_store_id: Id
    filter: _Status | None = None


class BatchPath(StorePath):
    """One batch of files."""

    batch_id: Id


class BatchFileList(StoreFileList, BatchPath):
    """A page of the files of a batch."""


class Body(BaseModel):
    """What is unknown is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]
_Attributes = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)] | bool | int | float],
    Field(max_length=16),
]


class Auto(Body):
    """Chunks as the vector store has them."""

    type: Literal["auto"]


class StaticSizes(Body):
    """Sizes in tokens."""

    max_chunk_size_tokens: Annotated[int, Field(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _overlap_is_small(self) -> "StaticSizes":
        if self.chunk_overlap_tokens * 2 > self.max_chunk_size_tokens:
            raise ValueError("chunk_overlap_tokens must be at most half of max_chunk_size_tokens")
        return self


class Static(Body):
    """Chunks of a size of the client's."""

    type: Literal["static"]
    static: StaticSizes


Chunking = Annotated[Auto | Static, Field(discriminator="type")]


class ExpiresAfter(Body):
    """Days without use after which a vector store expires."""

    anchor: Literal["last_active_at"]
    days: Annotated[int, Field(ge=1, le=365)]


Name = Annotated[str, Field(max_length=1000)]
_FileIds = Annotated[list[Id], Field(max_length=_MOST_IN_BATCH)]


class StoreBody(Body):
    """A new vector store."""

    name: Name | None = None
    description: Name | None = None
    file_ids: _FileIds = []
    metadata: Metadata | None = None
    expires_after: ExpiresAfter | None = None
    chunking_strategy: Chunking | None = None


class StoreChanges(Body):
    """What changes in a vector store; what is not given stays."""

    name: Name | None = None
    metadata: Metadata | None = None
    expires_after: ExpiresAfter | None = None


class StoreFileBody(Body):
    """A file for a vector store."""

    file_id: Id
    attributes: _Attributes | None = None
    chunking_strategy: Chunking | None = None


class AttributesBody(Body):
    """The attributes of a file, in place of those it has."""

    attributes: _Attributes | None


class BatchBody(Body):
    """Files for a vector store: ``file_ids`` with the same attributes, or ``files`` each with its own."""

    file_ids: _FileIds | None = None
    files: Annotated[list[StoreFileBody], Field(max_length=_MOST_IN_BATCH)] | None = None
    attributes: _Attributes | None = None
    chunking_strategy: Chunking | None = None

    @model_validator(mode="after")
    def _one_list(self) -> "BatchBody":
        if bool(self.file_ids) == bool(self.files):
            raise ValueError("give either file_ids or files, with at least one file")
        return self

    @property
    def each(self) -> list[StoreFileBody]:
        """The files, each with what holds for it."""
        if self.files:
            return self.files
        return [
            StoreFileBody(file_id=id_, attributes=self.attributes, chunking_strategy=self.chunking_strategy)
            for id_ in self.file_ids or []
        ]


def _is_no_blank(query: str) -> str:
    if not query.strip():
        raise ValueError("must not be blank")
    return query


Query = Annotated[str, Field(min_length=1, max_length=LONGEST_QUERY), AfterValidator(_is_no_blank)]


class RankingOptions(Body):
    """How passages are ranked. There is one ranker, which every name stands for."""

    ranker: Annotated[str, Field(max_length=100)] = "auto"
    score_threshold: Annotated[float, Field(ge=0, le=1)] = 0.0


class SearchBody(Body):
    """A question to a vector store, or several whose answers are ranked together."""

    query: Query | Annotated[list[Query], Field(min_length=1, max_length=8)]
    filters: dict[str, Any] | None = None
    max_num_results: Annotated[int, Field(ge=1, le=50)] = 10
    ranking_options: RankingOptions = RankingOptions()
    rewrite_query: bool = False
