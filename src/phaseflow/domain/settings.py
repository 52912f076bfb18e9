"""What a knowledge base is made from: its source and its settings, as they stand in JSON."""

from collections.abc import Mapping
from operator import not_
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    HttpUrl,
    Tag,
    TypeAdapter,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic.json_schema import SkipJsonSchema

from phaseflow.domain.made_values import told_in_words
from phaseflow.domain.ocr import OcrSettings
from phaseflow.domain.patterns import NAME_WORDS, SERVER_WORDS, worded
from phaseflow.domain.remote_sources import FsspecSource, GitSource
from phaseflow.domain.sync import SyncSettings

_STRICT = ConfigDict(extra="forbid")
# What most sources do not ask for is left out of their JSON (``exclude_if``), so that it stays as it was given.
_LONGEST_ADDRESS = 2083
"""Characters, as stored: what pydantic takes. Writing an address out (its slash, its escapes) can make it longer."""


def _fits(address: HttpUrl) -> HttpUrl:
    if len(str(address)) > _LONGEST_ADDRESS:
        raise ValueError(f"an address may have {_LONGEST_ADDRESS} characters once it is written out")
    return address


Address = Annotated[HttpUrl, AfterValidator(_fits)]


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, PurePath) else value


_GIVEN = "/./"
"""Stands in a stored path between the directory that it is relative to and what was given, as rsync has it. Both are
needed: the one to find the folder whatever the directory is later, the other to tell clients, who are to learn nothing
of the machine."""


def anchored(path: PurePath, directory: PurePath) -> str:
    """A folder's path as it is stored."""
    return str(path) if path.is_absolute() else f"{directory}{_GIVEN}{path}"


def as_given(path: str) -> str:
    """The path that was given for a stored one."""
    return path.partition(_GIVEN)[2] or path


@told_in_words
@dataclass(frozen=True, config=_STRICT)
class FolderSource:
    """Documents under a folder. Globs are relative to it; ``include`` empty means every file.

    A ``pathlib.Path`` is taken too, and kept as a string. ``archives``: the files inside ZIP archives are documents,
    one level deep, in place of the archives.
    """

    path: Annotated[str, Field(min_length=1), BeforeValidator(_as_text)]
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    archives: Annotated[bool, Field(exclude_if=not_)] = False
    type: Literal["folder"] = "folder"


@told_in_words
@dataclass(frozen=True, config=_STRICT)
class WebSource:
    """Pages reached from the given addresses and their sites' sitemaps, ``max_pages`` at most.

    ``max_depth``: links followed from the given addresses, 0 for none; with it sitemaps are left out. None: no limit.
    """

    urls: Annotated[tuple[Address, ...], Field(min_length=1, max_length=1000)]
    max_pages: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    max_depth: Annotated[int | None, Field(ge=0, le=1000, exclude_if=lambda depth: depth is None)] = None
    type: Literal["web"] = "web"


@told_in_words
@dataclass(frozen=True, config=_STRICT)
class UploadSource:
    """Files that were sent to the engine, which keeps them beside the database."""

    type: Literal["upload"] = "upload"


AnySource = FolderSource | WebSource | UploadSource | FsspecSource | GitSource
Source = Annotated[AnySource, Field(discriminator="type")]
SOURCE: TypeAdapter[AnySource] = TypeAdapter(Source)


DEFAULT_SOURCE = "default"
"""The name of a source that was given without one. Its documents have no prefix."""
PUSH = "push"
"""The name of the source of what was pushed, and of no other."""
_SOURCE_NAME = "[a-z0-9][a-z0-9_-]{0,62}"


def _not_reserved(name: str) -> str:
    if name == PUSH:
        raise ValueError(f"{PUSH!r} is the source of what was pushed; give yours another name")
    return name


_SourceName = Annotated[str, Field(pattern=worded(f"^{_SOURCE_NAME}$", NAME_WORDS)), AfterValidator(_not_reserved)]
Sources = Annotated[dict[_SourceName, Source], Field(min_length=1, max_length=100)]
SOURCES: TypeAdapter[dict[str, AnySource]] = TypeAdapter(Sources)


EMBEDDER_NAME = worded("^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", SERVER_WORDS)


def _is_none(value: object) -> bool:
    return value is None


def _type_is_required(schema: dict[str, Any]) -> None:
    schema["required"] = ["type", *(name for name in schema.get("required", []) if name != "type")]


_EMBEDDER = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_type_is_required)


@told_in_words
class StaticEmbedderSettings(BaseModel):
    """Sentence vectors that come with the package: offline, nothing to download."""

    model_config = _EMBEDDER
    type: Literal["static"] = "static"


@told_in_words
class OpenAIEmbedderSettings(BaseModel):
    """Any server that speaks the OpenAI embeddings protocol. The key comes from ``PHASEFLOW_EMBEDDING_API_KEY``.

    ``chosen_by_client`` is stored with an address that came over the HTTP API; no client sees it or can unset it.
    """

    model_config = _EMBEDDER
    type: Literal["openai"] = "openai"
    base_url: Address
    model: Annotated[str, Field(min_length=1, max_length=200)]
    dimensions: Annotated[int | None, Field(ge=1, le=65_536, exclude_if=_is_none)] = None
    batch_size: Annotated[int | None, Field(ge=1, le=2048, exclude_if=_is_none)] = None
    in_flight: Annotated[int | None, Field(ge=1, le=64, exclude_if=_is_none)] = None
    requests_per_minute: Annotated[int | None, Field(ge=1, le=1_000_000, exclude_if=_is_none)] = None
    query_prefix: Annotated[str, Field(max_length=1000, exclude_if=not_)] = ""
    document_prefix: Annotated[str, Field(max_length=1000, exclude_if=not_)] = ""
    chosen_by_client: SkipJsonSchema[Annotated[bool, Field(exclude_if=not_)]] = False


@told_in_words
class NamedEmbedderSettings(BaseModel):
    """A server that the operator has set up under this name, in the file that ``PHASEFLOW_EMBEDDERS`` names."""

    model_config = _EMBEDDER
    type: Literal["openai"] = "openai"
    server: Annotated[str, Field(pattern=EMBEDDER_NAME)]


EmbedderSettings = StaticEmbedderSettings | OpenAIEmbedderSettings | NamedEmbedderSettings


def _kind(value: Any) -> str | None:
    if isinstance(value, NamedEmbedderSettings):
        return "named"
    if isinstance(value, BaseModel):
        value = {"type": getattr(value, "type", None)}
    if not isinstance(value, Mapping):
        return None
    if value.get("type") == "openai":
        return "named" if "server" in value else "openai"
    return "static" if value.get("type") == "static" else None


_Embedder = Annotated[
    Annotated[StaticEmbedderSettings, Tag("static")]
    | Annotated[OpenAIEmbedderSettings, Tag("openai")]
    | Annotated[NamedEmbedderSettings, Tag("named")],
    Discriminator(_kind, custom_error_type="embedder", custom_error_message="its type must be 'static' or 'openai'"),
]


EMBEDDED = "embedded"
"""The index inside the database, and so no name of an index server."""


def _is_not_embedded(name: str) -> str:
    if name == EMBEDDED:
        raise ValueError(f"{EMBEDDED!r} is the index inside the database; name the server otherwise")
    return name


IndexServerName = Annotated[str, Field(pattern=EMBEDDER_NAME), AfterValidator(_is_not_embedded)]


@told_in_words
class EmbeddedIndexSettings(BaseModel):
    """Passages are searched in the database itself."""

    model_config = _EMBEDDER
    type: Literal["embedded"] = "embedded"


@told_in_words
class PostgresIndexSettings(BaseModel):
    """Vectors are searched in a PostgreSQL with pgvector that the operator has set up under this name."""

    model_config = _EMBEDDER
    type: Literal["postgres"] = "postgres"
    server: IndexServerName


IndexSettings = Annotated[EmbeddedIndexSettings | PostgresIndexSettings, Field(discriminator="type")]


_USUAL_SHARE = 0.5
"""Of the documents of a source, that may go without a question."""


def _is_usual_share(share: float) -> bool:
    return share == _USUAL_SHARE


def _none_if_off(sync: SyncSettings | None) -> SyncSettings | None:
    """One that starts nothing says the same as none."""
    return sync if sync is not None and (sync.every is not None or sync.watch) else None


@told_in_words
class Settings(BaseModel):
    """How the documents of a knowledge base are cut, embedded and searched. Sizes are in characters.

    ``sync``: when jobs start by themselves. ``ocr``: recognise the text of pages and pictures that have none. A job
    that would take out more than ``max_deleted_share`` of the documents of a source, and at least 10, asks first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    chunk_size: Annotated[int, Field(ge=1, le=100_000)] = 1000
    chunk_overlap: Annotated[int, Field(ge=0, le=100_000)] = 100
    embedder: _Embedder = StaticEmbedderSettings()
    index: IndexSettings = EmbeddedIndexSettings()
    sync: Annotated[SyncSettings | None, AfterValidator(_none_if_off), Field(exclude_if=_is_none)] = None
    ocr: Annotated[OcrSettings | None, Field(exclude_if=_is_none)] = None
    max_deleted_share: Annotated[float, Field(ge=0, le=1, exclude_if=_is_usual_share)] = _USUAL_SHARE

    @model_validator(mode="after")
    def _overlap_is_smaller(self) -> "Settings":
        if self.chunk_overlap >= self.chunk_size:
            raise ValueError(
                f"chunk_overlap ({self.chunk_overlap}) must be smaller than chunk_size ({self.chunk_size})"
            )
        return self

    def marked(self, *, chosen_by_client: bool) -> "Settings":
        """The same settings, that say whether a client chose the embedder's address."""
        if not isinstance(self.embedder, OpenAIEmbedderSettings):
            return self
        embedder = self.embedder.model_copy(update={"chosen_by_client": chosen_by_client})
        return self.model_copy(update={"embedder": embedder})

    def in_place_of(self, old: "Settings") -> "Settings":
        """These settings, stored after ``old``: to repeat an address changes nothing in who chose it."""
        new, before = self.embedder, old.embedder
        if not (isinstance(new, OpenAIEmbedderSettings) and isinstance(before, OpenAIEmbedderSettings)):
            return self
        return self.marked(chosen_by_client=before.chosen_by_client) if new.base_url == before.base_url else self
